//! `[[operation]]`: the policy of one operation.

use std::fmt;
use std::path::PathBuf;

use plimsoll_base::{ByteSize, HumanDuration, Name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CompressionRule, Criticality, OperationCache, PathTemplate, RetryRule};

/// The policy of one operation. It is named by `id` (the contract's `operationId`), or, where no
/// contract names it, by `method` and `path`; with all three, `id` is what it is called from then
/// on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OperationPolicy {
    /// The `operationId` in the contract. Since 0.1.
    #[schemars(length(min = 1, max = 256))]
    pub id: Option<String>,
    /// The method of an operation that no contract names. Since 0.1.
    pub method: Option<Method>,
    /// The path template of an operation that no contract names, such as `/orders/{id}`.
    /// Since 0.1.
    pub path: Option<PathTemplate>,
    /// The service it belongs to. Default: the only one that has it. Since 0.1.
    pub service: Option<Name>,
    /// What one request costs in limits with `units = "cost"`. Default: the contract's word,
    /// else 1. Unit: cost. Since 0.1.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub cost: Option<u32>,
    /// The largest request body. Default: the contract's word, else `[edge] body_bytes_max`.
    /// Since 0.1.
    #[schemars(extend("x-max" = "1024GiB"))]
    pub body_bytes_max: Option<ByteSize>,
    /// How long the whole exchange may take. Default: the contract's word, else the service's
    /// `total`. Since 0.1.
    #[schemars(extend("x-min" = "1ms", "x-max" = "24h"))]
    pub total_timeout: Option<HumanDuration>,
    /// What happens while the node does not know which tokens were revoked of late (see `[auth]
    /// revocation_staleness_max`): `strict` refuses the operation until it knows, `relaxed` goes on
    /// with what it knew last. Default: `relaxed`. Since 0.1.
    pub revocation: Option<RevocationRule>,
    /// Whether every call leaves an entry in the ledger: who, what and how it ended, never a body.
    /// Default: the contract's `x-audit`, else not. Since 0.1.
    pub audit: Option<bool>,
    /// What happens to a call that must leave an entry when the spool takes no more. Default:
    /// `refuse`. Since 0.1.
    pub audit_on_full: Option<AuditOnFull>,
    /// What may be sent again although the service may have had it. Default: the service's
    /// `[service.retries] methods`. Since 0.1.
    pub retries: Option<RetryRule>,
    /// Whether a GET or HEAD that is slower than 19 of 20 is asked for a second time, at another
    /// address if there is one, within the retry budget; the first good answer wins. Default:
    /// false. Since 0.1.
    pub hedge: Option<bool>,
    /// Whether a breaker stands before it. Default: where the service has `[service.breaker]`.
    /// Since 0.1.
    pub breaker: Option<bool>,
    /// What it counts as when not everybody can be answered: `critical`, `default`, `sheddable` or
    /// `background`. What a client says of a request may lower it, never raise it. Default: the
    /// contract's `x-criticality`, else `default`. Since 0.1.
    pub criticality: Option<Criticality>,
    /// Whether it takes one of its service's places. Say false where an answer is kept back on
    /// purpose, as by long polling. Default: where the service has `[service.admission]`.
    /// Since 0.1.
    pub admission: Option<bool>,
    /// The document that a GET is answered with while its breaker is open, relative to the
    /// manifest; its name ends in .json, .xml, .html or .txt. Since 0.1.
    pub fallback_file: Option<PathBuf>,
    /// The GET operation that a GET is answered by while its breaker is open, before
    /// `fallback_file`: of the same service, or of `fallback_service`. Its path parameters are
    /// filled with those of the same name; the query goes along. It is asked as if the caller had
    /// asked for it: what it wants of a caller holds. It is not audited and has no
    /// `fallback_operation` itself. Since 0.1.
    #[schemars(length(min = 1, max = 256))]
    pub fallback_operation: Option<String>,
    /// The service of `fallback_operation`. Default: the operation's own. Since 0.1.
    pub fallback_service: Option<Name>,
    /// Whether a write carries an `Idempotency-Key`: `required`, `optional` (one that comes is
    /// obeyed) or `off`. Default: the contract's `x-idempotency`, else `optional`. Since 0.1.
    pub idempotency: Option<IdempotencyRule>,
    /// What happens to a keyed write whose outcome is unknown when it is sent again: `hold` tells
    /// the client, `retry-upstream-with-key` sends it to a service that obeys the key itself, `ask`
    /// asks `find_out` first. Default: `hold`. Since 0.1.
    pub unknown_outcome: Option<OnUnknownOutcome>,
    /// The read operation of the same service that tells what became of a write: with one path
    /// parameter, which is filled with the key, or none. Clients are told of it; with
    /// `unknown_outcome = "ask"` the edge asks it. Since 0.1.
    #[schemars(length(min = 1, max = 256))]
    pub find_out: Option<String>,
    /// What happens to a keyed write while no record can be made: `refuse` answers 503, `pass`
    /// sends it unrecorded. Default: `refuse`. Since 0.1.
    pub on_store_down: Option<OnStoreDown>,
    /// How its answers are kept: `headers` goes by what they say themselves, `shared` declares that
    /// they are the same for every caller, `caller` that each is its caller's own, `off` keeps
    /// none. No word makes an answer kept that says `no-store` or `private`, or sets a cookie.
    /// Default: `headers`. Since 0.1.
    pub cache: Option<OperationCache>,
    /// How long its answers are fresh where they do not say so themselves. Default: they are not.
    /// Since 0.1.
    #[schemars(extend("x-min" = "1s", "x-max" = "30d"))]
    pub cache_ttl: Option<HumanDuration>,
    /// Names under which its answers are invalidated together (RFC 9875), beside those in their
    /// `Cache-Groups`. Default: the contract's `x-cache-groups`. Since 0.1.
    #[schemars(length(max = 32))]
    pub cache_groups: Option<Vec<String>>,
    /// The groups that become invalid when it succeeds, for an operation that writes. Default: the
    /// contract's `x-invalidates`. Since 0.1.
    #[schemars(length(max = 32))]
    pub invalidates: Option<Vec<String>>,
    /// Who may call it. Default: the contract's `security`, else a token once there is an issuer.
    /// Since 0.1.
    pub security: Option<OperationSecurity>,
    /// The scopes a token must hold, all of them. Default: the contract's. Since 0.1.
    #[schemars(length(max = 64))]
    pub scopes: Option<Vec<String>>,
    /// Whether its answers are compressed. Say `off` where one answer holds a secret beside text
    /// that a stranger can choose (BREACH). Default: as `[compression]` says, but for answers that
    /// set a cookie or go to a page elsewhere that sent one. Since 0.1.
    pub compression: Option<CompressionRule>,
}

