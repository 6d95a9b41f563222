//! One entry as a line.

use std::io::Write;
use std::net::IpAddr;

use super::AccessEntry;
use crate::label::floor_char_boundary;
use crate::trace::hex_pairs;

/// The longest path written, in bytes.
const PATH_BYTES_MAX: usize = 2_048;
/// The longest of any other text written, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// Appends the entry as one JSON object and a newline. Keys stand here with all that surrounds
/// them, so that each is one copy.
pub(super) fn json(entry: &AccessEntry<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    rfc3339(entry.time_unix_ms, out);
    text(out, b"\",\"request_id\":\"", entry.request_id);
    out.extend_from_slice(b",\"trace_id\":\"");
    out.extend_from_slice(&entry.trace_id.hex());
    text(out, b"\",\"method\":\"", entry.method);
    out.extend_from_slice(b",\"path\":\"");
    escaped(entry.path_only(), PATH_BYTES_MAX, out);
    plain(out, b"\",\"protocol\":\"", entry.protocol);
    if !entry.service.is_empty() {
        plain(out, b",\"service\":\"", entry.service);
    }
    if !entry.operation.is_empty() {
        text(out, b",\"operation\":\"", entry.operation);
    }
    if !entry.release.is_empty() {
        plain(out, b",\"release\":\"", entry.release);
    }
    if let Some(problem) = entry.problem {
        plain(out, b",\"problem\":\"", problem);
    }
    number(out, b",\"status\":", u64::from(entry.status));
    number(out, b",\"latency_us\":", entry.latency_us);
    if let Some(upstream) = entry.upstream_latency_us {
        number(out, b",\"upstream_latency_us\":", upstream);
    }
    number(out, b",\"bytes_in\":", entry.bytes_in);
    number(out, b",\"bytes_out\":", entry.bytes_out);
    out.extend_from_slice(b",\"client_ip\":\"");
    address(entry.client_ip, out);
    text(out, b"\",\"platform\":\"", entry.platform.as_str());
    if !entry.app_version.is_empty() {
        text(out, b",\"app_version\":\"", entry.app_version);
    }
    if let Some(caller) = entry.caller {
        out.extend_from_slice(b",\"caller\":\"");
        out.extend_from_slice(hex_pairs(&caller.to_be_bytes()).as_flattened());
        out.push(b'"');
    }
    out.extend_from_slice(b"}\n");
}

/// Appends the entry as a line for people: time of day, status, milliseconds, method, path, then
/// what else is known.
pub(super) fn human(entry: &AccessEntry<'_>, out: &mut Vec<u8>) {
    let mut time = Vec::with_capacity(24);
    rfc3339(entry.time_unix_ms, &mut time);
    out.extend_from_slice(time.get(11..23).unwrap_or_default());
    put(out, format_args!(" {} ", entry.status));
    let (ms, part) = (entry.latency_us / 1_000, entry.latency_us % 1_000 / 10);
    put(out, format_args!("{ms:>5}.{part:02} ms  "));
    shown(entry.method, TEXT_BYTES_MAX, out);
    out.extend_from_slice(&b"        "[entry.method.len().min(7)..]);
    shown(entry.path_only(), PATH_BYTES_MAX, out);
    if !entry.operation.is_empty() {
        out.extend_from_slice(b"  ");
        shown(entry.service, TEXT_BYTES_MAX, out);
        out.push(b'.');
        shown(entry.operation, TEXT_BYTES_MAX, out);
    }
    put(out, format_args!("  {}", entry.platform));
    if !entry.app_version.is_empty() {
        out.push(b' ');
        shown(entry.app_version, TEXT_BYTES_MAX, out);
    }
    put(out, format_args!("  {}", entry.client_ip));
    if let Some(problem) = entry.problem {
        out.extend_from_slice(b"  ");
        shown(problem, TEXT_BYTES_MAX, out);
    }
    out.extend_from_slice(b"  ");
    shown(entry.request_id, TEXT_BYTES_MAX, out);
    out.push(b'\n');
}

/// Writing to memory cannot fail.
fn put(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).unwrap_or_default();
}

