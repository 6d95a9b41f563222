//! How an operation's answers are kept, as routed.

use serde::{Deserialize, Serialize};

/// The word on who may share an operation's answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheMode {
    /// As they say themselves.
    #[default]
    Headers,
    /// They are not kept.
    Off,
    /// Every caller of a tenant.
    Shared,
    /// The caller who asked.
    Caller,
}

/// How an operation's answers are kept, and what becomes invalid when it succeeds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRoute {
    /// Who may share them.
    #[serde(default)]
    pub mode: CacheMode,
    /// How long they are fresh where they do not say so, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// The groups they belong to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The groups that become invalid when it succeeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalidates: Vec<String>,
}

impl CacheRoute {
    pub(crate) fn is_silent(&self) -> bool {
        *self == Self::default()
    }
}
