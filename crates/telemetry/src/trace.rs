//! W3C Trace Context: `traceparent` read strictly, made, passed on
//! (<https://www.w3.org/TR/trace-context/>).

use std::fmt;

/// The longest `tracestate` passed on, in bytes. The specification asks for 512 at least
/// (§3.3.1.5).
pub const TRACESTATE_BYTES_MAX: usize = 512;
/// The most members of a `tracestate` (§3.3.1.1).
const TRACESTATE_MEMBERS_MAX: usize = 32;

/// The length of a version 00 `traceparent`.
const LENGTH: usize = 55;
const SAMPLED: u8 = 0b01;
/// Level 2, §3.2.2.5.2: the trace id was made at random. It is passed on with the trace id.
const RANDOM: u8 = 0b10;
/// Every byte in hexadecimal.
const HEX_PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// A trace's id: 16 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// The id's bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// The id as 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(self) -> [u8; 32] {
        let mut out = [0; 32];
        put_hex(&self.0, &mut out);
        out
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where in which trace a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace: TraceId,
    span: [u8; 8],
    flags: u8,
}

impl TraceContext {
    /// A new trace. An id that came out as zero is replaced by one, since zero is no id.
    #[must_use]
    pub fn new(trace_random: u128, span_random: u64, sampled: bool) -> Self {
        Self {
            trace: TraceId(trace_random.max(1).to_be_bytes()),
            span: span_random.max(1).to_be_bytes(),
            flags: RANDOM | if sampled { SAMPLED } else { 0 },
        }
    }

    /// Reads a `traceparent` (§3.2). Version `ff`, upper-case digits and zero ids are refused; a
    /// version later than 00 is read as far as 00 reaches, and may go on after a `-` (§4.3). The
    /// client's sampled flag is dropped: whether a request is sampled is the edge's own decision.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (head, rest) = value.split_at_checked(LENGTH)?;
        let version = byte(head, 0)?;
        match (version, rest.first()) {
            (0xff, _) => return None,
            (_, None) => {}
            (0, Some(_)) => return None,
            (_, Some(next)) if *next == b'-' => {}
            _ => return None,
        }
        if [2, 35, 52].iter().any(|at| head.get(*at) != Some(&b'-')) {
            return None;
        }
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        read_hex(head, 3, &mut trace)?;
        read_hex(head, 36, &mut span)?;
        let flags = byte(head, 53)? & RANDOM;
        let ids = trace != [0; 16] && span != [0; 8];
        ids.then_some(Self { trace: TraceId(trace), span, flags })
    }

    /// The same trace with a span of its own, for the request that is sent on.
    #[must_use]
    pub fn child(&self, span_random: u64, sampled: bool) -> Self {
        let flags = (self.flags & !SAMPLED) | if sampled { SAMPLED } else { 0 };
        Self { trace: self.trace, span: span_random.max(1).to_be_bytes(), flags }
    }

    /// The same with another decision.
    #[must_use]
    pub const fn with_sampled(self, sampled: bool) -> Self {
        let flags = (self.flags & !SAMPLED) | if sampled { SAMPLED } else { 0 };
        Self { flags, ..self }
    }

    /// The trace.
    #[must_use]
    pub const fn trace_id(&self) -> TraceId {
        self.trace
    }

    /// The span's id.
    #[must_use]
    pub const fn span_id(&self) -> [u8; 8] {
        self.span
    }

    /// Whether the edge decided to keep this trace.
    #[must_use]
    pub const fn sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The `traceparent`, version 00, on the stack.
    #[must_use]
    pub fn format(&self) -> [u8; LENGTH] {
        let mut out = [b'-'; LENGTH];
        put_hex(&[0], &mut out[..2]);
        put_hex(&self.trace.0, &mut out[3..35]);
        put_hex(&self.span, &mut out[36..52]);
        put_hex(&[self.flags], &mut out[53..]);
        out
    }
}