/// A text after its key, which ends in a quote.
fn text(out: &mut Vec<u8>, key: &[u8], value: &str) {
    out.extend_from_slice(key);
    escaped(value, TEXT_BYTES_MAX, out);
    out.push(b'"');
}

/// A text of ours that holds nothing to escape: a name by the rules of the manifest, a version, a
/// code.
fn plain(out: &mut Vec<u8>, key: &[u8], value: &str) {
    debug_assert!(is_plain(value.as_bytes()), "{value:?}");
    out.extend_from_slice(key);
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, key: &[u8], value: u64) {
    out.extend_from_slice(key);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn escaped(value: &str, max: usize, out: &mut Vec<u8>) {
    let (kept, cut) = bounded(value, max);
    if is_plain(kept.as_bytes()) {
        out.extend_from_slice(kept.as_bytes());
    } else {
        for c in kept.chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                c if hidden(c) => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        put(out, format_args!("\\u{unit:04x}"));
                    }
                }
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
    out.extend_from_slice(cut.as_bytes());
}

/// Whether a text stands in JSON as it is: printable ASCII without `"` and `\`. Eight bytes at a
/// time, because it is asked of every text of every line.
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().all(|word| is_plain_word(*word)) && is_plain_word(last)
}

fn is_plain_word(word: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let word = u64::from_ne_bytes(word);
    // The high bit of a byte that is less than the bound is set; the other bits mean nothing.
    let less = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & HIGH;
    let has = |byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    (less(word, b' ') | has(b'"') | has(b'\\') | has(0x7f) | (word & HIGH)) == 0
}

