//! OpenAPI 3.0 to 3.1, for a 3.0 contract that is merged with a 3.1 one: the few words that mean
//! something else in JSON Schema 2020-12.

use serde_json::{Map, Value, json};

use crate::walk;

pub(super) fn to_31(document: &mut Value) {
    walk::objects_mut(document, &mut |map| {
        nullable(map);
        exclusive(map, "exclusiveMinimum", "minimum");
        exclusive(map, "exclusiveMaximum", "maximum");
    });
}

/// `nullable: true` is a type of its own in 3.1; beside no `type` it never had an effect (3.0.3).
fn nullable(map: &mut Map<String, Value>) {
    let Some(Value::Bool(nullable)) = map.get("nullable") else {
        return;
    };
    let nullable = *nullable;
    map.shift_remove("nullable");
    let Some(Value::String(name)) = map.get("type").filter(|_| nullable) else {
        return;
    };
    let types = json!([name, "null"]);
    map.insert("type".into(), types);
    if let Some(Value::Array(values)) = map.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
}

/// A flag beside the bound in 3.0, the bound itself in 3.1.
fn exclusive(map: &mut Map<String, Value>, flag: &str, bound: &str) {
    let Some(Value::Bool(exclusive)) = map.get(flag) else {
        return;
    };
    let exclusive = *exclusive;
    map.shift_remove(flag);
    if exclusive && let Some(limit) = map.shift_remove(bound) {
        map.insert(flag.to_owned(), limit);
    }
}
