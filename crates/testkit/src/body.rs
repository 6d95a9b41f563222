//! Bodies that only one id can have, so that whoever holds an answer can tell whose it is.

use aws_lc_rs::digest::{Context, SHA256};

/// Answer header of the origin: the digest of the request body it received (SHA-256, hex).
pub const BODY_DIGEST_HEADER: &str = "x-body-digest";
/// Answer header of the origin: the length in bytes of the request body it received.
pub const BODY_LENGTH_HEADER: &str = "x-body-length";

/// A block starts with its own number, so that a lost, doubled or swapped block shows too.
const BLOCK: usize = 4096;
const STAMP: usize = 16;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The endless body that belongs to an id. It is printable and holds no CR, LF or NUL, so it can
/// never pass for framing in a byte log.
#[derive(Clone)]
pub struct BodyPattern {
    block: Box<[u8; BLOCK]>,
}

impl BodyPattern {
    /// The pattern of `id`.
    #[must_use]
    pub fn new(id: &str) -> Self {
        let mut state = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut block = Box::new([0_u8; BLOCK]);
        for eight in block.chunks_mut(8) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = splitmix(state);
            for byte in eight {
                *byte = ALPHABET[usize::try_from(word & 63).unwrap_or(0)];
                word >>= 6;
            }
        }
        Self { block }
    }

    /// Writes the bytes that stand at `offset` of the body into `out`.
    pub fn fill(&self, offset: u64, out: &mut [u8]) {
        let mut at = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let (number, within) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let take = rest.len().min(BLOCK - within);
            let (now, later) = rest.split_at_mut(take);
            now.copy_from_slice(&self.block[within..within + take]);
            if within < STAMP {
                let stamp = format!("{number:016x}");
                let end = STAMP.min(within + take);
                now[..end - within].copy_from_slice(&stamp.as_bytes()[within..end]);
            }
            at += take as u64;
            rest = later;
        }
    }

    /// Where `bytes`, found at `offset` of a body, first differ from this pattern.
    #[must_use]
    pub fn first_difference(&self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let mut expected = vec![0; bytes.len()];
        self.fill(offset, &mut expected);
        if expected == bytes {
            return None;
        }
        let at = expected.iter().zip(bytes).position(|(a, b)| a != b)?;
        Some(offset + at as u64)
    }
}

fn splitmix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The first `len` bytes of the body that belongs to `id`.
#[must_use]
pub fn expected_body(id: &str, len: usize) -> Vec<u8> {
    let mut body = vec![0; len];
    BodyPattern::new(id).fill(0, &mut body);
    body
}

/// SHA-256 of a body that comes in pieces.
pub struct BodyDigest {
    context: Context,
    bytes: u64,
}

impl BodyDigest {
    /// Of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { context: Context::new(&SHA256), bytes: 0 }
    }

    /// The digest of `bytes` in one go, in hex.
    #[must_use]
    pub fn of(bytes: &[u8]) -> String {
        let mut digest = Self::new();
        digest.update(bytes);
        digest.finish()
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.context.update(piece);
        self.bytes += piece.len() as u64;
    }

    /// How many bytes were taken.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest in lower-case hex.
    #[must_use]
    pub fn finish(self) -> String {
        use std::fmt::Write as _;
        let mut hex = String::with_capacity(64);
        for byte in self.context.finish().as_ref() {
            // Writing to a String cannot fail.
            write!(hex, "{byte:02x}").ok();
        }
        hex
    }
}

impl Default for BodyDigest {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let whole = expected_body("cut", 20_000);
        let pattern = BodyPattern::new("cut");
        for step in [1_usize, 7, 15, 16, 17, 4095, 4096, 4097, 9000] {
            let mut offset = 0;
            while offset < whole.len() {
                let end = whole.len().min(offset + step);
                let mut piece = vec![0; end - offset];
                pattern.fill(offset as u64, &mut piece);
                assert_eq!(piece, whole[offset..end], "step {step} at {offset}");
                offset = end;
            }
        }
    }

    #[test]
    fn two_ids_share_no_body_and_a_swap_of_blocks_shows() {
        let a = expected_body("a", 8192);
        assert_ne!(a[16..4096], expected_body("b", 8192)[16..4096]);
        let swapped = [&a[4096..], &a[..4096]].concat();
        assert_eq!(BodyPattern::new("a").first_difference(0, &a), None);
        assert_eq!(BodyPattern::new("a").first_difference(0, &swapped), Some(15));
    }

    #[test]
    fn a_body_never_looks_like_framing() {
        assert!(expected_body("x", 50_000).iter().all(u8::is_ascii_graphic));
    }

    #[test]
    fn the_digest_is_sha256() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let mut digest = BodyDigest::new();
        digest.update(b"a");
        digest.update(b"bc");
        assert_eq!((digest.bytes(), digest.finish()), (3, known.to_owned()));
    }
}
