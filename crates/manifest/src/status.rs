//! `[status]`: what everybody may know of the node.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What everybody may know of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StatusSection {
    /// Whether the edge answers `GET /status.json`, the state of this node in a few words, for a
    /// status page or the app itself, and `GET /.plimsoll/status`, the same for people. No token
    /// is asked for, and no name, address or figure is told. A contract or a `[[passthrough]]` that
    /// has the path goes first. Since 0.1.
    pub public: bool,
    /// Whether every answer says in `Plimsoll-Status` if something is degraded, with an epoch that
    /// changes when that does, so that apps need not ask. Since 0.1.
    pub header: bool,
}
