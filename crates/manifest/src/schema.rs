//! The manifest's JSON Schema, made from the types and their documentation.
//!
//! The last sentences of a key's documentation are marks: `Default: …` for a default that is no
//! constant, `Unit: …` for a bare number, `Since …` for the version that brought the key. They
//! become fields of their own (`x-default`, `x-unit`, `x-since`) and stay readable in the
//! description, because that is what an editor shows.

use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::Manifest;

const ID: &str = "https://plimsoll.dev/schema/manifest.schema.json";

/// The JSON Schema (draft 2020-12) of the manifest. Every key says its meaning, default, unit and
/// the version that brought it.
#[must_use]
pub fn json_schema() -> Value {
    shared().clone()
}

/// The same, made once.
pub(crate) fn shared() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(make)
}

fn make() -> Value {
    let settings = SchemaSettings::draft2020_12();
    let mut root = settings.into_generator().into_root_schema_for::<Manifest>().to_value();
    let tables = table_names(&root);
    tidy(&mut root, &tables);
    if let Value::Object(root) = &mut root {
        root.insert("$id".to_owned(), json!(ID));
        root.insert("title".to_owned(), json!("plimsoll.toml"));
    }
    root
}

/// The definitions that are tables, as `$ref` names them.
fn table_names(root: &Value) -> Vec<String> {
    let Some(definitions) = root.get("$defs").and_then(Value::as_object) else {
        return Vec::new();
    };
    let tables = definitions.iter().filter(|(_, schema)| schema.get("properties").is_some());
    tables.map(|(name, _)| format!("#/$defs/{name}")).collect()
}

/// Mends what fits JSON but not TOML (there is no null), drops what only Rust cares for, and turns
/// marks into fields.
fn tidy(schema: &mut Value, tables: &[String]) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| tidy(item, tables)),
        Value::Object(object) => {
            drop_null(object);
            object.remove("format");
            if matches!(object.get("default"), Some(Value::Null | Value::Object(_))) {
                object.remove("default");
            }
            tidy_list(object, tables);
            object.iter_mut().filter(|(key, _)| *key != "default").for_each(|(_, inner)| {
                tidy(inner, tables);
            });
            describe(object);
        }
        _ => {}
    }
}

/// `Option<T>` is a key that may be left out, never a null.
fn drop_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(mut choices)) = object.remove("anyOf") else {
        return;
    };
    choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
    if let [Value::Object(only)] = choices.as_slice() {
        let mut merged = only.clone();
        merged.append(object);
        *object = merged;
    } else {
        object.insert("anyOf".to_owned(), Value::Array(choices));
    }
}

/// A list of plain values holds each one once; a list of tables has no default worth telling.
fn tidy_list(object: &mut Map<String, Value>, tables: &[String]) {
    let Some(items) = object.get("items") else {
        return;
    };
    let of_tables = items
        .get("$ref")
        .and_then(Value::as_str)
        .is_some_and(|name| tables.iter().any(|table| table == name));
    if of_tables {
        object.remove("default");
    } else {
        object.insert("uniqueItems".to_owned(), json!(true));
    }
}

/// Splits the description into its meaning and its marks.
fn describe(object: &mut Map<String, Value>) {
    let Some(Value::String(text)) = object.get("description") else {
        return;
    };
    let mut doc = Doc::read(text);
    if doc.unit.is_none() && doc.since.is_some() {
        doc.unit = own_unit(object);
    }
    let mut description = doc.meaning.clone();
    if let Some(default) = doc.default.clone().or_else(|| object.get("default").map(in_toml)) {
        description.push_str(&format!(" Default: {default}."));
    }
    for (label, value) in [("Unit: ", &doc.unit), ("Since ", &doc.since)] {
        if let Some(value) = value {
            description.push_str(&format!(" {label}{value}."));
        }
    }
    object.insert("description".to_owned(), json!(description));
    for (key, value) in [("x-default", doc.default), ("x-unit", doc.unit), ("x-since", doc.since)] {
        if let Some(value) = value {
            object.insert(key.to_owned(), json!(value));
        }
    }
}

/// Values that carry their unit in the text.
fn own_unit(object: &Map<String, Value>) -> Option<String> {
    match object.get("$ref").and_then(Value::as_str)? {
        "#/$defs/Duration" => Some("duration".to_owned()),
        "#/$defs/ByteSize" => Some("bytes".to_owned()),
        _ => None,
    }
}

/// A default as it would stand in the manifest.
pub(crate) fn in_toml(value: &Value) -> String {
    // Of JSON's values only null has no place in TOML, and no default is null here.
    value.to_string()
}

/// The documentation of a key, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Doc {
    pub(crate) meaning: String,
    pub(crate) default: Option<String>,
    pub(crate) unit: Option<String>,
    pub(crate) since: Option<String>,
}

impl Doc {
    pub(crate) fn read(text: &str) -> Self {
        let mut meaning = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut take = |mark: &str| {
            let at = meaning.rfind(mark)?;
            let value = meaning[at + mark.len()..].trim_end_matches('.').to_owned();
            meaning.truncate(at);
            meaning.truncate(meaning.trim_end().len());
            Some(value)
        };
        let since = take("Since ");
        let unit = take("Unit: ");
        let default = take("Default: ");
        Self { meaning, default, unit, since }
    }
}

/// A property with what it refers to: facets may stand at either.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<'s> {
    property: &'s Value,
    target: &'s Value,
    /// The name of the definition it refers to, such as `Duration`.
    pub(crate) name: &'s str,
}

