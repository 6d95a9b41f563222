//! Reading YAML 1.2 into a value, by the core schema (`yes` is text, `200:` is the key `200`), as
//! far as YAML can be JSON.
//!
//! Aliases are expanded, and what they expand to counts against the same bounds as text that
//! stands in the file: a document that would grow without end ("billion laughs") is refused at the
//! alias that goes over. Nesting is bounded before anything recurses over it.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};
use plimsoll_manifest::Fault;
use serde_json::{Map, Number, Value};

use crate::bounds::{DEPTH_MAX, NODES_MAX, TEXT_BYTES_MAX};
use crate::faults::fault;

/// Reads a YAML text.
pub(crate) fn read(text: &str) -> Result<Value, Box<Fault>> {
    let limits = granit_parser::options! {
        // One more than ours, so that the fault that is met first says our bound.
        flow_nesting_limit: DEPTH_MAX + 1,
        block_nesting_limit: DEPTH_MAX + 1,
    };
    let mut composer = Composer::default();
    for event in Parser::new_from_str_with_options(text, limits) {
        let (event, span) = event.map_err(|error| {
            let mut fault = fault("#", error.info());
            fault.line = Some(error.marker().line());
            fault.column = Some(error.marker().col() + 1);
            Box::new(fault)
        })?;
        composer.event(&event).map_err(|message| at(&span, message))?;
    }
    composer.root.ok_or_else(|| fault("#", "the document is empty").into())
}

fn at(span: &Span, message: String) -> Box<Fault> {
    let mut fault = fault("#", message);
    (fault.line, fault.column) = (Some(span.start.line()), Some(span.start.col() + 1));
    Box::new(fault)
}

/// Builds the value from the parser's events, with a stack of its own.
#[derive(Default)]
struct Composer {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    size: Size,
    documents: usize,
    root: Option<Value>,
}

/// How much was built: what the file holds and what aliases repeated.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

/// An anchored value, kept to be repeated.
struct Anchored {
    value: Value,
    size: Size,
    height: usize,
}

/// A list or an object that is not complete yet.
struct Open {
    anchor: usize,
    /// The composer's size before this value.
    before: Size,
    inside: Inside,
}

enum Inside {
    List(Vec<Value>),
    Object { map: Map<String, Value>, key: Option<Key>, merged: Vec<Map<String, Value>> },
}

enum Key {
    Name(String),
    /// `<<`: the value's entries are taken over where the object has none of its own.
    Merge,
}

type Refusal = Result<(), String>;

