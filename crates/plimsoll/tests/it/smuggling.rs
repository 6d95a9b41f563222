//! Smuggling and desync: every case of `tests/corpus/smuggling`, in raw bytes, through the running
//! binary, with a canary behind it on the same connection and a victim on another.
//!
//! The judge is the origin's byte log and the exactness of every answer, not the edge's word:
//! whatever a case does, the canary and the victim get their own answers or none, and the origin
//! executes nothing that the edge did not mean to send. See the corpus's README for the notation.

mod corpus;
mod h2_wire;
mod hostile;
mod judge;
mod notation;
mod over_h2;

use std::path::{Path, PathBuf};

use corpus::{Case, Kind};
use judge::{Bench, Delivery};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/smuggling")
}

fn family(name: &str) -> Vec<Case> {
    let path = directory().join(format!("{name}.http"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    corpus::read(&text).unwrap_or_else(|fault| panic!("{}:{fault}", path.display()))
}

/// How a case is run, and what came of it.
type Verdict = (String, Result<(), String>);

/// Runs one case, in each way it is delivered.
type Runner = Box<dyn Fn(&Case) -> Vec<Verdict>>;

/// Runs every case of a family and reports all that fail, not only the first.
fn run(name: &str) {
    let cases = family(name);
    let verdict: Runner = match cases.first().map(Case::kind) {
        None => panic!("{name} holds no case"),
        Some(Kind::Request) => {
            let bench = Bench::start();
            let deliveries = [Delivery::Whole, Delivery::Bytewise];
            Box::new(move |case| {
                let run = |how| (format!("{how:?}"), judge::request(&bench, case, how));
                deliveries.map(run).to_vec()
            })
        }
        Some(Kind::Answer) => {
            let stage = hostile::Stage::start();
            Box::new(move |case| vec![("answer".to_owned(), stage.answer(case))])
        }
        Some(Kind::Http2) => {
            let bench = Bench::start();
            Box::new(move |case| vec![("HTTP/2".to_owned(), over_h2::request(&bench, case))])
        }
    };
    let mut faults = Vec::new();
    for case in &cases {
        for (how, result) in verdict(case) {
            if let Err(fault) = result {
                faults.push(format!("{name}.http:{}: {} ({how}): {fault}", case.line, case.name));
            }
        }
    }
    let (count, all) = (faults.len(), cases.len());
    assert!(faults.is_empty(), "{count} faults in {all} cases:\n\n{}\n", faults.join("\n\n"));
}

macro_rules! families {
    ($($test:ident = $name:literal;)+) => {
        $(
            #[test]
            fn $test() {
                run($name);
            }
        )+

        #[test]
        fn every_file_of_the_corpus_is_run() {
            let mut found: Vec<String> = std::fs::read_dir(directory())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter_map(|name| name.strip_suffix(".http").map(str::to_owned))
                .collect();
            found.sort();
            let mut named = vec![$($name.to_owned()),+];
            named.sort();
            assert_eq!(found, named);
        }
    };
}

families! {
    request_lines = "request-line";
    paths_and_targets = "target";
    hosts = "host";
    content_lengths = "content-length";
    transfer_encodings = "transfer-encoding";
    chunks = "chunks";
    heads = "head";
    connection_options_and_identity = "connection";
    upgrades = "upgrade";
    expectations = "expect";
    bodies = "body";
    hostile_origins = "origin";
    http2 = "http2";
}

#[test]
fn bytes_behind_an_upgrade_wait_for_101() {
    hostile::bytes_wait_for_101().unwrap();
}

/// The judge is worth something: against a proxy that hands bytes on as they come, most cases of
/// the families that are about framing must fail.
#[test]
fn a_relay_that_looks_at_nothing_is_found_out() {
    let bench = Bench::relay();
    for name in ["content-length", "transfer-encoding", "chunks", "head"] {
        let cases = family(name);
        let found = cases
            .iter()
            .filter(|case| judge::request(&bench, case, Delivery::Whole).is_err())
            .count();
        assert!(found * 4 > cases.len() * 3, "{name}: only {found} of {} failed", cases.len());
    }
}
