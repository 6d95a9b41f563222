//! Our templates, filled in: what a team gets, it can finish.

use std::path::Path;

use plimsoll_plan::documents::{Document, Ground, KINDS, Kind, examine};
use plimsoll_plan::{Date, Gates};

/// The day on which every test is.
pub(crate) const TODAY: &str = "2026-11-29";

pub(crate) fn today() -> Date {
    TODAY.parse().unwrap()
}

/// Rows that are right, a list for each table of a document.
fn rows(name: &str) -> &'static [&'static [&'static str]] {
    match name {
        "constraints" => &[&["| EU only | law | 2027-01-01 | stores elsewhere |"]],
        "commitments" => &[&["| roasters | a list at 18:00 | the export | express |"]],
        "journeys" => &[&["| pay | createOrder, `payOrder` | yes |"]],
        "risk-map" => &[&[
            "| a | it fails | reliability | `limits-refuse` | Ada Bell |",
            "| b | they break in | security | auth-on-every-operation, limits-refuse | Ada Bell |",
            "| c | it leaks | data | - | Ada Bell |",
            "| d | it stands still | cadence | | Ada Bell |",
        ]],
        "scope" => &[&[
            "| feed | kept | 2026-11-02 | - |",
            "| video | removed | 2026-11-03 | - |",
            "| wallet | added | 2026-11-04 | Video |",
        ]],
        "objectives" => &[&[
            "| up | availability | 99.9 % | 28 days |",
            "| fast | latency | 300 ms | 28 days |",
            "| stays up | crash-free | 99.5 % | 7 days |",
        ]],
        "api-outline" => &[&["| orders | createOrder | the app | v1 |"]],
        "dependency-graph" => &[&["| Postgres | store | nothing works | Ada Bell |"]],
        "staffing" => &[&["| backend | Ada Bell | full | - |"]],
        "decision-calendar" => &[&["| 2026-12-08 | which pager | Ada Bell |"]],
        "environments" => &[&["| laptop | all | made-up | everybody |"]],
        "secrets" => &[&["| database password | the host | the process | every 90 days |"]],
        "on-call" => &[&["| Ada Bell | days | Bo Chu |", "| Bo Chu | nights | Ada Bell |"]],
        "sdk-matrix" => &[&["| iOS | 16 | 2.4.0 | 2027-09-30 |"]],
        "threat-model" => &[
            &[
                "| S | a | b | limits-refuse |",
                "| T | a | b | limits-refuse |",
                "| R | a | b | limits-refuse |",
                "| I | a | b | limits-refuse |",
                "| D | a | b | limits-refuse |",
                "| E | a \\| b | b | limits-refuse |",
            ],
            &["| a | b | closed |"; 5],
        ],
        "retention" => &[&["| orders | yes | 10 years | law | a job |"]],
        "pen-test" => &[&["| f1 | high | a hole | fixed |"]],
        "controls" => &[&["| access is logged | SOC 2 CC6.1 | the ledger | Ada Bell |"]],
        "mobile-security" => &[&[
            "| attestation | both | a | b |",
            "| keystore | both | a | b |",
            "| pinning | ios | a | b |",
        ]],
        "performance-budgets" => &[&[
            "| feed | low | 3g | 3 s |",
            "| feed | mid | 4g | 2 s |",
            "| feed | high | wifi | 1 s |",
        ]],
        "cost-review" => &[&["| 2026-11-23 | 200 EUR | nothing | nothing |"]],
        "analytics-events" => &[&["| paid | after payOrder | amount | no |"]],
        "store-submission" => &[&["| name | yes | yes | the parcel |"]],
        "support-scripts" => &[&["| a | b | c |", "| d | e | f |", "| g | h | i |"]],
        "day-two-backlog" => &[&["| video | cost | Ada Bell |"]],
        "incident-classes" => &[&["| 1 | bad | 5 min | 15 min |", "| 2 | less | 1 h | 4 h |"]],
        "paging-tree" => &[&["| 1 | Ada Bell | pager | 10 min |", "| 2 | Bo Chu | pager | - x |"]],
        "customer-updates" => &[&["| status page | everybody | at once | Ada Bell |"]],
        "kpis" => &[&[
            "| a | activation | 15 % | a |",
            "| b | latency | 300 ms | b |",
            "| c | crash-free | 99.5 % | c |",
            "| d | tickets | 4 | d |",
        ]],
        "leads" => &[&["| edge | Ada Bell |"]],
        "decisions" => &[&["| 2026-11-26 | no | because | Ada Bell |"]],
        "not-doing" => &[&["| GraphQL | does not pay | - |"]],
        "learning-review" => &[&["| 2026-11-27 | a | b |"]],
        _ => &[],
    }
}

