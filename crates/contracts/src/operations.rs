//! The operations of a contract, as routed.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use plimsoll_base::{ByteSize, HumanDuration};
use plimsoll_snapshot::template::Template;
use plimsoll_snapshot::{Audit, CacheRoute, Criticality, Idempotency, KeyRule, OperationRoute};
use serde_json::{Map, Value};

use crate::bounds::{
    GROUP_BYTES_MAX, GROUPS_MAX, OPERATION_ID_BYTES_MAX, OPERATIONS_MAX, REFERENCE_CHAIN_MAX,
};
use crate::check::shown;
use crate::faults::{Faults, fault};
use crate::pointer::{Path, follow};
use crate::security;

/// An operation and where it stands in the document.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) route: OperationRoute,
    /// The template without parameter names: what two conflicting operations share.
    pub(crate) shape: String,
    /// `#/paths/~1orders/get`.
    pub(crate) pointer: String,
    /// The path as the contract says it.
    pub(crate) path: String,
    /// Whether the contract gives the id.
    pub(crate) named: bool,
}

/// The operations of a document, in its order, templates with `prefix` and the base path of the
/// first of their `servers` in front.
pub(crate) fn collect(document: &Value, prefix: &str, faults: &mut Faults) -> Vec<Found> {
    let mut found = Vec::new();
    let Some(Value::Object(paths)) = document.get("paths") else {
        return found;
    };
    let root = Path::Root;
    let all = root.key("paths");
    for (path, item) in paths.iter().filter(|(path, _)| !path.starts_with("x-")) {
        let place = all.key(path);
        let Some(item) = path_item(document, item) else {
            faults.at(place, "a path is an object with a field for each method");
            continue;
        };
        for method in crate::METHODS {
            let Some(Value::Object(operation)) = item.get(method) else {
                continue;
            };
            if found.len() == OPERATIONS_MAX {
                faults.at(all, format!("more than {OPERATIONS_MAX} operations"));
                return found;
            }
            let base = match base_path(document, item, operation) {
                Ok(base) => base,
                Err(message) => {
                    faults.at(place.key(method).key("servers"), message);
                    continue;
                }
            };
            let template = format!("{prefix}{base}{path}");
            let place = place.key(method);
            match Template::parse(&template) {
                Ok(parsed) => {
                    let route = route(document, (method, &template), operation, &place, faults);
                    found.push(Found {
                        named: !route.id.is_empty(),
                        route,
                        shape: parsed.to_string(),
                        pointer: place.to_string(),
                        path: path.clone(),
                    });
                }
                Err(error) => {
                    faults.at(place, format!("`{}`: {error}", shown(&template)));
                }
            }
        }
    }
    check_conflicts(&found, faults);
    name(&mut found, faults);
    found
}

/// A path item, its references followed.
pub(crate) fn path_item<'d>(
    document: &'d Value,
    item: &'d Value,
) -> Option<&'d Map<String, Value>> {
    let mut item = item;
    for _ in 0..REFERENCE_CHAIN_MAX {
        match item.get("$ref").and_then(Value::as_str) {
            Some(reference) => item = follow(document, reference)?,
            None => break,
        }
    }
    item.as_object()
}

/// The path part of the first server that applies, without a trailing slash.
pub(crate) fn base_path(
    document: &Value,
    item: &Map<String, Value>,
    operation: &Map<String, Value>,
) -> Result<String, String> {
    let servers = operation.get("servers").or_else(|| item.get("servers"));
    let servers = servers.or_else(|| document.get("servers")).and_then(Value::as_array);
    let Some(server) = servers.and_then(|servers| servers.first()) else {
        return Ok(String::new());
    };
    let Some(url) = server.get("url").and_then(Value::as_str) else {
        return Err("a server has a `url`".to_owned());
    };
    let mut filled = String::new();
    let mut rest = url;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) =
            after.split_once('}').ok_or_else(|| format!("`{}`: no `}}`", shown(url)))?;
        let default = server.get("variables").and_then(|variables| variables.get(name));
        let default = default.and_then(|variable| variable.get("default")).and_then(Value::as_str);
        filled.push_str(before);
        filled.push_str(default.ok_or_else(|| {
            format!("`{}`: the variable `{}` has no default", shown(url), shown(name))
        })?);
        rest = after;
    }
    filled.push_str(rest);
    let path = url_path(&filled);
    Template::parse(if path.is_empty() { "/" } else { &path })
        .map(|_| path)
        .map_err(|error| format!("`{}`: {error}", shown(url)))
}

