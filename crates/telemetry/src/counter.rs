//! Counters and gauges that are not a request's: each a variant, so that a name is never spelt
//! where it is counted.

mod labels;

use crate::names::{self, Name};

pub use labels::{
    AnswerCoding, AuditRefusal, AuthOutcome, CacheOutcome, CacheResult, CacheTold, CallBound,
    ConnectionRefusal, HealthCheck, InstallationOutcome, KeyRefresh, KeyedWrite, OtlpRefusal,
    OtlpSignal, Reload, SharedCache, SlowClient, SpanDrop, UpstreamErrorKind,
};

/// Something that happened once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter<'a> {
    /// A client's connection was accepted.
    ConnectionAccepted,
    /// A client's connection was closed before it was served.
    ConnectionRefused(ConnectionRefusal),
    /// A TLS handshake with a client failed.
    TlsHandshakeFailed,
    /// A client was cut off because it was slow.
    SlowClientCut(SlowClient),
    /// A request was authenticated, or not.
    Auth(AuthOutcome),
    /// The verified-token cache was asked.
    TokenCache(CacheResult),
    /// The response cache had to do with a request.
    Cache(CacheOutcome),
    /// An answer went to other nodes' caches, or was looked for there.
    SharedCache(SharedCache),
    /// A write was answered of which other nodes were told.
    CacheTold(CacheTold),
    /// An issuer's keys were fetched.
    KeyRefresh(KeyRefresh),
    /// The manifest was reloaded.
    Reload(Reload),
    /// A line of the access log was dropped.
    AccessLogDropped,
    /// A request was counted under `other` because the series bound was reached.
    SeriesFolded,
    /// A request was cut off because the process stopped.
    DrainCut,
    /// A span was taken by the receiver.
    SpansExported,
    /// A span was dropped.
    SpansDropped(SpanDrop),
    /// A request to the receiver failed.
    ExportFailed(OtlpSignal),
    /// Something arrived on `/otlp`.
    OtlpReceived(OtlpSignal),
    /// Something that arrived was not kept.
    OtlpRejected(OtlpSignal),
    /// A request to `/otlp` was refused.
    OtlpRefused(OtlpRefusal),
    /// A database call met a bound.
    CallFolded(CallBound),
    /// An audited call was refused.
    AuditRefused(AuditRefusal),
    /// An installation was given, or not, or is forged.
    Installation(InstallationOutcome),
    /// The edge compressed an answer.
    Compressed(AnswerCoding),
    /// An answer was not compressed because memory for it was in use.
    CompressionSkipped,
    /// Something became of a keyed write.
    KeyedWrite(KeyedWrite),
    /// A limit refused a request.
    LimitRefused {
        /// The limit's name.
        policy: &'a str,
    },
    /// A limit had no room for another key and counted the request in its shared bucket.
    LimitKeyFolded {
        /// The limit's name.
        policy: &'a str,
    },
    /// The edge itself made an answer.
    Problem {
        /// The problem's code, such as `PLM-EDGE-0007`.
        code: &'a str,
    },
    /// A connection to an upstream was opened.
    UpstreamConnect {
        /// The service.
        service: &'a str,
    },
    /// A request was sent again.
    UpstreamRetry {
        /// The service.
        service: &'a str,
    },
    /// A request was not sent again because the budget was used up.
    RetryBudgetExhausted {
        /// The service.
        service: &'a str,
    },
    /// A slow read was asked for a second time.
    UpstreamHedged {
        /// The service.
        service: &'a str,
    },
    /// A URL was taken out of the rotation.
    UpstreamEjected {
        /// The service.
        service: &'a str,
    },
    /// A URL was asked how it is.
    HealthCheck {
        /// The service.
        service: &'a str,
        /// How it went.
        outcome: HealthCheck,
    },
    /// The breaker before an operation opened.
    BreakerOpened {
        /// The service.
        service: &'a str,
    },
    /// A request was not sent because of it.
    BreakerRefused {
        /// The service.
        service: &'a str,
    },
    /// A request waited for a slot of its service, and got one.
    AdmissionWaited {
        /// The service.
        service: &'a str,
    },
    /// A request was refused because its service had all it can take.
    AdmissionShed {
        /// Its class.
        class: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A request to an upstream failed.
    UpstreamError {
        /// The service.
        service: &'a str,
        /// How.
        kind: UpstreamErrorKind,
    },
}

/// Where a counter lives in a shard.
pub(crate) enum Place<'a> {
    /// In an array.
    Fixed(usize),
    /// Under a label value that only configuration knows.
    Labelled(&'static Name, &'a str, &'static str),
}

/// Counters whose label values are known here stand side by side in one array.
pub(crate) struct Group {
    pub(crate) name: &'static Name,
    pub(crate) start: usize,
    /// Label values; none for a counter without a label.
    pub(crate) values: &'static [&'static str],
}

