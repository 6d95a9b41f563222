//! Front matter: a strict subset of YAML, so that other tools read it as well.
//!
//! ```text
//! ---
//! owner: Ada Bell          # a comment
//! date: 2026-11-30
//! state: "draft"
//! links: [a.md, 'it''s.md']
//! links-dashed:
//!   - https://example.org/a
//! ---
//! ```
//!
//! One key a line at its beginning; a value is a text (plain, `"…"` with `\"` and `\\`, or `'…'`
//! with `''`) or a list of texts. No nesting, no anchors, tags, block texts or tabs: a list of what
//! is understood is safer than a list of what is not.

mod scalar;

use super::finding::Finding;

/// The largest front matter, bytes, with the lines of dashes.
pub const FRONT_BYTES_MAX: usize = 8 * 1024;
/// Keys in one front matter.
pub const KEYS_MAX: usize = 32;
/// Texts in one list.
pub const LIST_ITEMS_MAX: usize = 32;
/// One text, bytes.
pub const VALUE_BYTES_MAX: usize = 512;

/// A text with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The line, from 1.
    pub line: usize,
    /// The text, without quotes.
    pub text: String,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text; empty where nothing follows the colon.
    Text(String),
    /// A list of texts.
    List(Vec<Item>),
}

/// A key and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line of the key, from 1.
    pub line: usize,
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Value,
}

/// The front matter of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrontMatter {
    /// In the order of the text; each key once.
    pub entries: Vec<Entry>,
    /// The first line after it, from 1.
    pub body_line: usize,
    /// Where that line begins in the text, in bytes.
    pub body_at: usize,
}

impl FrontMatter {
    /// Reads the front matter at the beginning of a text, and everything that is wrong with it.
    /// `None`: there is none, or it has no end.
    #[must_use]
    pub fn read(text: &str) -> (Option<Self>, Vec<Finding>) {
        let mut reader = Reader::default();
        let found = reader.read(text);
        (found, reader.findings)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// What a line without its end and without white space at its end is.
const FENCE: &str = "---";

#[derive(Default)]
struct Reader {
    entries: Vec<Entry>,
    findings: Vec<Finding>,
    /// Whether dashed items may follow: the last key has no value yet, or items; with their indent.
    list: Option<Option<usize>>,
}

impl Reader {
    fn read(&mut self, text: &str) -> Option<FrontMatter> {
        let expected = "the front matter, between two lines of `---`, first in the file";
        // Some editors begin a text with a byte order mark.
        let begun = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut at = text.len() - begun.len();
        for (index, whole) in begun.split_inclusive('\n').enumerate() {
            let (number, line) = (index + 1, ended(whole));
            at += whole.len();
            if at > FRONT_BYTES_MAX {
                let says = "the front matter is larger than 8 KiB or has no end";
                self.findings.push(Finding::at(1, "", says).expecting(expected));
                return None;
            }
            match (index, line.trim_end() == FENCE) {
                (0, true) => {}
                (0, false) => {
                    let says = "there is no front matter";
                    self.findings.push(Finding::at(1, "", says).expecting(expected));
                    return None;
                }
                (_, true) => {
                    let entries = std::mem::take(&mut self.entries);
                    return Some(FrontMatter { entries, body_line: number + 1, body_at: at });
                }
                (_, false) => self.line(number, line),
            }
        }
        let says =
            if begun.is_empty() { "the document is empty" } else { "the front matter has no end" };
        self.findings.push(Finding::at(1, "", says).expecting(expected));
        None
    }

    fn line(&mut self, number: usize, line: &str) {
        let written = line.trim_start_matches(' ');
        let indent = line.len() - written.len();
        let finding = if line.chars().any(char::is_control) {
            Finding::at(number, "", "has a tab or another control character").expecting("spaces")
        } else if written.trim_end().is_empty() || written.starts_with('#') {
            return;
        } else if written == "-" || written.starts_with("- ") {
            return self.item(number, indent, &written[1..]);
        } else if indent > 0 {
            let says = "is indented, but nothing is nested here";
            Finding::at(number, "", says)
                .given(written)
                .expecting("a key at the beginning of the line, or `- item` below a key")
        } else {
            return self.entry(number, written);
        };
        self.list = None;
        self.findings.push(finding);
    }

    fn entry(&mut self, number: usize, line: &str) {
        self.list = None;
        let split = line
            .split_once(':')
            .filter(|(key, rest)| is_key(key) && (rest.is_empty() || rest.starts_with(' ')));
        let Some((key, rest)) = split else {
            let finding = Finding::at(number, "", "is no `key: value`").given(line);
            self.findings.push(finding.expecting("a key in small letters, a colon, a space"));
            return;
        };
        if let Some(before) = self.entries.iter().find(|entry| entry.key == key) {
            let says = format!("stands on line {} already", before.line);
            self.findings.push(Finding::at(number, key, says).expecting("each key once"));
            return;
        }
        if self.entries.len() == KEYS_MAX {
            self.findings.push(Finding::at(number, key, "is one key more than 32"));
            return;
        }
        match scalar::value(number, rest) {
            Ok(value) => {
                if value == Value::Text(String::new()) && !quoted(rest) {
                    self.list = Some(None);
                }
                self.entries.push(Entry { line: number, key: key.to_owned(), value });
            }
            Err(wrong) => self.findings.push(wrong.at(number, key)),
        }
    }

    fn item(&mut self, number: usize, indent: usize, rest: &str) {
        let (Some(seen), Some(entry)) = (self.list, self.entries.last_mut()) else {
            let finding = Finding::at(number, "", "is an item of no list");
            self.findings.push(finding.expecting("a key with nothing behind its colon above it"));
            return;
        };
        let key = entry.key.as_str();
        let finding = if seen.is_some_and(|before| before != indent) {
            Finding::at(number, key, "is indented unlike the item before it")
        } else {
            match scalar::text(rest) {
                Ok(text) if text.is_empty() => {
                    Finding::at(number, key, "is an item with nothing in it").expecting("`- text`")
                }
                Ok(text) => {
                    self.list = Some(Some(indent));
                    if let Value::Text(_) = entry.value {
                        entry.value = Value::List(Vec::new());
                    }
                    match &mut entry.value {
                        Value::List(items) if items.len() < LIST_ITEMS_MAX => {
                            items.push(Item { line: number, text });
                            return;
                        }
                        _ => Finding::at(number, key, "is one item more than 32"),
                    }
                }
                Err(wrong) => wrong.at(number, key),
            }
        };
        self.findings.push(finding);
    }
}

/// A line without its end, LF or CRLF.
pub(super) fn ended(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

fn is_key(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// An empty text in quotes is a value; nothing at all may begin a list.
fn quoted(rest: &str) -> bool {
    rest.trim_start().starts_with(['"', '\'', '['])
}
