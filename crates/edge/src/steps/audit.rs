//! Audit: a call of an operation that says `audit = true` leaves an entry: who, what, and how it
//! ended, never a body.
//!
//! The entry is durable in the spool before the client has its answer, so that what somebody was
//! told has happened is written down. It is made for every call that was to be sent to the service,
//! and for those that a verified caller was refused: what strangers are refused would only fill it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use plimsoll_http_kit::{Code, Problem};
use plimsoll_ledger::{ActorKind, AuditRecord, Outcome, Spool};
use plimsoll_protection::{ActorHash, Keyring};
use plimsoll_snapshot::Audit;
use plimsoll_telemetry::{AuditRefusal, Counter};

use crate::conn::ConnContext;
use crate::exchange::Exchange;
use crate::record::CLIENT_CLOSED_REQUEST;
use crate::steps::forward::Passed;

/// Seconds after which to ask again while the spool takes nothing.
const AGAIN_AFTER_S: u64 = 5;

/// The longest name in a record, bytes; what is longer is cut.
const SERVICE_BYTES_MAX: usize = 64;
const OPERATION_BYTES_MAX: usize = 128;

/// Where audited calls go.
#[derive(Debug, Clone)]
pub struct AuditSink {
    /// The spool of this process.
    pub spool: Spool,
    /// Whose keys make hashes of callers.
    pub keyring: Arc<Keyring>,
    /// Calls that left no entry.
    lost: Arc<AtomicU64>,
}

impl AuditSink {
    /// To this spool.
    #[must_use]
    pub fn new(spool: Spool, keyring: Arc<Keyring>) -> Self {
        Self { spool, keyring, lost: Arc::default() }
    }

    /// Calls that left no entry although they should, since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Before anything is sent: a call that must leave an entry needs a place for it.
pub(crate) fn check(context: &ConnContext, exchange: &mut Exchange) -> Result<(), Problem> {
    let Some(Audit::Refuse) = exchange.audit else { return Ok(()) };
    match &context.core.audit {
        Some(sink) if sink.spool.has_room() => Ok(()),
        _ => {
            exchange.audit = None;
            context.core.shard.count(Counter::AuditRefused(AuditRefusal::BeforeSending));
            Err(unavailable())
        }
    }
}

/// Once it is known how the call ended: the entry, durable, and then the answer.
pub(crate) async fn write(
    context: &ConnContext,
    exchange: &mut Exchange,
    outcome: Result<Passed, Problem>,
) -> Result<Passed, Problem> {
    let (Some(audit), Some(sink)) = (exchange.audit.take(), &context.core.audit) else {
        return outcome;
    };
    let (tried, reached) = (exchange.upstream_sent.is_some(), exchange.upstream_reached);
    if exchange.verified.is_none() && !tried {
        return outcome;
    }
    let (status, ended) = match &outcome {
        Ok(passed) => (passed.status(), of_status(passed.status())),
        Err(problem) if reached => (problem.code().status(), Outcome::Unknown),
        Err(problem) if tried => (problem.code().status(), Outcome::Failed),
        Err(problem) => (problem.code().status(), Outcome::Refused),
    };
    let stored = match sink.spool.submit(&record(sink, exchange, status.as_u16(), ended)) {
        Ok(durable) => durable.await.map_err(|error| error.to_string()),
        Err(full) => Err(full.to_string()),
    };
    let Err(why) = stored else { return outcome };
    tracing::error!(why, request_id = %exchange.id, "an audited call left no entry");
    sink.lost.fetch_add(1, Ordering::Relaxed);
    match audit {
        Audit::Pass => outcome,
        // The service has done it, perhaps: nobody is told that it is done without an entry.
        Audit::Refuse => {
            let when =
                if reached { AuditRefusal::AfterSending } else { AuditRefusal::BeforeSending };
            context.core.shard.count(Counter::AuditRefused(when));
            Err(unavailable())
        }
    }
}

/// A call that was given up while the service had it, because its client went away: nobody can say
/// how it ended, and nobody waits for the entry.
pub(crate) fn left(exchange: &mut Exchange) {
    if exchange.audit.take().is_none() || !exchange.upstream_reached {
        return;
    }
    let Some(sink) = &exchange.context.core.audit else { return };
    let record = record(sink, exchange, CLIENT_CLOSED_REQUEST, Outcome::Unknown);
    if let Err(why) = sink.spool.submit(&record).map(drop) {
        tracing::error!(%why, request_id = %exchange.id, "an audited call left no entry");
        sink.lost.fetch_add(1, Ordering::Relaxed);
    }
}

fn of_status(status: StatusCode) -> Outcome {
    if status.is_server_error() {
        Outcome::Failed
    } else if status.is_client_error() {
        Outcome::Refused
    } else {
        Outcome::Ok
    }
}

fn record(sink: &AuditSink, exchange: &Exchange, status: u16, outcome: Outcome) -> AuditRecord {
    AuditRecord {
        actor_kind: ActorKind::Caller,
        actor: exchange.verified.as_ref().map(|verified| actor(&sink.keyring, verified)),
        service: cut(exchange.service(), SERVICE_BYTES_MAX),
        operation: cut(exchange.operation(), OPERATION_BYTES_MAX),
        request_id: exchange.id.as_str().to_owned(),
        status,
        outcome,
        at_unix_ms: exchange.started_unix_ms,
    }
}

/// The keyed hash of a caller, under the name `ISSUER TENANT SUBJECT`.
fn actor(keyring: &Keyring, verified: &crate::auth::Verified) -> ActorHash {
    keyring.actor(&format!("{} {} {}", verified.issuer(), verified.tenant(), verified.subject()))
}

fn cut(text: &str, bytes_max: usize) -> String {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text).to_owned()
}

fn unavailable() -> Problem {
    Problem::new(Code::AuditUnavailable).with_retry_after(AGAIN_AFTER_S)
}
