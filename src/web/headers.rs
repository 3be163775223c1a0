//! The header fields of a request, whatever framework holds them.

/// Header fields of a request, whatever framework holds them.
///
/// Implemented for slices, arrays and vectors of pairs of name and value. For the map of any
/// framework it is a few lines; here one like that of http 0.2, on which some frameworks stay:
///
/// ```
/// use statewise::web::{Found, Headers, bearer};
/// # use std::collections::HashMap;
/// # struct HeaderMap(HashMap<String, Vec<Vec<u8>>>);
/// # impl HeaderMap {
/// #     fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
/// #         self.0.get(name).into_iter().flatten().map(Vec::as_slice)
/// #     }
/// # }
///
/// struct Fields<'r>(&'r HeaderMap);
///
/// impl Headers for Fields<'_> {
///     fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
///         self.0.get_all(name).for_each(each);
///     }
/// }
///
/// # let lines = vec![b"Bearer abc".to_vec()];
/// # let request = HeaderMap(HashMap::from([("authorization".to_owned(), lines)]));
/// assert_eq!(bearer(&Fields(&request)), Found::One("abc"));
/// ```
pub trait Headers {
    /// Calls `each` with every value of the field `name` (given in lower case), in order: a field
    /// that stands on several lines has several values, and lines must not be joined.
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8]));
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for [(N, V)] {
    /// Names are compared without case (RFC 9110, section 5.1).
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        for (_, value) in self
            .iter()
            .filter(|(field, _)| field.as_ref().eq_ignore_ascii_case(name))
        {
            each(value.as_ref());
        }
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>, const LEN: usize> Headers for [(N, V); LEN] {
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        self.as_slice().each(name, each);
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for Vec<(N, V)> {
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        self.as_slice().each(name, each);
    }
}

impl<H: Headers + ?Sized> Headers for &H {
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        (**self).each(name, each);
    }
}

#[cfg(feature = "tower")]
impl Headers for http::HeaderMap {
    // Inlined, a name that is known needs no search.
    #[inline]
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN, UPGRADE};
        let values = match name {
            "authorization" => self.get_all(AUTHORIZATION),
            "cookie" => self.get_all(COOKIE),
            "host" => self.get_all(HOST),
            "origin" => self.get_all(ORIGIN),
            "upgrade" => self.get_all(UPGRADE),
            name => self.get_all(name),
        };
        values.iter().for_each(|value| each(value.as_bytes()));
    }
}

/// A field that may stand on one line only.
#[derive(Clone, Copy)]
pub(super) enum Single<'a> {
    Absent,
    /// Without the whitespace around it.
    One(&'a [u8]),
    Several,
}

/// The value of a field that may stand on one line only (RFC 9110, section 5.3).
pub(super) fn single<'a, H: Headers + ?Sized>(headers: &'a H, name: &str) -> Single<'a> {
    let mut found = Single::Absent;
    headers.each(name, &mut |value| {
        found = match found {
            Single::Absent => Single::One(trim(value)),
            Single::One(_) | Single::Several => Single::Several,
        };
    });
    found
}

/// Without spaces and tabs around it: they are no part of a value (RFC 9110, section 5.5).
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether a token may hold the byte (RFC 9110, section 5.6.2).
pub(super) fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}
