use super::*;
use crate::house::fixture::Tree;

const KINDS: &str = r#"
[[kind]]
names = ["edge.limits"]
room = "edge"
[[kind]]
names = ["edge.cache"]
room = "edge"
[[kind]]
names = ["edge.breakers"]
room = "edge"
waits_for = "Breaker"
[[kind]]
names = ["document.scope", "document.leads"]
room = "plan"
[[kind]]
names = ["flags.kill-switch"]
room = "flags"
[[gate]]
id = "limits-refuse"
evidence = "edge.limits"
[[gate]]
id = "cache-short"
evidence = "edge.cache"
step = "cache"
[[gate]]
id = "kill-switches"
evidence = "flags.kill-switch"
step = "kill switches"
"#;

const STACK: &str = "
    // What is read here: nothing that waits.
    limit();
    // kill switches: a flag that is off answers here
    // cache: RFC 9111, safe by identity
    // answer: steps/answer.rs; record: record.rs
";

const EDGE: &str = "pub const LIMITS: &str = \"edge.limits\";\n";
const PLAN: &str =
    "const A: &str = \"document.scope\";\nconst B: &str = concat!(\"document.\", \"leads\");\n";

/// A house in which everything is as it has to be, and the given files instead.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    found_with(&[("crates/edge", ""), ("crates/plan", ""), ("crates/plimsoll", "")], files)
}

fn found_with(members: &[(&str, &str)], files: &[(&str, &str)]) -> Vec<String> {
    let tree = Tree::workspace("", members);
    tree.write(GATES, KINDS);
    tree.write(super::STACK, STACK);
    tree.write("crates/edge/src/probe.rs", EDGE);
    tree.write("crates/plan/src/documents.rs", PLAN);
    for (path, text) in files {
        tree.write(path, text);
    }
    let doors = toml::from_str(include_str!("../../doors.toml")).unwrap();
    let findings = check(&tree.house(), &doors).unwrap();
    findings.iter().map(ToString::to_string).collect()
}

fn one(files: &[(&str, &str)], says: &[&str]) {
    let found = found(files);
    assert_eq!(found.len(), 1, "{found:#?}");
    for part in says {
        assert!(found[0].contains(part), "`{part}` is missing: {}", found[0]);
    }
}

#[test]
fn a_house_whose_capabilities_have_their_gates_is_right() {
    assert_eq!(found(&[]), [""; 0]);
}

#[test]
fn a_kind_is_registered_in_its_room_the_composition_root_or_the_plan() {
    let nothing = ("crates/edge/src/probe.rs", "//! \"edge.limits\"\n");
    for place in ["crates/plimsoll/src/evidence.rs", "crates/plan/src/kinds.rs"] {
        assert_eq!(found(&[nothing, (place, EDGE)]), [""; 0], "{place}");
    }
    let missing = ["crates/edge: ", "nothing registers: edge.limits", "as an EvidenceKind"];
    one(&[nothing], &missing);
    // Tests, comments and other rooms do not count.
    let tests = "#[cfg(test)]\nmod tests { const A: &str = \"edge.limits\"; }\n";
    one(&[nothing, ("crates/edge/src/tests.rs", EDGE)], &missing);
    one(&[nothing, ("crates/edge/src/a/tests/b.rs", EDGE)], &missing);
    one(&[nothing, ("crates/edge/src/a.rs", tests)], &missing);
    one(&[nothing, ("crates/plan/gates.md", EDGE)], &missing);
}

#[test]
fn halves_count_in_one_file_only() {
    let files = [
        ("crates/plan/src/documents.rs", "const A: &str = \"document.scope\";\n"),
        ("crates/plan/src/a.rs", "const A: &str = \"document.\";\n"),
        ("crates/plan/src/b.rs", "const A: &str = \"leads\";\n"),
    ];
    one(&files, &["crates/plan: ", "nothing registers: document.leads"]);
}

#[test]
fn many_kinds_that_are_missing_are_one_finding() {
    let names: Vec<String> = (0..9).map(|n| format!("'edge.k{n}'")).collect();
    let more = format!("{KINDS}[[kind]]\nnames = [{}]\nroom = 'edge'\n", names.join(", "));
    one(&[(GATES, &more)], &["edge.k0, ", "edge.k5 and 3 more"]);
}

