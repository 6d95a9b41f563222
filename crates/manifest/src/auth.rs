//! `[auth]`: who verifies callers, and what the backend is told of them.

use std::path::PathBuf;

use plimsoll_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::HttpUrl;

/// Who verifies callers. With no issuer nothing is verified and credentials pass through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSection {
    /// The token claim that names the tenant, such as `tenant` or `org_id`. Default: none, every
    /// caller is of the tenant `default`. Since 0.1.
    #[schemars(length(min = 1, max = 128))]
    pub tenant_claim: Option<String>,
    /// How far the clocks of issuer and edge may differ when `exp`, `nbf` and `iat` are judged.
    /// Since 0.1.
    #[schemars(extend("x-max" = "10m"))]
    pub skew: HumanDuration,
    /// What the backend is told of a verified caller besides the token it came with. Since 0.1.
    pub forward_principal: ForwardPrincipal,
    /// The realm in `WWW-Authenticate` challenges (RFC 6750 section 3). Since 0.1.
    #[schemars(length(min = 1, max = 128))]
    pub realm: String,
    /// How many verified tokens are remembered, so that a signature is checked once and not on
    /// every request. Unit: tokens. Since 0.1.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub token_cache_max: u32,
    /// How many tokens that were not seen before one address may send, charged before a signature
    /// is checked: verifying costs more than all the rest of a request. Since 0.1.
    pub unverified_per_ip: Rate,
    /// How old a node's knowledge of revoked tokens may be before operations with
    /// `revocation = "strict"` are refused. Since 0.1.
    #[schemars(extend("x-min" = "1s", "x-max" = "1h"))]
    pub revocation_staleness_max: HumanDuration,
    /// The issuers whose tokens are accepted, told apart by `iss`. Once there is one, a token is
    /// required unless an operation says otherwise. Since 0.1.
    #[serde(rename = "issuer")]
    #[schemars(length(max = 64))]
    pub issuers: Vec<Issuer>,
}

impl Default for AuthSection {
    fn default() -> Self {
        Self {
            tenant_claim: None,
            skew: HumanDuration::from_secs(60),
            forward_principal: ForwardPrincipal::None,
            realm: "plimsoll".to_owned(),
            token_cache_max: 100_000,
            unverified_per_ip: Rate::default(),
            revocation_staleness_max: HumanDuration::from_secs(30),
            issuers: Vec::new(),
        }
    }
}

/// What the backend is told of a verified caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForwardPrincipal {
    /// Nothing beside the original token, which is always forwarded.
    None,
    /// `Plimsoll-Subject`, `Plimsoll-Tenant`, `Plimsoll-Issuer` and `Plimsoll-Scope`, which a
    /// client can never send itself. What is not printable ASCII in them is percent-encoded as
    /// UTF-8 (RFC 3986 section 2.1), and so is `%`: decode them once.
    Headers,
}

/// So many in such a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// How many in a window. Unit: requests. Since 0.1.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub quota: u32,
    /// The window. Since 0.1.
    #[schemars(extend("x-min" = "1s", "x-max" = "31d"))]
    pub window: HumanDuration,
}

impl Default for Rate {
    fn default() -> Self {
        Self { quota: 3_000, window: HumanDuration::from_secs(60) }
    }
}

/// An issuer of bearer tokens (JWT, RFC 7519).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Exactly what stands in the token's `iss`. Since 0.1.
    #[schemars(length(min = 1, max = 1024))]
    pub issuer: String,
    /// The audiences meant for this edge; a token must name one of them in `aud`. Since 0.1.
    #[schemars(length(min = 1, max = 64))]
    pub audience: Vec<String>,
    /// The signature algorithms that are accepted. `none` and shared-secret algorithms (`HS256`
    /// and its kin) never are. Since 0.1.
    #[serde(default = "default_algorithms")]
    #[schemars(length(min = 1))]
    pub algorithms: Vec<Algorithm>,
    /// Where the issuer describes itself (OpenID Connect Discovery 1.0 or RFC 8414).
    /// Default: `/.well-known/openid-configuration` under `issuer`. Since 0.1.
    pub discovery_url: Option<HttpUrl>,
    /// Where the issuer's keys are (RFC 7517), when there is no discovery. Since 0.1.
    pub jwks_url: Option<HttpUrl>,
    /// A file with the issuer's keys (RFC 7517), relative to the manifest; read again when it
    /// changes. Since 0.1.
    pub jwks_file: Option<PathBuf>,
    /// How often the keys are fetched again. An unknown `kid` fetches them sooner. Since 0.1.
    #[serde(default = "default_refresh")]
    #[schemars(extend("x-min" = "1s", "x-max" = "24h"))]
    pub refresh: HumanDuration,
    /// How long the last keys are used while the issuer cannot be reached. Since 0.1.
    #[serde(default = "default_stale_max")]
    #[schemars(extend("x-min" = "1s", "x-max" = "31d"))]
    pub stale_max: HumanDuration,
    /// The `typ` that a token's header must have, such as `at+jwt` (RFC 9068 section 2.1).
    /// Default: none, and any `typ` is accepted that does not name another kind of token, such as
    /// `dpop+jwt`. Since 0.1.
    #[schemars(length(min = 1, max = 64))]
    pub type_header: Option<String>,
    /// The claim with the token's scopes, as text separated by spaces or as an array.
    /// Default: `scope`, else `scp`. Since 0.1.
    #[schemars(length(min = 1, max = 128))]
    pub scope_claim: Option<String>,
    /// Whether the issuer may be at a private address, such as an identity provider inside the
    /// cluster. Since 0.1.
    #[serde(default)]
    pub allow_private: bool,
    /// Whether this is the issuer of `plimsoll dev token`, whose key pair is made in the data
    /// directory. Refused when the edge listens anywhere but on loopback, on sockets of
    /// `LISTEN_FDS`, too. Since 0.1.
    #[serde(default)]
    pub development: bool,
}

impl Issuer {
    /// An issuer with every default; its keys come from discovery.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: Vec<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience,
            algorithms: default_algorithms(),
            discovery_url: None,
            jwks_url: None,
            jwks_file: None,
            refresh: default_refresh(),
            stale_max: default_stale_max(),
            type_header: None,
            scope_claim: None,
            allow_private: false,
            development: false,
        }
    }
}

fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa]
}

const fn default_refresh() -> HumanDuration {
    HumanDuration::from_secs(300)
}

const fn default_stale_max() -> HumanDuration {
    HumanDuration::from_secs(24 * 3600)
}

/// A signature algorithm with a public key (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA with P-384 and SHA-384.
    #[serde(rename = "ES384")]
    Es384,
    /// RSA PKCS #1 v1.5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA PKCS #1 v1.5 with SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSA PKCS #1 v1.5 with SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSA-PSS with SHA-384.
    #[serde(rename = "PS384")]
    Ps384,
    /// RSA-PSS with SHA-512.
    #[serde(rename = "PS512")]
    Ps512,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}
