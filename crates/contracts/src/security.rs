//! What a caller must show, from the contract's `security`.
//!
//! An operation without `security` inherits the document's; where neither says anything, any valid
//! token is asked for, as soon as an issuer is configured. Only `security: []` (or a list of empty
//! requirements) makes an operation public. Schemes that the edge cannot verify (basic, API key,
//! client certificate) pass through to the backend.

use plimsoll_manifest::Fault;
use plimsoll_snapshot::Security;
use serde_json::{Map, Value};

use crate::check::shown;
use crate::faults::{Faults, fault};
use crate::pointer::{Path, follow};

/// What one scheme means to the edge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// A bearer token that the edge verifies.
    Token,
    /// Something that the backend judges.
    PassThrough,
}

/// What an operation asks for; faults are added where its `security` makes no sense.
pub(crate) fn of_operation(
    document: &Value,
    operation: &Map<String, Value>,
    path: &Path<'_>,
    faults: &mut Faults,
) -> Security {
    let own = operation.get("security");
    let root = Path::Root;
    let (declared, place) = match own {
        Some(own) => (Some(own), path),
        None => (document.get("security"), &root),
    };
    let Some(declared) = declared else {
        return Security::any_token();
    };
    let place = place.key("security");
    let Value::Array(requirements) = declared else {
        faults.at(place, "`security` is a list of requirements");
        return Security::any_token();
    };
    resolve(document, requirements, &place, faults)
}

fn resolve(
    document: &Value,
    requirements: &[Value],
    place: &Path<'_>,
    faults: &mut Faults,
) -> Security {
    let mut any_of: Vec<Vec<String>> = Vec::new();
    let (mut optional, mut pass_through) = (false, false);
    for (index, requirement) in requirements.iter().enumerate() {
        let place = place.index(index);
        let Value::Object(requirement) = requirement else {
            faults.at(place, "a requirement is an object of schemes and their scopes");
            continue;
        };
        if requirement.is_empty() {
            optional = true;
            continue;
        }
        match alternative(document, requirement, &place, faults) {
            Some(mut scopes) => {
                scopes.sort_unstable();
                scopes.dedup();
                if !any_of.contains(&scopes) {
                    any_of.push(scopes);
                }
            }
            None => pass_through = true,
        }
    }
    match (any_of.is_empty(), pass_through) {
        (true, true) => Security::PassThrough,
        (true, false) => Security::Public,
        (false, _) => Security::Token { any_of, optional, pass_through },
    }
}

/// The scopes of one requirement, all of whose schemes are asked for at once; `None` if the edge
/// can verify none of them.
fn alternative(
    document: &Value,
    requirement: &Map<String, Value>,
    place: &Path<'_>,
    faults: &mut Faults,
) -> Option<Vec<String>> {
    let mut wanted = None;
    for (name, scopes) in requirement {
        let place = place.key(name);
        match scheme(document, name, &place) {
            Ok(Scheme::PassThrough) => {}
            Ok(Scheme::Token) => {
                let list = scopes.as_array().map(Vec::as_slice).unwrap_or_default();
                if !scopes.is_array() || !list.iter().all(Value::is_string) {
                    faults.at(place, "the scopes of a scheme are a list of texts");
                }
                let scopes = list.iter().filter_map(Value::as_str).map(str::to_owned);
                wanted.get_or_insert_with(Vec::new).extend(scopes);
            }
            Err(fault) => faults.push(*fault),
        }
    }
    wanted
}

