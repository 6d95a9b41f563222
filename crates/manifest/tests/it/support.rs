//! What the tests share.

use std::path::Path;

use plimsoll_manifest::{Fault, Manifest, parse};

/// The least that a manifest must say. Tests put it behind their own text, so that their line
/// numbers start at 1.
pub(crate) const SHOP: &str =
    "\n[[service]]\nname = \"shop\"\nurls = [\"http://127.0.0.1:3000\"]\n";

/// The same with a contract.
pub(crate) const CONTRACTED: &str = "\n[[service]]\nname = \"shop\"\ncontract = \"openapi.json\"\n\
                                     urls = [\"http://127.0.0.1:3000\"]\n";

/// An issuer, for tests of what needs one.
pub(crate) const ISSUER: &str =
    "\n[[auth.issuer]]\nissuer = \"https://id.example\"\naudience = [\"shop\"]\n";

/// Reads a text that must be sound.
#[track_caller]
pub(crate) fn sound(text: &str) -> Manifest {
    parse(text, Path::new("plimsoll.toml")).unwrap_or_else(|faults| {
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        panic!("the manifest should be sound:\n{text}\n{}", shown.join("\n"))
    })
}

/// Reads a text that must have faults.
#[track_caller]
pub(crate) fn faults(text: &str) -> Vec<Fault> {
    match parse(text, Path::new("plimsoll.toml")) {
        Ok(_) => panic!("the manifest should have faults:\n{text}"),
        Err(faults) => faults,
    }
}

/// What a test expects of one fault: line, key, and a part of the line it is shown as.
pub(crate) type Expected<'e> = (usize, &'e str, &'e str);

/// A text must have exactly these faults, in this order.
#[track_caller]
pub(crate) fn expect(text: &str, expected: &[Expected<'_>]) {
    let faults = faults(text);
    let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let places: Vec<(usize, &str)> =
        faults.iter().map(|fault| (fault.line.unwrap_or(0), &*fault.key)).collect();
    let wanted: Vec<(usize, &str)> = expected.iter().map(|(line, key, _)| (*line, *key)).collect();
    assert_eq!(places, wanted, "\n{text}\n{}", shown.join("\n"));
    for ((_, _, part), line) in expected.iter().zip(&shown) {
        assert!(line.contains(part), "`{part}` is not in\n{line}");
    }
}

/// Each text, followed by [`SHOP`], must have exactly one fault.
#[track_caller]
pub(crate) fn expect_each(behind: &str, cases: &[(&str, usize, &str, &str)]) {
    for (text, line, key, part) in cases {
        expect(&format!("{text}{behind}"), &[(*line, key, part)]);
    }
}
