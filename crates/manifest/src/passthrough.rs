//! `[[passthrough]]`: prefixes for long-lived exchanges.

use plimsoll_base::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::PathPrefix;

/// A path prefix whose requests go to a service as they are and have no total deadline. An
/// operation of a contract below it keeps its paths and its policies, whatever a request says of
/// itself; of the same service, it may be opened as a WebSocket by those policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Passthrough {
    /// The prefix; `/ws` covers `/ws` and everything below `/ws/`. Since 0.1.
    pub prefix: PathPrefix,
    /// The service it leads to. Since 0.1.
    pub service: Name,
    /// What may pass here. Since 0.1.
    #[schemars(length(min = 1))]
    pub kinds: Vec<PassthroughKind>,
    /// Who may open an exchange. Default: `token` once there is an issuer, else `public`.
    /// Since 0.1.
    pub security: Option<PassthroughSecurity>,
}

/// A kind of long-lived exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PassthroughKind {
    /// WebSocket (RFC 6455).
    Websocket,
    /// Server-sent events, and any other answer that streams.
    Sse,
    /// gRPC over HTTP/2.
    Grpc,
}

/// Who may open a long-lived exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PassthroughSecurity {
    /// Anybody; credentials pass through unverified.
    Public,
    /// A caller with a verified token.
    Token,
}
