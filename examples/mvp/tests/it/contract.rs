//! `openapi.json`, and whether an answer is what it promises.

use http::Method;
use serde_json::Value;

/// The contract.
pub(crate) struct Contract {
    document: Value,
}

impl Contract {
    pub(crate) fn load() -> Self {
        let text = include_str!("../../openapi.json");
        Self { document: serde_json::from_str(text).unwrap() }
    }

    /// Each operation as path template, method and object.
    fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.document["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            let methods = methods.filter(|(name, _)| *name != "parameters");
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    fn find(&self, id: &str) -> (&str, &str, &Value) {
        self.operations().find(|(_, _, op)| op["operationId"] == id).unwrap()
    }

    /// The method of an operation, whose template the path must match.
    pub(crate) fn method(&self, id: &str, path: &str) -> Method {
        let (template, method, _) = self.find(id);
        let path = path.split('?').next().unwrap();
        let same = |(t, p): (&str, &str)| t == p || (t.starts_with('{') && !p.is_empty());
        assert_eq!(
            template.split('/').count(),
            path.split('/').count(),
            "{path} is not {template}"
        );
        assert!(template.split('/').zip(path.split('/')).all(same), "{path} is not {template}");
        method.to_uppercase().parse().unwrap()
    }

    /// Panics unless the contract names this status for the operation and the body fits its schema.
    pub(crate) fn check(&self, id: &str, status: u16, body: &Value) {
        let (_, _, operation) = self.find(id);
        let response = &operation["responses"][status.to_string()];
        assert!(!response.is_null(), "{id} answered {status}, which the contract does not name");
        let response = self.resolve(response);
        let schema = &response["content"]["application/json"]["schema"];
        assert!(!schema.is_null(), "{id} {status} has no JSON schema");
        self.fits(schema, body, &format!("{id} {status}"));
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                self.resolve(self.document.pointer(reference.trim_start_matches('#')).unwrap())
            }
            None => value,
        }
    }

    /// The part of JSON Schema that the document uses.
    fn fits(&self, schema: &Value, value: &Value, at: &str) {
        let schema = self.resolve(schema);
        let types = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            one => vec![one.as_str().unwrap()],
        };
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_u64() || number.is_i64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        assert!(types.contains(&kind), "{at}: {value} is not {types:?}");
        if let Some(allowed) = schema["enum"].as_array() {
            assert!(allowed.contains(value), "{at}: {value} is none of {allowed:?}");
        }
        for item in value.as_array().into_iter().flatten() {
            self.fits(&schema["items"], item, at);
        }
        if let Some(object) = value.as_object() {
            for required in schema["required"].as_array().into_iter().flatten() {
                let name = required.as_str().unwrap();
                assert!(object.contains_key(name), "{at}: `{name}` is missing in {value}");
            }
            for (name, member) in object {
                let member_schema = &schema["properties"][name];
                assert!(!member_schema.is_null(), "{at}: `{name}` is not in the contract");
                self.fits(member_schema, member, &format!("{at}.{name}"));
            }
        }
    }
}

#[test]
fn the_contract_and_the_router_name_the_same_operations() {
    let contract = Contract::load();
    let mut named: Vec<&str> =
        contract.operations().map(|(_, _, op)| op["operationId"].as_str().unwrap()).collect();
    let mut served = mvp::api::operation_ids();
    named.sort_unstable();
    served.sort_unstable();
    assert_eq!(named, served);
}

#[test]
fn every_operation_says_what_it_is_and_who_may_call_it() {
    let contract = Contract::load();
    for (path, method, operation) in contract.operations() {
        assert!(operation["summary"].is_string(), "{method} {path}");
        let public = operation["security"].as_array().is_some_and(Vec::is_empty);
        let unauthorized = !operation["responses"]["401"].is_null();
        assert_eq!(public, !unauthorized, "{method} {path}: a token is asked for or it is not");
    }
}

#[test]
#[should_panic(expected = "is not in the contract")]
fn the_check_sees_a_field_too_many() {
    let body = serde_json::json!({ "error": "x", "message": "y", "stack": "z" });
    Contract::load().check("getPost", 404, &body);
}

#[test]
#[should_panic(expected = "is missing")]
fn the_check_sees_a_field_too_few() {
    Contract::load().check("getPost", 404, &serde_json::json!({ "error": "x" }));
}
