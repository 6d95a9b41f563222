use serde_json::json;

use super::*;

fn condition(text: &str) -> Condition {
    toml::from_str(text).unwrap()
}

#[test]
fn a_missing_fact_holds_nothing() {
    let facts = json!({ "open": 0 }).as_object().cloned().unwrap();
    for test in ["at_most = 0", "at_least = 0", "is = 0"] {
        let open = condition(&format!("fact = 'open'\n{test}\nelse = 'x'"));
        assert!(open.holds(&facts), "{test}");
        assert!(!open.holds(&Map::new()), "{test}");
    }
}

#[test]
fn both_ends_of_a_range_have_to_hold() {
    let ms = condition("fact = 'ms'\nat_least = 1\nat_most = 3\nelse = 'x'");
    let holds = |value: Value| ms.holds(&Map::from_iter([("ms".to_owned(), value)]));
    let held: Vec<i64> = (0..6).filter(|ms| holds(json!(ms))).collect();
    assert_eq!(held, [1, 2, 3]);
    // No number is greater than what an i64 holds, and none of these is a number.
    for value in [json!(u64::MAX), json!(2.0), json!(true), json!(null), json!("2")] {
        assert!(!holds(value.clone()), "{value}");
    }
}

#[test]
fn exactly_means_the_same_kind_of_value() {
    let whole = condition("fact = 'whole'\nis = true\nelse = 'x'");
    let holds = |value: Value| whole.holds(&Map::from_iter([("whole".to_owned(), value)]));
    assert!(holds(json!(true)));
    assert!(!holds(json!(false)) && !holds(json!(1)) && !holds(json!("true")));
}

#[test]
fn what_is_said_names_the_facts() {
    let facts = json!({ "open": 2, "first": "GET /a" }).as_object().cloned().unwrap();
    let open = condition("fact = 'open'\nat_most = 0\nelse = '{open} stand open: {first}, {x} {'");
    assert!(!open.holds(&facts));
    assert_eq!(open.says(&facts), "2 stand open: GET /a, ? ");
}

#[test]
fn a_sentence_in_a_sentence_ends_once() {
    let says = |first: &str, otherwise: &str| {
        let facts = json!({ "first": first }).as_object().cloned().unwrap();
        condition(&format!("fact = 'x'\nis = 1\nelse = '{otherwise}'")).says(&facts)
    };
    assert_eq!(says("no owner.", "The first: {first}."), "The first: no owner.");
    assert_eq!(says("no owner", "The first: {first}."), "The first: no owner.");
    assert_eq!(says("v1.", "{first}, first"), "v1., first");
}

#[test]
fn what_a_fact_says_is_not_filled_in_again() {
    let facts = json!({ "first": "{open}", "open": 1 }).as_object().cloned().unwrap();
    let open = condition("fact = 'open'\nat_most = 0\nelse = '{first}'");
    assert_eq!(open.says(&facts), "{open}");
}

const KIND: &str = "[[kind]]\nnames = ['edge.limits', 'edge.other']\nroom = 'edge'\n\
                    how = 'measured'\nfacts = ['limits']\n";

fn gate(id: &str, more: &str) -> String {
    let text = format!(
        "[[gate]]\nid = '{id}'\ntitle = 'Limits that refuse'\nclause = 'c'\n\
         area = 'architecture'\nweeks = [1, 2]\nasks = 'Is it?'\nroom = 'edge'\n\
         evidence = 'edge.limits'\nhow = 'measured'\nfresh = '1d'\n\
         require = [{{ fact = 'limits', at_least = 1, else = 'None.' }}]\nnext = 'Do it.'\n"
    );
    let key = more.split(" =").next().unwrap();
    let kept = text.lines().filter(|line| more.is_empty() || !line.starts_with(key));
    kept.chain([more]).collect::<Vec<_>>().join("\n") + "\n"
}

fn refused(text: &str) -> String {
    Gates::parse(text).unwrap_err().to_string()
}

#[test]
fn kinds_that_have_their_facts_in_common_are_told_apart() {
    let gates = Gates::parse(&format!("{KIND}{}", gate("a", ""))).unwrap();
    let kinds: Vec<&str> = gates.shapes().map(|shape| shape.kind.as_str()).collect();
    assert_eq!(kinds, ["edge.limits", "edge.other"]);
    assert_eq!(gates.shape("edge.other").unwrap().room, "edge");
    assert_eq!(gates.shape("edge.none"), None);
    assert_eq!(gates.kinds(), ["edge.limits"], "only what a gate asks for");
}

#[test]
fn a_gate_that_cannot_be_judged_is_refused_by_name() {
    let range = "`weeks` has to be first and last week";
    for (more, says) in [
        ("weeks = [0, 1]", range),
        ("weeks = [3, 2]", range),
        ("weeks = [1, 14]", range),
        ("require = []", "`require` has no condition"),
        ("require = [{ fact = 'limits', else = 'x' }]", "the condition on `limits` needs `is`"),
        ("require = [{ fact = 'ms', is = 1, else = 'x' }]", "`edge.limits` has no fact `ms`"),
        ("better = [{ fact = 'ms', is = 1, else = 'x' }]", "`edge.limits` has no fact `ms`"),
        ("evidence = 'edge.limit'", "no [[kind]] is called `edge.limit`"),
        ("how = 'declared'", "`edge.limits` comes from `edge` and is measured"),
        ("room = 'store'", "`edge.limits` comes from `edge` and is measured"),
    ] {
        let error = refused(&format!("{KIND}{}", gate("a", more)));
        assert!(error.starts_with(&format!("gates.toml: a: {says}")), "{more}: {error}");
    }
    let twice = refused(&format!("{KIND}{}{}", gate("a", ""), gate("a", "")));
    assert_eq!(twice, "gates.toml: a: stands there twice");
    let twice = refused(&format!("{KIND}{KIND}{}", gate("a", "")));
    assert_eq!(twice, "gates.toml: edge.limits: stands there twice");
    let unknown = refused(&format!("{KIND}{}", gate("a", "wekes = [1, 2]")));
    assert!(unknown.contains("wekes"), "{unknown}");
}
