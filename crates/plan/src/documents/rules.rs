//! The tables of a document, row by row, and what only one type asks of its rows.

use std::collections::{HashMap, HashSet};

use plimsoll_manifest::closest;

use super::body::{Body, CELL_BYTES_MAX, Grid, ROWS_MAX, Row};
use super::check::{day, person};
use super::examine::{Found, Ground};
use super::finding::Finding;
use super::kinds::{Cell, Column, Kind, Table};
use crate::board::{Risk, RiskArea};

/// Names in one cell.
const NAMES_MAX: usize = 32;

/// Every table that a document has to hold.
pub(super) fn tables(kind: &Kind, body: &Body<'_>, ground: &Ground<'_>, found: &mut Found) {
    for (index, table) in kind.tables.iter().enumerate() {
        let rows = table_rows(table, body, ground, found);
        found.counts.push((table.count, rows.len()));
        match (kind.name, index) {
            ("risk-map", _) => found.risks = risks(&rows),
            ("scope", _) => trades(&rows, found),
            ("journeys", _) => {
                found.journeys = rows.iter().map(|row| row.cell(0).to_owned()).collect();
                must_not_fail(&rows, found);
            }
            ("threat-model", 1) => closed(&rows, found),
            ("pen-test", _) => remediated(&rows, found),
            _ => {}
        }
    }
}

/// A row with its cells as they are meant, one for each column.
struct Meant {
    line: usize,
    cells: Vec<String>,
}

impl Meant {
    fn cell(&self, at: usize) -> &str {
        self.cells.get(at).map(String::as_str).unwrap_or_default()
    }
}

fn table_rows(
    table: &Table,
    body: &Body<'_>,
    ground: &Ground<'_>,
    found: &mut Found,
) -> Vec<Meant> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let header = format!("| {} |", names.join(" | "));
    let Some(section) = body.section(table.section) else {
        let finding = Finding::nowhere(table.section, "the section is not there");
        found.push(finding.expecting(format!("`## {}` with the table {header}", table.section)));
        return Vec::new();
    };
    let Some(grid) = Grid::first(body.lines_of(section)) else {
        let finding = Finding::at(section.line, table.section, "has no table");
        found.push(finding.expecting(header));
        return Vec::new();
    };
    if !grid.header.iter().map(|one| one.to_lowercase()).eq(names.iter().copied()) {
        let strange = grid.header.iter().find(|one| !names.contains(&one.to_lowercase().as_str()));
        let mut finding = Finding::at(grid.line, table.section, "has other columns");
        if let Some(strange) = strange {
            finding = Finding::at(grid.line, table.section, "is no column of this table")
                .given(strange)
                .perhaps(closest(strange, names.iter().copied()));
        }
        found.push(finding.expecting(header));
        return Vec::new();
    }
    if let Some(line) = grid.beyond {
        found.push(Finding::at(line, table.section, format!("is one row more than {ROWS_MAX}")));
    }
    let rows = rows(table, &grid, ground, found);
    enough(table, &grid, &rows, found);
    rows
}

fn rows(table: &Table, grid: &Grid, ground: &Ground<'_>, found: &mut Found) -> Vec<Meant> {
    let mut rows = Vec::new();
    let mut seen: HashMap<(usize, String), usize> = HashMap::new();
    for Row { line, cells } in &grid.rows {
        let cells: Vec<String> = cells.iter().map(|cell| bare(cell)).collect();
        if cells.iter().all(String::is_empty) {
            continue;
        }
        if let Some(finding) = unreadable(table, *line, &cells) {
            found.push(finding);
            continue;
        }
        for (at, (column, text)) in table.columns.iter().zip(&cells).enumerate() {
            if let Some(finding) = cell(column, *line, text, ground, found.step()) {
                found.push(finding);
            } else if matches!(column.cell, Cell::Name | Cell::Id)
                && !text.is_empty()
                && let Some(before) = seen.insert((at, text.to_lowercase()), *line)
            {
                let says = format!("stands on line {before} already");
                found.push(Finding::at(*line, column.name, says).given(text));
            }
        }
        rows.push(Meant { line: *line, cells });
    }
    rows
}

