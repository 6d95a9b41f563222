//! The header fields in which API keys come: by custom, and by the contracts' `apiKey` schemes.
//! Callers who are not verified are told apart by what they hold.

use http::HeaderName;
use plimsoll_snapshot::Routes;

/// Those by custom.
const CUSTOMARY: [&str; 2] = ["x-api-key", "api-key"];
/// All of them together: each is looked up in every request that a limit by caller counts.
const FIELDS_MAX: usize = 16;

/// The contracts name more header fields than are looked up. If the rest were left out, callers
/// with different keys would share one limit.
#[derive(Debug, thiserror::Error)]
#[error(
    "the contracts name API keys in more than {FIELDS_MAX} header fields, `x-api-key` and \
     `api-key` included; `{0}` is one too many"
)]
pub struct TooManyApiKeyFields(String);

/// Whether there are not too many, for `plimsoll check`.
///
/// # Errors
/// Names the first field that is one too many.
pub fn check(routes: &Routes) -> Result<(), TooManyApiKeyFields> {
    fields(routes).map(drop)
}

pub(super) fn fields(routes: &Routes) -> Result<Vec<HeaderName>, TooManyApiKeyFields> {
    let mut fields = CUSTOMARY.map(HeaderName::from_static).to_vec();
    let documents = routes.services.iter().filter_map(|service| service.document.as_deref());
    let schemes = documents
        .filter_map(|document| document.pointer("/components/securitySchemes")?.as_object())
        .flat_map(serde_json::Map::values);
    for scheme in schemes.filter(|scheme| scheme["type"] == "apiKey" && scheme["in"] == "header") {
        let name = scheme["name"].as_str().unwrap_or_default();
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) if fields.contains(&name) => {}
            Ok(name) if fields.len() >= FIELDS_MAX => {
                return Err(TooManyApiKeyFields(name.to_string()));
            }
            Ok(name) => fields.push(name),
            // No request can carry it.
            Err(_) => {}
        }
    }
    Ok(fields)
}
