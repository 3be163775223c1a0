//! The judgement of a presented credential by the row that its handle names.

use std::time::Duration;

use crate::clock::{Timestamp, within};
use crate::session::credential::SessionCredential;
use crate::store::proof::Proof;
use crate::store::record_ref::RecordRef;

/// How long a replaced credential is still accepted, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    /// The previous credential is accepted in any case, for requests in flight and other tabs.
    /// Counts from the rotation, and again from the first use of the successor.
    pub(crate) overlap: u64,
    /// The previous credential is accepted while its successor has not been used, because the
    /// response may have been lost. Counts from the rotation.
    pub(crate) grace: u64,
}

impl Windows {
    pub(crate) fn overlap(self) -> Duration {
        Duration::from_secs(self.overlap)
    }
}

/// Verdict on a presented credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The credential of the current generation.
    Current,
    /// The previous credential, within the overlap.
    Overlap,
    /// The previous credential, within the grace, with a successor that was never used.
    Grace,
    /// The previous credential, after the grace, with a successor that was never used: the response
    /// that carried the successor was most likely lost.
    Orphaned,
    /// A replaced credential, after its successor was used: two parties hold the login.
    Reused,
    /// A credential of a generation that the row has not reached: the store lost a write.
    Ahead,
    /// Not a credential of this login.
    Unknown,
    /// A credential of a login that has expired by the policy of this node. The row was made under
    /// a looser policy, so the store still has it.
    Expired,
}

/// Judges a credential by the row that its handle names. Pure: the same for every store.
///
/// The row has the proofs of the current credential and of the one before it, which is older by more than one
/// generation if its successor was replaced. A wrong secret under one of the two latest generations is forged
/// or damaged, and ends nothing. An older generation is recognised by the family proof alone. `proof` is that
/// of the credential.
pub(crate) fn judge(
    row: RecordRef<'_>,
    credential: &SessionCredential,
    proof: &Proof,
    windows: Windows,
    now: Timestamp,
) -> Verdict {
    if let Some(verdict) = judge_latest(row, credential.generation(), proof) {
        return verdict;
    }
    let age = i64::from(row.generation) - i64::from(credential.generation());
    let history = row.history.copied().unwrap_or_default();
    let is_underived = row.is_underived();
    match age {
        1.. if *proof == history.previous => {
            let rotated_at = history.rotated_at;
            if within(rotated_at, windows.overlap, now) {
                Verdict::Overlap
            } else if row.confirmed {
                Verdict::Reused
            } else if is_underived || within(rotated_at, windows.grace, now) {
                // After a step-up without end: there is no successor that a thief could share.
                Verdict::Grace
            } else {
                Verdict::Orphaned
            }
        }
        0 | 1 => Verdict::Unknown,
        _ if credential.family_proof() != *row.family => Verdict::Unknown,
        ..0 => Verdict::Ahead,
        // A step-up does not wait for the overlap of the rotation before it, nor for a use of its
        // credential: the client may have two answers less than the row.
        _ if is_underived
            && (!row.confirmed || within(history.rotated_at, windows.overlap, now)) =>
        {
            Verdict::Unknown
        }
        _ => Verdict::Reused,
    }
}