/// What an operation does while revocations are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevocationRule {
    /// Refused with 503.
    Strict,
    /// Goes on with what was known last.
    Relaxed,
}

/// What happens to a call that must leave an entry when the spool takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOnFull {
    /// Refused with 503 before anything is sent.
    Refuse,
    /// Goes on without an entry, which is counted.
    Pass,
}

/// Whether a write carries a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdempotencyRule {
    /// Without one it is refused with 400.
    Required,
    /// One that comes is obeyed.
    Optional,
    /// One that comes means nothing.
    Off,
}

/// What happens to a keyed write whose outcome is unknown when it is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnUnknownOutcome {
    /// The client is told, and nothing is sent.
    Hold,
    /// It is sent again: the service obeys the key itself.
    RetryUpstreamWithKey,
    /// The read operation `find_out` is asked first.
    Ask,
}

/// What happens to a keyed write while no record can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnStoreDown {
    /// Refused with 503 before anything is sent.
    Refuse,
    /// Sent unrecorded, which is counted.
    Pass,
}

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationSecurity {
    /// Anybody.
    Public,
    /// A caller with a verified token.
    Token,
    /// The backend decides: credentials pass through unverified.
    Pass,
}

/// A request method, written in capitals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads; `HEAD` comes with it.
    Get,
    /// Reads the head of an answer without its body.
    Head,
    /// Submits.
    Post,
    /// Replaces.
    Put,
    /// Changes in part.
    Patch,
    /// Deletes.
    Delete,
    /// Asks what is possible.
    Options,
    /// Echoes the request.
    Trace,
}

impl Method {
    /// The method as it stands in a request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
