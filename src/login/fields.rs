//! Tagged fields of a login in one small buffer.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::login::step_up::StepUp;

/// Number of inline bytes: enough for a user with two roles and a device.
const INLINE_BYTES: usize = 46;

const SUBJECT: u8 = 1;
const ROLE: u8 = 2;
const DEVICE: u8 = 3;
const DATA: u8 = 4;
const ACR: u8 = 5;
const STEP: u8 = 8;
/// Hash of the secret of the browser to which a ticket is bound.
const BROWSER: u8 = 129;
/// Tags from here on are critical. A later version uses them for fields that narrow a login, such
/// as a binding to a client; this version must not ignore those.
const CRITICAL: u8 = 128;

/// First character of subjects that only this crate makes. They keep rows of other purposes than logins
/// apart in the index of a store.
pub(crate) const RESERVED: char = '\u{1}';

/// Refuses the subject of an application that begins like one of this crate.
pub(crate) fn check_subject(subject: &str) -> Result<()> {
    if subject.starts_with(RESERVED) {
        return Err(Error::misuse(
            "the subject begins with U+0001, which is reserved: name the user by another text",
        ));
    }
    Ok(())
}

/// Subject, roles, device, acr, step-up and data, each as tag, length and bytes. The subject comes
/// first.
///
/// Small fields are stored inline, larger ones behind one reference count: cloning copies a cache
/// line and allocates nothing. Unknown tags are kept, or rejected if they are critical.
#[derive(Clone)]
pub(crate) struct Fields(Buffer);

#[derive(Clone)]
enum Buffer {
    Inline {
        length: u8,
        bytes: [u8; INLINE_BYTES],
    },
    Shared(Arc<[u8]>),
}

/// Collects fields, on the stack while they fit.
#[derive(Clone)]
pub(crate) struct FieldsBuilder {
    /// Expected number of bytes, where it is known.
    room: usize,
    length: usize,
    inline: [u8; INLINE_BYTES],
    spilled: Vec<u8>,
}

impl FieldsBuilder {
    #[inline]
    pub(crate) fn new(subject: &str) -> Self {
        Self::with_room(subject, 0)
    }

    /// Begins with the subject. `length` is the expected number of bytes of all fields.
    #[inline]
    pub(crate) fn with_room(subject: &str, length: usize) -> Self {
        let mut builder = Self {
            room: length + 16,
            length: 0,
            inline: [0; INLINE_BYTES],
            spilled: Vec::new(),
        };
        builder.push(SUBJECT, subject.as_bytes());
        builder
    }

    fn iter(&self) -> Iter<'_> {
        Iter(if self.spilled.is_empty() {
            &self.inline[..self.length]
        } else {
            &self.spilled
        })
    }

    pub(crate) fn subject(&self) -> &str {
        text(self.subject_bytes())
    }

    #[inline]
    pub(crate) fn subject_bytes(&self) -> &[u8] {
        self.iter().next().map_or(&[], |(_, subject)| subject)
    }

    pub(crate) fn roles(&self) -> impl Iterator<Item = &str> {
        let roles = self.iter().filter(|(tag, _)| *tag == ROLE);
        roles.map(|(_, role)| text(role))
    }

    #[inline]
    pub(crate) fn role(&mut self, role: &str) {
        self.push(ROLE, role.as_bytes());
    }

    #[inline]
    pub(crate) fn device(&mut self, device: &str) {
        self.push(DEVICE, device.as_bytes());
    }

    #[inline]
    pub(crate) fn acr(&mut self, acr: &str) {
        self.push(ACR, acr.as_bytes());
    }

    pub(crate) fn step(&mut self, step: &StepUp) {
        self.push(STEP, &step.encode());
    }

    pub(crate) fn data(&mut self, data: &[u8]) {
        self.push(DATA, data);
    }

    #[inline]
    pub(crate) fn build(&self) -> Fields {
        Fields(if self.spilled.is_empty() {
            Buffer::Inline {
                // At most `INLINE_BYTES`.
                length: self.length as u8,
                bytes: self.inline,
            }
        } else {
            Buffer::Shared(Arc::from(&*self.spilled))
        })
    }

    #[inline]
    fn push(&mut self, tag: u8, value: &[u8]) {
        let end = self.length + 2 + value.len();
        if self.spilled.is_empty() && end <= INLINE_BYTES {
            // Shorter than 128 bytes, so the length has one digit.
            self.inline[self.length] = tag;
            self.inline[self.length + 1] = value.len() as u8;
            self.inline[self.length + 2..end].copy_from_slice(value);
            self.length = end;
            return;
        }
        self.spill(tag, value);
    }

    #[cold]
    fn spill(&mut self, tag: u8, value: &[u8]) {
        let (prefix, length) = prefix(tag, value.len());
        self.extend(&prefix[..length]);
        self.extend(value);
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.spilled.is_empty() {
            self.spilled.reserve(
                (self.length + bytes.len())
                    .max(2 * INLINE_BYTES)
                    .max(self.room),
            );
            self.spilled.extend_from_slice(&self.inline[..self.length]);
        }
        self.spilled.extend_from_slice(bytes);
    }
}

