//! Contracts: whether they are published whole, and whether every operation has a version.

use http::StatusCode;
use plimsoll_edge::router::Operation;
use serde_json::Value;

use super::Observer;
use super::facts::{Seen, many};

/// The largest contract that is read back, bytes.
const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

const MERGED: &str = "/openapi.json";

/// What the listener publishes, against the route table.
pub(super) async fn published(observer: &Observer) -> Seen {
    let config = observer.node.edge.config();
    let operations = config.router().operations();
    let contracts = config.router().services().iter().filter(|service| service.has_contract);
    let mut documents = Vec::new();
    let mut unread = None;
    // The edge publishes contracts, and with none of them asking would ask the backend.
    for path in contracts
        .clone()
        .next()
        .into_iter()
        .map(|_| MERGED.to_owned())
        .chain(contracts.map(|service| format!("/openapi/{}.json", service.name)))
    {
        match document(observer, &path).await {
            Ok(document) => documents.push((path, document)),
            Err(why) => unread = unread.or(Some(format!("{path}: {why}"))),
        }
    }
    let merged = documents.iter().find(|(path, _)| path == MERGED).map(|(_, document)| document);
    let missing: Vec<String> = operations
        .iter()
        .filter(|operation| !merged.is_some_and(|document| has(document, operation)))
        .map(|operation| name(operation))
        .collect();
    let says = match (unread, documents.len(), missing.len()) {
        (Some(why), ..) => why,
        (None, 0, _) => "no service has a contract".to_owned(),
        (None, documents, 0) => format!(
            "{} published, with all of {}",
            many(documents, "document"),
            many(operations.len(), "operation")
        ),
        (None, documents, missing) => {
            format!(
                "{} published, without {}",
                many(documents, "document"),
                many(missing, "operation")
            )
        }
    };
    Seen::saying(says)
        .count("documents", documents.len())
        .count("operations", operations.len())
        .count("missing", missing.len())
        .first("first_missing", &missing)
}

async fn document(observer: &Observer, path: &str) -> Result<Value, String> {
    let answer = observer.ask(path, DOCUMENT_BYTES_MAX).await?;
    if answer.status != StatusCode::OK {
        return Err(format!("answered with {}", answer.status.as_u16()));
    }
    serde_json::from_slice(&answer.body).map_err(|_| "it is no JSON".to_owned())
}

fn has(document: &Value, operation: &Operation) -> bool {
    let base = document.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or("/");
    let under = operation.template.strip_prefix(base.trim_end_matches('/'));
    let of = |path: &str| document.get("paths")?.get(path)?.get(method(operation));
    under.and_then(of).is_some() || of(&operation.template).is_some()
}

fn method(operation: &Operation) -> String {
    operation.method.as_str().to_ascii_lowercase()
}

fn name(operation: &Operation) -> String {
    format!("{} {}", operation.method, operation.template)
}

/// Whether each operation says which version of the API it is of.
pub(super) fn versions(observer: &Observer) -> Seen {
    let config = observer.node.edge.config();
    let router = config.router();
    let versioned = |operation: &Operation| {
        router.service(operation.service).is_some_and(|service| service.is_versioned())
            || has_version(&operation.template)
    };
    let operations = router.operations();
    let unversioned: Vec<String> =
        operations.iter().filter(|o| !versioned(o)).map(|o| name(o)).collect();
    let says = match (operations.len(), unversioned.len()) {
        (0, _) => "no contract names an operation".to_owned(),
        (all, 0) => format!("{}, each with a version", many(all, "operation")),
        (all, without) => format!("{}, {without} without a version", many(all, "operation")),
    };
    Seen::saying(says)
        .count("operations", operations.len())
        .count("unversioned", unversioned.len())
        .first("first_unversioned", &unversioned)
}

/// Whether a segment before the first parameter is a version, as `v1` or `v2.1`.
fn has_version(template: &str) -> bool {
    let segments = template.split('/').take_while(|segment| !segment.contains('{'));
    segments.filter_map(|segment| segment.strip_prefix(['v', 'V'])).any(|number| {
        number.starts_with(|c: char| c.is_ascii_digit())
            && number.chars().all(|c| c.is_ascii_digit() || c == '.')
    })
}

#[cfg(test)]
mod tests {
    use super::has_version;

    #[test]
    fn a_version_is_a_v_and_a_number_before_the_first_parameter() {
        for (template, is) in [
            ("/v1/orders", true),
            ("/api/v2.1/orders/{id}", true),
            ("/orders", false),
            ("/orders/{id}/v2", false),
            ("/vault/1", false),
            ("/v/1", false),
        ] {
            assert_eq!(has_version(template), is, "{template}");
        }
    }
}
