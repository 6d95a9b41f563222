//! New names where two services use the same one, and every reference following them.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::operations::{base_path, path_item};
use crate::pointer::{escape, local, unescape};
use crate::walk;

/// What is called otherwise in the merged document than in a service's own.
pub(super) struct Renames {
    /// By section and name of a component.
    components: HashMap<(String, String), String>,
    operations: HashMap<String, String>,
    /// Paths that stand below a base path.
    paths: HashMap<String, String>,
}

impl Renames {
    /// The new names for a document, given what is taken; its operation ids are taken from now on.
    pub(super) fn of(
        document: &Value,
        service: &str,
        taken: &Map<String, Value>,
        ids: &mut HashSet<String>,
    ) -> Self {
        let mut renames =
            Self { components: HashMap::new(), operations: HashMap::new(), paths: HashMap::new() };
        let sections = document.get("components").and_then(Value::as_object);
        for (section, entries) in sections.into_iter().flatten() {
            let Some(held) = taken.get(section).and_then(Value::as_object) else {
                continue;
            };
            let Some(entries) = entries.as_object() else {
                continue;
            };
            for name in entries.keys().filter(|name| held.contains_key(*name)) {
                let free = |name: &str| !held.contains_key(name) && !entries.contains_key(name);
                let renamed = unique(service, name, free);
                renames.components.insert((section.clone(), name.clone()), renamed);
            }
        }
        renames.find_operations(document, service, ids);
        renames
    }

    fn find_operations(&mut self, document: &Value, service: &str, ids: &mut HashSet<String>) {
        let none = Map::new();
        let mut own: Vec<&str> = Vec::new();
        let paths = document.get("paths").and_then(Value::as_object);
        for (path, item) in paths.into_iter().flatten() {
            let Some(item) = path_item(document, item) else {
                continue;
            };
            let base = base_path(document, item, &none).unwrap_or_default();
            if !base.is_empty() {
                self.paths.insert(path.clone(), format!("{base}{path}"));
            }
            let operations = crate::METHODS.iter().filter_map(|method| item.get(*method));
            own.extend(operations.filter_map(|held| held.get("operationId")?.as_str()));
        }
        let mine: HashSet<&str> = own.iter().copied().collect();
        for id in mine.iter().filter(|id| ids.contains(**id)) {
            let free = |name: &str| !ids.contains(name) && !mine.contains(name);
            self.operations.insert((*id).to_owned(), unique(service, id, free));
        }
        ids.extend(mine.iter().map(|id| (*id).to_owned()));
        ids.extend(self.operations.values().cloned());
    }

    /// Renames everything in the document itself.
    pub(super) fn apply(&self, document: &mut Value) {
        walk::objects_mut(document, &mut |map| self.rewrite(map));
        let Some(Value::Object(sections)) = document.get_mut("components") else {
            return;
        };
        for (section, entries) in sections {
            let Value::Object(entries) = entries else {
                continue;
            };
            let renamed = std::mem::take(entries).into_iter().map(|(name, value)| {
                let key = (section.clone(), name);
                match self.components.get(&key) {
                    Some(renamed) => (renamed.clone(), value),
                    None => (key.1, value),
                }
            });
            *entries = renamed.collect();
        }
    }

    fn rewrite(&self, map: &mut Map<String, Value>) {
        for key in ["$ref", "operationRef"] {
            if let Some(Value::String(reference)) = map.get_mut(key)
                && let Some(renamed) = self.reference(reference)
            {
                *reference = renamed;
            }
        }
        // An operation's own id, or a link's word for it.
        if let Some(Value::String(id)) = map.get_mut("operationId")
            && let Some(renamed) = self.operations.get(id)
        {
            id.clone_from(renamed);
        }
        if let Some(Value::Array(requirements)) = map.get_mut("security") {
            for requirement in requirements {
                let Value::Object(requirement) = requirement else {
                    continue;
                };
                let renamed = std::mem::take(requirement)
                    .into_iter()
                    .map(|(name, scopes)| (self.component("securitySchemes", name), scopes));
                *requirement = renamed.collect();
            }
        }
        self.rewrite_mapping(map);
    }

    /// A discriminator's values lead to schemas by name or by reference; a value without an entry
    /// is the name of a schema, so renamed ones get an entry.
    fn rewrite_mapping(&self, map: &mut Map<String, Value>) {
        let Some(Value::Object(discriminator)) = map.get_mut("discriminator") else {
            return;
        };
        let mapping = discriminator.get_mut("mapping").and_then(Value::as_object_mut);
        for target in mapping.into_iter().flat_map(|mapping| mapping.values_mut()) {
            let Value::String(target) = target else {
                continue;
            };
            if let Some(renamed) = self.reference(target) {
                *target = renamed;
            } else if !target.contains(['/', '#']) {
                *target = self.component("schemas", std::mem::take(target));
            }
        }
        for list in ["oneOf", "anyOf"] {
            let Some(Value::Array(members)) = map.get(list) else {
                continue;
            };
            let members: Vec<(String, String)> =
                members.iter().filter_map(|member| self.renamed_member(member)).collect();
            if members.is_empty() {
                continue;
            }
            let Some(Value::Object(discriminator)) = map.get_mut("discriminator") else {
                return;
            };
            let mapping = discriminator.entry("mapping").or_insert_with(|| Map::new().into());
            let Value::Object(mapping) = mapping else {
                return;
            };
            for (name, reference) in members {
                if !mapping.values().any(|held| *held == reference) {
                    mapping.entry(name).or_insert_with(|| reference.into());
                }
            }
        }
    }

    /// The old name and the new reference of a `oneOf` member that was renamed. Members are walked
    /// after the object that holds them, so they still have the old reference here.
    fn renamed_member(&self, member: &Value) -> Option<(String, String)> {
        let reference = member.get("$ref")?.as_str()?;
        let name = unescape(reference.strip_prefix("#/components/schemas/")?);
        let renamed = self.components.get(&("schemas".to_owned(), name.clone()))?;
        Some((name, format!("#/components/schemas/{}", escape(renamed))))
    }

    fn component(&self, section: &str, name: String) -> String {
        let key = (section.to_owned(), name);
        match self.components.get(&key) {
            Some(renamed) => renamed.clone(),
            None => key.1,
        }
    }

    fn reference(&self, reference: &str) -> Option<String> {
        let pointer = local(reference)?;
        let tokens: Vec<&str> = pointer.split('/').skip(1).collect();
        let (start, rest) = match tokens.as_slice() {
            ["components", section, name, rest @ ..] => {
                let renamed = self.components.get(&((*section).to_owned(), unescape(name)))?;
                (format!("#/components/{section}/{}", escape(renamed)), rest)
            }
            ["paths", path, rest @ ..] => {
                let renamed = self.paths.get(&unescape(path))?;
                (format!("#/paths/{}", escape(renamed)), rest)
            }
            _ => return None,
        };
        Some(rest.iter().fold(start, |pointer, token| format!("{pointer}/{token}")))
    }
}

fn unique(service: &str, name: &str, free: impl Fn(&str) -> bool) -> String {
    let base = format!("{service}_{name}");
    let mut renamed = base.clone();
    let mut number = 2;
    while !free(&renamed) {
        renamed = format!("{base}_{number}");
        number += 1;
    }
    renamed
}
