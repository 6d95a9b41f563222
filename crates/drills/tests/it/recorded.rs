//! What the real hurl 8.0.1 made of the same files, recorded by `bench/journeys/run`: each step
//! passes or fails as there, captures the same values, and asks the same. What is hidden here, hurl
//! shows.

use std::fs;
use std::path::PathBuf;

use plimsoll_drills::journey::Word;
use serde_json::{Map, Value};

use crate::origin::{Origin, run};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/journeys")
}

#[test]
fn each_step_ends_as_it_did_in_hurl() {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    files.sort();
    assert!(files.len() >= 14, "{files:?}");
    for file in files {
        let record: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        assert_eq!(record["hurl"], "8.0.1", "{name}");
        let texts = |key: &str| -> Vec<String> {
            let all = record[key].as_array().unwrap().iter();
            all.map(|one| one.as_str().unwrap().to_owned()).collect()
        };
        let [answers, variables, secrets] = ["answers", "variables", "secrets"].map(texts);
        let origin = Origin::answering(&strs(&answers));
        let file = record["file"].as_str().unwrap();
        let ran = run(&origin, file, &strs(&variables), &strs(&secrets));
        let told = ran.lines().join("\n");
        assert_eq!(ran.passed(), record["success"] == true, "{name}\n{told}");
        let steps = record["steps"].as_array().unwrap();
        // hurl's report does not have what was skipped.
        let is_there = |word: Word| !matches!(word, Word::NotRun | Word::Skipped);
        let mine: Vec<_> = ran.steps.iter().filter(|step| is_there(step.word)).collect();
        assert_eq!(mine.len(), steps.len(), "{name}\n{told}");
        for (mine, theirs) in mine.iter().zip(steps) {
            assert_eq!(mine.word == Word::Passed, theirs["passed"] == true, "{name}\n{told}");
            let mut lines: Vec<usize> = mine.failed.iter().map(|one| one.line).collect();
            lines.sort_unstable();
            lines.dedup();
            assert_eq!(serde_json::json!(lines), theirs["failed_lines"], "{name}\n{told}");
            let captures: Map<String, Value> = mine.captures.iter().cloned().collect();
            let mut wanted = theirs["captures"].as_object().unwrap().clone();
            for (name, value) in &mut wanted {
                if captures.get(name).is_some_and(|mine| mine == "***") {
                    *value = "***".into();
                }
            }
            assert_eq!(captures, wanted, "{name}\n{told}");
        }
        asked(&name, &origin.seen(), record["asked"].as_array().unwrap());
    }
}

fn strs(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

/// Request lines, bodies and the fields that follow from what a journey says.
fn asked(name: &str, mine: &[String], theirs: &[Value]) {
    assert_eq!(mine.len(), theirs.len(), "{name}");
    for (mine, theirs) in mine.iter().zip(theirs) {
        let (head, body) = mine.split_once("\r\n\r\n").unwrap();
        let line = format!(
            "{} {} HTTP/1.1",
            theirs["method"].as_str().unwrap(),
            theirs["target"].as_str().unwrap()
        );
        assert!(head.starts_with(&line), "{name}: {line}\n{head}");
        assert_eq!(body, theirs["body"], "{name}");
        for (field, value) in theirs["fields"].as_object().unwrap() {
            let wanted = format!("\r\n{field}: {}", value.as_str().unwrap());
            assert!(format!("{head}\r\n").contains(&format!("{wanted}\r\n")), "{wanted}\n{head}");
        }
    }
}