/// Judges a credential of the latest generation of the row. `None` for another generation.
#[inline]
pub(crate) fn judge_latest(row: RecordRef<'_>, generation: u32, proof: &Proof) -> Option<Verdict> {
    let verdict = if proof == row.current {
        Verdict::Current
    } else {
        Verdict::Unknown
    };
    (generation == row.generation).then_some(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::login::fields::FieldsBuilder;
    use crate::session::credential::CredentialKind;
    use crate::store::ask::Rotation;
    use crate::store::record::Record;

    const WINDOWS: Windows = Windows {
        overlap: 10,
        grace: 30,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(1_000_000 + seconds)
    }

    fn judge(
        row: &Record,
        credential: &SessionCredential,
        windows: Windows,
        now: Timestamp,
    ) -> Verdict {
        super::judge(row.into(), credential, &credential.proof(), windows, now)
    }

    fn row_of(credential: &SessionCredential) -> Record {
        Record {
            handle: credential.handle(),
            generation: 0,
            version: 0,
            created_at: at(0),
            authenticated_at: at(0),
            deadline: at(100_000),
            last_seen: at(0),
            idle: 50_000,
            current: credential.proof(),
            family: credential.family_proof(),
            confirmed: true,
            rotation_wanted: false,
            history: None,
            fields: FieldsBuilder::new("alice").build(),
        }
    }

    fn successor(of: &SessionCredential, seed: &[u8; 16]) -> SessionCredential {
        of.successor(of.generation() + 1, seed).unwrap()
    }

    fn rotate(
        row: &mut Record,
        credential: &SessionCredential,
        now: Timestamp,
    ) -> SessionCredential {
        let seed = [u8::try_from(row.generation).unwrap() + 1; 16];
        let next = successor(credential, &seed);
        assert!(row.rotate(
            &Rotation {
                generation: credential.generation(),
                presented: credential.proof(),
                next: next.proof(),
                seed,
                overlap: Duration::from_secs(WINDOWS.overlap),
                idle: Duration::from_secs(50_000),
            },
            now
        ));
        next
    }

    #[test]
    fn every_verdict_at_every_edge() {
        let zero = SessionCredential::draw(CredentialKind::Session, "alice", false, &SystemEntropy)
            .unwrap();
        let mut row = row_of(&zero);
        let verdict = |row: &Record, credential: &SessionCredential, seconds| {
            judge(row, credential, WINDOWS, at(seconds))
        };
        assert_eq!(verdict(&row, &zero, 0), Verdict::Current);

        let one = rotate(&mut row, &zero, at(100));
        assert_eq!(verdict(&row, &one, 100), Verdict::Current);
        // Another node's clock is two seconds behind.
        assert_eq!(verdict(&row, &zero, 98), Verdict::Overlap);
        assert_eq!(verdict(&row, &zero, 109), Verdict::Overlap);
        assert_eq!(verdict(&row, &zero, 110), Verdict::Grace);
        assert_eq!(verdict(&row, &zero, 129), Verdict::Grace);
        assert_eq!(verdict(&row, &zero, 130), Verdict::Orphaned);

        assert!(row.confirm(1, at(100)));
        assert!(!row.confirm(1, at(105)), "a second use confirms nothing");
        assert_eq!(verdict(&row, &zero, 109), Verdict::Overlap);
        assert_eq!(verdict(&row, &zero, 110), Verdict::Reused);
        assert_eq!(verdict(&row, &zero, 130), Verdict::Reused);
        assert_eq!(verdict(&row, &one, 130), Verdict::Current);

        let two = rotate(&mut row, &one, at(200));
        assert_eq!(verdict(&row, &zero, 200), Verdict::Reused);
        assert_eq!(verdict(&row, &one, 200), Verdict::Overlap);
        assert_eq!(verdict(&row, &two, 200), Verdict::Current);

        let three = successor(&two, &[9; 16]);
        assert_eq!(verdict(&row, &three, 200), Verdict::Ahead);
    }

    #[test]
    fn the_overlap_counts_again_from_the_first_use() {
        let zero = SessionCredential::draw(CredentialKind::Session, "alice", false, &SystemEntropy)
            .unwrap();
        let mut row = row_of(&zero);
        rotate(&mut row, &zero, at(100));
        // The response was lost and is replayed to two tabs, one of which is faster.
        assert_eq!(judge(&row, &zero, WINDOWS, at(500)), Verdict::Orphaned);
        assert!(row.confirm(1, at(500)));
        assert_eq!(judge(&row, &zero, WINDOWS, at(509)), Verdict::Overlap);
        assert_eq!(judge(&row, &zero, WINDOWS, at(510)), Verdict::Reused);
    }

    /// Another party may hold the replaced successor. Rejects a judge that looks for the previous credential
    /// in the generation before the current one only, and one that takes the replaced one for damaged.
    #[test]
    fn a_replaced_successor_is_reused() {
        let zero = SessionCredential::draw(CredentialKind::Session, "alice", false, &SystemEntropy)
            .unwrap();
        let mut row = row_of(&zero);
        let one = rotate(&mut row, &zero, at(100));
        let seed = [77; 16];
        let three = zero.successor(3, &seed).unwrap();
        row.replace_successor(3, three.proof(), seed, at(500));
        assert!(!row.confirm(1, at(500)), "the use of a replaced one");
        for (age, expected) in [
            (0, Verdict::Overlap),
            (10, Verdict::Grace),
            (30, Verdict::Orphaned),
        ] {
            assert_eq!(judge(&row, &zero, WINDOWS, at(500 + age)), expected);
            assert_eq!(
                judge(&row, &three, WINDOWS, at(500 + age)),
                Verdict::Current
            );
            assert_eq!(judge(&row, &one, WINDOWS, at(500 + age)), Verdict::Reused);
        }
        let four = rotate(&mut row, &three, at(600));
        assert_eq!(judge(&row, &four, WINDOWS, at(600)), Verdict::Current);
        assert_eq!(judge(&row, &three, WINDOWS, at(600)), Verdict::Overlap);
        for old in [&zero, &one] {
            assert_eq!(judge(&row, old, WINDOWS, at(600)), Verdict::Reused);
        }
    }

    #[test]
    fn an_unproven_credential_is_unknown() {
        let zero = SessionCredential::draw(CredentialKind::Session, "alice", false, &SystemEntropy)
            .unwrap();
        let mut row = row_of(&zero);
        let one = rotate(&mut row, &zero, at(100));
        let two = rotate(&mut row, &one, at(200));
        // All but the handle belongs to another login.
        let other =
            SessionCredential::draw(CredentialKind::Session, "alice", false, &SystemEntropy)
                .unwrap();
        let mut forged = row_of(&other);
        forged.handle = row.handle;
        for generation in [other, successor(&other, &[1; 16])] {
            assert_eq!(judge(&row, &generation, WINDOWS, at(200)), Verdict::Unknown);
        }
        // The right family with a damaged secret, for both generations that the row has proofs of.
        let damaged = |credential: &SessionCredential| {
            let text = credential.encode();
            let text = text.reveal();
            let last = if text.ends_with('A') { "B" } else { "A" };
            SessionCredential::parse(CredentialKind::Session, &format!("{}{last}", &text[..63]))
                .unwrap()
        };
        for credential in [one, two] {
            let verdict = judge(&row, &damaged(&credential), WINDOWS, at(200));
            assert_eq!(verdict, Verdict::Unknown);
        }
        assert_eq!(
            judge(&row, &damaged(&zero), WINDOWS, at(200)),
            Verdict::Reused
        );
    }

    #[test]
    fn a_clock_that_jumped_back_does_not_stretch_the_overlap() {
        let zero = SessionCredential::draw(CredentialKind::Session, "alice", false, &SystemEntropy)
            .unwrap();
        let mut row = row_of(&zero);
        let one = rotate(&mut row, &zero, at(40_000));
        assert!(row.confirm(one.generation(), at(40_000)));
        assert_eq!(judge(&row, &zero, WINDOWS, at(0)), Verdict::Reused);
    }
}
