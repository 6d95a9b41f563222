//! What the router needs to know beside the operations, and why it may refuse to be built.

use std::sync::Arc;

use plimsoll_manifest::{Manifest, PassthroughKind, PassthroughSecurity, UnknownPaths};
use plimsoll_snapshot::template::TemplateError;
use plimsoll_snapshot::{Security, SnapshotError};

use super::Operation;

/// What the manifest says of paths that no operation owns.
#[derive(Debug, Clone, Default)]
pub struct RouterOptions {
    /// For each service that passes paths on which its contract does not name, its name. Others
    /// answer 404 and 405.
    pub pass_unknown: Vec<String>,
    /// Prefixes for long-lived exchanges.
    pub passthrough: Vec<PassthroughOptions>,
}

/// One `[[passthrough]]` of the manifest.
#[derive(Debug, Clone)]
pub struct PassthroughOptions {
    /// The path prefix, e.g. `/ws`. It ends where a segment ends.
    pub prefix: String,
    /// The service it leads to.
    pub service: String,
    /// What passes here.
    pub kinds: Kinds,
    /// What a caller must show.
    pub security: Security,
}

impl RouterOptions {
    /// Reads them from the manifest, defaults applied.
    #[must_use]
    pub fn from_manifest(manifest: &Manifest) -> Self {
        let pass_unknown = manifest
            .services
            .iter()
            .filter(|service| manifest.unknown_paths_of(service) == UnknownPaths::Pass)
            .map(|service| service.name.as_str().to_owned())
            .collect();
        let passthrough = manifest
            .passthrough
            .iter()
            .map(|declared| PassthroughOptions {
                prefix: declared.prefix.as_str().to_owned(),
                service: declared.service.as_str().to_owned(),
                kinds: Kinds::of(&declared.kinds),
                security: match manifest.passthrough_security(declared) {
                    PassthroughSecurity::Public => Security::Public,
                    PassthroughSecurity::Token => Security::any_token(),
                },
            })
            .collect();
        Self { pass_unknown, passthrough }
    }
}

/// The kinds of long-lived exchange that a passthrough carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds {
    /// WebSocket (RFC 6455).
    pub websocket: bool,
    /// Server-sent events and other answers that stream.
    pub sse: bool,
    /// gRPC.
    pub grpc: bool,
}

impl Kinds {
    /// The set that the manifest lists.
    #[must_use]
    pub fn of(kinds: &[PassthroughKind]) -> Self {
        Self {
            websocket: kinds.contains(&PassthroughKind::Websocket),
            sse: kinds.contains(&PassthroughKind::Sse),
            grpc: kinds.contains(&PassthroughKind::Grpc),
        }
    }
}

/// Why a router could not be built from a route table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouterFault {
    /// The table has another format than this build reads.
    #[error(transparent)]
    Format(#[from] SnapshotError),
    /// There are more services or operations than can be numbered.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// An operation's path template cannot be read.
    #[error("service `{service}`, operation `{operation}`: template `{template}`: {source}")]
    Template {
        /// The service.
        service: String,
        /// The operation.
        operation: String,
        /// The template as it stands.
        template: String,
        /// What is wrong with it.
        #[source]
        source: TemplateError,
    },
    /// An operation's method is none that a contract can name.
    #[error("service `{service}`, operation `{operation}`: `{method}` is not a method")]
    Method {
        /// The service.
        service: String,
        /// The operation.
        operation: String,
        /// The method as it stands.
        method: String,
    },
    /// Two operations answer the same method on the same paths.
    #[error(
        "operation `{}` of service `{}` and operation `{}` of service `{}` both answer {} {}",
        second.id, second.service_name, first.id, first.service_name, second.method, second.template
    )]
    Conflict {
        /// The operation that came first.
        first: Arc<Operation>,
        /// The operation that came second.
        second: Arc<Operation>,
    },
    /// A version's header cannot be a header.
    #[error("service `{service}`: `{header}` is not a header name")]
    VersionHeader {
        /// The service.
        service: String,
        /// The header as it stands.
        header: String,
    },
    /// A passthrough leads to a service that is not there.
    #[error("passthrough `{prefix}` leads to the unknown service `{service}`")]
    UnknownService {
        /// The passthrough's prefix.
        prefix: String,
        /// The service it names.
        service: String,
    },
}
