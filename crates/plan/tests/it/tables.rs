//! Keys and tables: each fault with its line, what is expected, and what was probably meant.

use plimsoll_plan::RiskArea;
use plimsoll_plan::documents::{Document, Kind};

use crate::filled::{examined, filled, said};

/// A filled document in which one text was replaced by another.
fn with(name: &str, step: usize, from: &str, to: &str) -> Document {
    let kind = Kind::named(name).unwrap();
    let text = filled(kind, step);
    assert!(text.contains(from), "{name} has no `{from}`:\n{text}");
    examined(kind, &text.replacen(from, to, 1))
}

/// Its only fault, without the folder.
fn only(document: &Document) -> String {
    let said = said(document);
    assert_eq!(said.len(), 1, "{said:?}");
    said[0].strip_prefix("plan/").unwrap().to_owned()
}

#[test]
fn keys_are_held_to_their_meaning() {
    let person = "expected the name of one person";
    let day = "expected a day such as 2026-11-30";
    for (from, to, wanted) in [
        ("owner: Ada Bell", "owner:", format!("2: owner: is empty; {person}")),
        ("owner: Ada Bell", "owner: [Ada Bell]", format!("2: owner: is a list; {person}")),
        (
            "owner: Ada Bell",
            "owner: Ada, Bo",
            format!("2: owner: names more than one person; {person}"),
        ),
        (
            "owner: Ada Bell",
            "owner: the team",
            format!("2: owner: names nobody who can be asked; {person}"),
        ),
        ("owner: Ada Bell", "owner: 42", format!("2: owner: is no name; {person}")),
        ("owner: Ada Bell", "# x", format!(" owner: is not there; {person}")),
        ("date: 2026-11-29", "date: 2026-11-31", format!("3: date: `2026-11-31` is no day; {day}")),
        (
            "date: 2026-11-29",
            "date: 2026-11-30",
            format!("3: date: `2026-11-30` is in the future; {day}"),
        ),
        (
            "state: agreed",
            "state: agred",
            "4: state: `agred` is no state of this document; expected one of draft, agreed; did \
             you mean `agreed`?"
                .to_owned(),
        ),
        (
            "owner: ",
            "ownr: ",
            "2: `ownr` is no key of this document; expected one of owner, date, state, links, \
             runway-until; did you mean `owner`?"
                .to_owned(),
        ),
        (
            "links: []",
            "links: x.md",
            "5: links: is no list; expected `[one.md, two.md]` or a dashed list".to_owned(),
        ),
        ("2027-06-30", "June", format!("6: runway-until: `June` is no day; {day}")),
        ("runway-until: 2027-06-30", "", format!(" runway-until: is not there; {day}")),
    ] {
        let name = "funding-runway.md:";
        assert_eq!(only(&with("funding-runway", 1, from, to)), format!("{name}{wanted}"), "{to}");
    }
    for (name, from, to, says) in [
        ("office-hours", "Tuesday", "daily", "day: `daily` is no day of the week"),
        ("review-policy", "within-hours: 48", "within-hours: 72", "`72` is no such number"),
        (
            "on-call",
            "https://pager.example/1",
            "javascript:x",
            "leads to something that is no page",
        ),
    ] {
        assert!(only(&with(name, 1, from, to)).contains(says), "{to}");
    }
    // A draft may wait with what an agreed document needs.
    assert_eq!(said(&with("funding-runway", 0, "runway-until: 2027-06-30", "")), [""; 0]);
}

#[test]
fn links_that_lead_nowhere_are_faults() {
    use plimsoll_plan::Gates;
    use plimsoll_plan::documents::{Ground, examine};
    let kind = Kind::named("decisions").unwrap();
    let text = filled(kind, 1).replace("links: []", "links: [a.md, 'https://x.example']")
        + "\n[b](b.md#c) `[c](c.md)` [d](#d)\n";
    let gates = Gates::shipped().unwrap();
    let exists = |path: &str| path == "a.md";
    let ground = Ground { today: crate::filled::today(), gates: &gates, exists: &exists };
    let document = examine(kind, "d.md".as_ref(), &text, &ground);
    let line = text.lines().count();
    let expected = "expected a path from this folder to a file that is there, or an https URL";
    assert_eq!(said(&document), [format!("d.md:{line}: `b.md#c` leads nowhere; {expected}")]);
    let many = text + &"[a](a.md)\n".repeat(201);
    let said = said(&examine(kind, "d.md".as_ref(), &many, &ground));
    assert!(said.last().unwrap().contains("is one link more than 200"), "{said:?}");
}