/// The path of an absolute or relative URL; relative ones are taken from the root, because that is
/// where the edge serves the document's paths.
fn url_path(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let after_scheme = url.split_once("://").map(|(_, rest)| rest);
    let path = match after_scheme.or_else(|| url.strip_prefix("//")) {
        Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => url.strip_prefix('.').filter(|rest| !rest.starts_with('.')).unwrap_or(url),
    };
    let path = path.trim_matches('/');
    if path.is_empty() { String::new() } else { format!("/{path}") }
}

fn route(
    document: &Value,
    (method, template): (&str, &str),
    operation: &Map<String, Value>,
    place: &Path<'_>,
    faults: &mut Faults,
) -> OperationRoute {
    let id = match operation.get("operationId") {
        None => "",
        Some(Value::String(id)) if is_id(id) => id,
        Some(_) => {
            let expected =
                format!("1 to {OPERATION_ID_BYTES_MAX} bytes of text without control characters");
            let at = place.key("operationId");
            faults.push(fault(at, "this is no `operationId`").expecting(expected));
            ""
        }
    };
    let summary = operation.get("summary").and_then(Value::as_str).map(str::trim);
    OperationRoute {
        id: id.to_owned(),
        method: method.to_ascii_uppercase(),
        template: template.to_owned(),
        security: security::of_operation(document, operation, place, faults),
        cost: vendor(operation, "x-cost", place, faults, cost).unwrap_or(1),
        body_bytes_max: vendor(operation, "x-body-bytes-max", place, faults, bytes),
        total_timeout_ms: vendor(operation, "x-total-timeout", place, faults, milliseconds),
        revocation_strict: false,
        retries: None,
        hedge: false,
        breaker: None,
        admission: None,
        criticality: vendor(operation, "x-criticality", place, faults, criticality)
            .unwrap_or_default(),
        fallback_file: None,
        fallback_operation: None,
        audit: vendor(operation, "x-audit", place, faults, yes_or_no)
            .unwrap_or(false)
            .then(Audit::default),
        compression: None,
        idempotency: Idempotency {
            rule: vendor(operation, "x-idempotency", place, faults, key_rule).unwrap_or_default(),
            ..Idempotency::default()
        },
        cache: CacheRoute {
            groups: vendor(operation, "x-cache-groups", place, faults, groups).unwrap_or_default(),
            invalidates: vendor(operation, "x-invalidates", place, faults, groups)
                .unwrap_or_default(),
            ..CacheRoute::default()
        },
        summary: summary.filter(|text| !text.is_empty()).map(shown),
    }
}

fn is_id(id: &str) -> bool {
    !id.trim().is_empty()
        && id.len() <= OPERATION_ID_BYTES_MAX
        && !id.contains(|character: char| character.is_control())
}

/// A vendor key of an operation: the twin of a key of the manifest's `[[operation]]`.
fn vendor<T>(
    operation: &Map<String, Value>,
    key: &str,
    place: &Path<'_>,
    faults: &mut Faults,
    read: fn(&Value) -> Result<T, &'static str>,
) -> Option<T> {
    let value = operation.get(key)?;
    read(value)
        .map_err(|expected| {
            let message = format!("`{}` is no value of `{key}`", shown(&value.to_string()));
            faults.push(fault(place.key(key), message).expecting(expected));
        })
        .ok()
}

fn cost(value: &Value) -> Result<u32, &'static str> {
    let cost = value.as_u64().and_then(|cost| u32::try_from(cost).ok());
    cost.filter(|cost| (1..=1_000_000).contains(cost)).ok_or("a whole number from 1 to 1000000")
}

fn yes_or_no(value: &Value) -> Result<bool, &'static str> {
    value.as_bool().ok_or("true or false")
}