/// Writes tag and length. The length is in base 128, lowest digit first, as in protocol buffers.
fn prefix(tag: u8, mut length: usize) -> ([u8; 11], usize) {
    let mut prefix = [0; 11];
    prefix[0] = tag;
    let mut end = 1;
    loop {
        let digit = (length & 0x7f) as u8;
        length >>= 7;
        prefix[end] = if length == 0 { digit } else { digit | 0x80 };
        end += 1;
        if length == 0 {
            return (prefix, end);
        }
    }
}

impl Fields {
    /// Reads stored fields. Returns `None` if [`FieldsBuilder`] could not have written them, apart
    /// from unknown tags.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Iter(bytes);
        match fields.next() {
            Some((SUBJECT, subject)) => std::str::from_utf8(subject).ok()?,
            _ => return None,
        };
        let (mut devices, mut data, mut acrs, mut browsers) = (0, 0, 0, 0);
        for (tag, value) in fields.by_ref() {
            match tag {
                SUBJECT => return None,
                ROLE => {
                    std::str::from_utf8(value).ok()?;
                }
                DEVICE => {
                    std::str::from_utf8(value).ok()?;
                    devices += 1;
                }
                DATA => data += 1,
                ACR => {
                    std::str::from_utf8(value).ok()?;
                    acrs += 1;
                }
                BROWSER if value.len() == 16 => browsers += 1,
                CRITICAL.. => return None,
                _ => {}
            }
        }
        let repeats = [devices, data, acrs, browsers]
            .iter()
            .any(|count| *count > 1);
        if !fields.0.is_empty() || repeats {
            return None;
        }
        Some(Self(if bytes.len() <= INLINE_BYTES {
            let mut inline = [0; INLINE_BYTES];
            inline[..bytes.len()].copy_from_slice(bytes);
            Buffer::Inline {
                length: bytes.len() as u8,
                bytes: inline,
            }
        } else {
            Buffer::Shared(bytes.into())
        }))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Buffer::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Buffer::Shared(bytes) => bytes,
        }
    }

    pub(crate) fn subject(&self) -> &str {
        text(self.subject_bytes())
    }

    pub(crate) fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles_bytes().map(text)
    }

    pub(crate) fn device(&self) -> Option<&str> {
        self.device_bytes().map(text)
    }

    pub(crate) fn acr(&self) -> Option<&str> {
        self.acr_bytes().map(text)
    }

    /// Returns bytes: re-validating UTF-8 on each access took 5 % of issuing a token.
    #[inline]
    pub(crate) fn subject_bytes(&self) -> &[u8] {
        self.first(SUBJECT).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn roles_bytes(&self) -> impl Iterator<Item = &[u8]> {
        let roles = self.iter().filter(|(tag, _)| *tag == ROLE);
        roles.map(|(_, role)| role)
    }

    #[inline]
    pub(crate) fn device_bytes(&self) -> Option<&[u8]> {
        self.first(DEVICE)
    }

    #[inline]
    pub(crate) fn acr_bytes(&self) -> Option<&[u8]> {
        self.first(ACR)
    }

    pub(crate) fn data(&self) -> Option<&[u8]> {
        self.first(DATA)
    }

    /// Number of bytes without the data, with tags and lengths.
    pub(crate) fn size_without_data(&self) -> usize {
        let data = self.data();
        let data = data.map_or(0, |data| prefix(DATA, data.len()).1 + data.len());
        self.as_bytes().len() - data
    }

    /// Returns the step-up, whether it is in force or not.
    pub(crate) fn step(&self) -> Option<StepUp<&str>> {
        StepUp::decode(self.first(STEP)?)
    }

    /// Returns the same fields with a step-up.
    pub(crate) fn with_step(&self, step: &StepUp) -> Self {
        self.with(None::<std::iter::Empty<_>>, None, Some(step), None)
    }

    /// Returns the same fields with other roles, another device, another step-up or other data. Keeps
    /// the acr and unknown fields.
    pub(crate) fn with<'a>(
        &self,
        roles: Option<impl Iterator<Item = &'a str>>,
        device: Option<Option<&str>>,
        step: Option<&StepUp>,
        data: Option<Option<&[u8]>>,
    ) -> Self {
        let mut builder = FieldsBuilder::new(self.subject());
        match roles {
            Some(roles) => roles.for_each(|role| builder.role(role)),
            None => self.roles().for_each(|role| builder.role(role)),
        }
        if let Some(device) = device.unwrap_or_else(|| self.device()) {
            builder.device(device);
        }
        for (tag, value) in self.iter() {
            let is_replaced = tag == STEP && step.is_some();
            if !matches!(tag, SUBJECT | ROLE | DEVICE | DATA) && !is_replaced {
                builder.push(tag, value);
            }
        }
        if let Some(step) = step {
            builder.step(step);
        }
        if let Some(data) = data.unwrap_or_else(|| self.data()) {
            builder.data(data);
        }
        builder.build()
    }

    /// Returns the same fields with another subject.
    pub(crate) fn with_subject(&self, subject: &str) -> Self {
        self.rebuilt(subject).build()
    }

    /// Returns the same fields, bound to a browser by the hash of its secret.
    pub(crate) fn with_browser(&self, hash: &[u8; 16]) -> Self {
        let mut builder = self.rebuilt(self.subject());
        builder.push(BROWSER, hash);
        builder.build()
    }

    /// Returns the hash of the secret of the browser, if a ticket is bound to one.
    pub(crate) fn browser(&self) -> Option<&[u8; 16]> {
        self.first(BROWSER)?.try_into().ok()
    }

    fn rebuilt(&self, subject: &str) -> FieldsBuilder {
        let mut builder = FieldsBuilder::with_room(subject, self.as_bytes().len());
        let others = self.iter().filter(|(tag, _)| *tag != SUBJECT);
        others.for_each(|(tag, value)| builder.push(tag, value));
        builder
    }

    fn first(&self, wanted: u8) -> Option<&[u8]> {
        self.iter()
            .find_map(|(tag, value)| (tag == wanted).then_some(value))
    }

    fn iter(&self) -> Iter<'_> {
        Iter(self.as_bytes())
    }
}