/// Text for a terminal: what could move the cursor or turn the direction is spelt out.
fn shown(value: &str, max: usize, out: &mut Vec<u8>) {
    let (kept, cut) = bounded(value, max);
    for c in kept.chars() {
        if hidden(c) {
            put(out, format_args!("{}", c.escape_unicode()));
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    out.extend_from_slice(cut.as_bytes());
}

fn bounded(value: &str, max: usize) -> (&str, &'static str) {
    let end = floor_char_boundary(value, max);
    (&value[..end], if end < value.len() { "…" } else { "" })
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and what turns or hides text.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{61c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

/// Appends `2026-11-22T08:10:00.123Z` (RFC 3339). Days to a date after Howard Hinnant's
/// `civil_from_days`: 400-year eras that begin on the first of March.
fn rfc3339(unix_ms: u64, out: &mut Vec<u8>) {
    let (seconds, ms) = (unix_ms / 1_000, unix_ms % 1_000);
    let (days, of_day) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |at: usize, two: u64| {
        text[at] = b'0' + (two / 10 % 10) as u8;
        text[at + 1] = b'0' + (two % 10) as u8;
    };
    put(0, year / 100);
    put(2, year % 100);
    put(5, month);
    put(8, day);
    put(11, of_day / 3_600);
    put(14, of_day / 60 % 60);
    put(17, of_day % 60);
    put(20, ms / 10);
    text[22] = b'0' + (ms % 10) as u8;
    if year >= 10_000 {
        // ISO 8601 would want a sign before it; no clock gets there.
        out.extend_from_slice(itoa::Buffer::new().format(year / 10_000).as_bytes());
    }
    out.extend_from_slice(&text);
}

/// An IPv4 address without the machinery of formatting, which costs more than all of a line's
/// other members.
fn address(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            for (at, octet) in ip.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        IpAddr::V6(ip) => put(out, format_args!("{ip}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Platform;
    use crate::trace::TraceContext;
    use proptest::prelude::*;

    fn entry() -> AccessEntry<'static> {
        AccessEntry {
            time_unix_ms: 1_795_335_000_123,
            request_id: "0193",
            trace_id: TraceContext::new(5, 1, false).trace_id(),
            method: "GET",
            path: "/orders/1",
            protocol: "HTTP/1.1",
            service: "shop",
            operation: "getOrder",
            release: "default",
            status: 200,
            problem: None,
            latency_us: 12_345,
            upstream_latency_us: Some(11_000),
            bytes_in: 0,
            bytes_out: 1_024,
            client_ip: [192, 0, 2, 7].into(),
            platform: Platform::Ios,
            app_version: "3.1.0",
            caller: Some(0xbeef),
        }
    }

    fn line(write: fn(&AccessEntry<'_>, &mut Vec<u8>), entry: &AccessEntry<'_>) -> String {
        let mut out = Vec::new();
        write(entry, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_entry_as_json() {
        let expected = concat!(
            r#"{"time":"2026-11-22T08:10:00.123Z","request_id":"0193","#,
            r#""trace_id":"00000000000000000000000000000005","method":"GET","path":"/orders/1","#,
            r#""protocol":"HTTP/1.1","service":"shop","operation":"getOrder","#,
            r#""release":"default","status":200,"latency_us":12345,"upstream_latency_us":11000,"#,
            r#""bytes_in":0,"bytes_out":1024,"client_ip":"192.0.2.7","platform":"ios","#,
            r#""app_version":"3.1.0","caller":"000000000000beef"}"#,
            "\n"
        );
        assert_eq!(line(json, &entry()), expected);
    }

    #[test]
    fn an_entry_for_people() {
        let mut refused = entry();
        refused.status = 429;
        refused.problem = Some("PLM-EDGE-0007");
        refused.path = "/orders/\u{1b}[2J?token=secret";
        let expected = "08:10:00.123 429    12.34 ms  GET     /orders/\\u{1b}[2J  \
                        shop.getOrder  ios 3.1.0  192.0.2.7  PLM-EDGE-0007  0193\n";
        assert_eq!(line(human, &refused), expected);
    }

    #[test]
    fn a_query_never_gets_in() {
        for path in ["/a?token=s3cret", "/a#s3cret", "/a?x#s3cret", "?s3cret"] {
            let entry = AccessEntry { path, ..entry() };
            assert!(!line(json, &entry).contains("s3cret"));
            assert!(!line(human, &entry).contains("s3cret"));
        }
    }

    #[test]
    fn dates_are_right_over_leap_years() {
        let time = |ms| {
            let mut out = Vec::new();
            rfc3339(ms, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(time(1_709_251_199_999), "2024-02-29T23:59:59.999Z");
        assert_eq!(time(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert!(time(u64::MAX).ends_with('Z'), "no panic");
    }

    proptest! {
        #[test]
        fn the_word_search_agrees_with_the_plain_one(
            text in prop::collection::vec(any::<u8>(), 0..20), ascii in "[ -~]{0,20}",
        ) {
            for text in [&text[..], ascii.as_bytes()] {
                let plain = |byte: &u8| {
                    (0x20..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\'
                };
                prop_assert_eq!(is_plain(text), text.iter().all(plain));
            }
        }

        #[test]
        fn any_entry_is_one_line_of_json(
            path in any::<String>(), agent in any::<String>(), time in any::<u64>(),
            status: u16, caller: Option<u64>,
        ) {
            let entry = AccessEntry {
                path: &path, app_version: &agent, request_id: &agent, method: &agent,
                time_unix_ms: time, status, caller, ..entry()
            };
            let text = line(json, &entry);
            prop_assert_eq!(text.matches('\n').count(), 1);
            prop_assert!(!text.trim_end().chars().any(hidden));
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            if path.len() <= PATH_BYTES_MAX {
                let shown = value["path"].as_str().unwrap();
                prop_assert_eq!(shown, path.split(['?', '#']).next().unwrap());
            }
            let text = line(human, &entry);
            prop_assert!(text.matches('\n').count() == 1 && !text.trim_end().chars().any(hidden));
        }

        #[test]
        fn long_texts_are_cut_at_a_character(extra in 0usize..8) {
            let path = format!("/{}{}", "x".repeat(PATH_BYTES_MAX - 4 + extra), "ü".repeat(4));
            let text = line(json, &AccessEntry { path: &path, ..entry() });
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let shown = value["path"].as_str().unwrap();
            prop_assert!(shown.ends_with('…') && shown.len() <= PATH_BYTES_MAX + 3);
        }
    }
}
