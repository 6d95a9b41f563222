//! Admit: a slot of the service, taken only for what is sent to it: what the cache answers, a
//! replay, or a duplicate that waits for the first one's answer takes none. Where none is free the
//! request waits by its class, or is told when to come back.
//!
//! A retry or a hedge of the edge itself goes on under the slot of its request. A client that
//! leaves gives back its slot and its place in the queue.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::HeaderMap;
use plimsoll_base::{Deadline, Nanos};
use plimsoll_http_kit::{Code, Problem, priority};
use plimsoll_snapshot::Criticality;
use plimsoll_telemetry::Counter;

use crate::admission::{AppSays, Arrival, Ended, Gate, Slot, class_of};
use crate::body::InboundOutcome;
use crate::config::{Config, Service};
use crate::conn::ConnContext;
use crate::exchange::Exchange;
use crate::steps::route::Route;
use crate::steps::{forward, limit};
use crate::upstream::{Answer, Sending, UpstreamError};

/// A slot of the service that the request goes to; `None` where its service has no admission. What
/// streams both ways needs none: it would hold it for as long as it likes.
pub(crate) async fn admit(
    context: &ConnContext,
    config: &Config,
    exchange: &Exchange,
    route: Route<'_>,
    (service, both_ways): (&Service, bool),
    headers: &HeaderMap,
) -> Result<Option<Slot>, Problem> {
    let Some(gate) = gate(route, service).filter(|_| !both_ways) else { return Ok(None) };
    if let Some(slot) = gate.enter(place(route), context.core.clock.now()) {
        return Ok(Some(slot));
    }
    // A box, because this is rare.
    Box::pin(wait(context, config, exchange, route, (service, gate), headers)).await.map(Some)
}

/// A slot for what nobody waits for, where one is free; the error says that there is none.
pub(crate) fn at_leisure(
    route: Route<'_>,
    service: &Service,
    now: Nanos,
) -> Result<Option<Slot>, ()> {
    match gate(route, service) {
        None => Ok(None),
        Some(gate) => gate.enter(place(route), now).map(Some).ok_or(()),
    }
}

async fn wait(
    context: &ConnContext,
    config: &Config,
    exchange: &Exchange,
    route: Route<'_>,
    (service, gate): (&Service, &Arc<Gate>),
    headers: &HeaderMap,
) -> Result<Slot, Problem> {
    let core = &context.core;
    let total = forward::total_timeout(route, service);
    let deadline = exchange.deadline.unwrap_or_else(|| Deadline::after(exchange.started, total));
    let now = core.clock.now();
    let says = AppSays { urgency: priority::urgency(headers), state: exchange.client.state() };
    let arrival = Arrival {
        class: class_of(config.class(route), says),
        again: exchange.again,
        caller: limit::caller(config, exchange, headers),
        operation: place(route),
        deadline: now.plus(deadline.left(now)),
    };
    match gate.arrive(arrival).await {
        Ok(entry) => {
            core.shard.count(Counter::AdmissionWaited { service: &service.name });
            tracing::trace!(service = %service.name, waited = ?entry.waited, "admitted");
            Ok(entry.slot)
        }
        Err(refusal) => {
            let (class, reason) = (refusal.class.as_str(), refusal.reason.as_str());
            core.shard.count(Counter::AdmissionShed { class, reason });
            let seconds = refusal.retry_after.as_secs();
            Err(Problem::new(Code::Shed).with_retry_after(seconds))
        }
    }
}

fn gate<'s>(route: Route<'_>, service: &'s Service) -> Option<&'s Arc<Gate>> {
    let off = matches!(route, Route::Operation(operation) if operation.admission == Some(false));
    service.gate().filter(|_| !off)
}

/// By which what an operation usually takes is told apart from others'; 0 where no contract names
/// it.
fn place(route: Route<'_>) -> usize {
    match route {
        Route::Operation(operation) => operation.index as usize + 1,
        _ => 0,
    }
}

/// What the request came to, as far as it says something of the service's load.
pub(crate) fn ended(
    slot: &mut Slot,
    sending: &Sending<'_>,
    sent: &Result<Answer, UpstreamError>,
    now: Nanos,
) {
    slot.came_to(match sent {
        Ok(answer) => match answer.response.status().as_u16() {
            503 => Ended::Overloaded,
            200..=399 if !answer.repeated && !sending.multiplexed => taken(slot, sending, now),
            // An error that comes fast says nothing of how long work takes, and 429 speaks of its
            // caller (RFC 6585 §4).
            _ => Ended::Unknown,
        },
        Err(_) if sending.client_failed() => Ended::Unknown,
        Err(UpstreamError::PoolFull | UpstreamError::DeadlinePassed) => Ended::Unknown,
        Err(UpstreamError::FirstByteTimeout) => Ended::Overloaded,
        Err(
            UpstreamError::Connect(_) | UpstreamError::ConnectTimeout | UpstreamError::Answer(_),
        ) => Ended::Failed,
    });
}

/// How long the service took: a body that the client sends slowly is not its time.
fn taken(slot: &Slot, sending: &Sending<'_>, now: Nanos) -> Ended {
    let since = slot.since();
    match sending.body {
        None => Ended::Answered(now.since(since)),
        Some(body) if body.outcome() == InboundOutcome::Complete => {
            Ended::Answered(now.since(since.max(body.ended())))
        }
        Some(_) => Ended::Unknown,
    }
}

/// The class of every operation: the contract's or the manifest's word, and `critical` for what a
/// must-not-fail journey passes through.
pub(crate) fn classes<'r>(
    operations: impl Iterator<Item = (&'r str, Criticality)>,
    must_not_fail: &BTreeSet<&str>,
) -> Box<[Criticality]> {
    operations
        .map(|(id, own)| if must_not_fail.contains(id) { Criticality::Critical } else { own })
        .collect()
}