const fn group(name: &'static Name, start: usize, values: &'static [&'static str]) -> Group {
    Group { name, start, values }
}

const fn after(group: &Group) -> usize {
    group.start + if group.values.is_empty() { 1 } else { group.values.len() }
}

const ACCEPTED: Group = group(&names::CONNECTIONS_ACCEPTED, 0, &[]);
const REFUSED: Group =
    group(&names::CONNECTIONS_REFUSED, after(&ACCEPTED), ConnectionRefusal::LABELS);
const TLS_FAILED: Group = group(&names::TLS_HANDSHAKES_FAILED, after(&REFUSED), &[]);
const SLOW: Group = group(&names::SLOW_CLIENTS_CUT, after(&TLS_FAILED), SlowClient::LABELS);
const AUTH: Group = group(&names::AUTH, after(&SLOW), AuthOutcome::LABELS);
const TOKEN_CACHE: Group = group(&names::TOKEN_CACHE_LOOKUPS, after(&AUTH), CacheResult::LABELS);
const KEYS: Group = group(&names::KEY_REFRESHES, after(&TOKEN_CACHE), KeyRefresh::LABELS);
const RELOADS: Group = group(&names::RELOADS, after(&KEYS), Reload::LABELS);
const LOG_DROPPED: Group = group(&names::ACCESS_LOG_DROPPED, after(&RELOADS), &[]);
const FOLDED: Group = group(&names::SERIES_FOLDED, after(&LOG_DROPPED), &[]);
const DRAIN_CUT: Group = group(&names::DRAIN_CUT, after(&FOLDED), &[]);
const SPANS_EXPORTED: Group = group(&names::SPANS_EXPORTED, after(&DRAIN_CUT), &[]);
const SPANS_DROPPED: Group = group(&names::SPANS_DROPPED, after(&SPANS_EXPORTED), SpanDrop::LABELS);
const EXPORTS_FAILED: Group =
    group(&names::EXPORTS_FAILED, after(&SPANS_DROPPED), OtlpSignal::LABELS);
const OTLP_RECEIVED: Group =
    group(&names::OTLP_RECEIVED, after(&EXPORTS_FAILED), OtlpSignal::LABELS);
const OTLP_REJECTED: Group =
    group(&names::OTLP_REJECTED, after(&OTLP_RECEIVED), OtlpSignal::LABELS);
const OTLP_REFUSED: Group = group(&names::OTLP_REFUSED, after(&OTLP_REJECTED), OtlpRefusal::LABELS);
const CALLS_FOLDED: Group =
    group(&names::DATABASE_CALLS_FOLDED, after(&OTLP_REFUSED), CallBound::LABELS);
const AUDIT_REFUSED: Group =
    group(&names::AUDIT_REFUSED, after(&CALLS_FOLDED), AuditRefusal::LABELS);
const COMPRESSED: Group = group(&names::COMPRESSED, after(&AUDIT_REFUSED), AnswerCoding::LABELS);
const COMPRESSION_SKIPPED: Group = group(&names::COMPRESSION_SKIPPED, after(&COMPRESSED), &[]);
const INSTALLATIONS: Group =
    group(&names::INSTALLATIONS, after(&COMPRESSION_SKIPPED), InstallationOutcome::LABELS);
const KEYED_WRITES: Group = group(&names::KEYED_WRITES, after(&INSTALLATIONS), KeyedWrite::LABELS);
const CACHE: Group = group(&names::CACHE_REQUESTS, after(&KEYED_WRITES), CacheOutcome::LABELS);
const CACHE_SHARED: Group = group(&names::CACHE_SHARED_ANSWERS, after(&CACHE), SharedCache::LABELS);
const CACHE_TOLD: Group = group(&names::CACHE_TOLD, after(&CACHE_SHARED), CacheTold::LABELS);

/// Every group, in the order of the array.
pub(crate) static GROUPS: [Group; 26] = [
    ACCEPTED,
    REFUSED,
    TLS_FAILED,
    SLOW,
    AUTH,
    TOKEN_CACHE,
    KEYS,
    RELOADS,
    LOG_DROPPED,
    FOLDED,
    DRAIN_CUT,
    SPANS_EXPORTED,
    SPANS_DROPPED,
    EXPORTS_FAILED,
    OTLP_RECEIVED,
    OTLP_REJECTED,
    OTLP_REFUSED,
    CALLS_FOLDED,
    AUDIT_REFUSED,
    COMPRESSED,
    COMPRESSION_SKIPPED,
    INSTALLATIONS,
    KEYED_WRITES,
    CACHE,
    CACHE_SHARED,
    CACHE_TOLD,
];

/// The length of the array.
pub(crate) const FIXED: usize = after(&CACHE_TOLD);

impl<'a> Counter<'a> {
    pub(crate) fn place(self) -> Place<'a> {
        Place::Fixed(match self {
            Counter::ConnectionAccepted => ACCEPTED.start,
            Counter::ConnectionRefused(reason) => REFUSED.start + reason as usize,
            Counter::TlsHandshakeFailed => TLS_FAILED.start,
            Counter::SlowClientCut(held) => SLOW.start + held as usize,
            Counter::Auth(outcome) => AUTH.start + outcome as usize,
            Counter::TokenCache(result) => TOKEN_CACHE.start + result as usize,
            Counter::Cache(outcome) => CACHE.start + outcome as usize,
            Counter::SharedCache(what) => CACHE_SHARED.start + what as usize,
            Counter::CacheTold(outcome) => CACHE_TOLD.start + outcome as usize,
            Counter::KeyRefresh(outcome) => KEYS.start + outcome as usize,
            Counter::Reload(outcome) => RELOADS.start + outcome as usize,
            Counter::AccessLogDropped => LOG_DROPPED.start,
            Counter::SeriesFolded => FOLDED.start,
            Counter::DrainCut => DRAIN_CUT.start,
            Counter::SpansExported => SPANS_EXPORTED.start,
            Counter::SpansDropped(reason) => SPANS_DROPPED.start + reason as usize,
            Counter::ExportFailed(signal) => EXPORTS_FAILED.start + signal as usize,
            Counter::OtlpReceived(signal) => OTLP_RECEIVED.start + signal as usize,
            Counter::OtlpRejected(signal) => OTLP_REJECTED.start + signal as usize,
            Counter::OtlpRefused(reason) => OTLP_REFUSED.start + reason as usize,
            Counter::CallFolded(bound) => CALLS_FOLDED.start + bound as usize,
            Counter::Installation(outcome) => INSTALLATIONS.start + outcome as usize,
            Counter::Compressed(coding) => COMPRESSED.start + coding as usize,
            Counter::CompressionSkipped => COMPRESSION_SKIPPED.start,
            Counter::AuditRefused(when) => AUDIT_REFUSED.start + when as usize,
            Counter::KeyedWrite(outcome) => KEYED_WRITES.start + outcome as usize,
            Counter::LimitRefused { policy } => {
                return Place::Labelled(&names::LIMIT_REFUSED, policy, "");
            }
            Counter::LimitKeyFolded { policy } => {
                return Place::Labelled(&names::LIMIT_KEYS_FOLDED, policy, "");
            }
            Counter::Problem { code } => return Place::Labelled(&names::PROBLEMS, code, ""),
            Counter::UpstreamConnect { service } => {
                return Place::Labelled(&names::UPSTREAM_CONNECTS, service, "");
            }
            Counter::UpstreamRetry { service } => {
                return Place::Labelled(&names::UPSTREAM_RETRIES, service, "");
            }
            Counter::RetryBudgetExhausted { service } => {
                return Place::Labelled(&names::RETRY_BUDGET_EXHAUSTED, service, "");
            }
            Counter::UpstreamHedged { service } => {
                return Place::Labelled(&names::UPSTREAM_HEDGED, service, "");
            }
            Counter::UpstreamEjected { service } => {
                return Place::Labelled(&names::UPSTREAM_EJECTIONS, service, "");
            }
            Counter::HealthCheck { service, outcome } => {
                return Place::Labelled(&names::HEALTH_CHECKS, service, outcome.label());
            }
            Counter::BreakerOpened { service } => {
                return Place::Labelled(&names::BREAKERS_OPENED, service, "");
            }
            Counter::BreakerRefused { service } => {
                return Place::Labelled(&names::BREAKER_REFUSED, service, "");
            }
            Counter::AdmissionWaited { service } => {
                return Place::Labelled(&names::ADMISSION_WAITED, service, "");
            }
            Counter::AdmissionShed { class, reason } => {
                return Place::Labelled(&names::ADMISSION_SHED, class, reason);
            }
            Counter::UpstreamError { service, kind } => {
                return Place::Labelled(&names::UPSTREAM_ERRORS, service, kind.label());
            }
        })
    }
}

