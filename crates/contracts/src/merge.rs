//! One document for all services: what `GET /openapi.json` answers.
//!
//! Paths are written out as routed. What two services call the same (components, operations,
//! webhooks) keeps its name for the first and gets the service's name in front for the next, with
//! every reference following. Each operation says its `security` itself and carries the tag of
//! its service. Where services differ only by a version header, a path and method can stand here
//! once: the first service's; `/openapi/{service}.json` has each service's own document.

mod rename;
mod upgrade;

use std::collections::HashSet;

use plimsoll_snapshot::{ApiVersion, Routes, ServiceRoutes};
use serde_json::{Map, Value, json};

use crate::operations::{base_path, path_item};

use rename::Renames;

type Object = Map<String, Value>;

/// The merged document; `None` while no service has a contract. It is as big as all contracts
/// together and is meant to be made once for each route table.
#[must_use]
pub fn merged_document(routes: &Routes) -> Option<Value> {
    let services: Vec<(&ServiceRoutes, &Value)> = routes
        .services
        .iter()
        .filter_map(|service| Some((service, service.document.as_deref()?)))
        .collect();
    match services.as_slice() {
        [] => None,
        [(_, only)] => Some((*only).clone()),
        _ => Some(merge(&services)),
    }
}

fn merge(services: &[(&ServiceRoutes, &Value)]) -> Value {
    let newest = services.iter().map(|(_, document)| version(document)).max().unwrap_or_default();
    let modern = newest.starts_with("3.1");
    let mut merged = Merged::default();
    for (service, document) in services {
        let mut document = (*document).clone();
        if modern && !version(&document).starts_with("3.1") {
            upgrade::to_31(&mut document);
        }
        merged.add(service, document);
    }
    let mut document = json!({
        "openapi": newest,
        "info": info(services),
        "servers": [{ "url": "/" }],
        "tags": merged.tags,
        "paths": merged.paths,
    });
    if let Value::Object(document) = &mut document {
        if !merged.webhooks.is_empty() {
            document.insert("webhooks".into(), merged.webhooks.into());
        }
        if !merged.components.is_empty() {
            document.insert("components".into(), merged.components.into());
        }
    }
    document
}

fn version(document: &Value) -> String {
    match document.get("openapi") {
        Some(Value::String(version)) => version.clone(),
        // Unquoted in YAML; the number has no patch part.
        Some(other) => format!("{other}.0"),
        None => "3.0.0".to_owned(),
    }
}

