//! Faults of journeys, and the set of operations that must not fail.

use std::path::Path;

use plimsoll_manifest::{load, parse};

use crate::support::{CONTRACTED, SHOP, expect, sound};

fn journey(name: &str, more: &str) -> String {
    format!("[[journey]]\nname = \"{name}\"\nfile = \"{name}.hurl\"\n{more}\n")
}

#[test]
fn journeys_are_named_once_and_name_what_is_there() {
    let text = journey("pay", "") + &journey("pay", "") + SHOP;
    let said = "the journey `pay` is there already, at journey[0].name";
    expect(&text, &[(6, "journey[1].name", said)]);
    let operations = "operations = [\"payOrder\"]";
    let text = journey("pay", operations) + SHOP;
    expect(&text, &[(4, "journey[0].operations[0]", "there is no operation `payOrder`")]);
    sound(&(journey("pay", operations) + CONTRACTED));
    let text = format!("[[journey]]\nname = \"pay\"\n{SHOP}");
    expect(&text, &[(1, "journey[0].file", "`file` is missing")]);
}

#[test]
fn a_smoke_test_needs_a_place_that_it_can_reach() {
    let tls = "[edge.tls]\ncertificate_file = \"c.pem\"\nkey_file = \"k.pem\"\n";
    let text = journey("pay", "smoke = true") + tls + SHOP;
    expect(&text, &[(4, "journey[0].smoke", "`base = \"https://NAME\"` beside it")]);
    let base = "base = \"https://api.example.com\"";
    sound(&(journey("pay", &format!("smoke = true\n{base}")) + tls + SHOP));
    let text = journey("pay", base) + SHOP;
    expect(&text, &[(4, "journey[0].base", "only a smoke test has a place of its own")]);
}

#[test]
fn what_must_not_fail_is_one_set() {
    let text = journey("pay", "must_not_fail = true\noperations = [\"createOrder\", \"payOrder\"]")
        + &journey("order", "must_not_fail = true\noperations = [\"createOrder\"]")
        + &journey("like", "operations = [\"likePost\"]")
        + CONTRACTED;
    let manifest = parse(&text, Path::new("plimsoll.toml")).unwrap();
    let set: Vec<&str> = manifest.must_not_fail_operations().into_iter().collect();
    assert_eq!(set, ["createOrder", "payOrder"]);
}

#[test]
fn a_journeys_file_has_to_be_there_and_is_part_of_the_hash() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("plimsoll.toml"), journey("pay", "") + SHOP).unwrap();
    let faults = load(at("plimsoll.toml")).unwrap_err();
    assert_eq!((&*faults[0].key, faults[0].line), ("journey[0].file", Some(3)));
    assert!(faults[0].message.ends_with("pay.hurl does not exist"), "{faults:?}");
    std::fs::write(at("pay.hurl"), "GET {{base}}/a\n").unwrap();
    let first = load(at("plimsoll.toml")).unwrap();
    assert!(first.files.contains(&at("pay.hurl")), "{:?}", first.files);
    std::fs::write(at("pay.hurl"), "GET {{base}}/b\n").unwrap();
    assert_ne!(load(at("plimsoll.toml")).unwrap().hash, first.hash);
}