/// What keeps a row from being read at all: nothing of it goes any further.
fn unreadable(table: &Table, line: usize, cells: &[String]) -> Option<Finding> {
    let (has, wants) = (cells.len(), table.columns.len());
    let at = |says: String| Finding::at(line, table.section, says);
    if has != wants {
        let expected = format!("{wants}; write `\\|` for a bar inside one");
        return Some(at(format!("has {has} cells")).expecting(expected));
    }
    if cells.iter().any(|cell| cell.len() > CELL_BYTES_MAX) {
        return Some(at(format!("has a cell of more than {CELL_BYTES_MAX} bytes")));
    }
    let control = cells.iter().any(|cell| cell.contains(char::is_control));
    control.then(|| at("has a tab or another control character".to_owned()).expecting("spaces"))
}

/// Past the draft, a table has rows, and of what it has to cover one each.
fn enough(table: &Table, grid: &Grid, rows: &[Meant], found: &mut Found) {
    // A row that was not understood may be the one that is missed.
    if found.step() == 0 || found.told(table.section) {
        return;
    }
    if rows.len() < table.rows_min {
        let has = format!("has {} of the rows it needs", rows.len());
        let finding = Finding::at(grid.line, table.section, has);
        found.push(finding.expecting(format!("{} rows at least", table.rows_min)));
    }
    let covers = table.covers.filter(|(name, _)| !rows.is_empty() && !found.told(name));
    let Some((name, each)) = covers else { return };
    let at = table.columns.iter().position(|column| column.name == name).unwrap_or_default();
    for one in each {
        if !rows.iter().any(|row| row.cell(at) == *one) {
            let says = format!("has no row with `{one}`");
            let finding = Finding::at(grid.line, name, says);
            found.push(finding.expecting(format!("a row for each of {}", each.join(", "))));
        }
    }
}

/// A cell without the marks of code around it; a dash stands for nothing.
fn bare(cell: &str) -> String {
    let quoted = cell.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    let text = quoted.filter(|inside| !inside.contains('`')).unwrap_or(cell).trim();
    if matches!(text, "-" | "–" | "—") { String::new() } else { text.to_owned() }
}

fn cell(
    column: &Column,
    line: usize,
    text: &str,
    ground: &Ground<'_>,
    step: usize,
) -> Option<Finding> {
    let at = |says: &str| Finding::at(line, column.name, says).expecting(expected(column.cell));
    if text.is_empty() {
        return (column.from <= step).then(|| at("is empty"));
    }
    if text.split(',').nth(NAMES_MAX).is_some()
        && matches!(column.cell, Cell::Gates | Cell::Operations)
    {
        return Some(at("has more than 32 names"));
    }
    match column.cell {
        Cell::Text | Cell::Name => None,
        Cell::Id => (!is_id(text)).then(|| at("is no short name").given(text)),
        // A name is never repeated in a message.
        Cell::Person => person(text).err().map(at),
        Cell::Day => day(text, None).err().map(|says| at(says).given(text)),
        Cell::PastDay => day(text, Some(ground.today)).err().map(|says| at(says).given(text)),
        Cell::Choice(choices) => (!choices.contains(&text)).then(|| {
            let meant = closest(text, choices.iter().copied());
            at("is not one of the words that may stand here").given(text).perhaps(meant)
        }),
        Cell::Gates => names(text).find(|name| ground.gates.get(name).is_none()).map(|name| {
            let known = ground.gates.iter().map(|gate| gate.id.as_str());
            at("is no gate").given(name).perhaps(closest(name, known))
        }),
        Cell::Operations => names(text)
            .find(|name| name.is_empty() || name.contains(char::is_whitespace))
            .map(|name| at("is no name of an operation").given(name)),
    }
}

