//! Parser: `plimsoll_http_kit::coding::negotiate` (`Accept-Encoding`, RFC 9110 §12.5.3). Input: the
//! field's lines.

use http::HeaderValue;
use plimsoll_http_kit::coding::{Coding, negotiate};

/// Feeds the parser.
pub fn run(data: &[u8]) {
    let lines: Vec<HeaderValue> = data
        .split(|byte| *byte == b'\n')
        .take(8)
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    let all = negotiate(&lines, &Coding::ALL);
    if let Some(coding) = all.coding {
        assert!(is_named(&lines, coding), "{} was not asked for", coding.as_str());
        let alone = negotiate(&lines, &[coding]);
        assert_eq!(alone, all, "with less to choose from another answer");
    } else {
        for coding in Coding::ALL {
            assert_eq!(negotiate(&lines, &[coding]).coding, None);
        }
    }
    assert_eq!(negotiate(&lines, &[]).coding, None);
    assert_eq!(negotiate(&lines, &[]).identity, all.identity);
}

fn is_named(lines: &[HeaderValue], coding: Coding) -> bool {
    let named = |name: &[u8]| {
        let lower = lines.iter().map(|line| line.as_bytes().to_ascii_lowercase());
        lower.into_iter().any(|line| line.windows(name.len()).any(|some| some == name))
    };
    named(coding.as_str().as_bytes()) || (coding == Coding::Gzip && named(b"*"))
}
