//! Reading YAML, case by case.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn reads_what_contracts_are_written_in() {
    let text = r##"
openapi: 3.0.3
info: {title: "Shop", version: 1.10, x: '010', date: 2026-11-22}
paths:
  /orders/{id}:
    get:
      responses:
        200: &ok
          description: |
            Two
            lines
        default: *ok
      x: [yes, on, no, ~, null, True, -3, +4, 0x1f, 0o17, 1e3, .5, "1",
          .inf, 1_000, 0x, "#/a", 1.2.3]
base: &base {a: 1, b: {c: 2}}
derived:
  <<: *base
  a: 3
both:
  <<: [*base, {z: 1}]
tagged: [!!str 12, !!int "7", !custom z, !!null x]
"##;
    let expected = json!({
        "openapi": "3.0.3",
        "info": { "title": "Shop", "version": 1.10, "x": "010", "date": "2026-11-22" },
        "paths": { "/orders/{id}": { "get": {
            "responses": {
                "200": { "description": "Two\nlines\n" },
                "default": { "description": "Two\nlines\n" },
            },
            "x": [
                "yes", "on", "no", null, null, true, -3, 4, 31, 15, 1000.0, 0.5, "1", ".inf",
                "1_000", "0x", "#/a", "1.2.3",
            ],
        } } },
        "base": { "a": 1, "b": { "c": 2 } },
        "derived": { "a": 3, "b": { "c": 2 } },
        "both": { "a": 1, "b": { "c": 2 }, "z": 1 },
        "tagged": ["12", 7, "z", null],
    });
    assert_eq!(read(text).unwrap(), expected);
}

#[test]
fn a_billion_laughs_is_refused_at_once() {
    let mut bomb = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..30 {
        let alias = format!("*a{}", level - 1);
        writeln!(bomb, "a{level}: &a{level} [{}]", [alias.as_str(); 10].join(", ")).unwrap();
    }
    let fault = read(&bomb).unwrap_err();
    assert!(fault.message.starts_with("more than 2000000 values"), "{}", fault.message);
    assert_eq!(fault.line, Some(7), "{fault}");
}

#[test]
fn a_long_text_repeated_is_refused() {
    let mut bomb = format!("a: &a {}\nb:\n", "x".repeat(1 << 20));
    (0..100).for_each(|_| bomb.push_str("- *a\n"));
    let said = read(&bomb).unwrap_err().message;
    assert!(said.starts_with("more than 67108864 bytes"), "{said}");
}

#[test]
fn depth_is_bounded_in_the_file_and_by_aliases() {
    let flow = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&flow(DEPTH_MAX)).is_ok());
    for depth in [DEPTH_MAX + 1, DEPTH_MAX + 2, 100_000] {
        assert!(read(&flow(depth)).is_err(), "{depth}");
    }
    let block: String =
        (0..DEPTH_MAX + 1).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert!(read(&block).is_err());
    let half = flow(60);
    let said = read(&format!("a: &a {half}\nb: {}*a{}", "[".repeat(60), "]".repeat(60)))
        .unwrap_err()
        .message;
    assert_eq!(said, "nested deeper than 100 levels");
}

#[test]
fn what_is_no_json_is_refused_with_its_line() {
    for (text, line, said) in [
        ("a: 1\na: 2", 2, "stands twice"),
        ("a: &a [*a]", 1, "inside the value"),
        ("a: *nowhere", 1, "unknown anchor"),
        ("? [a]\n: 1", 1, "must be text"),
        ("a: 1\n---\nb: 2", 2, "second"),
        ("a:\n  <<: 3", 2, "takes an object"),
        ("a: !!int x", 1, "no int"),
        ("a: [", 1, ""),
    ] {
        let fault = read(text).unwrap_err();
        assert_eq!(fault.line, Some(line), "{text}: {fault}");
        assert!(fault.message.contains(said), "{text}: {fault}");
    }
    assert_eq!(read("").unwrap_err().message, "the document is empty");
}

proptest! {
    #[test]
    fn json_is_yaml(
        keys in prop::collection::btree_map("[ -~é]{0,6}", any::<i64>(), 0..6),
        texts in prop::collection::vec("[ -~é\n]{0,9}", 0..4),
    ) {
        let value = json!({ "a": keys, "b": texts, "c": [null, true, 1.5] });
        prop_assert_eq!(read(&serde_json::to_string_pretty(&value).unwrap()).unwrap(), value);
    }

    #[test]
    fn nothing_makes_it_panic(
        text in "[ -~\n]{0,80}",
        lines in prop::collection::vec("[ \\-a-c:&*<\\[\\]{}!|>?\"'#%]{0,8}", 0..12),
    ) {
        drop(read(&text));
        drop(read(&lines.join("\n")));
    }
}