/// Something that has a size now. Shards add and subtract; the value is the sum over the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gauge {
    /// Clients' connections that are open.
    ConnectionsOpen,
    /// Requests whose answer is not complete.
    RequestsInFlight,
    /// Connections to upstreams that are open, idle ones too.
    UpstreamConnectionsOpen,
    /// Keys the limits hold.
    LimitKeys,
    /// 1 while limits are shared with other nodes, else 0.
    LimitsShared,
    /// Tokens in the verified-token cache.
    TokenCacheEntries,
    /// Bytes the response cache holds.
    CacheBytes,
    /// 1 while the cache is shared with other nodes, else 0.
    CacheShared,
    /// Chunks of the access log that wait to be written.
    AccessLogQueued,
    /// 1 while the node takes traffic, else 0.
    Ready,
    /// 1 while the database is used, else 0.
    DatabaseUp,
    /// The epoch that the edge obeys.
    Epoch,
    /// Whole seconds since that was known to be all there is.
    EpochAge,
    /// Revocations in force.
    Revocations,
    /// Sealed entries of the ledger, on the node that seals.
    LedgerSealed,
    /// 1 when the ledger is not what was sealed, else 0.
    LedgerBroken,
    /// 1 while somebody seals as it should be, else 0.
    LedgerSealerUp,
    /// Whole seconds that the oldest unsealed entry has waited.
    LedgerUnsealedAge,
    /// Audited calls that wait in the spool.
    AuditSpooled,
    /// Audited calls that left no entry, since the start.
    AuditLost,
    /// Operations whose breaker is not closed.
    BreakersOpen,
    /// Requests that services may have at once, by their admission.
    AdmissionLimit,
    /// Requests that they have.
    AdmissionInFlight,
    /// Requests that wait for one.
    AdmissionQueued,
    /// How long the one that waits longest has waited, milliseconds.
    AdmissionQueueDelay,
    /// Keyed writes that are executed now.
    KeyedWritesExecuting,
    /// Keyed writes whose outcome is unknown.
    KeyedWritesUnknown,
    /// Keyed writes whose answer is kept.
    KeyedWritesKept,
}