#[test]
fn a_risk_is_placed_and_its_gates_exist() {
    let good =
        examined(Kind::named("risk-map").unwrap(), &filled(Kind::named("risk-map").unwrap(), 1));
    assert_eq!(good.counts, [("risks", 4)]);
    for (from, to, wanted) in [
        (
            "| `limits-refuse` |",
            "| `limit-refuses` |",
            "gates: `limit-refuses` is no gate; expected gates as `plimsoll ready` names them, \
             with commas between; did you mean `limits-refuse`?",
        ),
        (
            "| data |",
            "| dat |",
            "area: `dat` is not one of the words that may stand here; expected one of reliability, \
             security, data, cadence; did you mean `data`?",
        ),
        ("| b | they", "| a | they", "id: `a` stands on line 24 already"),
        (
            "| b | they",
            "| B b | they",
            "id: `B b` is no short name; expected small letters, digits and `-`, 64 at most",
        ),
        ("| b | they break in |", "| b | |", "risk: is empty; expected a text"),
    ] {
        let document = with("risk-map", 1, from, to);
        let told = said(&document);
        assert!(told.iter().any(|fault| fault.ends_with(wanted)), "{wanted}\n{told:?}");
    }
    let row = with(
        "risk-map",
        1,
        "| c | it leaks | data | - | Ada Bell |",
        "| c | it | leaks | data | - | Ada Bell |",
    );
    let row = only(&row);
    let wanted = "risk-map.md:26: Risks: has 6 cells; expected 5; write `\\|`";
    assert!(row.starts_with(wanted), "{row}");
    for (title, says) in [
        ("it \u{1b}[2J leaks".to_owned(), "has a tab or another control character"),
        ("x".repeat(1_001), "has a cell of more than 1000 bytes"),
    ] {
        let document = with("risk-map", 1, "it leaks", &title);
        assert!(only(&document).starts_with(&format!("risk-map.md:26: Risks: {says}")));
        assert_eq!(document.counts, [("risks", 3)]);
    }
    let owner = only(&with("risk-map", 1, "| Ada Bell |", "| |"));
    assert_eq!(owner, "risk-map.md:24: owner: is empty; expected the name of one person");
    let none = only(&with("risk-map", 1, "| cadence |", "| data |"));
    assert!(
        none.starts_with(
            "risk-map.md:22: area: has no row with `cadence`; expected a row for each"
        ),
        "{none}"
    );
    let header = only(&with("risk-map", 1, "| gates | owner", "| gate | owner"));
    assert_eq!(
        header,
        "risk-map.md:22: Risks: `gate` is no column of this table; expected | id | risk | area | \
         gates | owner |; did you mean `gates`?"
    );
    let order = only(&with("risk-map", 1, "| id | risk |", "| risk | id |"));
    assert!(
        order.starts_with("risk-map.md:22: Risks: has other columns; expected | id"),
        "{order}"
    );
    let gone = with("risk-map", 1, "|---|---|---|---|---|", "");
    assert!(only(&gone).contains("Risks: has no table; expected | id"), "{:?}", said(&gone));
}

