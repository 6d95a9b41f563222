//! Parser: `plimsoll_telemetry::TraceContext::parse` and `tracestate_passes` (W3C Trace Context).
//! Input: a traceparent up to the first newline, then a tracestate.

use plimsoll_telemetry::{TRACESTATE_BYTES_MAX, TraceContext, tracestate_passes};

/// Feeds the parser.
pub fn run(data: &[u8]) {
    let cut = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (parent, state) = data.split_at(cut);
    let read = TraceContext::parse(parent);
    if let Some(context) = read {
        assert!(!context.sampled(), "a client's sampled flag was honoured");
        let written = context.format();
        assert!(
            parent.len() >= written.len() && &parent[3..35] == context.trace_id().hex().as_slice()
        );
        assert_eq!(&written[3..52], &parent[3..52], "an id changed");
        assert_eq!(TraceContext::parse(&written), Some(context), "what is written does not read");
        let child = context.child(7, true);
        assert!(child.trace_id() == context.trace_id() && child.sampled());
    } else {
        assert!(!plainly_right(parent), "refused: {:?}", String::from_utf8_lossy(parent));
    }
    if tracestate_passes(read.is_some(), state) {
        assert!(read.is_some() && state.len() <= TRACESTATE_BYTES_MAX);
        assert!(!state.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
    }
}

/// Version 00 exactly as section 3.2 draws it.
fn plainly_right(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |s: &str, n| s.len() == n && s.bytes().all(|b| b"0123456789abcdef".contains(&b));
    let zero = |s: &str| s.bytes().all(|b| b == b'0');
    matches!(parts.as_slice(), ["00", trace, span, flags]
        if hex(trace, 32) && !zero(trace) && hex(span, 16) && !zero(span) && hex(flags, 2))
}