/// Converts text that was validated when the fields were built; the fallback never happens.
fn text(value: &[u8]) -> &str {
    std::str::from_utf8(value).unwrap_or_default()
}

/// Stops at the first truncated field and leaves it in `self.0`.
struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, mut rest) = self.0.split_first()?;
        let mut length = 0usize;
        for shift in (0..35).step_by(7) {
            let (&digit, after) = rest.split_first()?;
            rest = after;
            length |= usize::from(digit & 0x7f) << shift;
            if digit & 0x80 == 0 {
                let (value, after) = rest.split_at_checked(length)?;
                self.0 = after;
                return Some((tag, value));
            }
        }
        None
    }
}

impl fmt::Debug for Fields {
    /// Omits the data, which belong to the application and may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields")
            .field("subject", &self.subject())
            .field("roles", &self.roles().collect::<Vec<_>>())
            .field("device", &self.device())
            .field("acr", &self.acr())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_inline_and_shared_and_keeps_unknown_tags() {
        for size in [0, 1, 40, 62, 63, 127, 128, 20_000] {
            let mut builder = FieldsBuilder::new("alice");
            builder.role("admin");
            builder.role("");
            builder.device("phone");
            builder.acr("aal2");
            builder.push(100, b"from the future");
            builder.data(&vec![7; size]);
            let fields = builder.build();
            let read = Fields::decode(fields.as_bytes()).unwrap();
            assert_eq!(read.subject(), "alice");
            assert_eq!(read.roles().collect::<Vec<_>>(), ["admin", ""]);
            assert_eq!(read.device(), Some("phone"));
            assert_eq!(read.acr(), Some("aal2"));
            assert_eq!(read.data(), Some(&vec![7; size][..]));

            let changed = read.with(Some(["user"].into_iter()), None, None, Some(None));
            assert_eq!(changed.roles().collect::<Vec<_>>(), ["user"]);
            assert_eq!(changed.device(), Some("phone"));
            assert_eq!(changed.acr(), Some("aal2"));
            assert_eq!(changed.data(), None);
            assert_eq!(changed.first(100), Some(&b"from the future"[..]));

            let roles = None::<std::iter::Empty<&str>>;
            let renamed = read.with(roles, Some(Some("tablet")), None, None);
            assert_eq!(renamed.device(), Some("tablet"));
            assert_eq!(renamed.roles().collect::<Vec<_>>(), ["admin", ""]);
            assert_eq!(renamed.data(), read.data());
            assert_eq!(renamed.first(100), read.first(100));
        }
    }

    #[test]
    fn refuses_what_it_would_not_write() {
        let whole = {
            let mut builder = FieldsBuilder::new("alice");
            builder.role("admin");
            builder.build()
        };
        for cut in 1..whole.as_bytes().len() {
            let cut = &whole.as_bytes()[..cut];
            // Cut behind the subject, the rest is valid again.
            assert_eq!(Fields::decode(cut).is_some(), cut.len() == 7);
        }
        for bad in [
            &b""[..],
            b"\x02\x01a",
            b"\x01\x01\xff",
            b"\x01\x01a\x01\x01b",
            b"\x01\x01a\x03\x01b\x03\x01c",
            b"\x01\x01a\x04\x01b\x04\x01c",
            b"\x01\x01a\x05\x01b\x05\x01c",
            b"\x01\x01a\x05\x01\xff",
            b"\x01\xff\xff\xff\xff\xff\xff\x01a",
            b"\x01\x80\x80\x80\x80\x7f",
            b"\x01\x01a\x80\x01b",
        ] {
            assert!(Fields::decode(bad).is_none(), "{bad:?}");
        }
    }
}
