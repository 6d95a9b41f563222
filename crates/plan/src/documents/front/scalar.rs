//! Texts and inline lists, on one line.

use super::super::finding::Finding;
use super::{Item, LIST_ITEMS_MAX, VALUE_BYTES_MAX, Value};

/// What begins something in YAML that is not understood here.
const INDICATORS: [char; 16] =
    ['[', ']', '{', '}', '&', '*', '!', '|', '>', '%', '@', '`', '"', '\'', '#', ','];

/// Why a value is none, before its place is known.
pub(super) struct Wrong {
    says: &'static str,
    given: Option<String>,
    expected: Option<&'static str>,
}

impl Wrong {
    fn new(says: &'static str) -> Self {
        Self { says, given: None, expected: None }
    }

    fn given(self, text: &str) -> Self {
        Self { given: Some(text.to_owned()), ..self }
    }

    fn expecting(self, expected: &'static str) -> Self {
        Self { expected: Some(expected), ..self }
    }

    /// At its place.
    pub(super) fn at(self, line: usize, key: &str) -> Finding {
        let mut finding = Finding::at(line, key, self.says);
        if let Some(given) = self.given {
            finding = finding.given(&given);
        }
        match self.expected {
            Some(expected) => finding.expecting(expected),
            None => finding,
        }
    }
}

/// What follows the colon of a key.
pub(super) fn value(line: usize, rest: &str) -> Result<Value, Wrong> {
    match rest.trim_start().strip_prefix('[') {
        Some(inside) => list(line, inside).map(Value::List),
        None => text(rest).map(Value::Text),
    }
}

/// A text that ends with its line or a comment.
pub(super) fn text(rest: &str) -> Result<String, Wrong> {
    let (text, behind) = scalar(rest.trim_start_matches(' '), false)?;
    if !ends(behind) {
        let finding = Wrong::new("has something behind its closing quote");
        return Err(finding.expecting("nothing, or a comment after ` #`"));
    }
    bounded(text)
}

/// Between the brackets of an inline list, and what follows.
fn list(line: usize, inside: &str) -> Result<Vec<Item>, Wrong> {
    let broken = |says: &'static str| Wrong::new(says).expecting("`[one, two]` on one line");
    let mut items = Vec::new();
    let mut rest = inside.trim_start_matches(' ');
    if let Some(behind) = rest.strip_prefix(']') {
        return if ends(behind) { Ok(items) } else { Err(broken("has something behind its list")) };
    }
    loop {
        let (text, behind) = scalar(rest, true)?;
        if text.is_empty() {
            return Err(broken("is a list with an item that is empty"));
        }
        if items.len() == LIST_ITEMS_MAX {
            return Err(broken("is a list of more than 32 items"));
        }
        items.push(Item { line, text: bounded(text)? });
        let behind = behind.trim_start_matches(' ');
        if let Some(next) = behind.strip_prefix(',') {
            rest = next.trim_start_matches(' ');
        } else if let Some(after) = behind.strip_prefix(']') {
            return if ends(after) {
                Ok(items)
            } else {
                Err(broken("has something behind its list"))
            };
        } else {
            return Err(broken("is a list without its closing bracket"));
        }
    }
}

fn scalar(rest: &str, listed: bool) -> Result<(String, &str), Wrong> {
    match rest.chars().next() {
        Some('"') => double(&rest[1..]),
        Some('\'') => single(&rest[1..]),
        _ => plain(rest, listed),
    }
}

fn double(rest: &str) -> Result<(String, &str), Wrong> {
    let mut text = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, one)) = chars.next() {
        match one {
            '"' => return Ok((text, &rest[at + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                _ => {
                    let finding = Wrong::new("has an escape that is not understood");
                    return Err(finding.expecting("`\\\"` or `\\\\`, or single quotes"));
                }
            },
            other => text.push(other),
        }
    }
    Err(Wrong::new("has no closing quote").expecting("`\"text\"` on one line"))
}

fn single(rest: &str) -> Result<(String, &str), Wrong> {
    let mut text = String::new();
    let mut from = rest;
    while let Some((before, behind)) = from.split_once('\'') {
        text.push_str(before);
        let Some(more) = behind.strip_prefix('\'') else { return Ok((text, behind)) };
        text.push('\'');
        from = more;
    }
    Err(Wrong::new("has no closing quote").expecting("`'text'` on one line"))
}

fn plain(rest: &str, listed: bool) -> Result<(String, &str), Wrong> {
    let quotes = "quotes around a text with a mark that YAML reads otherwise";
    if rest.starts_with('#') {
        return Ok((String::new(), ""));
    }
    let ends = |(at, one): (usize, char)| match one {
        '#' => rest[..at].ends_with(' '),
        ',' | '[' | ']' | '{' | '}' => listed,
        _ => false,
    };
    let end = rest.char_indices().find(|found| ends(*found)).map_or(rest.len(), |(at, _)| at);
    let text = rest[..end].trim_end();
    let dashed = ["-", "?", ":"].iter().any(|one| {
        text.strip_prefix(one).is_some_and(|after| after.is_empty() || after.starts_with(' '))
    });
    let ends_item = listed && rest.starts_with([',', ']']);
    if (rest.starts_with(INDICATORS) && !ends_item) || dashed {
        return Err(Wrong::new("begins with a mark of YAML").given(text).expecting(quotes));
    }
    if text.contains(": ") || text.ends_with(':') {
        let finding = Wrong::new("has a colon that YAML reads as a key");
        return Err(finding.given(text).expecting(quotes));
    }
    Ok((text.to_owned(), &rest[text.len()..]))
}

/// Whether nothing but a comment is left, with the space before it that YAML wants.
fn ends(behind: &str) -> bool {
    let rest = behind.trim_start_matches(' ');
    rest.is_empty() || (rest.starts_with('#') && rest.len() < behind.len())
}

fn bounded(text: String) -> Result<String, Wrong> {
    if text.len() > VALUE_BYTES_MAX {
        return Err(Wrong::new("is longer than 512 bytes"));
    }
    Ok(text)
}
