//! gRPC says how a call ended in `grpc-status`: in the trailers, or in the head where nothing else
//! came ("trailers-only"). The breaker of the URL counts it as it counts the statuses of HTTP.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use plimsoll_base::Nanos;
use plimsoll_telemetry::Counter;

use super::endpoint::Endpoint;
use super::{Answer, Outcome};
use crate::core::Core;

const GRPC_STATUS: &str = "grpc-status";

/// What has to be told of a call when its trailers come.
#[derive(Debug)]
pub(crate) struct Watch {
    endpoint: Arc<Endpoint>,
    begun: Nanos,
}

/// How the call ended, if its head says so; else its answer is watched.
pub(super) fn outcome(
    answer: &mut Answer,
    endpoint: &Arc<Endpoint>,
    begun: Nanos,
) -> Option<Outcome> {
    let status = answer.response.status();
    if status != StatusCode::OK {
        return Some(Outcome::of_status(status));
    }
    if let Some(status) = answer.response.headers().get(GRPC_STATUS) {
        return Some(Outcome::of_grpc(status.as_bytes()));
    }
    answer.watch = Some(Box::new(Watch { endpoint: Arc::clone(endpoint), begun }));
    None
}

impl Watch {
    /// The call's trailers came, or it broke off before they did.
    pub(crate) fn ended(self, core: &Core, service: &str, trailers: Option<&HeaderMap>) {
        let status = trailers.and_then(|trailers| trailers.get(GRPC_STATUS));
        let outcome = status.map_or(Outcome::Failed, |status| Outcome::of_grpc(status.as_bytes()));
        if self.endpoint.ended(core.index, outcome, self.begun, || core.clock.now()) {
            core.shard.count(Counter::UpstreamEjected { service });
        }
    }
}
