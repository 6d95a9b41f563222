//! Codes and their pages match both ways, and a page names only manifest keys that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use plimsoll_http_kit::Code;
use plimsoll_http_kit::codes::index_markdown;
use serde_json::Value;

const SECTIONS: [&str; 5] = [
    "## What happened",
    "## Why",
    "## If you write the app",
    "## If you run the edge",
    "## Manifest keys",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")
}

fn page(code: Code) -> String {
    let path = folder().join(format!("{code}.md"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_code_has_its_page_and_every_page_its_code() {
    let codes: BTreeSet<String> = Code::ALL.iter().map(Code::to_string).collect();
    let pages: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .map(|name| name.trim_end_matches(".md").to_owned())
        .filter(|name| name.starts_with("PLM-EDGE-"))
        .collect();
    assert_eq!(codes, pages);
}

#[test]
fn a_page_says_what_the_code_says_and_all_that_a_reader_needs() {
    for code in Code::ALL.iter().copied() {
        let text = page(code);
        let title = format!("# {code}: {}\n\nStatus {}.", code.title(), code.status().as_u16());
        assert!(text.starts_with(&title), "{code}: expected to begin with {title:?}");
        let mut rest = text.as_str();
        for section in SECTIONS {
            let (_, after) = rest.split_once(&format!("\n{section}\n")).unwrap_or_else(|| {
                panic!("{code}: `{section}` is missing or out of order");
            });
            let body = after.split("\n## ").next().unwrap().trim();
            assert!(body.len() >= 5, "{code}: `{section}` is empty");
            rest = after;
        }
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{code}: a line is too long");
    }
}

#[test]
fn the_index_is_fresh() {
    let text = fs::read_to_string(folder().join("README.md")).unwrap();
    assert!(
        text == index_markdown(),
        "write it anew: cargo run -p plimsoll-http-kit --example errors_index > \
         docs/errors/README.md"
    );
}

#[test]
fn the_keys_that_pages_name_exist() {
    let schema = plimsoll_manifest::json_schema();
    let mut seen = 0;
    for code in Code::ALL.iter().copied() {
        let text = page(code);
        let (_, keys) = text.split_once("\n## Manifest keys\n").unwrap();
        if keys.trim() == "None." {
            continue;
        }
        for line in keys.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')) {
            let key = line
                .strip_prefix("- `")
                .and_then(|rest| rest.split_once('`'))
                .unwrap_or_else(|| panic!("{code}: not a key: {line}"))
                .0;
            assert!(find(&schema, &schema, key), "{code}: no manifest key `{key}`");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
    assert!(!find(&schema, &schema, "edge.no_such_key"), "the search finds anything");
}

/// Whether the schema has the dotted key, through references, lists and alternatives.
fn find(root: &Value, node: &Value, key: &str) -> bool {
    if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap();
        return find(root, target, key);
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(choices)) = node.get(choice)
            && choices.iter().any(|choice| find(root, choice, key))
        {
            return true;
        }
    }
    if let Some(items) = node.get("items") {
        return find(root, items, key);
    }
    let (first, rest) = key.split_once('.').unwrap_or((key, ""));
    match node.get("properties").and_then(|properties| properties.get(first)) {
        Some(_) if rest.is_empty() => true,
        Some(inner) => find(root, inner, rest),
        None => false,
    }
}