/// Whether a `tracestate` may be passed on: only beside a valid `traceparent`, printable ASCII, at
/// most 512 bytes and 32 members (§3.3). What stands in it is the tracers' business.
#[must_use]
pub fn tracestate_passes(parent_valid: bool, value: &[u8]) -> bool {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    parent_valid
        && !value.is_empty()
        && value.len() <= TRACESTATE_BYTES_MAX
        && value.iter().all(printable)
        && value.split(|byte| *byte == b',').count() <= TRACESTATE_MEMBERS_MAX
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn byte(text: &[u8], at: usize) -> Option<u8> {
    Some(digit(*text.get(at)?)? << 4 | digit(*text.get(at + 1)?)?)
}

fn read_hex(text: &[u8], from: usize, into: &mut [u8]) -> Option<()> {
    for (index, out) in into.iter_mut().enumerate() {
        *out = byte(text, from + 2 * index)?;
    }
    Some(())
}

/// Bytes in hexadecimal.
pub(crate) fn hex_pairs<const N: usize>(bytes: &[u8; N]) -> [[u8; 2]; N] {
    bytes.map(|byte| HEX_PAIRS[usize::from(byte)])
}

fn put_hex(bytes: &[u8], out: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(out.as_chunks_mut::<2>().0) {
        *pair = HEX_PAIRS[usize::from(*byte)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parse(text: &str) -> Option<TraceContext> {
        TraceContext::parse(text.as_bytes())
    }

    #[test]
    fn the_examples_of_the_specification_are_read() {
        let context = parse(GOOD).unwrap();
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.trace_id().hex(), *b"4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(!context.sampled(), "the client's sampled flag is not honoured");
        assert_eq!(context.span_id(), 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    }

    #[test]
    fn what_is_not_a_traceparent_is_refused() {
        let with = |at: usize, c: char| {
            let mut text: Vec<char> = GOOD.chars().collect();
            text[at] = c;
            text.into_iter().collect::<String>()
        };
        let zero_trace = GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = GOOD.replace("00f067aa0ba902b7", &"0".repeat(16));
        let bad = [
            String::new(),
            GOOD[1..].into(),
            GOOD[..54].into(),
            format!("{GOOD}-"),
            format!("{GOOD}0"),
            GOOD.to_uppercase(),
            with(2, '_'),
            with(35, '0'),
            with(52, '0'),
            with(54, 'g'),
            GOOD.replacen("00", "ff", 1),
            zero_trace,
            zero_span,
            format!(" {}", &GOOD[..54]),
            GOOD.replacen("00", "0g", 1),
        ];
        for text in bad {
            assert_eq!(parse(&text), None, "{text}");
        }
    }

    #[test]
    fn later_versions_are_read_as_far_as_this_one_reaches() {
        for suffix in ["", "-", "-what-the-future-will-be-like"] {
            let later = GOOD.replacen("00", "cc", 1) + suffix;
            assert_eq!(parse(&later), parse(GOOD), "{later}");
        }
        assert_eq!(parse(&(GOOD.replacen("00", "cc", 1) + ".x")), None);
    }

    #[test]
    fn a_child_keeps_the_trace_and_the_random_flag_alone() {
        let parent = parse(&GOOD.replace("-01", "-ff")).unwrap();
        let child = parent.child(7, true);
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_eq!(child.span_id(), 7u64.to_be_bytes());
        let text = String::from_utf8(child.format().to_vec()).unwrap();
        assert_eq!(text, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-03");
        assert!(TraceContext::new(0, 0, false).format().ends_with(b"-0000000000000001-02"));
    }

    #[test]
    fn tracestate_is_bounded() {
        assert!(tracestate_passes(true, b"congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"));
        assert!(!tracestate_passes(false, b"congo=t61rcWkgMzE"));
        assert!(!tracestate_passes(true, b"a=\x01"));
        assert!(!tracestate_passes(true, "a=".repeat(257).as_bytes()));
        assert!(!tracestate_passes(true, ["a=b"; 33].join(",").as_bytes()));
    }

    proptest! {
        #[test]
        fn what_is_formatted_reads_back(trace in 1u128.., span in 1u64.., sampled: bool) {
            let context = TraceContext::new(trace, span, sampled);
            let read = TraceContext::parse(&context.format()).unwrap();
            prop_assert_eq!(read.trace_id(), context.trace_id());
            prop_assert_eq!(read.span_id(), context.span_id());
            prop_assert_eq!(read.child(span, sampled), context);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(context) = TraceContext::parse(&bytes) {
                prop_assert_ne!(context.trace_id().bytes(), [0; 16]);
            }
            prop_assert!(!tracestate_passes(false, &bytes));
            let short = tracestate_passes(true, &bytes);
            prop_assert!(!short || bytes.is_ascii());
        }

        #[test]
        fn nearly_right_values_never_panic(text in "[0-9a-fA-F]{2}-[0-9a-g]{32}-[0-9a-f]{16}-..") {
            let read = parse(&text);
            if text.starts_with("ff") || text.bytes().any(|b| b.is_ascii_uppercase()) {
                prop_assert_eq!(read, None);
            }
        }
    }
}
