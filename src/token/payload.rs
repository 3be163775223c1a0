//! Buffer of a claims set that is being written.

/// Bytes on the stack: enough for most claims sets.
const INLINE_BYTES: usize = 512;

/// A claims set that is being written, on the stack while it fits. Issuing a token then allocates
/// the token alone.
pub(crate) struct Payload {
    inline: [u8; INLINE_BYTES],
    length: usize,
    /// All bytes, once they do not fit into `inline`.
    spilled: Vec<u8>,
}

impl Payload {
    pub(crate) fn new() -> Self {
        Self {
            inline: [0; INLINE_BYTES],
            length: 0,
            spilled: Vec::new(),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        if self.spilled.is_empty() {
            &self.inline[..self.length]
        } else {
            &self.spilled
        }
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        match self.inline.get_mut(self.length..end) {
            Some(room) if self.spilled.is_empty() => {
                room.copy_from_slice(bytes);
                self.length = end;
            }
            _ => self.spill(bytes),
        }
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if self.spilled.is_empty() {
            self.spilled.extend_from_slice(&self.inline[..self.length]);
        }
        self.spilled.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_all_pushed_bytes_on_the_stack_and_on_the_heap() {
        for size in [0, 1, 7, 511, 512, 513, 2000] {
            let (mut payload, mut all) = (Payload::new(), Vec::new());
            for round in 0..1200 / (size + 1) + 2 {
                let piece = vec![round as u8; size];
                payload.push(&piece);
                payload.push(b"x");
                payload.push(b"");
                all.extend(piece);
                all.push(b'x');
                assert_eq!(payload.as_bytes(), all, "{size} {round}");
            }
        }
    }
}
