//! The reader of front matter: what it reads it reads as written, and what it does not it says.

use plimsoll_plan::documents::{FrontMatter, KEYS_MAX, Value};
use proptest::prelude::*;

use crate::filled::{examined, filled, said};

fn read(lines: &str) -> (Option<FrontMatter>, Vec<String>) {
    let (front, findings) = FrontMatter::read(&format!("---\n{lines}\n---\nbody\n"));
    let told = findings.iter().map(|finding| {
        let line = finding.line.unwrap_or_default();
        format!("{line} {} {}", finding.key, finding.says)
    });
    (front, told.collect())
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Text(text) => vec![text.clone()],
        Value::List(items) => items.iter().map(|item| item.text.clone()).collect(),
    }
}

#[test]
fn scalars_and_lists_are_read() {
    let (front, told) = read(
        "# a comment\na: plain text # comment\nb: \"q: \\\"x\\\" \\\\ #no\" # c\nc: 'it''s'\n\n\
         d: [one, \"two, 2\", 'three'] # c\ne:\n  - x#y\n  # c\n  - 'y'\nf: # c\ng: []\nh:\n- k\n\
         i: http://a.example/b?c=d\nj: -1",
    );
    assert_eq!(told, [""; 0]);
    let front = front.unwrap();
    let seen: Vec<(String, Vec<String>)> =
        front.entries.iter().map(|entry| (entry.key.clone(), texts(&entry.value))).collect();
    let wanted: &[(&str, &[&str])] = &[
        ("a", &["plain text"]),
        ("b", &["q: \"x\" \\ #no"]),
        ("c", &["it's"]),
        ("d", &["one", "two, 2", "three"]),
        ("e", &["x#y", "y"]),
        ("f", &[""]),
        ("g", &[]),
        ("h", &["k"]),
        ("i", &["http://a.example/b?c=d"]),
        ("j", &["-1"]),
    ];
    let wanted: Vec<(String, Vec<String>)> = wanted
        .iter()
        .map(|(key, texts)| ((*key).to_owned(), texts.iter().map(|t| (*t).to_owned()).collect()))
        .collect();
    assert_eq!(seen, wanted);
    assert_eq!(front.get("e").unwrap().line, 8);
}

/// Each line is the third of its text.
#[test]
fn what_is_not_understood_is_said_with_its_line() {
    for (line, says) in [
        ("Owner: x", "is no `key: value`"),
        ("owner x", "is no `key: value`"),
        ("owner:x", "is no `key: value`"),
        ("? a: b", "is no `key: value`"),
        ("...", "is no `key: value`"),
        ("a: 1", "a stands on line 2 already"),
        ("  nested: x", "is indented, but nothing is nested here"),
        ("\tk: x", "has a tab or another control character"),
        ("k: x\u{7}", "has a tab or another control character"),
        ("- item", "is an item of no list"),
        ("k: &anchor x", "k begins with a mark of YAML"),
        ("k: *alias", "k begins with a mark of YAML"),
        ("k: !tag x", "k begins with a mark of YAML"),
        ("k: |", "k begins with a mark of YAML"),
        ("k: >-", "k begins with a mark of YAML"),
        ("k: {a: b}", "k begins with a mark of YAML"),
        ("k: - a", "k begins with a mark of YAML"),
        ("k: @x", "k begins with a mark of YAML"),
        ("k: a: b", "k has a colon that YAML reads as a key"),
        ("k: a:", "k has a colon that YAML reads as a key"),
        ("k: \"x", "k has no closing quote"),
        ("k: 'x", "k has no closing quote"),
        ("k: \"x\" y", "k has something behind its closing quote"),
        ("k: \"x\"#y", "k has something behind its closing quote"),
        ("k: \"\\n\"", "k has an escape that is not understood"),
        ("k: [a, b", "k is a list without its closing bracket"),
        ("k: [a b] c", "k has something behind its list"),
        ("k: [a,, b]", "k is a list with an item that is empty"),
        ("k: [a, [b]]", "k begins with a mark of YAML"),
        ("k: [a, b c: d]", "k has a colon that YAML reads as a key"),
    ] {
        let (_, told) = read(&format!("a: b\n{line}"));
        let wanted = if says.starts_with("is ") || says.starts_with("has ") {
            format!("3  {says}")
        } else {
            format!("3 {says}")
        };
        assert_eq!(told, [wanted], "{line}");
    }
    for (lines, says) in [
        ("k:\n  - a\n - b", "4 k is indented unlike the item before it"),
        ("k:\n  -", "3 k is an item with nothing in it"),
        ("k: a\n  - b", "3  is an item of no list"),
        ("k: \"\"\n  - b", "3  is an item of no list"),
    ] {
        assert_eq!(read(lines).1, [says], "{lines}");
    }
}

