//! A look at raw HTTP/1.1 heads for what hyper mends silently: `Content-Length` beside
//! `Transfer-Encoding`, and either of them twice. RFC 9112 §6.3 lets a server repair those; two
//! servers that repair them differently are a smuggled request, so they are refused.
//!
//! The scan follows the connection's bytes head by head: over bodies of a stated length it skips,
//! at a chunked body it stops until the connection is idle again (hyper then frames the body
//! itself, in the one way it can be read).

/// Finds a line's end. Field lines are short: to ask which vectors the processor has, as
/// `memchr::memchr` does, costs more than to look with those that every x86-64 has.
#[inline]
fn line_end(bytes: &[u8]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if let Some(newline) = memchr::arch::x86_64::sse2::memchr::One::new(b'\n') {
        return newline.find(bytes);
    }
    memchr::memchr(b'\n', bytes)
}

/// The longest start of a line that is kept from one read to the next: enough for the names that
/// matter and a length.
const LINE_BYTES_MAX: usize = 64;

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// The request line or a field line.
    Head,
    /// A body of so many more bytes.
    Body(u64),
    /// A body whose end is not looked for.
    Unknown,
}

/// Where the scan stands in the connection's bytes.
#[derive(Debug)]
pub(crate) struct FramingScan {
    within: Within,
    line: [u8; LINE_BYTES_MAX],
    line_len: usize,
    lines: u32,
    lengths: u32,
    length: u64,
    encodings: u32,
}

impl FramingScan {
    pub(crate) fn new() -> Self {
        Self {
            within: Within::Head,
            line: [0; LINE_BYTES_MAX],
            line_len: 0,
            lines: 0,
            lengths: 0,
            length: 0,
            encodings: 0,
        }
    }

    /// The connection is idle between two requests: what comes next is a head.
    pub(crate) fn next_head(&mut self) {
        if self.within == Within::Unknown {
            self.begin_head();
        }
    }

    fn begin_head(&mut self) {
        self.within = Within::Head;
        self.line_len = 0;
        (self.lines, self.lengths, self.length, self.encodings) = (0, 0, 0, 0);
    }

    /// Reads on. True when a head was stated in a way that is refused.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        let mut refused = false;
        while !bytes.is_empty() {
            match self.within {
                Within::Unknown => return refused,
                Within::Body(left) => {
                    let skipped = left.min(bytes.len() as u64);
                    bytes = &bytes[usize::try_from(skipped).unwrap_or(bytes.len())..];
                    self.within = Within::Body(left - skipped);
                    if left == skipped {
                        self.begin_head();
                    }
                }
                Within::Head => {
                    let Some(end) = line_end(bytes) else {
                        self.keep(bytes);
                        return refused;
                    };
                    let (line, rest) = bytes.split_at(end);
                    bytes = &rest[1..];
                    refused |= self.line_ends(line);
                }
            }
        }
        refused
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LINE_BYTES_MAX - self.line_len;
        let kept = part.len().min(room);
        self.line[self.line_len..self.line_len + kept].copy_from_slice(&part[..kept]);
        self.line_len += kept;
    }

    /// A line is complete. True when the head it ends is refused.
    fn line_ends(&mut self, last_part: &[u8]) -> bool {
        if self.line_len > 0 {
            self.keep(last_part);
            let line = self.line;
            let length = std::mem::take(&mut self.line_len);
            self.take_line(&line[..length])
        } else {
            self.take_line(last_part)
        }
    }

    fn take_line(&mut self, line: &[u8]) -> bool {
        match line.first() {
            None | Some(b'\r') if line.len() <= 1 => {
                // Empty lines before a request line are skipped (RFC 9112 §2.2).
                return self.lines > 0 && self.head_ends();
            }
            Some(b'c' | b'C') => {
                if let Some(value) = value_of(line, CONTENT_LENGTH) {
                    self.lengths += 1;
                    self.length = parse(value);
                }
            }
            Some(b't' | b'T') if value_of(line, TRANSFER_ENCODING).is_some() => {
                self.encodings += 1;
            }
            _ => {}
        }
        self.lines += 1;
        false
    }

    fn head_ends(&mut self) -> bool {
        let refused = self.lengths + self.encodings > 1;
        let (chunked, length) = (self.encodings > 0, self.length);
        self.begin_head();
        if refused || chunked {
            self.within = Within::Unknown;
        } else if length > 0 {
            self.within = Within::Body(length);
        }
        refused
    }
}

/// What follows `name` and a colon, in any case; white space before the colon, which hyper
/// refuses, is tolerated here so that nothing slips by.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    if !start.eq_ignore_ascii_case(name) {
        return None;
    }
    rest.trim_ascii_start().strip_prefix(b":")
}

/// The stated length; one that cannot be read is hyper's to refuse.
fn parse(value: &[u8]) -> u64 {
    std::str::from_utf8(value.trim_ascii()).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn scan_in_parts(bytes: &[u8], part: usize) -> bool {
        let mut scan = FramingScan::new();
        bytes.chunks(part).fold(false, |refused, chunk| scan.feed(chunk) | refused)
    }

    #[test]
    fn what_is_stated_twice_is_refused_however_it_arrives() {
        let cl_cl =
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\nabc";
        let cl_te =
            "POST / HTTP/1.1\r\ncontent-length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        let te_cl =
            "POST / HTTP/1.1\r\nTRANSFER-ENCODING: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n";
        let te_te = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n";
        let spaced = "POST / HTTP/1.1\r\nContent-Length : 3\r\nContent-Length: 3\r\n\r\nabc";
        let behind = format!("{GOOD}POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc{cl_te}");
        for bad in [cl_cl, cl_te, te_cl, te_te, spaced, &behind] {
            for part in 1..bad.len() + 1 {
                assert!(scan_in_parts(bad.as_bytes(), part), "{part}: {bad}");
            }
        }
    }

    #[test]
    fn what_stands_in_a_body_is_no_head() {
        let body = "Content-Length: 1\r\nContent-Length: 1\r\n\r\n";
        let good = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}{GOOD}", body.len());
        for part in 1..good.len() + 1 {
            assert!(!scan_in_parts(good.as_bytes(), part), "{part}");
        }
        let chunked = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n29\r\n{body}");
        assert!(!scan_in_parts(chunked.as_bytes(), 7));
    }

    #[test]
    fn a_chunked_body_stops_the_scan_until_the_next_head() {
        let mut scan = FramingScan::new();
        assert!(!scan.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
        scan.next_head();
        assert!(scan.feed(b"GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"));
    }

    const PIECES: &[&str] = &[
        "\r\n",
        "\n",
        "Content-Length: 2",
        "x: y",
        "Transfer-Encoding: chunked",
        "GET / HTTP/1.1",
        "ab",
    ];

    proptest! {
        #[test]
        fn how_bytes_are_split_never_matters(
            pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24),
            part in 1usize..40,
        ) {
            let bytes = pieces.concat();
            let (parts, whole) = (bytes.as_bytes(), bytes.len().max(1));
            prop_assert_eq!(scan_in_parts(parts, part), scan_in_parts(parts, whole));
        }
    }
}