#[test]
fn a_capability_without_a_gate_is_named() {
    let members = [
        ("crates/edge", ""),
        ("crates/plan", ""),
        ("crates/plimsoll", ""),
        ("crates/sync", ""),
        ("crates/store", ""),
        ("crates/base", ""),
        ("crates/console", ""),
    ];
    let found = found_with(&members, &[]);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("crates/sync: no gate can be judged"), "{}", found[0]);
    assert!(found[0].contains("add a gate and its kind"), "{}", found[0]);
    assert!(found[1].contains("crates/store: no gate can be judged"), "{}", found[1]);
}

#[test]
fn a_room_whose_kinds_all_wait_has_no_gate_yet() {
    let sync = "[[kind]]\nnames = ['sync.offline']\nroom = 'sync'\nwaits_for = 'Offline'\n";
    let members =
        [("crates/edge", ""), ("crates/plan", ""), ("crates/plimsoll", ""), ("crates/sync", "")];
    let found = found_with(&members, &[(GATES, &format!("{KINDS}{sync}"))]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("crates/sync: no gate can be judged"), "{}", found[0]);
}

#[test]
fn a_step_that_is_built_brings_the_evidence_of_its_gate() {
    let built = STACK.replace("    // cache: RFC 9111, safe by identity\n", "    cache();\n");
    let stack = (super::STACK, built.as_str());
    one(
        &[stack],
        &[
            "gates.toml:22: the step `cache` is built without the evidence of `cache-short`",
            "register `edge.cache`",
        ],
    );
    let registered = ("crates/edge/src/cache.rs", "const A: &str = \"edge.cache\";\n");
    one(
        &[stack, registered],
        &["the step `cache` is built, and `cache-short` still waits", "`step`"],
    );
    let gates = KINDS.replace("step = \"cache\"\n", "");
    assert_eq!(found(&[stack, registered, (GATES, &gates)]), [""; 0]);
    one(&[registered], &["`edge.cache` is registered, and the step `cache` is not built"]);
}

#[test]
fn every_comment_step_has_a_gate() {
    let stack = format!("{STACK}    // validate: the request against its contract\n");
    one(
        &[(super::STACK, &stack)],
        &[
            "crates/edge/src/stack.rs:7: no gate waits for the step `validate`",
            "step = \"validate\"",
        ],
    );
}

#[test]
fn a_step_belongs_to_its_gate_also_where_the_room_is_half_built() {
    let members =
        [("crates/edge", ""), ("crates/plan", ""), ("crates/plimsoll", ""), ("crates/flags", "")];
    let found = found_with(&members, &[]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("crates/flags: no gate can be judged"), "{}", found[0]);
}

#[test]
fn nothing_is_registered_that_nobody_brings() {
    let gates = KINDS.replace("step = \"kill switches\"\n", "");
    let stack = STACK.replace("    // kill switches: a flag that is off answers here\n", "");
    let early = ("crates/plimsoll/src/evidence.rs", "const A: &str = \"flags.kill-switch\";\n");
    let files = [(GATES, gates.as_str()), (super::STACK, stack.as_str()), early];
    one(&files, &["`flags.kill-switch` is registered, and there is no crate `flags`"]);
    assert_eq!(found(&files[..2]), [""; 0]);
}

#[test]
fn a_name_that_was_waited_for_brings_its_evidence() {
    let landed = ("crates/edge/src/breaker.rs", "pub struct Breaker;\n");
    one(&[landed], &["`Breaker` has come to `edge`", "register `edge.breakers`"]);
    let meant = ("crates/edge/src/breaker.rs", "// Breaker\nconst A: &str = \"Breaker\";\n");
    assert_eq!(found(&[meant]), [""; 0]);
    let registered = ("crates/edge/src/b.rs", "const A: &str = \"edge.breakers\";\n");
    one(&[landed, registered], &["is registered and still waits for `Breaker`", "`waits_for`"]);
    let gates = KINDS.replace("waits_for = \"Breaker\"\n", "");
    assert_eq!(found(&[landed, registered, (GATES, &gates)]), [""; 0]);
}

#[test]
fn a_kind_of_no_crate_is_named_with_its_line() {
    let gates = KINDS
        .replace("room = \"flags\"", "room = \"flag\"")
        .replace("step = \"kill switches\"", "");
    let stack = STACK.replace("    // kill switches: a flag that is off answers here\n", "");
    one(
        &[(GATES, &gates), (super::STACK, &stack)],
        &["gates.toml:16: no crate of xtask/doors.toml is called `flag`"],
    );
    let gates = format!("{KINDS}[[kind]]\nnames = ['cost.x']\nroom = 'cost'\nwaits_for = 'Cost'\n");
    one(&[(GATES, &gates)], &["remove `waits_for`: it waits for the crate itself"]);
}
