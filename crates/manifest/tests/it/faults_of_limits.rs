//! Faults of limits and operations.

use crate::support::{CONTRACTED, ISSUER, SHOP, expect, sound};

fn limit(name: &str, more: &str) -> String {
    format!("[[limit]]\nname = \"{name}\"\nper = \"caller\"\nquota = 10\nwindow = \"60s\"\n{more}")
}

#[test]
fn limits_are_named_once() {
    let text = limit("a", "") + &limit("a", "") + SHOP;
    expect(&text, &[(7, "limit[1].name", "the limit `a` is there already, at limit[0].name")]);
}

#[test]
fn limits_name_operations_that_exist() {
    let text = limit("a", "operations = [\"createOrder\"]") + SHOP;
    expect(&text, &[(6, "limit[0].operations[0]", "there is no operation `createOrder`")]);
    let operation = "\n[[operation]]\nid = \"createOrder\"\nmethod = \"POST\"\npath = \"/orders\"";
    sound(&(limit("a", "operations = [\"createOrder\"]") + operation + SHOP));
    let text = limit("a", "operations = [\"createOrdre\"]") + operation + SHOP;
    expect(&text, &[(6, "limit[0].operations[0]", "did you mean `createOrder`?")]);
    // With a contract the operations are known only when it is read.
    sound(&(limit("a", "operations = [\"createOrder\"]") + CONTRACTED));
}

#[test]
fn limits_that_cannot_be_kept_are_refused() {
    let fast = "[[limit]]\nname = \"a\"\nper = \"ip\"\nquota = 1000000000\nwindow = \"1s\"";
    sound(&format!("{fast}{SHOP}"));
    let text = limit("a", "burst = 0") + SHOP;
    expect(&text, &[(6, "limit[0].burst", "0 is too small")]);
    let costly = "\n[[operation]]\nmethod = \"POST\"\npath = \"/a\"\ncost = 11";
    let text = limit("a", "units = \"cost\"") + costly + SHOP;
    expect(&text, &[(10, "operation[0].cost", "can never pass the limit `a`")]);
    sound(&(limit("a", "") + costly + SHOP));
    sound(&(limit("a", "units = \"cost\"\nburst = 11") + costly + SHOP));
    let per = "[[limit]]\nname = \"a\"\nper = \"operation\"\nquota = 1\nwindow = \"1s\"\n\
               operations = [\"a\", \"b\"]\nkeys_max = 1";
    expect(&format!("{per}{CONTRACTED}"), &[(7, "limit[0].keys_max", "would share one count")]);
}

#[test]
fn what_is_said_of_keys_has_a_meaning() {
    let policy =
        |more: &str| format!("[[operation]]\nmethod = \"POST\"\npath = \"/a\"\n{more}{SHOP}");
    let ask = "unknown_outcome = \"ask\"";
    let nobody = (4, "operation[0].unknown_outcome", "nothing is named that could be asked");
    expect(&policy(ask), &[nobody]);
    sound(&policy(&format!("{ask}\nfind_out = \"read\"")));
    let off = "idempotency = \"off\"\non_store_down = \"pass\"";
    expect(&policy(off), &[(4, "operation[0].idempotency", "keys are off here")]);
    let never = "idempotency = \"never\"";
    expect(&policy(never), &[(4, "operation[0].idempotency", "`never`")]);
}

#[test]
fn a_policy_says_which_operation_it_is_for() {
    for (text, line, key, part) in [
        ("[[operation]]\ncost = 2", 1, "operation[0]", "names no operation"),
        ("[[operation]]\nmethod = \"GET\"", 1, "operation[0]", "`method` without `path`"),
        ("[[operation]]\npath = \"/a\"", 1, "operation[0]", "`path` without `method`"),
        (
            "[[operation]]\nmethod = \"PUT\"\npath = \"/a\"\ninvalidates = [\"\u{fc}\"]",
            4,
            "operation[0].invalidates[0]",
            "no name of a group",
        ),
        (
            "[[operation]]\nmethod = \"PUT\"\npath = \"/a\"\ncache_ttl = \"5s\"",
            4,
            "operation[0].cache_ttl",
            "not kept",
        ),
        (
            "[[operation]]\nmethod = \"GET\"\npath = \"/a\"\ncache = \"off\"\ncache_ttl = \"5s\"",
            5,
            "operation[0].cache_ttl",
            "none is",
        ),
        ("[[operation]]\nid = \"a\"", 2, "operation[0].id", "no contract names"),
        ("[[operation]]\nid = \"a\"\nservice = \"sohp\"", 3, "operation[0].service", "`shop`"),
        ("[[operation]]\nmethod = \"GET\"\npath = \"/.plimsoll/a\"", 3, "operation[0].path", "own"),
    ] {
        expect(&format!("{text}{SHOP}"), &[(line, key, part)]);
    }
    sound(&format!("[[operation]]\nid = \"a\"{CONTRACTED}"));
    let second = "[[service]]\nname = \"b\"\nurls = [\"http://b\"]\nversion = { prefix = \"/b\" }";
    let text = format!("[[operation]]\nmethod = \"GET\"\npath = \"/a\"{SHOP}{second}");
    expect(&text, &[(1, "operation[0].service", "several services")]);
}

#[test]
fn there_is_one_policy_for_an_operation() {
    let by_id = "[[operation]]\nid = \"a\"\n";
    expect(
        &format!("{by_id}{by_id}{CONTRACTED}"),
        &[(3, "operation[1]", "operation[0] is a policy for the same operation")],
    );
    let by_path = |path: &str| format!("[[operation]]\nmethod = \"GET\"\npath = \"{path}\"\n");
    let text = by_path("/a/{b}") + &by_path("/a/{c}") + SHOP;
    expect(&text, &[(4, "operation[1]", "the same operation")]);
    sound(&(by_path("/a/{b}") + &by_path("/a/b") + SHOP));
}

#[test]
fn scopes_and_tokens_need_someone_who_verifies_them() {
    let operation = |more: &str| format!("[[operation]]\nid = \"a\"\n{more}{CONTRACTED}");
    expect(&operation("security = \"token\""), &[(3, "operation[0].security", "no issuer")]);
    expect(&operation("scopes = [\"a\"]"), &[(3, "operation[0].scopes", "no issuer")]);
    for open in ["public", "pass"] {
        let text = operation(&format!("security = \"{open}\"\nscopes = [\"a\"]")) + ISSUER;
        expect(&text, &[(4, "operation[0].scopes", "where no token is verified")]);
    }
    for scope in ["a b", "a\\\"", "ä"] {
        let text = operation(&format!("scopes = [\"{scope}\"]")) + ISSUER;
        expect(&text, &[(3, "operation[0].scopes[0]", "is no scope")]);
    }
    sound(&(operation("scopes = [\"orders:write\", \"a/b\"]") + ISSUER));
    sound(&operation("security = \"public\""));
}

#[test]
fn with_a_faulty_issuer_tokens_are_no_fault() {
    let text = format!(
        "[[auth.issuer]]\nissuer = \"https://id.example\"\n[[operation]]\nid = \"a\"\n\
         security = \"token\"{CONTRACTED}"
    );
    expect(&text, &[(1, "auth.issuer[0].audience", "missing")]);
}
