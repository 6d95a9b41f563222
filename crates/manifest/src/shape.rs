//! Compares the tree with the schema: unknown and missing keys, kinds, forms and bounds.
//!
//! Everything faulty is pruned from the tree on the way, so that the rest can be read and checked.

mod leaf;

pub(crate) use leaf::{bounds, form_expected};

use std::ops::Range;

use crate::schema::{Kind, Shape};
use crate::similar::closest;
use crate::tree::{Array, Node, Table, Value, join};

/// A fault and the bytes it stands in; line and column come later.
#[derive(Clone, Debug)]
pub(crate) struct RawFault {
    pub(crate) span: Option<Range<usize>>,
    pub(crate) key: String,
    pub(crate) message: String,
    pub(crate) expected: Option<String>,
    pub(crate) suggestion: Option<String>,
    /// Whether something is said to be absent, which is doubtful where the text itself is broken.
    pub(crate) absence: bool,
}

impl RawFault {
    pub(crate) fn new(span: Option<Range<usize>>, key: &str, message: impl Into<String>) -> Self {
        Self {
            span,
            key: key.to_owned(),
            message: message.into(),
            expected: None,
            suggestion: None,
            absence: false,
        }
    }

    pub(crate) fn expecting(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(crate) fn suggesting(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }

    fn of_absence(mut self) -> Self {
        self.absence = true;
        self
    }
}

/// Prunes what does not fit the schema, and says why.
pub(crate) fn prune(root: &mut Node) -> Vec<RawFault> {
    let mut shaper = Shaper { faults: Vec::new() };
    let span = root.span.clone();
    if let Value::Table(table) = &mut root.value {
        shaper.table(table, &span, "", Shape::root());
    }
    shaper.faults
}

struct Shaper {
    faults: Vec<RawFault>,
}

impl Shaper {
    /// Whether the table can still be read once its faulty entries are gone.
    fn table(&mut self, table: &mut Table, span: &Range<usize>, key: &str, shape: Shape) -> bool {
        let mut kept = Vec::with_capacity(table.entries.len());
        for mut entry in std::mem::take(&mut table.entries) {
            let entry_key = join(key, &entry.key);
            let known = shape.properties().find(|(name, _)| *name == entry.key);
            let Some((_, property)) = known else {
                let meant = self.unknown(&entry.key, entry.key_span, &entry_key, shape);
                table.lost.extend(meant.map(str::to_owned));
                continue;
            };
            if self.value(&mut entry.node, &entry_key, property) {
                kept.push(entry);
            } else {
                table.lost.insert(entry.key);
            }
        }
        table.entries = kept;
        let mut whole = true;
        for required in shape.required() {
            if table.get(required).is_some() {
                continue;
            }
            whole = false;
            if !table.lost.contains(required) {
                self.missing(required, span, key, shape);
            }
        }
        whole
    }

    fn missing(&mut self, name: &str, span: &Range<usize>, key: &str, shape: Shape) {
        let property = shape.properties().find(|(known, _)| *known == name);
        let expected = property.map_or(String::new(), |(_, property)| expectation(property));
        let message = format!("`{name}` is missing");
        let fault = RawFault::new(Some(span.clone()), &join(key, name), message);
        self.faults.push(fault.expecting(expected).of_absence());
    }

