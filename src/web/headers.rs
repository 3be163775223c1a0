//! Header fields of requests and responses, from any framework.

use std::borrow::Cow;

/// Header fields of a request, from any framework.
///
/// Implemented for slices, arrays and vectors of pairs of name and value, with the feature `tower`
/// for `http::HeaderMap`, and with `actix` for that of actix-web. Implement it in a few lines for the map of another framework,
/// here one like that of http 0.2:
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
    /// Calls `each` with every value of the field `name`, in order. `name` is in lower case. Each
    /// line of a field is one value: do not join lines.
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8]));
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for [(N, V)] {
    /// Names are compared without case (RFC 9110, section 5.1).
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        for (field, value) in self {
            if field.as_ref().eq_ignore_ascii_case(name) {
                each(value.as_ref());
            }
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

/// Header fields of a response, from any framework.
///
/// Implemented for vectors of pairs of name and value, with the feature `tower` for
/// `http::HeaderMap`, and with `actix` for the map of actix-web.
pub trait HeadersMut: Headers {
    /// Calls `each` with the name of every field, in lower case.
    fn each_name(&self, each: &mut dyn FnMut(&str));

    /// Removes all values of the field `name`, which is in lower case.
    fn remove(&mut self, name: &str);

    /// Adds a value to the field `name`, which is in lower case. Keeps the values that are there.
    /// Values of `set-cookie` are secrets.
    fn append(&mut self, name: &str, value: Cow<'static, str>);
}

impl HeadersMut for Vec<(String, String)> {
    fn each_name(&self, each: &mut dyn FnMut(&str)) {
        self.iter()
            .for_each(|(name, _)| each(&name.to_ascii_lowercase()));
    }

    fn remove(&mut self, name: &str) {
        self.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    fn append(&mut self, name: &str, value: Cow<'static, str>) {
        self.push((name.to_owned(), value.into_owned()));
    }
}

/// Value of a field that may occur once only.
#[derive(Clone, Copy)]
pub(super) enum Single<'a> {
    Absent,
    /// The value without surrounding whitespace.
    One(&'a [u8]),
    Several,
}

/// Returns the value of a field that may occur once only (RFC 9110, section 5.3).
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

/// Returns the first value of a field.
pub(super) fn first<'h, H: Headers + ?Sized>(headers: &'h H, name: &str) -> Option<&'h [u8]> {
    let mut first = None;
    headers.each(name, &mut |value| first = first.or(Some(value)));
    first
}

/// Removes surrounding spaces and tabs, which are not part of a value (RFC 9110, section 5.5).
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Returns whether a byte is allowed in a token (RFC 9110, section 5.6.2).
pub(super) fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}
