//! What every document has to hold: its keys, answers to its questions, its length, its links.

use std::collections::HashSet;

use plimsoll_manifest::closest;

use super::body::{Body, Grid, Line, is_rule};
use super::examine::{Found, Ground};
use super::finding::Finding;
use super::front::{Entry, FrontMatter, Value};
use super::kinds::{COMMON, Form, Key, Kind};
use super::links::{self, LINKS_MAX};
use crate::date::Date;

/// A name of a person, bytes.
const PERSON_BYTES_MAX: usize = 100;

const PERSON: &str = "the name of one person";
const DAY: &str = "a day such as 2026-11-30";
const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The keys of the front matter.
pub(super) fn front(kind: &Kind, front: &FrontMatter, ground: &Ground<'_>, found: &mut Found) {
    unknown_keys(&known(kind), front, found);
    if let Some((line, text)) = text_of(front, "owner", PERSON, found) {
        match person(text) {
            Ok(()) => found.owned_by(text),
            Err(says) => found.push(Finding::at(line, "owner", says).expecting(PERSON)),
        }
    }
    if let Some((line, text)) = text_of(front, "date", DAY, found) {
        match day(text, Some(ground.today)) {
            Ok(date) => found.date = Some(date),
            Err(says) => found.push(Finding::at(line, "date", says).given(text).expecting(DAY)),
        }
    }
    let states = format!("one of {}", kind.states.join(", "));
    if let Some((line, text)) = text_of(front, "state", &states, found) {
        found.step = kind.states.iter().position(|state| *state == text);
        if found.step.is_none() {
            let finding = Finding::at(line, "state", "is no state of this document").given(text);
            let meant = closest(text, kind.states.iter().copied());
            found.push(finding.expecting(states).perhaps(meant));
        }
    }
    listed_links(front, ground, found);
    for key in kind.keys {
        own_key(key, front, ground, found);
    }
}

fn known(kind: &Kind) -> Vec<&'static str> {
    COMMON.into_iter().chain(kind.keys.iter().map(|key| key.name)).collect()
}

/// Keys that this document does not have.
pub(super) fn unknown_keys(known: &[&str], front: &FrontMatter, found: &mut Found) {
    let strange = front.entries.iter().filter(|entry| !known.contains(&entry.key.as_str()));
    for entry in strange {
        let finding = Finding::at(entry.line, "", "is no key of this document").given(&entry.key);
        let meant = closest(&entry.key, known.iter().copied());
        found.push(finding.expecting(format!("one of {}", known.join(", "))).perhaps(meant));
    }
}

/// The text of a key that has to be there, with its line.
pub(super) fn text_of<'f>(
    front: &'f FrontMatter,
    key: &str,
    expected: &str,
    found: &mut Found,
) -> Option<(usize, &'f str)> {
    let finding = match front.get(key) {
        Some(Entry { line, value: Value::Text(text), .. }) if !text.is_empty() => {
            return Some((*line, text));
        }
        Some(Entry { line, value: Value::Text(_), .. }) => Finding::at(*line, key, "is empty"),
        Some(Entry { line, value: Value::List(_), .. }) => Finding::at(*line, key, "is a list"),
        None if found.told(key) => return None,
        None => Finding::nowhere(key, "is not there"),
    };
    found.push(finding.expecting(expected));
    None
}

fn listed_links(front: &FrontMatter, ground: &Ground<'_>, found: &mut Found) {
    match front.get("links") {
        None | Some(Entry { value: Value::List(_), .. }) => {}
        Some(Entry { value: Value::Text(text), .. }) if text.is_empty() => {}
        Some(entry) => {
            let finding = Finding::at(entry.line, "links", "is no list");
            found.push(finding.expecting("`[one.md, two.md]` or a dashed list"));
        }
    }
    if let Some(Entry { value: Value::List(items), .. }) = front.get("links") {
        for item in items {
            link(item.line, "links", &item.text, ground, found);
        }
    }
}

fn link(line: usize, key: &str, target: &str, ground: &Ground<'_>, found: &mut Found) {
    if let Some(says) = links::wrong(target, ground.exists) {
        found.push(Finding::at(line, key, says).given(target).expecting(links::EXPECTED));
    }
}

