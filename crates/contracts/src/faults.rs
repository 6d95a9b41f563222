//! Collecting what is wrong with a contract, and finding the lines it stands on.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path as FilePath;

use granit_parser::{Event, Parser};
use plimsoll_manifest::Fault;

use crate::bounds::FAULTS_MAX;
use crate::pointer::escape;

/// A fault at a place in a document; the file is filled in by whoever knows it.
pub(crate) fn fault(pointer: impl Display, message: impl Into<String>) -> Fault {
    Fault { key: pointer.to_string(), ..Fault::of_file("", message) }
}

/// A list of faults that does not grow without end.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    list: Vec<Fault>,
    more: usize,
}

impl Faults {
    pub(crate) fn push(&mut self, fault: Fault) {
        if self.list.len() < FAULTS_MAX {
            self.list.push(fault);
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn at(&mut self, pointer: impl Display, message: impl Into<String>) {
        self.push(fault(pointer, message));
    }

    /// The value if nothing is wrong, else every fault.
    pub(crate) fn or<T>(mut self, value: T) -> Result<T, Vec<Fault>> {
        if self.list.is_empty() {
            return Ok(value);
        }
        if self.more > 0 {
            self.list.push(fault("#", format!("{} more faults of this kind", self.more)));
        }
        Err(self.list)
    }
}

/// Gives faults their file, and their line and column in its text.
pub(crate) fn place(mut faults: Vec<Fault>, file: &FilePath, text: &[u8]) -> Vec<Fault> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let wanted: Vec<&str> = faults
        .iter()
        .filter(|fault| fault.line.is_none())
        .filter_map(|fault| fault.key.strip_prefix('#'))
        .collect();
    let places = locate(text, &wanted);
    for fault in &mut faults {
        file.clone_into(&mut fault.file);
        if fault.line.is_some() {
            continue;
        }
        // What a fault misses has no place of its own: the nearest thing around it has.
        let mut pointer = fault.key.strip_prefix('#').unwrap_or_default();
        while !pointer.is_empty() {
            if let Some(&(line, column)) = places.get(pointer) {
                (fault.line, fault.column) = (Some(line), Some(column));
                break;
            }
            pointer = pointer.rfind('/').map_or("", |slash| &pointer[..slash]);
        }
    }
    faults
}

/// Line and column (both from 1) of the wanted pointers and of all that lies around them. JSON is
/// read as the YAML that it is.
fn locate(text: &str, wanted: &[&str]) -> HashMap<String, (usize, usize)> {
    let mut around: HashMap<String, Option<(usize, usize)>> = HashMap::new();
    for pointer in wanted {
        let ends = pointer.match_indices('/').map(|(at, _)| at).skip(1).chain([pointer.len()]);
        for end in ends.filter(|end| *end > 0) {
            around.insert(pointer[..end].to_owned(), None);
        }
    }
    if !around.is_empty() {
        let mut locator = Locator { around: &mut around, pointer: String::new(), open: Vec::new() };
        for event in Parser::new_from_str(text) {
            // What cannot be read has no places beyond that point.
            let Ok((event, span)) = event else { break };
            locator.event(&event, (span.start.line(), span.start.col() + 1));
        }
    }
    around.into_iter().filter_map(|(pointer, place)| Some((pointer, place?))).collect()
}

struct Locator<'w> {
    around: &'w mut HashMap<String, Option<(usize, usize)>>,
    pointer: String,
    open: Vec<Open>,
}

/// An open list or object: the length of its own pointer, and what comes next in it.
struct Open {
    length: usize,
    next: Next,
}

enum Next {
    Item(usize),
    Key,
    Value((usize, usize)),
}