impl Composer {
    fn event(&mut self, event: &Event<'_>) -> Refusal {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("a contract is one YAML document, and this is the second".into());
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(text, *style, *anchor, tag.as_deref())
            }
            Event::Alias(anchor) => self.alias(*anchor),
            Event::SequenceStart(_, anchor, _) => self.start(*anchor, Inside::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                let (map, merged) = (Map::new(), Vec::new());
                self.start(*anchor, Inside::Object { map, key: None, merged })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Refusal {
        let before = self.size;
        self.grow(Size { nodes: 1, bytes: text.len() })?;
        let plain = style == ScalarStyle::Plain;
        let value = resolve(text, plain, tag)?;
        self.keep(anchor, before, &value);
        if self.expects_key() {
            let merge = plain && tag.is_none() && text == "<<";
            return self.key(if merge { Key::Merge } else { Key::Name(text.to_owned()) });
        }
        self.push(value)
    }

    fn alias(&mut self, anchor: usize) -> Refusal {
        let Some(found) = self.anchors.get(&anchor) else {
            return Err("an alias inside the value that it repeats".into());
        };
        let (size, height) = (found.size, found.height);
        if self.open.len() + height > DEPTH_MAX {
            return Err(too_deep());
        }
        self.grow(size)?;
        let value = self.anchors.get(&anchor).map(|found| found.value.clone()).unwrap_or_default();
        if !self.expects_key() {
            return self.push(value);
        }
        match value {
            Value::String(name) => self.key(Key::Name(name)),
            _ => Err("a key must be text".into()),
        }
    }

    fn start(&mut self, anchor: usize, inside: Inside) -> Refusal {
        if self.open.len() == DEPTH_MAX {
            return Err(too_deep());
        }
        if self.expects_key() {
            return Err("a key must be text, not a list or an object".into());
        }
        let before = self.size;
        self.grow(Size { nodes: 1, bytes: 0 })?;
        self.open.push(Open { anchor, before, inside });
        Ok(())
    }

    fn end(&mut self) -> Refusal {
        let Some(Open { anchor, before, inside }) = self.open.pop() else {
            return Ok(());
        };
        let value = match inside {
            Inside::List(items) => Value::Array(items),
            Inside::Object { mut map, merged, .. } => {
                for (key, value) in merged.into_iter().flatten() {
                    map.entry(key).or_insert(value);
                }
                Value::Object(map)
            }
        };
        self.keep(anchor, before, &value);
        self.push(value)
    }

    fn expects_key(&self) -> bool {
        let open = self.open.last().map(|open| &open.inside);
        matches!(open, Some(Inside::Object { key: None, .. }))
    }

    fn key(&mut self, named: Key) -> Refusal {
        if let Some(Open { inside: Inside::Object { map, key, .. }, .. }) = self.open.last_mut() {
            if let Key::Name(name) = &named
                && map.contains_key(name)
            {
                return Err(format!("the key `{name}` stands twice"));
            }
            *key = Some(named);
        }
        Ok(())
    }

    fn push(&mut self, value: Value) -> Refusal {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        match &mut open.inside {
            Inside::List(items) => items.push(value),
            Inside::Object { map, key, merged } => match key.take() {
                Some(Key::Name(name)) => {
                    map.insert(name, value);
                }
                Some(Key::Merge) => merge(value, merged)?,
                None => return Err("a value without a key".into()),
            },
        }
        Ok(())
    }

    /// Keeps an anchored value for its aliases.
    fn keep(&mut self, anchor: usize, before: Size, value: &Value) {
        if anchor > 0 {
            let size = Size {
                nodes: self.size.nodes - before.nodes,
                bytes: self.size.bytes - before.bytes,
            };
            let kept = Anchored { value: value.clone(), size, height: height(value) };
            self.anchors.insert(anchor, kept);
        }
    }

    fn grow(&mut self, by: Size) -> Refusal {
        self.size.nodes = self.size.nodes.saturating_add(by.nodes);
        self.size.bytes = self.size.bytes.saturating_add(by.bytes);
        if self.size.nodes > NODES_MAX {
            return Err(format!("more than {NODES_MAX} values once aliases are expanded"));
        }
        if self.size.bytes > TEXT_BYTES_MAX {
            return Err(format!("more than {TEXT_BYTES_MAX} bytes once aliases are expanded"));
        }
        Ok(())
    }
}

fn too_deep() -> String {
    format!("nested deeper than {DEPTH_MAX} levels")
}

fn merge(value: Value, merged: &mut Vec<Map<String, Value>>) -> Refusal {
    match value {
        Value::Object(map) => merged.push(map),
        Value::Array(items) if items.iter().all(Value::is_object) => {
            merged.extend(items.into_iter().filter_map(|item| match item {
                Value::Object(map) => Some(map),
                _ => None,
            }));
        }
        _ => return Err("`<<` takes an object or a list of objects".into()),
    }
    Ok(())
}

fn height(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(height).max().unwrap_or(0),
        _ => 0,
    }
}

/// What a scalar means: by its tag, else, when it stands without quotes, by the core schema.
fn resolve(text: &str, plain: bool, tag: Option<&Tag>) -> Result<Value, String> {
    let core = match tag.map(Tag::core_suffix) {
        // `!` and tags of one's own: text, because nothing here knows them.
        Some(None) => return Ok(text.into()),
        Some(Some(suffix)) => Some(suffix),
        None => None,
    };
    match core {
        Some("str" | "timestamp" | "binary") => Ok(text.into()),
        Some("null") => Ok(Value::Null),
        Some(name @ ("bool" | "int" | "float")) => match by_core_schema(text) {
            Some(value @ (Value::Bool(_) | Value::Number(_))) => Ok(value),
            _ => Err(format!("`{text}` is no {name}")),
        },
        Some(_) => Ok(text.into()),
        None if plain => Ok(by_core_schema(text).unwrap_or_else(|| text.into())),
        None => Ok(text.into()),
    }
}

/// YAML 1.2 §10.3.2. `None` is text; so are `.inf` and `.nan`, which JSON has no number for.
fn by_core_schema(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" => return Some(true.into()),
        "false" | "False" | "FALSE" => return Some(false.into()),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let whole = rest.bytes().all(|byte| char::from(byte).is_digit(radix));
            return u64::from_str_radix(rest, radix).ok().filter(|_| whole).map(Value::from);
        }
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let text = text.strip_prefix('+').unwrap_or(text);
        let whole =
            text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from));
        if let Ok(value) = whole {
            return Some(value);
        }
    }
    let number = |byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let has_digit = digits.bytes().any(|byte| byte.is_ascii_digit());
    if !has_digit || !digits.bytes().all(number) {
        return None;
    }
    Number::from_f64(text.parse().ok()?).map(Value::Number)
}

#[cfg(test)]
mod tests;
