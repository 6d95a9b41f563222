//! What is checked of a contract as it was written: where references lead, and how big patterns
//! are.

use std::collections::HashSet;

use regex::RegexBuilder;
use serde_json::{Map, Value};

use crate::bounds::{
    PATTERN_BYTES_MAX, PATTERN_PROGRAM_BYTES_MAX, PATTERNS_MAX, REFERENCE_CHAIN_MAX,
};
use crate::faults::{Faults, fault};
use crate::pointer::{Path, follow};
use crate::walk;

/// Adds every fault of the document's references and patterns.
pub(crate) fn check(document: &Value, faults: &mut Faults) {
    let mut patterns = HashSet::new();
    walk::objects(document, &mut |map, path| {
        for key in ["$ref", "$dynamicRef", "operationRef"] {
            if let Some(Value::String(reference)) = map.get(key) {
                check_reference(document, (key, reference), path, faults);
            }
        }
        if let Some(Value::Object(named)) = map.get("patternProperties") {
            let path = path.key("patternProperties");
            for pattern in named.keys() {
                check_pattern(pattern, &mut patterns, &path.key(pattern), faults);
            }
        }
        if let Some(Value::String(pattern)) = map.get("pattern") {
            check_pattern(pattern, &mut patterns, &path.key("pattern"), faults);
        }
    });
}

fn check_reference(
    document: &Value,
    (key, reference): (&str, &str),
    path: &Path<'_>,
    faults: &mut Faults,
) {
    let path = path.key(key);
    if !reference.starts_with('#') {
        let message = format!("`{}` leads out of the document", shown(reference));
        faults.push(fault(path, message).expecting(
            "a reference that starts with `#/`: bundle the contract into one file, nothing is \
             fetched",
        ));
        return;
    }
    if key == "$dynamicRef" {
        return;
    }
    match follow(document, reference) {
        None => {
            let message = format!("`{}` leads to nothing", shown(reference));
            faults.push(fault(path, message).expecting("a JSON pointer into this document"));
        }
        Some(Value::Object(target)) if !ends(document, target) => {
            let message = format!("`{}` leads from reference to reference", shown(reference));
            let expected = format!("at most {REFERENCE_CHAIN_MAX} references in a row");
            faults.push(fault(path, message).expecting(expected));
        }
        Some(_) => {}
    }
}

/// Whether following an object's references comes to an end.
fn ends<'d>(document: &'d Value, mut target: &'d Map<String, Value>) -> bool {
    for _ in 0..REFERENCE_CHAIN_MAX {
        let Some(Value::String(reference)) = target.get("$ref") else {
            return true;
        };
        // What leads to nothing is a fault of the reference that says so.
        let Some(Value::Object(next)) = follow(document, reference) else {
            return true;
        };
        target = next;
    }
    false
}

fn check_pattern<'v>(
    pattern: &'v str,
    seen: &mut HashSet<&'v str>,
    path: &Path<'_>,
    faults: &mut Faults,
) {
    if pattern.len() > PATTERN_BYTES_MAX {
        let message = format!("a pattern of {} bytes", pattern.len());
        let expected = format!("at most {PATTERN_BYTES_MAX} bytes");
        faults.push(fault(path, message).expecting(expected));
        return;
    }
    if seen.len() > PATTERNS_MAX || !seen.insert(pattern) {
        return;
    }
    if seen.len() > PATTERNS_MAX {
        faults.at(path, format!("more than {PATTERNS_MAX} different patterns"));
        return;
    }
    let compiled = RegexBuilder::new(pattern)
        .size_limit(PATTERN_PROGRAM_BYTES_MAX)
        .dfa_size_limit(PATTERN_PROGRAM_BYTES_MAX)
        .nest_limit(64)
        .build();
    // What this engine has no syntax for (look-around, back references) stays in the document as
    // it is; only what would grow too big to run is refused.
    if let Err(regex::Error::CompiledTooBig(limit)) = compiled {
        let message = format!("the pattern `{}` is too big to run", shown(pattern));
        let expected = format!("one that compiles to at most {limit} bytes");
        faults.push(fault(path, message).expecting(expected));
    }
}

/// A text as it may stand in a message.
pub(crate) fn shown(text: &str) -> String {
    const CHARACTERS_MAX: usize = 120;
    let mut shown: String = text.chars().take(CHARACTERS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(document: &Value) -> Vec<String> {
        let mut faults = Faults::default();
        check(document, &mut faults);
        let faults = faults.or(()).err().unwrap_or_default();
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn references_stay_inside_the_document() {
        let remote = ["https://x.example/a.json", "common.yaml#/A", "file:///etc/passwd", "/a", ""];
        for reference in remote {
            let said =
                said(&json!({ "components": { "schemas": { "A": { "$ref": reference } } } }));
            assert_eq!(said.len(), 1, "{reference}");
            let start = ": #/components/schemas/A/$ref: ";
            assert!(said[0].starts_with(start) && said[0].contains("leads out"), "{said:?}");
        }
        let link = json!({ "components": { "links": { "l": { "operationRef": "http://x/a" } } } });
        assert_eq!(said(&link).len(), 1);
    }

    #[test]
    fn a_reference_leads_somewhere_and_comes_to_an_end() {
        let nothing = json!({ "a": { "$ref": "#/components/schemas/Nope" } });
        assert!(said(&nothing)[0].contains("leads to nothing"), "{:?}", said(&nothing));
        let anchor = json!({ "a": { "$ref": "#name" } });
        assert!(said(&anchor)[0].contains("leads to nothing"));
        let circle = json!({ "a": { "$ref": "#/b" }, "b": { "$ref": "#/a" } });
        assert_eq!(said(&circle).len(), 2);
        // A schema that holds itself is no chain: it describes a tree.
        let tree = json!({ "components": { "schemas": { "T": {
            "properties": { "child": { "$ref": "#/components/schemas/T" } },
        } } } });
        assert_eq!(said(&tree), Vec::<String>::new());
    }

    #[test]
    fn patterns_are_bounded() {
        let with = |pattern: &str| json!({ "schema": { "pattern": pattern } });
        assert_eq!(said(&with("^[a-z]{1,9}$")), Vec::<String>::new());
        assert_eq!(said(&with("^(?=.*[A-Z]).{8,}$")), Vec::<String>::new(), "look-ahead is kept");
        assert!(said(&with("(a{1000}){1000}"))[0].contains("too big to run"));
        assert!(said(&with(&"a".repeat(5_000)))[0].contains("5000 bytes"));
        let deep = format!("{}a{}", "(".repeat(2_000), ")".repeat(2_000));
        assert_eq!(said(&with(&deep)), Vec::<String>::new(), "refused by the engine, kept");
        let named = json!({ "patternProperties": { "(a{1000}){1000}": {} } });
        assert!(said(&named)[0].starts_with(": #/patternProperties/(a{1000}){1000}: "));
        let many: Vec<Value> =
            (0..PATTERNS_MAX + 9).map(|index| json!({ "pattern": format!("a{index}") })).collect();
        assert_eq!(said(&json!({ "allOf": many })).len(), 1);
    }
}