fn scheme(document: &Value, name: &str, place: &Path<'_>) -> Result<Scheme, Box<Fault>> {
    let schemes = document.pointer("/components/securitySchemes").and_then(Value::as_object);
    let Some(declared) = schemes.and_then(|schemes| schemes.get(name)) else {
        let names = schemes.into_iter().flatten().map(|(name, _)| name.as_str());
        let mut fault = fault(place, format!("no security scheme is called `{}`", shown(name)))
            .expecting("a name of `components.securitySchemes`");
        fault.suggestion = crate::similar(name, names);
        return Err(fault.into());
    };
    let reference = declared.get("$ref").and_then(Value::as_str);
    let declared = reference.and_then(|reference| follow(document, reference)).unwrap_or(declared);
    let text = |key: &str| declared.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("type") {
        "oauth2" | "openIdConnect" => Ok(Scheme::Token),
        "http" if text("scheme").eq_ignore_ascii_case("bearer") => Ok(Scheme::Token),
        "http" | "apiKey" | "mutualTLS" => Ok(Scheme::PassThrough),
        other => {
            let message = format!("the scheme `{}` has the type `{}`", shown(name), shown(other));
            Err(fault(place, message)
                .expecting("`http`, `oauth2`, `openIdConnect`, `apiKey` or `mutualTLS`")
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(security: &Value, root: &Value) -> Result<Security, Vec<Fault>> {
        let document = json!({ "security": root, "components": { "securitySchemes": {
            "bearer": { "type": "http", "scheme": "Bearer" },
            "oidc": { "type": "openIdConnect", "openIdConnectUrl": "https://id.example" },
            "oauth": { "type": "oauth2", "flows": {} },
            "basic": { "type": "http", "scheme": "basic" },
            "key": { "type": "apiKey", "in": "header", "name": "X-Key" },
            "alias": { "$ref": "#/components/securitySchemes/oidc" },
            "odd": { "type": "magic" },
        } } });
        let mut document = document;
        if root.is_null() {
            document.as_object_mut().unwrap().remove("security");
        }
        let operation =
            if security.is_null() { json!({}) } else { json!({ "security": security }) };
        let mut faults = Faults::default();
        let found =
            of_operation(&document, operation.as_object().unwrap(), &Path::Root, &mut faults);
        faults.or(found)
    }

    fn token(any_of: &[&[&str]], optional: bool, pass_through: bool) -> Security {
        let any_of = any_of.iter().map(|all| all.iter().map(|s| (*s).into()).collect()).collect();
        Security::Token { any_of, optional, pass_through }
    }

    #[test]
    fn requirements_are_alternatives_and_their_schemes_are_not() {
        for (security, expected) in [
            (json!([]), Security::Public),
            (json!([{}]), Security::Public),
            (json!([{ "bearer": [] }]), token(&[&[]], false, false)),
            (json!([{ "oidc": ["a", "b", "a"] }]), token(&[&["a", "b"]], false, false)),
            (
                json!([{ "oidc": ["a"] }, { "oauth": ["b"] }]),
                token(&[&["a"], &["b"]], false, false),
            ),
            (json!([{ "oidc": ["b"], "oauth": ["a"] }]), token(&[&["a", "b"]], false, false)),
            (json!([{ "oidc": ["a"], "key": [] }]), token(&[&["a"]], false, false)),
            (json!([{ "bearer": [] }, {}]), token(&[&[]], true, false)),
            (json!([{ "bearer": [] }, { "basic": [] }]), token(&[&[]], false, true)),
            (json!([{ "alias": ["a"] }]), token(&[&["a"]], false, false)),
            (json!([{ "basic": [] }]), Security::PassThrough),
            (json!([{ "key": [] }, {}]), Security::PassThrough),
        ] {
            assert_eq!(asked(&security, &Value::Null).unwrap(), expected, "{security}");
            assert_eq!(asked(&Value::Null, &security).unwrap(), expected, "inherited: {security}");
        }
    }

    #[test]
    fn the_operations_word_wins_and_silence_asks_for_a_token() {
        let root = json!([{ "oidc": ["a"] }]);
        assert_eq!(asked(&json!([]), &root).unwrap(), Security::Public);
        assert_eq!(asked(&Value::Null, &Value::Null).unwrap(), Security::any_token());
    }

    #[test]
    fn what_makes_no_sense_is_a_fault() {
        for (security, expected) in [
            (json!([{ "baerer": [] }]), "did you mean `bearer`?"),
            (json!([{ "odd": [] }]), "has the type `magic`"),
            (json!({ "bearer": [] }), "is a list"),
            (json!(["bearer"]), "is an object"),
            (json!([{ "bearer": "a" }]), "list of texts"),
        ] {
            let faults = asked(&security, &Value::Null).unwrap_err();
            let said = faults[0].to_string();
            assert!(said.contains(expected) && said.contains("#/security"), "{said}");
        }
    }
}
