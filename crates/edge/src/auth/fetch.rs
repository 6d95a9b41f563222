//! Getting an issuer's keys from where they are.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, Uri};
use plimsoll_outbound::{FetchOptions, OutboundError};
use serde::Deserialize;

use super::AuthParts;
use super::keys::{KEY_SET_BYTES_MAX, KeySet};
use super::options::KeyLocation;
use super::source::SourceSpec;

/// Total time of one call.
const CALL_DEADLINE: Duration = Duration::from_secs(5);
const DESCRIPTION_BYTES_MAX: usize = 128 * 1024;

/// Tells versions of a file apart without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileMark {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What a look at the source brought.
pub(super) enum Loaded {
    /// The file is as it was.
    Same,
    /// Keys, and for a file its mark.
    New(KeySet, Option<FileMark>),
}

/// Why there are no keys. The text goes to status pages and logs, and says what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: {reason}", path.display())]
    FileContent { path: PathBuf, reason: &'static str },
    #[error("{what}: {source}")]
    Call { what: &'static str, source: OutboundError },
    #[error("{what}: the issuer answered {status}; check the URL")]
    Status { what: &'static str, status: StatusCode },
    #[error("{what}: {reason}")]
    Content { what: &'static str, reason: &'static str },
}

const DESCRIPTION: &str = "issuer description";
const KEY_SET: &str = "key set";

/// Looks at the source once.
pub(super) async fn load(
    spec: &SourceSpec,
    parts: &AuthParts,
    mark: Option<FileMark>,
) -> Result<Loaded, LoadError> {
    let key_set_url = match &spec.location {
        KeyLocation::File(path) => return file_in_background(path.clone(), mark).await,
        KeyLocation::Url(url) => url.clone(),
        KeyLocation::Described(url) => {
            let body = get(spec, parts, DESCRIPTION, url, DESCRIPTION_BYTES_MAX).await?;
            described_key_set(&body, &spec.issuer, url)?
        }
        KeyLocation::WellKnown => well_known(spec, parts).await?,
    };
    let body = get(spec, parts, KEY_SET, &key_set_url, KEY_SET_BYTES_MAX).await?;
    let content = |reason| LoadError::Content { what: KEY_SET, reason };
    Ok(Loaded::New(KeySet::parse(&body).map_err(content)?, None))
}

/// Finds the key set by the issuer's name: OpenID Connect's place first, then RFC 8414's.
async fn well_known(spec: &SourceSpec, parts: &AuthParts) -> Result<String, LoadError> {
    let [oidc, oauth] = well_known_urls(&spec.issuer).ok_or(LoadError::Content {
        what: DESCRIPTION,
        reason: "the issuer's name is not a URL; set discovery_url, jwks_url or jwks_file",
    })?;
    match get(spec, parts, DESCRIPTION, &oidc, DESCRIPTION_BYTES_MAX).await {
        Ok(body) => described_key_set(&body, &spec.issuer, &oidc),
        Err(LoadError::Status { status, .. }) if status.is_client_error() => {
            let body = get(spec, parts, DESCRIPTION, &oauth, DESCRIPTION_BYTES_MAX).await?;
            described_key_set(&body, &spec.issuer, &oauth)
        }
        Err(error) => Err(error),
    }
}

/// Where an issuer may describe itself. OpenID Connect Discovery §4 appends to the path, RFC 8414
/// §3.1 puts its own segment before it; both drop a slash at the end.
pub(super) fn well_known_urls(issuer: &str) -> Option<[String; 2]> {
    let uri: Uri = issuer.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    if !matches!(scheme, "https" | "http") || uri.query().is_some() || issuer.contains('#') {
        return None;
    }
    let path = uri.path().trim_end_matches('/');
    Some([
        format!("{scheme}://{authority}{path}/.well-known/openid-configuration"),
        format!("{scheme}://{authority}/.well-known/oauth-authorization-server{path}"),
    ])
}

/// Reads where the key set is from what the issuer says of itself.
fn described_key_set(body: &[u8], issuer: &str, from: &str) -> Result<String, LoadError> {
    #[derive(Deserialize)]
    struct Description {
        issuer: String,
        jwks_uri: String,
    }
    let wrong = |reason| LoadError::Content { what: DESCRIPTION, reason };
    let described: Description = serde_json::from_slice(body)
        .map_err(|_| wrong("it is not JSON with `issuer` and `jwks_uri`"))?;
    if described.issuer != issuer {
        return Err(wrong("it names another issuer; `issuer` in [auth] must be exactly that name"));
    }
    let secure = |url: &str| url.get(..8).is_some_and(|s| s.eq_ignore_ascii_case("https://"));
    if secure(from) && !secure(&described.jwks_uri) {
        return Err(wrong("its jwks_uri is not https"));
    }
    Ok(described.jwks_uri)
}

async fn get(
    spec: &SourceSpec,
    parts: &AuthParts,
    what: &'static str,
    url: &str,
    bytes_max: usize,
) -> Result<Bytes, LoadError> {
    let options = FetchOptions {
        deadline: CALL_DEADLINE,
        bytes_max,
        allow_private: spec.allow_private,
        accept: "application/json, application/jwk-set+json",
    };
    let fetched = parts.outbound.fetch(url, options).await;
    let fetched = fetched.map_err(|source| LoadError::Call { what, source })?;
    if fetched.status == StatusCode::OK {
        Ok(fetched.body)
    } else {
        Err(LoadError::Status { what, status: fetched.status })
    }
}

async fn file_in_background(path: PathBuf, mark: Option<FileMark>) -> Result<Loaded, LoadError> {
    let at = path.clone();
    match tokio::task::spawn_blocking(move || file(&path, mark.as_ref())).await {
        Ok(loaded) => loaded,
        Err(ended) => Err(LoadError::File { path: at, source: io::Error::other(ended) }),
    }
}

/// Reads a key file unless it is the one that `mark` tells of.
pub(super) fn file(path: &Path, mark: Option<&FileMark>) -> Result<Loaded, LoadError> {
    let fault = |source| LoadError::File { path: path.to_owned(), source };
    let wrong = |reason| LoadError::FileContent { path: path.to_owned(), reason };
    // Looked at before it is opened: opening a pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(fault)?;
    if !metadata.is_file() {
        return Err(wrong("it is not a file"));
    }
    let file = File::open(path).map_err(fault)?;
    let metadata = file.metadata().map_err(fault)?;
    let found = FileMark {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    };
    if mark == Some(&found) {
        return Ok(Loaded::Same);
    }
    let mut bytes = Vec::new();
    let most = KEY_SET_BYTES_MAX as u64 + 1;
    file.take(most).read_to_end(&mut bytes).map_err(fault)?;
    Ok(Loaded::New(KeySet::parse(&bytes).map_err(wrong)?, Some(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_described_where_the_specifications_say() {
        let urls = |issuer| well_known_urls(issuer).unwrap();
        assert_eq!(
            urls("https://id.example"),
            [
                "https://id.example/.well-known/openid-configuration",
                "https://id.example/.well-known/oauth-authorization-server"
            ]
        );
        assert_eq!(
            urls("https://id.example:8443/realms/shop/"),
            [
                "https://id.example:8443/realms/shop/.well-known/openid-configuration",
                "https://id.example:8443/.well-known/oauth-authorization-server/realms/shop"
            ]
        );
        for bad in ["shop", "urn:shop", "ftp://id.example", "https://id.example?x=1", ""] {
            assert_eq!(well_known_urls(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_description_has_to_be_the_issuers_own() {
        let from = "https://id.example/x";
        let read = |json: &str| {
            described_key_set(json.as_bytes(), "https://id.example", from)
                .map_err(|e| e.to_string())
        };
        let good = r#"{"issuer":"https://id.example","jwks_uri":"https://keys.example/k","x":1}"#;
        assert_eq!(read(good).unwrap(), "https://keys.example/k");
        for (bad, word) in [
            (good.replace("\"https://id.example\"", "\"https://id.example/\""), "another issuer"),
            (good.replace("https://keys", "http://keys"), "not https"),
            (good.replace("jwks_uri", "jwks"), "jwks_uri"),
            (good.replace("\"x\":1", "\"issuer\":\"https://id.example\""), "not JSON"),
            ("[]".to_owned(), "not JSON"),
        ] {
            let error = read(&bad).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
