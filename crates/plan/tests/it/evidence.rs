//! What gates are told of the documents.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use plimsoll_ledger::{EVIDENCE_FACTS_MAX, EVIDENCE_TEXT_BYTES_MAX, Evidence, How};
use plimsoll_plan::documents::{KINDS, Kind, Read, init, read};
use plimsoll_plan::{DOCUMENTS, Found, Gates, Light, judge};
use serde_json::json;

use crate::filled::{filled, today};

fn by_kind(read: &Read) -> BTreeMap<String, Evidence> {
    read.evidence().into_iter().map(|one| (one.kind.clone(), one)).collect()
}

fn write(folder: &Path, kind: &Kind, text: &str) {
    fs::write(folder.join(kind.file()), text).unwrap();
}

#[test]
fn every_document_brings_its_evidence_in_the_agreed_words() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path(), today(), today()).unwrap();
    let risk_map = Kind::named("risk-map").unwrap();
    write(folder.path(), risk_map, &filled(risk_map, 1));
    let evidence = by_kind(&read(folder.path(), today().unix_ms()).unwrap());
    assert_eq!(evidence.len(), DOCUMENTS.len());
    for kind in DOCUMENTS {
        assert_eq!((kind.room, kind.how), ("plan", How::Declared));
        assert_eq!(evidence[kind.kind].how, How::Declared, "{}", kind.kind);
    }
    let agreed = serde_json::to_value(&evidence["document.risk-map"].facts).unwrap();
    let wanted = json!({
        "state": "agreed", "owned": true, "faults": 0, "step": 1, "dated": "2026-11-29",
        "risks": 4, "says": "Agreed, as of 2026-11-29; risks: 4.",
    });
    assert_eq!(agreed, wanted);
    let fresh = serde_json::to_value(&evidence["document.scope"].facts).unwrap();
    let wanted = json!({
        "state": "draft", "owned": false, "faults": 1, "step": 0, "dated": "2026-11-29",
        "first_fault": "scope.md:2: owner: is empty", "items": 0, "added": 0, "removed": 0,
        "says": "Draft, as of 2026-11-29; items: 0; added: 0; removed: 0.",
    });
    assert_eq!(fresh, wanted);
}

#[test]
fn a_document_that_is_gone_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let scope = Kind::named("scope").unwrap();
    write(folder.path(), scope, &filled(scope, 1));
    let missing = json!({
        "state": "missing", "owned": false, "faults": 1, "first_fault": "kpis.md is not there",
    });
    let here = by_kind(&read(folder.path(), today().unix_ms()).unwrap());
    assert_eq!(here["document.scope"].facts["faults"], 0);
    let gone = by_kind(&Read::absent(folder.path()));
    for evidence in [&here, &gone] {
        assert_eq!(serde_json::to_value(&evidence["document.kpis"].facts).unwrap(), missing);
    }
    assert_eq!(gone["document.scope"].facts["state"], "missing");
    assert_eq!(gone.len(), KINDS.len());
}

/// Whatever stands in a document: evidence fits the ledger, and no word of the document is in it.
#[test]
fn no_name_and_nothing_long_reaches_evidence() {
    let folder = tempfile::tempdir().unwrap();
    for kind in KINDS {
        // A name in every place where a word can stand.
        let name = "Zoë Quux";
        let text = filled(kind, 1).replace("Ada Bell", name).replace("Bo Chu", name);
        let mangled: Vec<String> = text
            .lines()
            .map(|line| match line {
                _ if line.starts_with("| ") => line.replace("| a ", &format!("| {name} ")),
                "links: []" => format!("links: [{name}]\nzoe-quux: {name}\nstate: {name}"),
                _ => line.to_owned(),
            })
            .collect();
        write(folder.path(), kind, &mangled.join("\n"));
    }
    let read = read(folder.path(), today().unix_ms()).unwrap();
    for evidence in read.evidence() {
        let text = serde_json::to_string(&evidence.facts).unwrap().to_lowercase();
        assert!(!text.contains("zo") && !text.contains("quux"), "{text}");
        assert!(evidence.facts.len() <= EVIDENCE_FACTS_MAX);
        for fact in evidence.facts.values() {
            assert!(fact.as_str().is_none_or(|text| text.len() <= EVIDENCE_TEXT_BYTES_MAX));
        }
        assert_ne!(evidence.facts["faults"], 0, "{}", evidence.kind);
    }
    assert!(!format!("{:?}", read.documents[0].owner).contains("Zo"));
}

/// The gates' own list says which facts a kind of evidence may carry.
#[test]
fn evidence_has_the_shape_that_gates_expect() {
    let folder = tempfile::tempdir().unwrap();
    for kind in KINDS {
        write(folder.path(), kind, &filled(kind, 1).replace("date: 2026", "date: 9026"));
    }
    let gates = Gates::shipped().unwrap();
    for evidence in read(folder.path(), today().unix_ms()).unwrap().evidence() {
        let shape = gates.shape(&evidence.kind).unwrap_or_else(|| panic!("{}", evidence.kind));
        assert_eq!((shape.room.as_str(), shape.how), ("plan", How::Declared));
        for fact in evidence.facts.keys() {
            assert!(shape.facts.contains(fact), "{} has {fact}", evidence.kind);
        }
    }
}

#[test]
fn without_evidence_a_gate_on_a_document_is_red() {
    let gates = Gates::shipped().unwrap();
    for gate in gates.iter().filter(|gate| gate.evidence.starts_with("document.")) {
        assert!(DOCUMENTS.iter().any(|kind| kind.kind == gate.evidence), "{}", gate.id);
        assert_eq!(judge(gate, Found::Nothing, 0).light, Light::Red);
    }
}