/// A key that only this type has. Before it is needed it may be empty.
fn own_key(key: &Key, front: &FrontMatter, ground: &Ground<'_>, found: &mut Found) {
    let expected = match key.form {
        Form::Text => "a text".to_owned(),
        Form::Date => DAY.to_owned(),
        Form::Weekday => "a day of the week, such as tuesday".to_owned(),
        Form::Link => links::EXPECTED.to_owned(),
        Form::Number(max) => format!("a whole number from 1 to {max}"),
    };
    let there =
        matches!(front.get(key.name), Some(entry) if entry.value != Value::Text(String::new()));
    if !there && found.step() < key.from {
        return;
    }
    let Some((line, text)) = text_of(front, key.name, &expected, found) else { return };
    let says = match key.form {
        Form::Text => None,
        Form::Date => day(text, None).err(),
        Form::Weekday => {
            let known = WEEKDAYS.contains(&text.to_ascii_lowercase().as_str());
            (!known).then_some("is no day of the week")
        }
        Form::Link => links::wrong(text, ground.exists),
        Form::Number(max) => {
            let number = text.parse::<u32>().ok().filter(|number| (1..=max).contains(number));
            number.is_none().then_some("is no such number")
        }
    };
    if let Some(says) = says {
        found.push(Finding::at(line, key.name, says).given(text).expecting(expected));
    }
}

/// One person who can be asked: what several share, nobody answers for.
pub(super) fn person(text: &str) -> Result<(), &'static str> {
    let nobody = ["tbd", "todo", "tba", "n/a", "none", "nobody", "everyone", "all", "team", "we"];
    let small = text.to_lowercase();
    if text.len() > PERSON_BYTES_MAX {
        return Err("is longer than 100 bytes");
    }
    if nobody.contains(&small.trim_start_matches("the ").trim_end_matches('.')) {
        return Err("names nobody who can be asked");
    }
    if !text.chars().any(char::is_alphabetic) {
        return Err("is no name");
    }
    if text.contains([',', ';', '/', '&', '+']) || small.contains(" and ") {
        return Err("names more than one person");
    }
    Ok(())
}

/// A day, and where a last one is given, none after it.
pub(super) fn day(text: &str, last: Option<Date>) -> Result<Date, &'static str> {
    let date: Date = text.parse().map_err(|_: String| "is no day")?;
    match last {
        Some(last) if date > last => Err("is in the future"),
        _ => Ok(date),
    }
}

/// Past its draft, a document has every section of its template, and something of its own in each.
pub(super) fn answers(kind: &Kind, body: &Body<'_>, found: &mut Found) {
    if found.step() == 0 {
        return;
    }
    let template = template(kind);
    let ours = lines_of(&template);
    for asked in &template.sections {
        let Some(section) = body.section(asked.heading) else {
            if !found.told(asked.heading) {
                let finding = Finding::nowhere(asked.heading, "the section is not there");
                found.push(finding.expecting(format!("`## {}`", asked.heading)));
            }
            continue;
        };
        let lines = body.lines_of(section);
        let header = Grid::first(lines).map(|grid| grid.line);
        let answers = |line: &&Line<'_>| {
            let text = line.text.trim();
            let empty_row =
                text.starts_with('|') && text.chars().all(|one| matches!(one, '|' | ' '));
            let words = text.chars().any(char::is_alphanumeric);
            words
                && !text.starts_with('>')
                && !ours.contains(text)
                && !empty_row
                && !is_rule(text)
                && header != Some(line.number)
        };
        if !lines.iter().any(|line| answers(&line)) && !found.told(asked.heading) {
            let finding = Finding::at(section.line, asked.heading, "has no answer");
            found.push(finding.expecting("an answer below its question; `none, because …` is one"));
        }
    }
}

fn template(kind: &Kind) -> Body<'static> {
    let (front, _) = FrontMatter::read(kind.template);
    let at = front.map_or(0, |front| front.body_at);
    Body::of(kind.template.get(at..).unwrap_or_default(), 1)
}

fn lines_of(body: &Body<'static>) -> HashSet<&'static str> {
    body.lines.iter().map(|line| line.text.trim()).collect()
}

/// Words of the document's own: those of the template are not counted.
pub(super) fn words(kind: &Kind, body: &Body<'_>, found: &mut Found) {
    let Some(max) = kind.words_max else { return };
    let ours = lines_of(&template(kind));
    let (mut words, mut passed) = (0, None);
    for line in body.lines.iter().filter(|line| !ours.contains(line.text.trim())) {
        let on_it = line.text.split_whitespace();
        words += on_it.filter(|word| word.chars().any(char::is_alphanumeric)).count();
        if words > max && passed.is_none() {
            passed = Some(line.number);
        }
    }
    found.counts.push(("words", words));
    if let Some(line) = passed {
        let pages = if max <= 600 { "one page" } else { "two pages" };
        let finding = Finding::at(line, "", format!("the document has {words} words"));
        found.push(finding.expecting(format!("{max} at most: {pages}; it passes them here")));
    }
}

/// The links in the text.
pub(super) fn links(body: &Body<'_>, ground: &Ground<'_>, found: &mut Found) {
    for (at, (line, target)) in links::inline(&body.lines).enumerate() {
        if at == LINKS_MAX {
            found.push(Finding::at(line, "", "is one link more than 200"));
            return;
        }
        link(line, "", target, ground, found);
    }
}