#[test]
fn every_bound_is_kept() {
    let many: Vec<String> = (0..=KEYS_MAX).map(|n| format!("k{n}: x")).collect();
    assert_eq!(read(&many.join("\n")).1, ["34 k32 is one key more than 32"]);
    let items = "\n- a".repeat(33);
    assert_eq!(read(&format!("k:{items}")).1, ["35 k is one item more than 32"]);
    let inline = vec!["a"; 33].join(",");
    assert_eq!(read(&format!("k: [{inline}]")).1, ["2 k is a list of more than 32 items"]);
    let long = "x".repeat(513);
    assert_eq!(read(&format!("k: {long}")).1, ["2 k is longer than 512 bytes"]);
    let comments = "# x\n".repeat(2_100);
    let (front, told) = read(&comments);
    assert_eq!(
        (front, told),
        (None, vec!["1  the front matter is larger than 8 KiB or has no end".to_owned()])
    );
}

#[test]
fn without_fences_there_is_none() {
    for (text, says) in [
        ("", "the document is empty"),
        ("# Title\n", "there is no front matter"),
        (" ---\na: b\n---\n", "there is no front matter"),
        ("---\na: b\n", "the front matter has no end"),
        ("---", "the front matter has no end"),
    ] {
        let (front, findings) = FrontMatter::read(text);
        assert!(front.is_none());
        assert_eq!(findings[0].says, says, "{text}");
    }
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let kind = plimsoll_plan::documents::Kind::named("risk-map").unwrap();
    let text = filled(kind, 1);
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let (plain, marked) = (examined(kind, &text), examined(kind, &windows));
    assert_eq!(said(&marked), [""; 0]);
    assert_eq!((plain.date, plain.step, plain.counts), (marked.date, marked.step, marked.counts));
    let broken = windows.replace("security", "safety");
    assert_eq!(
        examined(kind, &broken).faults[0].line,
        examined(kind, &text.replace("security", "safety")).faults[0].line
    );
}

/// A text as somebody could write it: plain where YAML allows, else in either kind of quotes.
fn written(text: &str, single: bool) -> String {
    if single {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn text() -> impl Strategy<Value = String> {
    "[ -~äß→]{1,40}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn quoted_texts_come_back(texts in prop::collection::vec((text(), any::<bool>()), 1..8)) {
        let quoted: Vec<String> =
            texts.iter().map(|(text, single)| written(text, *single)).collect();
        let lines = format!(
            "one: {}\nlist: [{}]\ndashed:\n{}",
            quoted[0],
            quoted.join(", "),
            quoted.iter().map(|text| format!("  - {text} # c\n")).collect::<String>(),
        );
        let (front, told) = read(lines.trim_end());
        prop_assert_eq!(told, [""; 0]);
        let front = front.unwrap();
        let wanted: Vec<String> = texts.iter().map(|(text, _)| text.clone()).collect();
        prop_assert_eq!(self::texts(&front.get("one").unwrap().value), &wanted[..1]);
        prop_assert_eq!(self::texts(&front.get("list").unwrap().value), &wanted[..]);
        prop_assert_eq!(self::texts(&front.get("dashed").unwrap().value), wanted);
    }

    #[test]
    fn plain_texts_come_back_or_are_refused(text in text()) {
        let (front, told) = read(&format!("k: {text}"));
        if told.is_empty() {
            let front = front.unwrap();
            let entry = front.get("k").unwrap();
            let Value::Text(read) = &entry.value else { return Ok(()) };
            // What was cut is a comment, spaces, or quotes.
            let quoted = text.trim_start().starts_with(['"', '\'']);
            prop_assert!(quoted || text.trim().starts_with(read.as_str()), "{:?}", read);
            let rest = text.trim().strip_prefix(read.as_str()).unwrap_or_default().trim_start();
            prop_assert!(quoted || rest.is_empty() || rest.starts_with('#'), "{:?}", rest);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(---\n)?(\\PC|\n|\r\n|\t|: |- ){0,200}") {
        let (front, findings) = FrontMatter::read(&text);
        prop_assert!(front.is_some() || !findings.is_empty());
        if let Some(front) = front {
            prop_assert!(text.is_char_boundary(front.body_at));
            let before = &text[..front.body_at];
            let lines = before.matches('\n').count() + usize::from(!before.ends_with('\n'));
            prop_assert_eq!(front.body_line, lines + 1);
        }
    }
}
