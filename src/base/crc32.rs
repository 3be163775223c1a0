//! CRC-32, the checksum of zip and PNG (ISO/IEC 3309).

/// Table `n` has the remainders of all bytes with `n` zeros behind them.
const TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = (rest >> 1) ^ (0xedb8_8320 * (rest & 1));
            bit += 1;
        }
        tables[0][byte] = rest;
        byte += 1;
    }
    let mut at = 256;
    while at < 8 * 256 {
        let rest = tables[at / 256 - 1][at % 256];
        tables[at / 256][at % 256] = (rest >> 8) ^ tables[0][(rest & 0xff) as usize];
        at += 1;
    }
    tables
}

/// Returns the checksum of bytes that follow those with the checksum `crc`; zero if there are none.
///
/// Eight bytes at a time, as one at a time would take as long as the hash of a credential.
#[inline]
pub(crate) fn extend(crc: u32, bytes: &[u8]) -> u32 {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut rest = !crc;
    for word in words {
        let word = u64::from_le_bytes(*word) ^ u64::from(rest);
        let bytes = word.to_le_bytes().into_iter().zip(TABLES.iter().rev());
        rest = bytes.fold(0, |rest, (byte, table)| rest ^ table[usize::from(byte)]);
    }
    for byte in tail {
        rest = (rest >> 8) ^ TABLES[0][usize::from(rest as u8 ^ byte)];
    }
    !rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the catalogue of CRCs, and values of zlib.
    #[test]
    fn known_values() {
        for (text, crc) in [
            ("", 0),
            ("a", 0xe8b7_be43),
            ("123456789", 0xcbf4_3926),
            ("The quick brown fox jumps over the lazy dog", 0x414f_a339),
        ] {
            for cut in 0..=text.len() {
                let (head, tail) = text.as_bytes().split_at(cut);
                assert_eq!(extend(extend(0, head), tail), crc, "{text} cut at {cut}");
            }
        }
    }
}
