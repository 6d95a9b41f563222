//! Where an HTTP/2 connection's bytes stand: between frames, or in the middle of something that
//! still has to come whole. It reads no more than the nine bytes in front of each frame (RFC 9113
//! §4.1); what the frames mean is the library's affair.

/// The length of what a client opens with (RFC 9113 §3.4).
const PREFACE_BYTES: u32 = 24;
/// Length, kind, flags and stream.
const HEAD_BYTES: usize = 9;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Follows the frames of one direction.
#[derive(Debug)]
pub(crate) struct FrameScan {
    /// Bytes of the preface or of a payload that are still to come.
    left: u32,
    head: [u8; HEAD_BYTES],
    head_seen: usize,
    /// A field block has begun and not ended.
    in_block: bool,
}

impl FrameScan {
    pub(crate) fn new() -> Self {
        Self { left: PREFACE_BYTES, head: [0; HEAD_BYTES], head_seen: 0, in_block: false }
    }

    /// Takes what was read. True where something that had begun before came to its end in it.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        let mut ended = false;
        while !bytes.is_empty() {
            if self.left > 0 {
                let step = usize::try_from(self.left).map_or(bytes.len(), |l| l.min(bytes.len()));
                self.left -= u32::try_from(step).unwrap_or(self.left);
                bytes = &bytes[step..];
            } else {
                let step = (HEAD_BYTES - self.head_seen).min(bytes.len());
                let end = self.head_seen + step;
                self.head[self.head_seen..end].copy_from_slice(&bytes[..step]);
                self.head_seen = end;
                bytes = &bytes[step..];
                if end == HEAD_BYTES {
                    self.begin_payload();
                }
            }
            ended |= self.is_between();
        }
        ended
    }

    fn begin_payload(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        self.head_seen = 0;
        self.left = u32::from_be_bytes([0, a, b, c]);
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_block = flags & END_HEADERS == 0;
        }
    }

    /// Nothing has begun that still has to come whole.
    pub(crate) fn is_between(&self) -> bool {
        self.left == 0 && self.head_seen == 0 && !self.in_block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0];
    const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const HALF_HEAD: &[u8] = &[0, 0, 1, HEADERS, 1, 0, 0, 0, 1, 0x82];
    const REST_OF_HEAD: &[u8] = &[0, 0, 1, CONTINUATION, END_HEADERS, 0, 0, 0, 1, 0x84];

    #[test]
    fn it_stands_between_frames_exactly_where_one_ends() {
        let parts: [(&[u8], bool); 5] = [
            (PREFACE, true),
            (SETTINGS, true),
            (PING, true),
            (HALF_HEAD, false),
            (REST_OF_HEAD, true),
        ];
        let whole: Vec<u8> = parts.iter().flat_map(|(bytes, _)| bytes.to_vec()).collect();
        let mut ends = Vec::new();
        let mut at = 0;
        for (bytes, ends_there) in parts {
            at += bytes.len();
            ends.extend(ends_there.then_some(at));
        }
        for step in 1..=whole.len() {
            let mut scan = FrameScan::new();
            for (index, piece) in whole.chunks(step).enumerate() {
                let (from, to) = (index * step, index * step + piece.len());
                let ended = scan.feed(piece);
                assert_eq!(scan.is_between(), ends.contains(&to), "{step} {to}");
                let passed = ends.iter().any(|end| (from + 1..=to).contains(end));
                assert_eq!(ended, passed, "{step} {to}");
            }
        }
    }
}
