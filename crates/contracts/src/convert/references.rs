//! Names and references: where `#/definitions/Page«Order»` is in the converted document.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use crate::faults::{Faults, fault};
use crate::pointer::{escape, follow, local, unescape};
use crate::walk;

use super::{Converter, Object};

/// What the definitions are called as components: 3.0 allows only `A-Z a-z 0-9 . _ -` in names.
pub(super) struct Names {
    schemas: HashMap<String, String>,
}

impl Names {
    pub(super) fn of(source: &Value) -> Self {
        let definitions = source.get("definitions").and_then(Value::as_object);
        let names: Vec<&String> = definitions.into_iter().flatten().map(|(name, _)| name).collect();
        let mut taken: HashSet<String> =
            names.iter().filter(|name| is_clean(name)).map(|name| (*name).clone()).collect();
        let mut schemas = HashMap::new();
        for name in names.into_iter().filter(|name| !is_clean(name)) {
            let base = cleaned(name);
            let mut unique = base.clone();
            let mut number = 2;
            while !taken.insert(unique.clone()) {
                unique = format!("{base}_{number}");
                number += 1;
            }
            schemas.insert(name.clone(), unique);
        }
        Self { schemas }
    }

    /// The component's name of a definition.
    pub(super) fn of_schema(&self, definition: &str) -> String {
        self.schemas.get(definition).map_or_else(|| definition.to_owned(), Clone::clone)
    }
}

/// The component's name of a parameter or a response.
pub(super) fn clean(name: &str) -> String {
    if is_clean(name) { name.to_owned() } else { cleaned(name) }
}

fn is_clean(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.bytes().all(allowed)
}

fn cleaned(name: &str) -> String {
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '_' }
    };
    let mapped: String = name.chars().map(letter).collect();
    let trimmed = mapped.trim_matches('_');
    if trimmed.is_empty() { "unnamed".to_owned() } else { trimmed.to_owned() }
}

/// Rewrites every reference of the converted document, and what else differs inside schemas.
pub(super) fn rewrite(document: &mut Value, source: &Value, names: &Names, faults: &mut Faults) {
    let mut moved = Vec::new();
    walk::objects_mut(document, &mut |map| {
        if let Some(Value::String(reference)) = map.get_mut("$ref")
            && let Some(target) = target(reference, source, names)
        {
            *reference = target;
            moved.push(reference.clone());
        }
        schema_words(map, names);
    });
    // References into the middle of the document may point at something that has no place any more.
    for reference in moved.iter().filter(|reference| follow(document, reference).is_none()) {
        let message = format!("`{reference}` has no place in the converted document");
        faults.push(
            fault("#", message)
                .expecting("shared parts under `definitions`, `parameters` or `responses`"),
        );
    }
}

/// Where a reference leads in the converted document.
fn target(reference: &str, source: &Value, names: &Names) -> Option<String> {
    let pointer = local(reference)?;
    let tokens: Vec<&str> = pointer.split('/').skip(1).collect();
    let (section, name, rest) = match tokens.as_slice() {
        ["definitions", name, rest @ ..] => ("schemas", names.of_schema(&unescape(name)), rest),
        ["parameters", name, rest @ ..] => {
            let body = source.pointer(&format!("/parameters/{name}/in"));
            let body = body.and_then(Value::as_str) == Some("body");
            let section = if body { "requestBodies" } else { "parameters" };
            (section, clean(&unescape(name)), rest)
        }
        ["responses", name, rest @ ..] => ("responses", clean(&unescape(name)), rest),
        ["paths", path, method, rest @ ..] => {
            let rest = in_operation(source, path, method, rest)?;
            return Some(format!("#/paths/{path}/{method}/{rest}"));
        }
        _ => return Some(format!("#{pointer}")),
    };
    let mut target = format!("#/components/{section}/{}", escape(&name));
    for token in rest {
        target.push('/');
        target.push_str(token);
    }
    Some(target)
}

/// The schema of an answer or of a body stands under a media type now: the first one.
fn in_operation(source: &Value, path: &str, method: &str, rest: &[&str]) -> Option<String> {
    let at = format!("/paths/{path}/{method}");
    let names = Names { schemas: HashMap::new() };
    let converter = Converter { source, names: &names };
    let operation = source.pointer(&at)?;
    match rest {
        ["responses", status, "schema", deeper @ ..] => {
            let media = converter.media("produces", operation).swap_remove(0);
            let mut inside = vec!["responses", status, "content"];
            let media = escape(&media);
            inside.extend([media.as_str(), "schema"]);
            inside.extend(deeper);
            Some(inside.join("/"))
        }
        ["parameters", index, "schema", deeper @ ..] => {
            let place = operation.pointer(&format!("/parameters/{index}/in"))?;
            if place.as_str() != Some("body") {
                return Some(rest.join("/"));
            }
            let media = escape(&converter.media("consumes", operation).swap_remove(0));
            let mut inside = vec!["requestBody", "content", media.as_str(), "schema"];
            inside.extend(deeper);
            Some(inside.join("/"))
        }
        _ => Some(rest.join("/")),
    }
}

/// Words of 2.0 schemas that 3.0 says otherwise.
fn schema_words(map: &mut Object, names: &Names) {
    if let Some(Value::String(property)) = map.get("discriminator") {
        let mut about = json!({ "propertyName": property });
        let renamed: Object = names
            .schemas
            .iter()
            .map(|(from, to)| (from.clone(), format!("#/components/schemas/{to}").into()))
            .collect();
        if let (Value::Object(about), false) = (&mut about, renamed.is_empty()) {
            about.insert("mapping".into(), renamed.into());
        }
        map.insert("discriminator".into(), about);
    }
    if map.get("type").and_then(Value::as_str) == Some("file") {
        map.insert("type".into(), "string".into());
        map.insert("format".into(), "binary".into());
    }
    if let Some(Value::Bool(nullable)) = map.get("x-nullable") {
        map.insert("nullable".into(), (*nullable).into());
        map.shift_remove("x-nullable");
    }
}