pub(super) fn expected(cell: Cell) -> String {
    match cell {
        Cell::Text => "a text".to_owned(),
        Cell::Name => "a text that stands once in its column".to_owned(),
        Cell::Id => "small letters, digits and `-`, 64 at most".to_owned(),
        Cell::Person => "the name of one person".to_owned(),
        Cell::Day => "a day such as 2026-11-30".to_owned(),
        Cell::PastDay => "a day such as 2026-11-30, today at the latest".to_owned(),
        Cell::Choice(choices) => format!("one of {}", choices.join(", ")),
        Cell::Gates => "gates as `plimsoll ready` names them, with commas between".to_owned(),
        Cell::Operations => "names of operations, with commas between".to_owned(),
    }
}

fn is_id(text: &str) -> bool {
    text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The names of a cell with commas between, each without marks of code.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').take(NAMES_MAX).map(|name| name.trim().trim_matches('`'))
}

/// Columns: id, risk, area, gates, owner. A row that the board could not place is left out; its
/// fault is told.
fn risks(rows: &[Meant]) -> Vec<Risk> {
    let mut seen = HashSet::new();
    let risk = |row: &Meant| {
        let area = match row.cell(2) {
            "reliability" => RiskArea::Reliability,
            "security" => RiskArea::Security,
            "data" => RiskArea::Data,
            "cadence" => RiskArea::Cadence,
            _ => return None,
        };
        let gates = names(row.cell(3)).filter(|gate| !gate.is_empty()).map(str::to_owned);
        let (id, title) = (row.cell(0).to_owned(), row.cell(1).to_owned());
        let fresh = is_id(&id) && seen.insert(id.clone());
        fresh.then(|| Risk { id, title, area, gates: gates.collect() })
    };
    rows.iter().filter_map(risk).collect()
}

/// Columns: item, change, date, traded for. Each addition names a removal of its own.
fn trades(rows: &[Meant], found: &mut Found) {
    let changed = |change: &'static str| rows.iter().filter(move |row| row.cell(1) == change);
    let mut removed: HashMap<String, Option<usize>> =
        changed("removed").map(|row| (row.cell(0).to_lowercase(), None)).collect();
    found.counts.push(("added", changed("added").count()));
    found.counts.push(("removed", changed("removed").count()));
    for row in changed("added") {
        let given = row.cell(3);
        let finding = match removed.get_mut(&given.to_lowercase()) {
            Some(used @ None) => {
                *used = Some(row.line);
                continue;
            }
            Some(Some(line)) => {
                let says = format!("was traded for the addition on line {line} already");
                Finding::at(row.line, "traded for", says).given(given)
            }
            None if given.is_empty() => {
                Finding::at(row.line, "traded for", "the addition names nothing that was removed")
            }
            None => {
                let items = changed("removed").map(|row| row.cell(0));
                Finding::at(row.line, "traded for", "is not removed in this document")
                    .given(given)
                    .perhaps(closest(given, items))
            }
        };
        found.push(finding.expecting("an item of this table whose change is `removed`"));
    }
}

/// Columns: name, operations, must not fail.
fn must_not_fail(rows: &[Meant], found: &mut Found) {
    let count = rows.iter().filter(|row| row.cell(2) == "yes").count();
    found.counts.push(("must_not_fail", count));
}

/// Columns: path, control, state. A model that is closed has no path open.
fn closed(rows: &[Meant], found: &mut Found) {
    let open = || rows.iter().filter(|row| row.cell(2) != "closed");
    found.counts.push(("abuse_paths_open", open().count()));
    if found.step() >= 2 {
        for row in open() {
            let finding = Finding::at(row.line, "state", "is not closed, but the document is");
            found.push(finding.expecting("`closed`, or `state: agreed` above"));
        }
    }
}

/// Columns: id, severity, finding, state. What is remediated has nothing grave open.
fn remediated(rows: &[Meant], found: &mut Found) {
    let grave = |row: &&Meant| row.cell(3) == "open" && matches!(row.cell(1), "critical" | "high");
    found.counts.push(("grave_open", rows.iter().filter(grave).count()));
    if found.step() >= 2 {
        for row in rows.iter().filter(grave) {
            let finding = Finding::at(row.line, "state", "is open, but the test is remediated");
            found.push(finding.expecting("`fixed` or `accepted`, or `state: booked` above"));
        }
    }
}