    /// Reports an unknown key and answers the key of this table that was probably meant.
    fn unknown<'s>(
        &mut self,
        name: &str,
        span: Range<usize>,
        key: &str,
        shape: Shape<'s>,
    ) -> Option<&'s str> {
        let meant = closest(name, shape.properties().map(|(known, _)| known));
        let suggestion = meant.map_or_else(|| elsewhere(name), |meant| Some(meant.to_owned()));
        let known: Vec<&str> = shape.properties().map(|(known, _)| known).collect();
        let message = format!("`{}` is not a key here", crate::values::shown(name));
        let fault = RawFault::new(Some(span), key, message);
        self.faults
            .push(fault.expecting(format!("one of: {}", known.join(", "))).suggesting(suggestion));
        meant
    }

    /// Whether the value is sound.
    fn value(&mut self, node: &mut Node, key: &str, shape: Shape) -> bool {
        let span = node.span.clone();
        match (shape.kind(), &mut node.value) {
            (Kind::Table, Value::Table(table)) => self.table(table, &span, key, shape),
            (Kind::ListOf(items), Value::Array(array)) => {
                self.list(array, &span, key, shape, items);
                true
            }
            (Kind::Table | Kind::ListOf(_), _) => {
                self.wrong_kind(node, key, shape);
                false
            }
            _ => match leaf::check(node, shape) {
                Ok(()) => true,
                Err(wrong) => {
                    let fault = RawFault::new(Some(span), key, wrong.message);
                    let fault = fault.expecting(wrong.expected).suggesting(wrong.suggestion);
                    self.faults.push(fault);
                    false
                }
            },
        }
    }

    fn list(
        &mut self,
        array: &mut Array,
        span: &Range<usize>,
        key: &str,
        shape: Shape,
        items: Shape,
    ) {
        let count = array.items.len() as u64;
        let bound = |name: &str| shape.facet(name).and_then(serde_json::Value::as_u64);
        if let Some(least) = bound("minItems").filter(|least| count < *least) {
            let fault = RawFault::new(Some(span.clone()), key, "the list is empty");
            self.faults.push(fault.expecting(format!("at least {least}")));
            array.lost = true;
        }
        if let Some(most) = bound("maxItems").filter(|most| count > *most) {
            let fault = RawFault::new(Some(span.clone()), key, format!("{count} items"));
            self.faults.push(fault.expecting(format!("at most {most}")));
        }
        if shape.facet("uniqueItems").is_some() {
            self.repeated(array, key);
        }
        for (index, mut item) in std::mem::take(&mut array.items) {
            if self.value(&mut item, &format!("{key}[{index}]"), items) {
                array.items.push((index, item));
            } else {
                array.lost = true;
            }
        }
    }

    fn repeated(&mut self, array: &Array, key: &str) {
        let mut seen = std::collections::BTreeSet::new();
        for (index, item) in &array.items {
            let Some(text) = item.as_text() else { continue };
            if !seen.insert(text) && !crate::values::has_credentials(text) {
                let message = format!("`{}` stands here twice", crate::values::shown(text));
                let key = format!("{key}[{index}]");
                self.faults.push(RawFault::new(Some(item.span.clone()), &key, message));
            }
        }
    }

    /// A scalar where a list or table should be, or the other way round.
    fn wrong_kind(&mut self, node: &Node, key: &str, shape: Shape) {
        let suggestion = match (shape.kind(), &node.value) {
            (Kind::ListOf(items), Value::Table(_)) if matches!(items.kind(), Kind::Table) => {
                Some(format!("[[{}]]", title(key)))
            }
            (Kind::ListOf(_), Value::Text(text)) if !crate::values::has_credentials(text) => {
                Some(format!("[{}]", serde_json::Value::from(crate::values::shown(text))))
            }
            (Kind::Table, Value::Array(_)) => Some(format!("[{}]", title(key))),
            _ => None,
        };
        let message = format!("this is {}", leaf::found(node));
        let fault = RawFault::new(Some(node.span.clone()), key, message);
        self.faults.push(fault.expecting(expectation(shape)).suggesting(suggestion));
    }
}

/// A key without its indices, as a table header has it.
fn title(key: &str) -> String {
    let mut title = String::with_capacity(key.len());
    let mut inside = false;
    for c in key.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ if inside => {}
            _ => title.push(c),
        }
    }
    title
}

/// What a value of this shape looks like, in words.
pub(crate) fn expectation(shape: Shape) -> String {
    match shape.kind() {
        Kind::Table => "a table".to_owned(),
        Kind::ListOf(items) => match items.kind() {
            Kind::Table => "a list of tables, each under its own `[[…]]`".to_owned(),
            Kind::Form(name) => format!("a list, each item {}", leaf::form_expected(name)),
            _ => "a list such as [\"a\", \"b\"]".to_owned(),
        },
        _ => leaf::expected(shape),
    }
}

/// The tables in which a key of exactly this name is at home, when there are few.
fn elsewhere(name: &str) -> Option<String> {
    const PLACES_MAX: usize = 2;
    let mut homes = Vec::new();
    find_homes(name, Shape::root(), "", false, &mut homes);
    let few = !homes.is_empty() && homes.len() <= PLACES_MAX;
    few.then(|| format!("{name} in {}", homes.join(" or ")))
}

fn find_homes(name: &str, table: Shape, path: &str, listed: bool, homes: &mut Vec<String>) {
    for (key, shape) in table.properties() {
        if key == name && !path.is_empty() {
            homes.push(if listed { format!("[[{path}]]") } else { format!("[{path}]") });
        }
        let inner = join(path, key);
        match shape.kind() {
            Kind::Table => find_homes(name, shape, &inner, false, homes),
            Kind::ListOf(items) => find_homes(name, items, &inner, true, homes),
            _ => {}
        }
    }
}
