//! `[ops]`: the operators' listener.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ListenAddr;

/// The operators' listener: console, metrics, health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OpsSection {
    /// The address to listen on, as IP and port. Off loopback only `/healthz` and `/readyz` are
    /// served, because nobody signs in yet. A change needs a restart. Since 0.1.
    pub listen: ListenAddr,
}

impl Default for OpsSection {
    fn default() -> Self {
        Self { listen: ListenAddr(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081)) }
    }
}
