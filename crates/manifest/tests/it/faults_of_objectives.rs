//! Faults of objectives and of the plan.

use crate::support::{CONTRACTED, SHOP, expect, sound};

fn objective(name: &str, kind: &str, target: &str, more: &str) -> String {
    format!("[[objective]]\nname = \"{name}\"\nkind = \"{kind}\"\ntarget = {target}\n{more}")
}

#[test]
fn objectives_are_named_once() {
    let one = objective("a", "availability", "0.999", "");
    let text = one.clone() + &one + SHOP;
    let said = "the objective `a` is there already, at objective[0].name";
    expect(&text, &[(6, "objective[1].name", said)]);
}

#[test]
fn a_target_is_a_share_between_half_and_all() {
    for (target, said) in [("99.9", "99.9 is too large"), ("0.1", "0.1 is too small")] {
        let text = objective("a", "availability", target, "") + SHOP;
        expect(&text, &[(4, "objective[0].target", said)]);
    }
    sound(&(objective("a", "crash_free", "0.995", "window = \"7d\"") + SHOP));
}

#[test]
fn a_threshold_belongs_to_a_latency_and_to_nothing_else() {
    let text = objective("a", "latency", "0.95", "") + SHOP;
    expect(&text, &[(1, "objective[0]", "within which an answer is good")]);
    let text = objective("a", "availability", "0.95", "threshold = \"300ms\"") + SHOP;
    expect(&text, &[(5, "objective[0].threshold", "only a latency has a threshold")]);
    sound(&(objective("a", "latency", "0.95", "threshold = \"300ms\"") + SHOP));
}

#[test]
fn what_it_is_about_has_to_be_there() {
    let operations = "operations = [\"createOrder\"]";
    let text = objective("a", "availability", "0.99", operations) + SHOP;
    expect(&text, &[(5, "objective[0].operations[0]", "there is no operation `createOrder`")]);
    sound(&(objective("a", "availability", "0.99", operations) + CONTRACTED));
    let text = objective("a", "crash_free", "0.99", operations) + CONTRACTED;
    expect(&text, &[(5, "objective[0].operations", "belong to no operation")]);
    let both = format!("{operations}\njourney = \"checkout\"");
    let text = objective("a", "availability", "0.99", &both) + CONTRACTED;
    expect(&text, &[(5, "objective[0].operations", "`operations` or `journey`, not both")]);
}

#[test]
fn it_is_looked_once_a_second_at_most() {
    let text = format!("[plan]\nlook_every = \"100ms\"\n{SHOP}");
    expect(&text, &[(2, "plan.look_every", "`100ms` is too short")]);
    sound(&format!("[plan]\nlook_every = \"1s\"\ndirectory = \"the/plan\"\n{SHOP}"));
}
