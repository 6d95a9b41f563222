//! Parameters, request bodies, form fields and headers.

use serde_json::{Value, json};

use super::references::clean;
use super::{JSON_MEDIA, Object};

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// What a 2.0 parameter says of its value, and what a 3.0 schema says in the same words.
const SCHEMA_FIELDS: [&str; 16] = [
    "type",
    "format",
    "items",
    "default",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "enum",
    "multipleOf",
];

/// The parameters of a path or an operation, sorted by what becomes of them.
#[derive(Clone, Default)]
pub(super) struct Inputs {
    /// Path, query and header parameters, converted.
    pub(super) plain: Vec<Value>,
    body: Option<Body>,
    form: Vec<Value>,
}

#[derive(Clone)]
enum Body {
    Inline(Value),
    Reference(String),
}

impl Inputs {
    /// Sorts one parameter in: as it was written, its reference, and what that leads to.
    pub(super) fn add(&mut self, written: &Value, reference: Option<&str>, target: &Value) {
        let component = reference.and_then(|reference| reference.strip_prefix("#/parameters/"));
        match (target.get("in").and_then(Value::as_str), component) {
            (Some("body"), Some(name)) => {
                let name = clean(&crate::pointer::unescape(name));
                self.body = Some(Body::Reference(format!("#/components/requestBodies/{name}")));
            }
            (Some("body"), None) => self.body = Some(Body::Inline(target.clone())),
            (Some("formData"), _) => self.form.push(target.clone()),
            // The reference itself is rewritten with all the others.
            _ if reference.is_some() => self.plain.push(written.clone()),
            _ => self.plain.push(plain(written)),
        }
    }

    /// These, with the body of the path where the operation has none, and the path's form fields
    /// where it has none of that name.
    pub(super) fn or(mut self, shared: &Self) -> Self {
        if self.body.is_none() && self.form.is_empty() {
            self.body.clone_from(&shared.body);
        }
        if self.body.is_none() {
            for field in &shared.form {
                if !self.form.iter().any(|own| own.get("name") == field.get("name")) {
                    self.form.push(field.clone());
                }
            }
        }
        self
    }

    pub(super) fn request_body(&self, consumes: &[String]) -> Option<Value> {
        match &self.body {
            Some(Body::Inline(parameter)) => Some(body(parameter, consumes)),
            Some(Body::Reference(reference)) => Some(json!({ "$ref": reference })),
            None if self.form.is_empty() => None,
            None => Some(form(&self.form, consumes)),
        }
    }
}

/// A body parameter as a request body.
pub(super) fn body(parameter: &Value, consumes: &[String]) -> Value {
    let schema = parameter.get("schema").cloned().unwrap_or_else(|| json!({}));
    // A list of form types beside a JSON body comes from a document-wide `consumes`.
    let sent: Vec<&String> =
        consumes.iter().filter(|media| *media != FORM && *media != MULTIPART).collect();
    let mut content = Object::new();
    for media in &sent {
        content.insert((*media).clone(), json!({ "schema": schema }));
    }
    if content.is_empty() {
        content.insert(JSON_MEDIA.into(), json!({ "schema": schema }));
    }
    let mut converted = described(parameter);
    converted.insert("content".into(), content.into());
    if let Some(required) = parameter.get("required") {
        converted.insert("required".into(), required.clone());
    }
    if let Some(name) = parameter.get("name") {
        // 3.0 bodies have no name; code generators want the one that the author chose.
        converted.insert("x-codegen-request-body-name".into(), name.clone());
    }
    converted.into()
}

fn form(fields: &[Value], consumes: &[String]) -> Value {
    let mut properties = Object::new();
    let mut required = Vec::new();
    let mut encoding = Object::new();
    let mut has_file = false;
    for field in fields {
        let Some(name) = field.get("name").and_then(Value::as_str) else {
            continue;
        };
        has_file |= field.get("type").and_then(Value::as_str) == Some("file");
        if field.get("required") == Some(&Value::Bool(true)) {
            required.push(Value::from(name));
        }
        let format = style(field, "formData");
        if !format.is_empty() {
            encoding.insert(name.into(), format.into());
        }
        let mut property = schema(field);
        property.extend(described(field));
        properties.insert(name.into(), property.into());
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    if let (Value::Object(schema), false) = (&mut schema, required.is_empty()) {
        schema.insert("required".into(), required.clone().into());
    }
    let mut content = Object::new();
    let forms = consumes.iter().filter(|media| *media == FORM || *media == MULTIPART);
    for media in forms.filter(|media| !has_file || *media == MULTIPART) {
        content.insert(media.clone(), Value::Null);
    }
    if content.is_empty() {
        content.insert(if has_file { MULTIPART } else { FORM }.into(), Value::Null);
    }
    for value in content.values_mut() {
        *value = json!({ "schema": schema });
        if let (Value::Object(value), false) = (value, encoding.is_empty()) {
            value.insert("encoding".into(), encoding.clone().into());
        }
    }
    json!({ "content": content, "required": !required.is_empty() })
}

/// A path, query or header parameter.
pub(super) fn plain(parameter: &Value) -> Value {
    let mut converted = Object::new();
    for key in ["name", "in"] {
        if let Some(value) = parameter.get(key) {
            converted.insert(key.into(), value.clone());
        }
    }
    converted.extend(described(parameter));
    for key in ["required", "allowEmptyValue", "deprecated"] {
        if let Some(value) = parameter.get(key) {
            converted.insert(key.into(), value.clone());
        }
    }
    let place = parameter.get("in").and_then(Value::as_str).unwrap_or("query");
    if place == "path" {
        converted.insert("required".into(), true.into());
    }
    converted.extend(style(parameter, place));
    converted.insert("schema".into(), schema(parameter).into());
    converted.into()
}

/// A header of an answer.
pub(super) fn header(header: &Value) -> Value {
    let mut converted = described(header);
    converted.insert("schema".into(), schema(header).into());
    converted.into()
}

fn described(value: &Value) -> Object {
    let kept = |key: &str| key == "description" || key.starts_with("x-");
    value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| kept(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn schema(value: &Value) -> Object {
    let mut schema = Object::new();
    for key in SCHEMA_FIELDS {
        match value.get(key) {
            Some(items) if key == "items" => {
                let mut items = items.clone();
                if let Value::Object(items) = &mut items {
                    items.shift_remove("collectionFormat");
                }
                schema.insert(key.into(), items);
            }
            Some(found) => {
                schema.insert(key.into(), found.clone());
            }
            None => {}
        }
    }
    schema
}

/// How a list is written: 2.0 says it with `collectionFormat` (`csv` unless said), 3.0 with
/// `style` and `explode`, whose defaults differ by place.
fn style(parameter: &Value, place: &str) -> Object {
    let mut style = Object::new();
    if parameter.get("type").and_then(Value::as_str) != Some("array") {
        return style;
    }
    let mut say = |name: &str, explode: bool| {
        style.insert("style".into(), name.into());
        style.insert("explode".into(), explode.into());
    };
    let format = parameter.get("collectionFormat").and_then(Value::as_str).unwrap_or("csv");
    match (place, format) {
        ("path" | "header", "csv") => {}
        ("path" | "header", _) => {
            style.insert("x-collection-format".into(), format.into());
        }
        (_, "multi") => say("form", true),
        (_, "ssv") => say("spaceDelimited", false),
        (_, "pipes") => say("pipeDelimited", false),
        (_, "csv") => say("form", false),
        _ => {
            say("form", false);
            style.insert("x-collection-format".into(), format.into());
        }
    }
    style
}
