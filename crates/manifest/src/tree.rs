//! The text as a tree in which every key and value knows where it stands.
//!
//! Faulty parts are pruned from the tree, so that what is sound can still be read as a
//! [`Manifest`](crate::Manifest) and checked as a whole: one run reports every fault. A pruned
//! table or array remembers that it lost something, so that nothing is called missing which is
//! merely faulty.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and the bytes it stands in.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

/// A TOML value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    /// A number beyond 64 bits, or with a fraction.
    Float(f64),
    Boolean(bool),
    Datetime,
    Array(Array),
    Table(Table),
}

/// An array; each item keeps the index it had in the text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Array {
    pub(crate) items: Vec<(usize, Node)>,
    pub(crate) lost: bool,
}

/// A table with its keys in the order of the text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
    pub(crate) lost: BTreeSet<String>,
}

/// A key with the bytes it stands in, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

/// A fault of the text itself.
#[derive(Debug)]
pub(crate) struct SyntaxFault {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
}

/// Reads a text as far as it goes, with every fault of its syntax.
pub(crate) fn read(text: &str) -> (Node, Vec<SyntaxFault>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    let span = root.span();
    let faults = errors
        .iter()
        .map(|error| SyntaxFault {
            span: error.span().unwrap_or(text.len()..text.len()),
            message: error.message().to_owned(),
        })
        .collect();
    (Node { span, value: Value::Table(table(root.get_ref())) }, faults)
}

fn table(source: &DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = source
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            node: node(value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    Table { entries, lost: BTreeSet::new() }
}

fn node(source: &Spanned<DeValue<'_>>) -> Node {
    let value = match source.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Float(f64::INFINITY), Value::Integer),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(items) => {
            Value::Array(Array { items: items.iter().map(node).enumerate().collect(), lost: false })
        }
        DeValue::Table(inner) => Value::Table(table(inner)),
    };
    Node { span: source.span(), value }
}

impl Table {
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }
}

impl Node {
    pub(crate) fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(crate) fn as_array(&self) -> Option<&Array> {
        match &self.value {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What is left of the tree, for serde.
    pub(crate) fn to_toml(&self) -> toml::Value {
        match &self.value {
            Value::Text(text) => toml::Value::String(text.clone()),
            Value::Integer(number) => toml::Value::Integer(*number),
            Value::Float(number) => toml::Value::Float(*number),
            Value::Boolean(value) => toml::Value::Boolean(*value),
            // No key of the manifest is a date, so that none is left after pruning.
            Value::Datetime => toml::Value::String(String::new()),
            Value::Array(array) => {
                toml::Value::Array(array.items.iter().map(|(_, item)| item.to_toml()).collect())
            }
            Value::Table(table) => toml::Value::Table(
                table
                    .entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.node.to_toml()))
                    .collect(),
            ),
        }
    }
}

/// The key of `child` in the table at `parent`.
pub(crate) fn join(parent: &str, child: &str) -> String {
    if parent.is_empty() { child.to_owned() } else { format!("{parent}.{child}") }
}

/// Where the lines of a text start, to turn a byte into line and column.
#[derive(Debug)]
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Line and column of a byte, both from 1, the column in characters.
    pub(crate) fn place(&self, byte: usize) -> (usize, usize) {
        let byte = byte.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= byte).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..byte).map_or(byte - start, |part| part.chars().count());
        (line, column + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let lines = Lines::of("a\näb\n");
        for (byte, place) in [(0, (1, 1)), (1, (1, 2)), (2, (2, 1)), (4, (2, 2)), (6, (3, 1))] {
            assert_eq!(lines.place(byte), place, "{byte}");
        }
        assert_eq!(lines.place(3).0, 2, "inside a character");
        assert_eq!(lines.place(99), (3, 1), "beyond the end");
        assert_eq!(Lines::of("").place(0), (1, 1));
    }

    #[test]
    fn the_tree_knows_where_everything_stands() {
        let text = "[edge]\nlisten = [\"a\", \"b\"]\n\n[[service]]\nname = \"x\"\n[[service]]\n";
        let (root, faults) = read(text);
        assert!(faults.is_empty());
        let edge = root.as_table().unwrap().get("edge").unwrap().as_table().unwrap();
        let listen = edge.entry("listen").unwrap();
        assert_eq!(&text[listen.key_span.clone()], "listen");
        let (_, second) = &listen.node.as_array().unwrap().items[1];
        assert_eq!(&text[second.span.clone()], "\"b\"");
        let services = root.as_table().unwrap().get("service").unwrap().as_array().unwrap();
        let at = services.items[1].1.span.start;
        assert_eq!(Lines::of(text).place(at).0, 6);
    }
}