/// Nothing is added without something traded out.
#[test]
fn an_addition_names_its_own_removal() {
    let kind = Kind::named("scope").unwrap();
    let good = examined(kind, &filled(kind, 1));
    assert_eq!(good.counts, [("items", 3), ("added", 1), ("removed", 1)]);
    let added = "| wallet | added | 2026-11-04 | Video |";
    let expected = "expected an item of this table whose change is `removed`";
    for (row, wanted) in [
        ("| wallet | added | 2026-11-04 | - |", "the addition names nothing that was removed"),
        ("| wallet | added | 2026-11-04 | |", "the addition names nothing that was removed"),
        ("| wallet | added | 2026-11-04 | feed |", "`feed` is not removed in this document"),
    ] {
        let fault = only(&with("scope", 1, added, row));
        assert_eq!(fault, format!("scope.md:26: traded for: {wanted}; {expected}"));
    }
    let meant = only(&with("scope", 1, added, "| wallet | added | 2026-11-04 | vide |"));
    assert!(meant.ends_with("did you mean `video`?"), "{meant}");
    let twice = format!("{added}\n| maps | added | 2026-11-05 | video |");
    let fault = only(&with("scope", 1, added, &twice));
    assert_eq!(
        fault,
        format!(
            "scope.md:27: traded for: `video` was traded for the addition on line 26 already; \
             {expected}"
        )
    );
    // It is a fault in a draft as well: a draft is where it happens.
    assert!(!with("scope", 0, added, "| wallet | added | 2026-11-04 | |").faults.is_empty());
    let future = only(&with("scope", 1, "2026-11-04", "2026-12-04"));
    assert!(future.contains("date: `2026-12-04` is in the future"), "{future}");
}

#[test]
fn each_type_asks_what_it_is_for() {
    for (name, step, from, to, wanted) in [
        (
            "leads",
            1,
            "| edge | Ada Bell |",
            "| edge | Ada Bell |\n| Edge | Bo Chu |",
            "domain: `Edge` stands on line 24 already",
        ),
        ("leads", 1, "| Ada Bell |", "| Ada Bell and Bo Chu |", "lead: names more than one person"),
        ("decisions", 1, "2026-11-26", "2027-11-26", "date: `2027-11-26` is in the future"),
        ("objectives", 1, "| latency |", "| other |", "indicator: has no row with `latency`"),
        ("threat-model", 1, "| R | a |", "| S | a |", "letter: has no row with `R`"),
        ("threat-model", 1, "| R | a |", "| X | a |", "letter: `X` is not one of the words"),
        ("threat-model", 2, "| limits-refuse |", "| - |", "gate: is empty"),
        ("threat-model", 2, "| closed |", "| open |", "state: is not closed, but the document is"),
        ("pen-test", 2, "| fixed |", "| open |", "state: is open, but the test is remediated"),
        ("journeys", 1, "| yes |", "| no |", "must not fail: has no row with `yes`"),
        (
            "journeys",
            1,
            "createOrder, ",
            "create order, ",
            "operations: `create order` is no name of an operation",
        ),
        (
            "on-call",
            1,
            "| Bo Chu | nights | Ada Bell |",
            "",
            "Rotation: has 1 of the rows it needs; expected 2 rows at least",
        ),
        ("kpis", 1, "| tickets |", "| other |", "measures: has no row with `tickets`"),
        ("mobile-security", 1, "| pinning |", "| other |", "control: has no row with `pinning`"),
    ] {
        let document = with(name, step, from, to);
        let told = said(&document);
        assert!(told.iter().any(|fault| fault.contains(wanted)), "{wanted}\n{told:?}");
    }
    let booked = with("pen-test", 1, "| fixed |", "| open |");
    assert_eq!((said(&booked), booked.counts), (vec![], vec![("findings", 1), ("grave_open", 1)]));
    // Where no row is needed, a sentence answers.
    let row = "| roasters | a list at 18:00 | the export | express |\n";
    assert_eq!(said(&with("commitments", 1, row, "\n")), [""; 0]);
}

#[test]
fn what_the_board_shows_of_a_risk_is_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let kind = Kind::named("risk-map").unwrap();
    let text = filled(kind, 1)
        .replace("| d | it stands", "| c | it stands")
        .replace("| b | they", "| B | they");
    std::fs::write(folder.path().join("risk-map.md"), text).unwrap();
    let now = crate::filled::today().unix_ms();
    let read = plimsoll_plan::documents::read(folder.path(), now).unwrap();
    let risks: Vec<_> = read
        .facts
        .risks
        .iter()
        .map(|risk| (risk.id.as_str(), risk.area, risk.gates.len()))
        .collect();
    assert_eq!(risks, [("a", RiskArea::Reliability, 1), ("c", RiskArea::Data, 0)]);
}