fn info(services: &[(&ServiceRoutes, &Value)]) -> Value {
    let text = |document: &Value, pointer: &str| {
        document.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
    };
    let (mut titles, mut versions, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for (service, document) in services {
        let name = &service.service;
        let title = text(document, "/info/title").unwrap_or_else(|| name.clone());
        let version = text(document, "/info/version").unwrap_or_default();
        let reached = match &service.version {
            Some(ApiVersion::Header { name, value }) => format!(", with `{name}: {value}`"),
            _ => String::new(),
        };
        lines.push(format!("- **{name}**: {title} {version}{reached} (`/openapi/{name}.json`)"));
        titles.push(title);
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    json!({
        "title": titles.join(", "),
        "version": versions.join(", "),
        "description": format!("Services behind this address:\n\n{}", lines.join("\n")),
    })
}

#[derive(Default)]
struct Merged {
    paths: Object,
    webhooks: Object,
    components: Object,
    tags: Vec<Value>,
    ids: HashSet<String>,
}

impl Merged {
    fn add(&mut self, service: &ServiceRoutes, mut document: Value) {
        let name = service.service.as_str();
        let renames = Renames::of(&document, name, &self.components, &mut self.ids);
        renames.apply(&mut document);
        self.add_tags(name, &document);
        let security = document.get("security").cloned();
        let paths = document.get("paths").and_then(Value::as_object);
        for (path, item) in paths.into_iter().flatten() {
            let Some(item) = path_item(&document, item).filter(|_| !path.starts_with("x-")) else {
                continue;
            };
            let mut item = item.clone();
            for (operation, _) in operations(&mut item) {
                tag(operation, name);
                if let Some(security) = &security {
                    operation.entry("security").or_insert_with(|| security.clone());
                }
            }
            self.add_path(&document, path, item);
        }
        self.add_rest(name, document);
    }

    /// Adds a path item, split where single operations have another base path.
    fn add_path(&mut self, document: &Value, path: &str, mut item: Object) {
        let none = Object::new();
        let shared = base_path(document, &item, &none).unwrap_or_default();
        let mut apart: Vec<(String, Object)> = Vec::new();
        for method in crate::METHODS {
            let own = item.get(method).and_then(|operation| operation.get("servers")).is_some();
            let Some(Value::Object(mut operation)) =
                (if own { item.shift_remove(method) } else { None })
            else {
                continue;
            };
            let base = base_path(document, &item, &operation).unwrap_or_default();
            operation.shift_remove("servers");
            let mut alone: Object = item
                .iter()
                .filter(|(key, _)| !crate::METHODS.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            alone.shift_remove("servers");
            alone.insert(method.to_owned(), operation.into());
            apart.push((format!("{base}{path}"), alone));
        }
        item.shift_remove("servers");
        if apart.is_empty() || crate::METHODS.iter().any(|method| item.contains_key(*method)) {
            self.put(format!("{shared}{path}"), item);
        }
        for (path, item) in apart {
            self.put(path, item);
        }
    }

    fn put(&mut self, path: String, mut item: Object) {
        let Some(Value::Object(held)) = self.paths.get_mut(&path) else {
            self.paths.insert(path, item.into());
            return;
        };
        // Parameters of the path item belong to its own operations, not to those that join it.
        push_parameters_down(held);
        push_parameters_down(&mut item);
        for (key, value) in item {
            held.entry(key).or_insert(value);
        }
    }

    fn add_tags(&mut self, service: &str, document: &Value) {
        let title = document.pointer("/info/title").and_then(Value::as_str).unwrap_or(service);
        let own = json!({ "name": service, "description": title });
        let declared = document.get("tags").and_then(Value::as_array);
        for tag in std::iter::once(&own).chain(declared.into_iter().flatten()) {
            if !self.tags.iter().any(|held| held.get("name") == tag.get("name")) {
                self.tags.push(tag.clone());
            }
        }
    }

    fn add_rest(&mut self, service: &str, document: Value) {
        let Value::Object(mut document) = document else {
            return;
        };
        if let Some(Value::Object(components)) = document.shift_remove("components") {
            for (section, entries) in components {
                match (self.components.get_mut(&section), entries) {
                    (Some(Value::Object(held)), Value::Object(entries)) => held.extend(entries),
                    (Some(_), _) => {}
                    (None, entries) => {
                        self.components.insert(section, entries);
                    }
                }
            }
        }
        if let Some(Value::Object(webhooks)) = document.shift_remove("webhooks") {
            for (name, webhook) in webhooks {
                let name = if self.webhooks.contains_key(&name) {
                    format!("{service}_{name}")
                } else {
                    name
                };
                self.webhooks.insert(name, webhook);
            }
        }
    }
}

/// The operations of a path item, with their methods.
fn operations(item: &mut Object) -> impl Iterator<Item = (&mut Object, &str)> {
    item.iter_mut()
        .filter(|(key, _)| crate::METHODS.contains(&key.as_str()))
        .filter_map(|(key, value)| Some((value.as_object_mut()?, key.as_str())))
}

fn tag(operation: &mut Object, service: &str) {
    let tags = operation.entry("tags").or_insert_with(|| json!([]));
    if let Value::Array(tags) = tags
        && !tags.iter().any(|tag| tag.as_str() == Some(service))
    {
        tags.insert(0, service.into());
    }
}

fn push_parameters_down(item: &mut Object) {
    let Some(Value::Array(shared)) = item.shift_remove("parameters") else {
        return;
    };
    for (operation, _) in operations(item) {
        let own = operation.entry("parameters").or_insert_with(|| json!([]));
        let Value::Array(own) = own else { continue };
        let same = |a: &Value, b: &Value| {
            a == b
                || (a.get("name").is_some()
                    && a.get("name") == b.get("name")
                    && a.get("in") == b.get("in"))
        };
        let added: Vec<Value> =
            shared.iter().filter(|p| !own.iter().any(|held| same(held, p))).cloned().collect();
        own.splice(0..0, added);
    }
}

#[cfg(test)]
mod tests;
