//! Searches printed text for secrets.

use std::fmt::Debug;

/// A secret in each form in which output could contain it.
#[derive(Default)]
pub(crate) struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    pub(crate) fn text(&mut self, secret: &str) {
        self.0.push(secret.as_bytes().to_vec());
    }

    /// Also as a list of numbers and in hexadecimal: a derived `Debug` prints bytes like that.
    pub(crate) fn bytes(&mut self, secret: &[u8]) {
        let numbers: Vec<_> = secret.iter().map(u8::to_string).collect();
        self.0.push(numbers.join(", ").into_bytes());
        self.text(
            &secret
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>(),
        );
        self.0.push(secret.to_vec());
    }

    /// Also halves: no useful part of a secret may appear.
    pub(crate) fn check(&self, printed: &str) {
        for secret in &self.0 {
            for part in secret.chunks(secret.len().div_ceil(2)) {
                let seen = printed
                    .as_bytes()
                    .windows(part.len())
                    .any(|window| window == part);
                assert!(!seen, "a secret shows in: {printed}");
            }
        }
    }

    pub(crate) fn debug(&self, value: &dyn Debug) {
        self.check(&format!("{value:?}"));
        self.check(&format!("{value:#?}"));
    }
}

pub(crate) fn base64url(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    let mut bits = 0u32;
    let mut bytes = Vec::new();
    for (count, c) in (1..).zip(text.bytes()) {
        bits = bits << 6 | u32::from(digit(c));
        if count % 4 != 1 {
            bytes.push((bits >> (6 - 2 * ((count - 1) % 4))) as u8);
        }
    }
    bytes
}