fn key_rule(value: &Value) -> Result<KeyRule, &'static str> {
    match value.as_str() {
        Some("required") => Ok(KeyRule::Required),
        Some("optional") => Ok(KeyRule::Optional),
        Some("off") => Ok(KeyRule::Off),
        _ => Err("\"required\", \"optional\" or \"off\""),
    }
}

fn criticality(value: &Value) -> Result<Criticality, &'static str> {
    Criticality::ALL
        .into_iter()
        .find(|class| value.as_str() == Some(class.as_str()))
        .ok_or("\"critical\", \"default\", \"sheddable\" or \"background\"")
}

/// Names of cache groups (RFC 9875): what a string of a structured field can hold.
fn groups(value: &Value) -> Result<Vec<String>, &'static str> {
    let is_name = |name: &&str| {
        (1..=GROUP_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|b| matches!(b, b' '..=b'~'))
    };
    let read = |names: &Vec<Value>| -> Option<Vec<String>> {
        names.iter().map(|name| name.as_str().filter(is_name).map(str::to_owned)).collect()
    };
    value
        .as_array()
        .filter(|names| names.len() <= GROUPS_MAX)
        .and_then(read)
        .ok_or("up to 32 names of 1 to 128 bytes of printable ASCII")
}

fn bytes(value: &Value) -> Result<u64, &'static str> {
    match value {
        Value::String(text) => ByteSize::from_str(text).ok().map(|size| size.0),
        _ => value.as_u64(),
    }
    .ok_or("a size such as 512, \"64KiB\" or \"16MiB\"")
}

fn milliseconds(value: &Value) -> Result<u64, &'static str> {
    value
        .as_str()
        .and_then(|text| HumanDuration::from_str(text).ok())
        .and_then(|time| u64::try_from(time.0.as_millis()).ok())
        .filter(|milliseconds| *milliseconds > 0)
        .ok_or("a duration such as \"250ms\", \"30s\" or \"5m\"")
}

/// Two operations of one method whose templates match the same paths.
fn check_conflicts(found: &[Found], faults: &mut Faults) {
    let mut seen: HashMap<(&str, &str), &Found> = HashMap::new();
    for operation in found {
        let key = (operation.route.method.as_str(), operation.shape.as_str());
        if let Some(first) = seen.get(&key) {
            let message = format!(
                "{} {} matches the same paths as {} at {}",
                operation.route.method,
                shown(&operation.route.template),
                shown(&first.route.template),
                first.pointer,
            );
            faults.push(
                fault(&operation.pointer, message).expecting(
                    "one template for the same paths, whatever its parameters are called",
                ),
            );
        } else {
            seen.insert(key, operation);
        }
    }
}

/// Gives names to the operations without one, and refuses a name that is given twice.
fn name(found: &mut [Found], faults: &mut Faults) {
    let mut taken: HashMap<String, String> = HashMap::new();
    for operation in found.iter().filter(|operation| operation.named) {
        let id = operation.route.id.clone();
        if let Some(first) = taken.get(&id) {
            let at = format!("{}/operationId", operation.pointer);
            let message = format!("`{}` is the `operationId` of {first} too", shown(&id));
            faults.push(fault(at, message).expecting("a name that no other operation has"));
        } else {
            taken.insert(id, operation.pointer.clone());
        }
    }
    let mut names: HashSet<String> = taken.into_keys().collect();
    for operation in found.iter_mut().filter(|operation| !operation.named) {
        // The contract's own path, not the routed one: the name must not change with `basePath`.
        operation.route.id = generated_id(&operation.route.method, &operation.path, &mut names);
    }
}

/// `get_orders_id` for `GET /orders/{id}`; a number behind it where that is taken.
pub(crate) fn generated_id(method: &str, path: &str, taken: &mut HashSet<String>) -> String {
    let mut id = method.to_ascii_lowercase();
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut any = false;
    for word in words {
        if id.len() + word.len() >= OPERATION_ID_BYTES_MAX - 8 {
            break;
        }
        id.push('_');
        id.push_str(word);
        any = true;
    }
    if !any {
        id.push_str("_root");
    }
    let mut unique = id.clone();
    let mut number = 2;
    while !taken.insert(unique.clone()) {
        unique = format!("{id}_{number}");
        number += 1;
    }
    unique
}

#[cfg(test)]
mod tests;
