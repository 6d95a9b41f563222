//! Walking a contract without mistaking data for structure.
//!
//! `$ref` means a reference in a schema, a response, a parameter; inside an `example` it is data,
//! and below `properties` it may be the name of a property. A walk therefore knows, for each value,
//! whether its keys are fields that the specification gives a meaning, names that the author chose,
//! or data.

use serde_json::{Map, Value};

use crate::pointer::Path;

/// What the keys of an object are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Fields of the specification.
    Fields,
    /// Names that the author chose; the values have fields again.
    Names,
    /// The same, except that names starting with `x-` are extensions.
    NamesOrExtensions,
    /// Nothing of the specification's: examples, defaults, extensions.
    Data,
}

impl Keys {
    /// What the keys of the value under `key` are.
    fn below(self, key: &str, value: &Value) -> Self {
        match self {
            Self::Data => Self::Data,
            Self::Names => Self::Fields,
            Self::NamesOrExtensions if key.starts_with("x-") => Self::Data,
            Self::NamesOrExtensions => Self::Fields,
            Self::Fields => Self::below_field(key, value),
        }
    }

    fn below_field(key: &str, value: &Value) -> Self {
        match key {
            // `value` is an Example Object's, `mapping` a discriminator's list of texts.
            "example" | "default" | "enum" | "const" | "value" | "security" | "required"
            | "mapping" | "scopes" => Self::Data,
            _ if key.starts_with("x-") => Self::Data,
            // A list of examples is data; a map of them holds Example Objects, or, in a response
            // of Swagger 2.0, data by media type (which has a slash).
            "examples" => match value.as_object() {
                Some(map) if map.keys().all(|name| !name.contains('/')) => Self::Names,
                _ => Self::Data,
            },
            "paths" | "webhooks" | "responses" | "callbacks" => Self::NamesOrExtensions,
            "parameters" if value.is_array() => Self::Fields,
            "properties"
            | "patternProperties"
            | "definitions"
            | "$defs"
            | "dependentSchemas"
            | "schemas"
            | "parameters"
            | "headers"
            | "requestBodies"
            | "securitySchemes"
            | "securityDefinitions"
            | "links"
            | "pathItems"
            | "content"
            | "encoding"
            | "variables" => Self::Names,
            _ => Self::Fields,
        }
    }
}

/// Calls `visit` for every object whose keys are fields, the outer before the inner.
pub(crate) fn objects<'v>(
    value: &'v Value,
    visit: &mut dyn FnMut(&'v Map<String, Value>, &Path<'_>),
) {
    walk(value, Keys::Fields, &Path::Root, visit);
}

fn walk<'v>(
    value: &'v Value,
    keys: Keys,
    path: &Path<'_>,
    visit: &mut dyn FnMut(&'v Map<String, Value>, &Path<'_>),
) {
    match value {
        _ if keys == Keys::Data => {}
        Value::Object(map) => {
            if keys == Keys::Fields {
                visit(map, path);
            }
            for (key, value) in map {
                walk(value, keys.below(key, value), &path.key(key), visit);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, keys, &path.index(index), visit);
            }
        }
        _ => {}
    }
}

/// The same for changing a document: `visit` may change the object before what is in it is walked.
pub(crate) fn objects_mut(value: &mut Value, visit: &mut dyn FnMut(&mut Map<String, Value>)) {
    walk_mut(value, Keys::Fields, visit);
}

fn walk_mut(value: &mut Value, keys: Keys, visit: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        _ if keys == Keys::Data => {}
        Value::Object(map) => {
            if keys == Keys::Fields {
                visit(map);
            }
            for (key, value) in map.iter_mut() {
                let below = keys.below(key, value);
                walk_mut(value, below, visit);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk_mut(item, keys, visit)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_told_from_data_and_from_names() {
        let document = json!({
            "paths": {
                "/a": { "get": {
                    "parameters": [{ "$ref": "yes-1" }],
                    "responses": {
                        "200": { "$ref": "yes-2" },
                        "default": { "$ref": "yes-3" },
                        "201": { "content": { "application/json": {
                            "schema": { "properties": {
                                "$ref": { "type": "string" },
                                "example": { "$ref": "yes-4" },
                                "properties": { "properties": { "x-id": { "$ref": "yes-5" } } },
                                "plain": {
                                    "default": { "$ref": "no" },
                                    "enum": [{ "$ref": "no" }],
                                },
                            } },
                            "example": { "$ref": "no" },
                            "examples": {
                                "one": { "$ref": "yes-6" },
                                "two": { "value": { "$ref": "no" } },
                            },
                        } } },
                        "x-note": { "$ref": "no" },
                    },
                    "callbacks": { "done": { "{$request.body#/url}": { "post": {
                        "requestBody": { "$ref": "yes-7" },
                    } } } },
                } },
                "x-common": { "$ref": "no" },
            },
            "components": {
                "examples": { "big": { "value": { "$ref": "no" } } },
                "schemas": { "x-odd": {
                    "allOf": [{ "$ref": "yes-8" }],
                    "examples": [{ "$ref": "no" }],
                } },
            },
            "responses": { "old": { "examples": { "application/json": { "$ref": "no" } } } },
            "x-data": { "$ref": "no" },
        });
        let mut found = Vec::new();
        objects(&document, &mut |map, path| {
            if let Some(Value::String(text)) = map.get("$ref") {
                found.push((text.clone(), path.to_string()));
            }
        });
        let mut names: Vec<&str> = found.iter().map(|(text, _)| text.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["yes-1", "yes-2", "yes-3", "yes-4", "yes-5", "yes-6", "yes-7", "yes-8"]);
        for (text, path) in &found {
            let held = crate::pointer::follow(&document, &format!("{path}/$ref"));
            assert_eq!(held, Some(&json!(text)), "{path}");
        }
        let mut changed = document.clone();
        let mut count = 0;
        objects_mut(&mut changed, &mut |map| {
            count += usize::from(map.get("$ref").is_some_and(Value::is_string));
        });
        assert_eq!((count, changed), (8, document));
    }
}