impl Locator<'_> {
    fn event(&mut self, event: &Event<'_>, place: (usize, usize)) {
        match event {
            Event::Scalar(text, ..) => {
                if self.is_key(text, place) {
                    return;
                }
                self.enter(place);
                self.leave();
            }
            Event::Alias(_) if self.is_key("", place) => {}
            Event::Alias(_) => {
                self.enter(place);
                self.leave();
            }
            Event::SequenceStart(..) => {
                self.enter(place);
                self.open.push(Open { length: self.pointer.len(), next: Next::Item(0) });
            }
            Event::MappingStart(..) => {
                self.enter(place);
                self.open.push(Open { length: self.pointer.len(), next: Next::Key });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
                self.leave();
            }
            _ => {}
        }
    }

    /// Takes a scalar that is a key of the innermost object.
    fn is_key(&mut self, text: &str, place: (usize, usize)) -> bool {
        let Some(open) = self.open.last_mut() else {
            return false;
        };
        if !matches!(open.next, Next::Key) {
            return false;
        }
        self.pointer.truncate(open.length);
        self.pointer.push('/');
        self.pointer.push_str(&escape(text));
        open.next = Next::Value(place);
        true
    }

    /// A value begins: a place for what it is called.
    fn enter(&mut self, place: (usize, usize)) {
        let Some(open) = self.open.last() else { return };
        let place = match open.next {
            Next::Value(key) => key,
            Next::Item(index) => {
                self.pointer.truncate(open.length);
                self.pointer.push('/');
                self.pointer.push_str(&index.to_string());
                place
            }
            // A key that is no scalar: nothing of a contract lies below it.
            Next::Key => return,
        };
        if let Some(found) = self.around.get_mut(&self.pointer) {
            found.get_or_insert(place);
        }
    }

    /// A value ended.
    fn leave(&mut self) {
        let Some(open) = self.open.last_mut() else {
            return;
        };
        self.pointer.truncate(open.length);
        open.next = match open.next {
            Next::Item(index) => Next::Item(index + 1),
            Next::Value(_) => Next::Key,
            // What ended was itself the key: a list or an object, of which nothing is asked.
            Next::Key => Next::Value((0, 0)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(text: &str, pointer: &str) -> (Option<usize>, Option<usize>) {
        let placed = place(vec![fault(pointer, "x")], FilePath::new("a.yaml"), text.as_bytes());
        assert_eq!(placed[0].file, FilePath::new("a.yaml"));
        (placed[0].line, placed[0].column)
    }

    #[test]
    fn a_pointer_has_a_line_in_yaml_and_in_json() {
        let yaml = "paths:\n  /a:\n    get:\n      tags: [x, y]\n  /b: {}\n";
        assert_eq!(placed(yaml, "#/paths/~1a/get"), (Some(3), Some(5)));
        assert_eq!(placed(yaml, "#/paths/~1a/get/tags/1"), (Some(4), Some(17)));
        assert_eq!(placed(yaml, "#/paths/~1b"), (Some(5), Some(3)));
        let json =
            "{\n\t\"paths\": {\n\t\t\"/a\": {\"get\": {\"tags\": [\"x\", {\"y\": 1}]}}\n\t}\n}";
        assert_eq!(placed(json, "#/paths/~1a"), (Some(3), Some(3)));
        assert_eq!(placed(json, "#/paths/~1a/get/tags/1/y"), (Some(3), Some(33)));
    }

    #[test]
    fn what_is_missing_is_placed_by_what_is_around_it() {
        let yaml = "paths:\n  /a:\n    get: {}\n";
        assert_eq!(placed(yaml, "#/paths/~1a/get/responses/200"), (Some(3), Some(5)));
        assert_eq!(placed(yaml, "#/nothing"), (None, None));
        assert_eq!(placed("a: [", "#/a"), (Some(1), Some(1)));
        assert_eq!(placed("? [k]\n: 1\nb: 2\n", "#/b"), (Some(3), Some(1)));
    }

    #[test]
    fn faults_are_bounded() {
        let mut faults = Faults::default();
        for index in 0..FAULTS_MAX + 7 {
            faults.at(format!("#/{index}"), "wrong");
        }
        let list = faults.or(()).unwrap_err();
        assert_eq!(list.len(), FAULTS_MAX + 1);
        assert!(list[FAULTS_MAX].message.starts_with("7 more"), "{}", list[FAULTS_MAX]);
    }
}
