//! What the authenticator is told: the manifest's `[auth]`, with its files found.

use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_manifest::{Algorithm, AuthSection, Issuer};

use super::dev_issuer;

/// Everything that decides whom the edge believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthOptions {
    /// The realm in challenges.
    pub realm: String,
    /// Most tokens of up to 1 KiB in the verified-token cache; a longer one counts as several.
    pub token_cache_max: u32,
    /// The issuers. No two have the same name.
    pub issuers: Vec<IssuerOptions>,
}

/// One issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerOptions {
    /// `iss`, compared byte for byte.
    pub issuer: String,
    /// The audiences that are ours; at least one.
    pub audience: Vec<String>,
    /// The algorithms taken from it; at least one.
    pub algorithms: Vec<Algorithm>,
    /// The `typ` its tokens must have. Without one any will do that does not name another kind of
    /// token.
    pub type_header: Option<String>,
    /// The claim with the tenant. Without one every caller is of the tenant `default`.
    pub tenant_claim: Option<String>,
    /// The claim with the scopes; else `scope`, else `scp`.
    pub scope_claim: Option<String>,
    /// How far its clock may be off.
    pub skew: Duration,
    /// Where its keys come from.
    pub keys: KeyLocation,
    /// How often keys from a URL are fetched. Files are looked at every two seconds.
    pub refresh: Duration,
    /// How long keys are believed after they were last seen at their source.
    pub stale_max: Duration,
    /// Whether its URLs may lead to loopback and private networks.
    pub allow_private: bool,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyLocation {
    /// A JWK set in a file.
    File(PathBuf),
    /// A JWK set at a URL.
    Url(String),
    /// The issuer's own description at this URL says where its JWK set is; the description has to
    /// name the issuer exactly (OpenID Connect Discovery §4.3, RFC 8414 §3.3).
    Described(String),
    /// The same, at the places where those two specifications put it under the issuer's own name.
    WellKnown,
}

impl AuthOptions {
    /// Takes the manifest's section. Key files are relative to `manifest_dir`; the development
    /// issuer's keys are in `data_dir`.
    #[must_use]
    pub fn from_manifest(auth: &AuthSection, manifest_dir: &Path, data_dir: &Path) -> Self {
        let issuer = |issuer: &Issuer| IssuerOptions {
            issuer: issuer.issuer.clone(),
            audience: issuer.audience.clone(),
            algorithms: issuer.algorithms.clone(),
            type_header: issuer.type_header.clone(),
            tenant_claim: auth.tenant_claim.clone(),
            scope_claim: issuer.scope_claim.clone(),
            skew: auth.skew.0,
            keys: location(issuer, manifest_dir, data_dir),
            refresh: issuer.refresh.0,
            stale_max: issuer.stale_max.0,
            allow_private: issuer.allow_private,
        };
        Self {
            realm: auth.realm.clone(),
            token_cache_max: auth.token_cache_max,
            issuers: auth.issuers.iter().map(issuer).collect(),
        }
    }
}

fn location(issuer: &Issuer, manifest_dir: &Path, data_dir: &Path) -> KeyLocation {
    if issuer.development {
        KeyLocation::File(dev_issuer::key_set_file(data_dir))
    } else if let Some(file) = &issuer.jwks_file {
        KeyLocation::File(manifest_dir.join(file))
    } else if let Some(url) = &issuer.jwks_url {
        KeyLocation::Url(url.as_str().to_owned())
    } else if let Some(url) = &issuer.discovery_url {
        KeyLocation::Described(url.as_str().to_owned())
    } else {
        KeyLocation::WellKnown
    }
}

/// Why an authenticator could not be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthSetupError {
    /// The realm cannot stand in a header.
    #[error("the realm of [auth] must be 1 or more printable ASCII characters")]
    Realm,
    /// Two issuers have one name: `iss` could not tell them apart.
    #[error("the issuer `{0}` stands twice in [auth]: join the two entries")]
    TwiceTheIssuer(String),
    /// An issuer without audience would take tokens that were meant for others.
    #[error("the issuer `{0}` has no audience: say what its tokens for this API carry in `aud`")]
    NoAudience(String),
    /// An issuer without algorithms can verify nothing.
    #[error("the issuer `{0}` has no algorithms: leave the key out to get the default ones")]
    NoAlgorithm(String),
    /// An issuer's own places can only be found when its name is a URL.
    #[error(
        "the issuer `{0}` is not an https URL, so its keys cannot be found by its name: set \
         discovery_url, jwks_url or jwks_file"
    )]
    NotAUrl(String),
}