/// What a value is made of, as far as the manifest uses JSON Schema.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'s> {
    Table,
    ListOf(Shape<'s>),
    OneOf(&'s [Value]),
    Integer,
    /// A number, with a fraction or without.
    Number,
    Boolean,
    Text,
    /// A form of its own, read by its own reader: the name says which.
    Form(&'s str),
}

impl<'s> Shape<'s> {
    pub(crate) fn of(property: &'s Value) -> Self {
        let name = property
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| reference.strip_prefix("#/$defs/"))
            .unwrap_or("");
        let target = shared().get("$defs").and_then(|all| all.get(name)).unwrap_or(property);
        Self { property, target, name }
    }

    pub(crate) fn root() -> Shape<'static> {
        Shape::of(shared())
    }

    pub(crate) fn facet(self, key: &str) -> Option<&'s Value> {
        self.property.get(key).or_else(|| self.target.get(key))
    }

    pub(crate) fn text(self, key: &str) -> Option<&'s str> {
        self.facet(key).and_then(Value::as_str)
    }

    pub(crate) fn kind(self) -> Kind<'s> {
        if self.target.get("properties").is_some() {
            return Kind::Table;
        }
        if let Some(items) = self.facet("items") {
            return Kind::ListOf(Shape::of(items));
        }
        if let Some(choices) = self.facet("oneOf").and_then(Value::as_array) {
            return Kind::OneOf(choices);
        }
        match self.text("type") {
            Some("integer") => Kind::Integer,
            Some("number") => Kind::Number,
            Some("boolean") => Kind::Boolean,
            _ if self.name.is_empty() => Kind::Text,
            _ => Kind::Form(self.name),
        }
    }

    /// The keys of a table, in the order of the documentation.
    pub(crate) fn properties(self) -> impl Iterator<Item = (&'s str, Shape<'s>)> {
        let properties = self.target.get("properties").and_then(Value::as_object);
        let entries = properties.into_iter().flatten();
        entries.map(|(key, property)| (key.as_str(), Shape::of(property)))
    }

    pub(crate) fn required(self) -> impl Iterator<Item = &'s str> {
        let required = self.target.get("required").and_then(Value::as_array);
        required.into_iter().flatten().filter_map(Value::as_str)
    }

    /// The table's own description, where the property that leads to it has another.
    pub(crate) fn target_description(self) -> &'s str {
        self.target.get("description").and_then(Value::as_str).unwrap_or("")
    }
}

/// The words of a choice, with their meaning.
pub(crate) fn choices(all: &[Value]) -> impl Iterator<Item = (&str, &str)> + Clone {
    all.iter().filter_map(|choice| {
        let word = choice.get("const").and_then(Value::as_str)?;
        Some((word, choice.get("description").and_then(Value::as_str).unwrap_or("")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_off_the_meaning() {
        let doc = Doc::read("How\nmany. Default: `a`, else b. Unit: cores. Since 0.1.");
        assert_eq!(doc.meaning, "How many.");
        assert_eq!(doc.default.as_deref(), Some("`a`, else b"));
        assert_eq!(doc.unit.as_deref(), Some("cores"));
        assert_eq!(doc.since.as_deref(), Some("0.1"));
        assert_eq!(Doc::read("Plain.").meaning, "Plain.");
    }

    /// Visits every key of every table.
    fn each_key(visit: &mut dyn FnMut(&str, &str, Shape<'static>)) {
        let tables = shared()["$defs"].as_object().unwrap();
        let tables = tables.iter().map(|(name, table)| (name.as_str(), table));
        for (name, table) in tables.chain([("root", shared())]) {
            for (key, shape) in Shape::of(table).properties() {
                visit(name, key, shape);
            }
        }
    }

    #[test]
    fn every_key_says_what_it_means_and_since_when() {
        let mut keys = 0;
        each_key(&mut |table, key, shape| {
            keys += 1;
            assert!(shape.property.get("x-since").is_some(), "{table}.{key} has no `Since`");
            let meaning = Doc::read(shape.text("description").unwrap()).meaning;
            assert!(meaning.len() > 10, "{table}.{key} says nothing: {meaning}");
        });
        assert!(keys > 80, "only {keys} keys were seen");
    }

    #[test]
    fn every_number_says_its_unit_and_its_bounds() {
        each_key(&mut |table, key, shape| {
            let bounds = match shape.kind() {
                Kind::Integer => ["minimum", "maximum"],
                Kind::Form("Duration" | "ByteSize") => ["x-max", "x-max"],
                _ => return,
            };
            assert!(shape.text("x-unit").is_some(), "{table}.{key} has no unit");
            for bound in bounds {
                assert!(shape.facet(bound).is_some(), "{table}.{key} has no {bound}");
            }
        });
    }

    #[test]
    fn every_key_is_required_or_says_its_default_or_may_be_absent() {
        each_key(&mut |table, key, shape| {
            if matches!(shape.kind(), Kind::Integer | Kind::Boolean | Kind::Form("Duration")) {
                let parent = &shared()["$defs"][table];
                let required = Shape::of(parent).required().any(|name| name == key);
                let told = ["default", "x-default"].iter().any(|d| shape.facet(d).is_some());
                assert!(required || told, "{table}.{key} does not say its default");
            }
        });
    }

    #[test]
    fn every_table_refuses_what_it_does_not_know() {
        for (name, schema) in shared()["$defs"].as_object().unwrap() {
            if schema.get("properties").is_some() {
                assert_eq!(schema["additionalProperties"], false, "{name}");
            }
        }
        assert!(!shared().to_string().contains("null"), "TOML has no null");
    }
}