fn keys(text: &str) -> String {
    let mut text = text.to_owned();
    for (key, value) in [
        ("owner", "Ada Bell"),
        ("runway-until", "2027-06-30"),
        ("contract", "../openapi.json"),
        ("day", "Tuesday"),
        ("code", "https://git.example/infra"),
        ("command", "make up"),
        ("file", "../CODEOWNERS"),
        ("schedule", "https://pager.example/1"),
        ("published", "https://shop.example/privacy"),
        ("tester", "A firm"),
        ("begins", "2026-12-07"),
        ("report", "https://files.example/1"),
        ("submitted", "2026-11-27"),
        ("accepted", "2026-11-28"),
    ] {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for line in lines.iter_mut().filter(|line| line.starts_with(&format!("{key}: "))) {
            *line = format!("{key}: {value}");
        }
        text = lines.join("\n") + "\n";
    }
    text
}

/// The template with everything answered, in a state.
pub(crate) fn filled(kind: &Kind, step: usize) -> String {
    let template = keys(&kind.template(today()));
    let mut rows = rows(kind.name).iter();
    let mut out = String::new();
    for line in template.lines() {
        if line.starts_with("state: ") {
            out.push_str(&format!("state: {}", kind.states[step]));
        } else {
            out.push_str(line);
        }
        out.push('\n');
        if line.starts_with("|---") {
            out.push_str(&(rows.next().unwrap().join("\n") + "\n"));
        } else if line.starts_with("> ") {
            out.push_str("\nAn answer.\n\n");
        }
    }
    assert!(rows.next().is_none(), "{}: more rows than tables", kind.name);
    out
}

/// A document against today, the shipped gates, and a folder in which every link is there.
pub(crate) fn examined(kind: &'static Kind, text: &str) -> Document {
    let gates = Gates::shipped().unwrap();
    let ground = Ground { today: today(), gates: &gates, exists: &|_| true };
    examine(kind, Path::new("plan").join(kind.file()).as_path(), text, &ground)
}

/// What is said of it, a line each.
pub(crate) fn said(document: &Document) -> Vec<String> {
    document.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_new_document_lacks_nothing_but_an_owner() {
    for kind in KINDS {
        let fresh = examined(kind, &kind.template(today()));
        let owner = "owner: is empty; expected the name of one person";
        assert_eq!(said(&fresh), [format!("plan/{}:2: {owner}", kind.file())], "{}", kind.name);
        assert_eq!((fresh.date, fresh.step, fresh.owner), (Some(today()), Some(0), None));
        let text = kind.template(today()).replace("owner: ", "owner: Ada Bell ");
        assert_eq!(said(&examined(kind, &text)), [""; 0], "{}", kind.name);
    }
}

#[test]
fn a_filled_document_passes_in_every_state() {
    for kind in KINDS {
        for step in 0..kind.states.len() {
            let document = examined(kind, &filled(kind, step));
            assert_eq!(said(&document), [""; 0], "{} {step}", kind.name);
            assert_eq!(document.state(), Some(kind.states[step]));
            assert_eq!(document.owner.unwrap().as_str(), "Ada Bell");
        }
    }
}

/// Nothing turns green by changing a word: each question of a template wants its answer.
#[test]
fn a_state_alone_is_not_believed() {
    for kind in KINDS {
        let text = keys(&kind.template(today()));
        let agreed = text
            .replace(&format!("state: {}", kind.states[0]), &format!("state: {}", kind.states[1]));
        assert_ne!(text, agreed, "{}", kind.name);
        let document = examined(kind, &agreed);
        let asked = kind.template(today()).lines().filter(|line| line.starts_with("## ")).count();
        assert!(document.faults.len() >= asked, "{}: {:?}", kind.name, said(&document));
        let (name, line) = (kind.file(), document.faults[0].line);
        assert!(line.is_some(), "{name}");
    }
}

#[test]
fn a_section_that_was_deleted_is_named() {
    for kind in KINDS {
        let text = filled(kind, 1);
        let (from, heading) = text
            .lines()
            .enumerate()
            .find_map(|(at, line)| line.strip_prefix("## ").map(|heading| (at, heading)))
            .unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.remove(from);
        let document = examined(kind, &lines.join("\n"));
        let missing = format!("{heading}: the section is not there; expected `## {heading}`");
        assert!(
            said(&document).iter().any(|fault| fault.contains(&missing)),
            "{:?}",
            said(&document)
        );
    }
}

#[test]
fn one_page_is_600_words_and_two_are_1200() {
    for (name, max, pages) in
        [("product-brief", 600, "one page"), ("technical-brief", 1_200, "two pages")]
    {
        let kind = Kind::named(name).unwrap();
        let text = filled(kind, 1);
        let answers = text.matches("An answer.").count();
        let exactly = text.clone() + &"word ".repeat(max - 2 * answers) + "\n- — -\n";
        let document = examined(kind, &exactly);
        assert_eq!(said(&document), [""; 0]);
        assert_eq!(document.counts, [("words", max)]);
        let line = exactly.lines().count() + 1;
        let told = format!(
            "plan/{name}.md:{line}: the document has {} words; expected {max} at most: {pages}; it \
             passes them here",
            max + 1
        );
        assert_eq!(said(&examined(kind, &(exactly + "more\n"))), [told]);
    }
}