impl Gauge {
    /// Every gauge and its name, in the order of the variants.
    pub(crate) const ALL: &[(Gauge, &'static Name)] = &[
        (Gauge::ConnectionsOpen, &names::CONNECTIONS_OPEN),
        (Gauge::RequestsInFlight, &names::REQUESTS_IN_FLIGHT),
        (Gauge::UpstreamConnectionsOpen, &names::UPSTREAM_CONNECTIONS_OPEN),
        (Gauge::LimitKeys, &names::LIMIT_KEYS),
        (Gauge::LimitsShared, &names::LIMITS_SHARED),
        (Gauge::TokenCacheEntries, &names::TOKEN_CACHE_ENTRIES),
        (Gauge::CacheBytes, &names::CACHE_BYTES),
        (Gauge::CacheShared, &names::CACHE_SHARED),
        (Gauge::AccessLogQueued, &names::ACCESS_LOG_QUEUED),
        (Gauge::Ready, &names::READY),
        (Gauge::DatabaseUp, &names::DATABASE_UP),
        (Gauge::Epoch, &names::EPOCH),
        (Gauge::EpochAge, &names::EPOCH_AGE),
        (Gauge::Revocations, &names::REVOCATIONS),
        (Gauge::LedgerSealed, &names::LEDGER_SEALED),
        (Gauge::LedgerBroken, &names::LEDGER_BROKEN),
        (Gauge::LedgerSealerUp, &names::LEDGER_SEALER_UP),
        (Gauge::LedgerUnsealedAge, &names::LEDGER_UNSEALED_AGE),
        (Gauge::AuditSpooled, &names::AUDIT_SPOOLED),
        (Gauge::AuditLost, &names::AUDIT_LOST),
        (Gauge::BreakersOpen, &names::BREAKERS_OPEN),
        (Gauge::AdmissionLimit, &names::ADMISSION_LIMIT),
        (Gauge::AdmissionInFlight, &names::ADMISSION_IN_FLIGHT),
        (Gauge::AdmissionQueued, &names::ADMISSION_QUEUED),
        (Gauge::AdmissionQueueDelay, &names::ADMISSION_QUEUE_DELAY),
        (Gauge::KeyedWritesExecuting, &names::KEYED_WRITES_EXECUTING),
        (Gauge::KeyedWritesUnknown, &names::KEYED_WRITES_UNKNOWN),
        (Gauge::KeyedWritesKept, &names::KEYED_WRITES_KEPT),
    ];
}

/// How many gauges there are.
pub(crate) const GAUGES: usize = Gauge::ALL.len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_fill_the_array_without_gap_or_overlap() {
        let mut next = 0;
        for group in &GROUPS {
            assert_eq!(group.start, next, "{}", group.name.name);
            assert_eq!(group.values.is_empty(), group.name.labels.is_empty());
            next = after(group);
        }
        assert_eq!(next, FIXED);
    }

    #[test]
    fn gauges_stand_in_the_order_of_their_variants() {
        for (index, (gauge, _)) in Gauge::ALL.iter().enumerate() {
            assert_eq!(*gauge as usize, index);
        }
    }

    #[test]
    fn a_label_is_the_one_of_its_variant() {
        assert_eq!(AuthOutcome::Unavailable.label(), "unavailable");
        assert_eq!(AuthOutcome::LABELS.len(), AuthOutcome::Unavailable as usize + 1);
        assert_eq!(UpstreamErrorKind::Connect.label(), "connect");
    }
}
