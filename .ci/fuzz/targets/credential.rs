//! Credentials of sessions and of the hybrid, presented in any order of operations. Each operation is five bytes: what
//! to do, which issued credential, and an edit of it; or `R`, a length and a whole text.
//!
//! Oracle: a text is accepted only if it was issued, and then for its own subject, and not after its logout.
//! `is_well_formed` is true for exactly those texts that are not rejected as malformed.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use statewise::clock::Timestamp;
use statewise::entropy::Entropy;
use statewise::hybrid::HybridAuthenticator;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::testkit::{ManualClock, block_on};
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, Identity, Issued, Login, Rejection, Result};

const START: u64 = 1_700_000_000;
/// Operations of one input.
const MAX_OPERATIONS: usize = 24;

/// Counts up, so that an input means the same in each run.
#[derive(Debug)]
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        for chunk in bytes.chunks_mut(8) {
            let next = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let next = (next ^ (next >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            chunk.copy_from_slice(&next.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// An authenticator, and all that is known about its credentials.
struct Model<A> {
    auth: A,
    clock: ManualClock,
    has_refresh_credentials: bool,
    /// Each credential that was issued, in order, with its subject.
    issued: Vec<String>,
    subjects: BTreeMap<String, String>,
    /// Subjects that were logged out.
    ended: BTreeSet<String>,
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, operations)) = input.split_first() else {
        return;
    };
    let clock = ManualClock::at(Timestamp::from_unix(START));
    let entropy = || Counting(AtomicU64::new(1));
    let sessions = SessionAuthenticator::builder(MemoryStore::with_capacity(64).unwrap())
        .idle(Duration::from_secs(600))
        .absolute(Duration::from_secs(3600))
        .clock(clock.clone())
        .entropy(entropy());
    if kind % 2 == 0 {
        Model::new(sessions.build().unwrap(), clock, false).run(operations);
        return;
    }
    let tokens =
        TokenAuthenticator::builder(Key::hs256(b"0123456789abcdefghijklmnopqrstuv").unwrap())
            .issuer("https://a.example")
            .audience("api")
            .lifetime(Duration::from_secs(60))
            .clock(clock.clone())
            .entropy(entropy());
    Model::new(
        HybridAuthenticator::new(tokens, sessions).unwrap(),
        clock,
        true,
    )
    .run(operations);
});

impl<A: Authenticator<Data = ()>> Model<A> {
    fn new(auth: A, clock: ManualClock, has_refresh_credentials: bool) -> Self {
        let mut model = Self {
            auth,
            clock,
            has_refresh_credentials,
            issued: Vec::new(),
            subjects: BTreeMap::new(),
            ended: BTreeSet::new(),
        };
        model.issue("alice");
        model.issue("bob");
        model
    }

    fn run(&mut self, mut operations: &[u8]) {
        for _ in 0..MAX_OPERATIONS {
            let text;
            let kind;
            if let [b'R', length, rest @ ..] = operations {
                let (raw, rest) = rest.split_at(rest.len().min(usize::from(*length)));
                let Ok(raw) = std::str::from_utf8(raw) else {
                    return;
                };
                text = raw.to_owned();
                kind = *length;
                operations = rest;
            } else if let [first, which, at, edit, byte, rest @ ..] = operations {
                text = edited(
                    &self.issued[usize::from(*which) % self.issued.len()],
                    *at,
                    *edit,
                    *byte,
                );
                kind = *first;
                operations = rest;
            } else {
                return;
            }
            match kind % 8 {
                0..=2 => self.verify(&text),
                3 | 4 => self.refresh(&text),
                5 => self.revoke(&text),
                6 => self.clock.advance(Duration::from_secs(u64::from(kind))),
                _ if self.issued.len() < 32 => self.issue(&format!("user{}", self.issued.len())),
                _ => {}
            }
        }
    }

    fn issue(&mut self, subject: &str) {
        let issued = block_on(self.auth.issue(Login::new(subject))).unwrap();
        self.keep(&issued, subject);
    }

    fn keep(&mut self, issued: &Issued, subject: &str) {
        assert_eq!(issued.identity().subject(), subject);
        for credential in [Some(issued.credential()), issued.refresh_credential()]
            .into_iter()
            .flatten()
        {
            let text = credential.reveal().to_owned();
            let known = self.subjects.insert(text.clone(), subject.to_owned());
            assert!(
                known.is_none_or(|known| known == subject),
                "one credential of two users"
            );
            self.issued.push(text);
        }
    }

    fn verify(&self, text: &str) {
        let verified = block_on(self.auth.verify(text));
        self.check(text, &verified);
        // The hybrid verifies access tokens alone.
        if !(self.has_refresh_credentials && text.starts_with("rt_")) {
            self.check_form(text, verified.err().and_then(|error| error.rejection()));
        }
    }

    fn refresh(&mut self, text: &str) {
        match block_on(self.auth.refresh(text)) {
            Ok(issued) => {
                let subject = self.subject(text).to_owned();
                assert!(!self.ended.contains(&subject), "refreshed after its logout");
                self.keep(&issued, &subject);
            }
            Err(error) => {
                assert!(error.is_rejected(), "{error}");
                // The hybrid refreshes with refresh credentials alone.
                if !self.has_refresh_credentials || text.starts_with("rt_") {
                    self.check_form(text, error.rejection());
                }
            }
        }
    }

    fn revoke(&mut self, text: &str) {
        match block_on(self.auth.revoke(text)) {
            Ok(logout) => {
                assert!(
                    self.auth.is_well_formed(text),
                    "a malformed text is no logout: {text:?}"
                );
                let Some(login) = logout.login() else { return };
                let owner = self
                    .owner(text)
                    .expect("the end of a login that the text does not prove");
                assert_eq!(login.subject(), owner);
                self.ended.insert(owner.to_owned());
            }
            Err(error) => {
                assert!(error.is_rejected(), "{error}");
                self.check_form(text, error.rejection());
            }
        }
    }

    /// Returns the subject of the login of a credential, of any generation. One that was made up proves its login by
    /// handle and family secret, and such a credential may end the login.
    fn owner(&self, text: &str) -> Option<&str> {
        let proven = |text: &str| {
            let digits = if self.has_refresh_credentials {
                text.strip_prefix("rt_")?
            } else {
                text
            };
            let bytes = URL_SAFE_NO_PAD
                .decode(digits)
                .ok()
                .filter(|bytes| bytes.len() == 48)?;
            Some([&bytes[..16], &bytes[20..32]].concat())
        };
        if let Some(subject) = self.subjects.get(text) {
            return Some(subject);
        }
        let proof = proven(text)?;
        let mut known = self.subjects.iter();
        known.find_map(|(issued, subject)| (proven(issued)? == proof).then_some(&**subject))
    }

    fn check(&self, text: &str, verified: &Result<Identity>) {
        match verified {
            Ok(identity) => {
                let subject = self.subject(text);
                assert_eq!(identity.subject(), subject);
                // Access tokens of the hybrid live until they expire, without a revocation log.
                let lives_on = self.has_refresh_credentials && !text.starts_with("rt_");
                assert!(
                    lives_on || !self.ended.contains(subject),
                    "accepted after its logout"
                );
            }
            Err(error) => assert!(error.is_rejected(), "{error}"),
        }
    }

    fn check_form(&self, text: &str, cause: Option<Rejection>) {
        let is_well_formed = self.auth.is_well_formed(text);
        if self.has_refresh_credentials && !text.starts_with("rt_") {
            // The form of an access token is its header and its alphabet. What it encodes is read later.
            let is_seen = matches!(
                cause,
                Some(Rejection::Malformed | Rejection::UnacceptableHeader)
            );
            assert!(is_well_formed || is_seen, "the form of {text:?}: {cause:?}");
        } else {
            assert_eq!(
                is_well_formed,
                cause != Some(Rejection::Malformed),
                "the form of {text:?}"
            );
        }
    }

    /// Returns the subject of a credential that was accepted.
    fn subject(&self, text: &str) -> &str {
        self.subjects
            .get(text)
            .unwrap_or_else(|| panic!("accepted, but never issued: {text:?}"))
    }
}

fn edited(text: &str, at: u8, edit: u8, byte: u8) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let at = usize::from(at) % (bytes.len() + 1);
    match edit % 8 {
        1 if at < bytes.len() => bytes[at] = byte,
        2 if at < bytes.len() => drop(bytes.remove(at)),
        3 => bytes.insert(at, byte),
        4 => bytes.truncate(at),
        5 => bytes = bytes.repeat(2),
        _ => {}
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
