//! What is made from the types is checked in, and fresh.

use std::fs;
use std::path::PathBuf;

use plimsoll_manifest::{json_schema, reference_markdown};

/// Compares a checked-in document with what the types say now; with `PLIMSOLL_BLESS=1` writes it.
fn fresh(name: &str, made: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if plimsoll_manifest::env::var("PLIMSOLL_BLESS").unwrap().as_deref() == Some("1") {
        fs::write(&path, made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/{name} is not what the types say; make it again with\n    \
         PLIMSOLL_BLESS=1 cargo test -p plimsoll-manifest"
    );
}

#[test]
fn the_schema_is_fresh() {
    let schema = serde_json::to_string_pretty(&json_schema()).unwrap();
    fresh("manifest.schema.json", &format!("{schema}\n"));
}

#[test]
fn the_reference_is_fresh() {
    fresh("manifest.md", &reference_markdown());
}

#[test]
fn every_key_of_the_schema_stands_in_the_reference() {
    let page = reference_markdown();
    let schema = json_schema();
    let mut keys = 0;
    for (name, table) in schema["$defs"].as_object().unwrap() {
        for (key, property) in table["properties"].as_object().into_iter().flatten() {
            let target = property["$ref"].as_str().or(property["items"]["$ref"].as_str());
            let target = target.and_then(|path| path.strip_prefix("#/$defs/"));
            let is_table =
                target.is_some_and(|name| schema["$defs"][name]["properties"].is_object());
            let marks = if is_table {
                [format!(".{key}]"), format!(".{key}]]")]
            } else {
                [format!("| `{key}` |"), format!("| `{key}` |")]
            };
            assert!(marks.iter().any(|mark| page.contains(mark)), "{name}.{key}");
            keys += 1;
        }
    }
    assert!(keys > 80, "only {keys} keys");
}

#[test]
fn the_reference_is_well_formed() {
    for line in reference_markdown().lines().filter(|line| line.starts_with('|')) {
        let cells = line.replace("\\|", "").matches('|').count();
        assert!(cells == 7 || cells == 3, "{cells} bars: {line}");
    }
}
