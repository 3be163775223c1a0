//! Memory of texts with a verified signature.

use std::sync::{OnceLock, PoisonError, RwLock};

use subtle::ConstantTimeEq as _;

/// Sets of slots. A text has one place in one of them.
const SETS: usize = 4096;
/// Slots of a set. With one slot, two tokens that meet evict each other all the time.
const SLOTS: usize = 4;
/// Longer texts are not remembered.
const MAX_BYTES: usize = 1024;

/// Texts with a signature that one key has verified: at most 16,384, each of at most 1 KiB.
///
/// It knows only that a text has a valid signature of this key, which never changes. Expiry,
/// audience, revocation and the end of the key are checked at each verification. Only verified texts
/// enter, so that no flood of forged tokens evicts one.
pub(super) struct VerifiedTexts {
    sets: OnceLock<Box<[Set]>>,
}

/// The text of each slot: the signed part and the signature.
type Set = RwLock<[Option<Box<[u8]>>; SLOTS]>;

impl VerifiedTexts {
    pub(super) fn new() -> Self {
        Self {
            sets: OnceLock::new(),
        }
    }

    /// Checks if a text with this signature has been verified before. Compares the whole text in
    /// constant time: otherwise a guesser could find a remembered token byte by byte.
    pub(super) fn include(&self, text: &[u8], signature: &[u8]) -> bool {
        let (Some(sets), Some((set, _))) = (self.sets.get(), place(signature)) else {
            return false;
        };
        // A text is replaced as a whole, so that a panic leaves none half written.
        let set = sets[set].read().unwrap_or_else(PoisonError::into_inner);
        let mut known = set.iter().flatten();
        known.any(|known| is_same(known, text))
    }

    /// Remembers a text after its signature was verified. It replaces another one of its set.
    pub(super) fn remember(&self, text: &[u8], signature: &[u8]) {
        let Some((set, slot)) = place(signature).filter(|_| text.len() <= MAX_BYTES) else {
            return;
        };
        let sets = self
            .sets
            .get_or_init(|| (0..SETS).map(|_| Set::default()).collect());
        let text = Some(text.into());
        let replaced = {
            let mut set = sets[set].write().unwrap_or_else(PoisonError::into_inner);
            let free = set.iter().position(Option::is_none);
            std::mem::replace(&mut set[free.unwrap_or(slot)], text)
        };
        drop(replaced);
    }
}

/// Returns the set of a text, and the slot that it takes if the set is full. The bytes of a valid
/// signature are evenly distributed.
fn place(signature: &[u8]) -> Option<(usize, usize)> {
    let [low, high, slot, ..] = *signature else {
        return None;
    };
    let set = usize::from(u16::from_le_bytes([low, high]));
    Some((set % SETS, usize::from(slot) % SLOTS))
}

/// Compares two texts in constant time. Their lengths are no secret.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let ((ones, one_rest), (others, other_rest)) = (one.as_chunks(), other.as_chunks());
    let words = ones.iter().zip(others).fold(0, |difference, (a, b)| {
        difference | (u128::from_ne_bytes(*a) ^ u128::from_ne_bytes(*b))
    });
    let rest = one_rest.iter().zip(other_rest);
    let rest = rest.fold(0, |difference, (a, b)| difference | (a ^ b));
    (words | u128::from(rest)).ct_eq(&0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_text_is_known() {
        let texts = VerifiedTexts::new();
        let signature = [7; 64];
        let text: Vec<u8> = (0..200).collect();
        assert!(!texts.include(&text, &signature));
        texts.remember(&text, &signature);
        assert!(texts.include(&text, &signature));
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] ^= 1;
            assert!(!texts.include(&other, &signature), "{at}");
        }
        assert!(!texts.include(&text[..199], &signature));
        assert!(!texts.include(&text, &signature[..2]));
    }

    #[test]
    fn a_full_set_forgets_one_text_and_long_texts_are_not_kept() {
        let texts = VerifiedTexts::new();
        let of = |n: u8| (vec![n; 100], [1, 2, n, 4]);
        for n in 0..=4 {
            let (text, signature) = of(n);
            texts.remember(&text, &signature);
        }
        let known = (0..=4).filter(|n| texts.include(&of(*n).0, &of(*n).1));
        assert_eq!(known.collect::<Vec<_>>(), [1, 2, 3, 4]);
        let long = vec![0; MAX_BYTES + 1];
        texts.remember(&long, &[9; 64]);
        assert!(!texts.include(&long, &[9; 64]));
        texts.remember(&long[1..], &[9; 64]);
        assert!(texts.include(&long[1..], &[9; 64]));
    }
}
