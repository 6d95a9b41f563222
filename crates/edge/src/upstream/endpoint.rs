//! One URL of a release: its address, its health, its connections on every core.

use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{StatusCode, Uri};
use plimsoll_base::Nanos;
use plimsoll_telemetry::Counter;

use super::connect::{Target, UpstreamTls};
use super::multiplexed::Multiplexed;
use super::pool::{Checkout, Pool, PoolLimits, Pooled};
use super::{UpstreamError, connect};
use crate::core::Core;

/// When a URL is passed over, from `[service.ejection]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ejection {
    /// Failures in a row that eject; 0 = never.
    pub(crate) consecutive_failures: u32,
    /// How long the first time; each further time in a row adds as much again.
    pub(crate) duration: Duration,
    /// How long at most.
    pub(crate) duration_max: Duration,
}

/// One URL. It outlives reloads as long as a manifest names it, so that connections and health
/// are kept.
#[derive(Debug)]
pub(crate) struct Endpoint {
    url: Arc<str>,
    target: Target,
    health: Health,
    ejection: Mutex<Ejection>,
    pools: Vec<Arc<Pool>>,
    /// One shared HTTP/2 connection a core, for gRPC.
    multiplexed: Vec<Mutex<Option<Multiplexed>>>,
    opening_multiplexed: Vec<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Health {
    failures: AtomicU32,
    ejections: AtomicU32,
    ejected_at: AtomicU64,
    ejected_until: AtomicU64,
    failures_total: AtomicU64,
}

/// What the console shows of a URL.
#[derive(Debug, Clone)]
pub struct EndpointStatus {
    /// The URL as the manifest gives it.
    pub url: String,
    /// Passed over for so much longer; `None` when it takes requests.
    pub ejected_for: Option<Duration>,
    /// Failures in a row so far.
    pub consecutive_failures: u32,
    /// Failures since the start.
    pub failures_total: u64,
    /// Open connections on all cores.
    pub connections: usize,
    /// Of these, idle ones.
    pub idle: usize,
}

impl Endpoint {
    /// Makes an endpoint for a URL that the manifest has validated (`http` or `https`, a host, no
    /// user info, no path and no query: the very path that was routed is sent).
    pub(crate) fn new(
        as_given: &str,
        url: &Uri,
        cores: usize,
        limits: PoolLimits,
        ejection: Ejection,
        tls: &UpstreamTls,
    ) -> Result<Self, connect::TargetError> {
        Ok(Self::over(as_given, Target::new(url, tls)?, cores, limits, ejection))
    }

    /// An endpoint for a socket of this machine.
    pub(crate) fn unix(path: &Path, cores: usize, limits: PoolLimits, ejection: Ejection) -> Self {
        let target = Target::Unix(path.to_owned());
        Self::over(&format!("unix:{}", path.display()), target, cores, limits, ejection)
    }

    fn over(
        url: &str,
        target: Target,
        cores: usize,
        limits: PoolLimits,
        ejection: Ejection,
    ) -> Self {
        Self {
            url: url.into(),
            target,
            health: Health::default(),
            ejection: Mutex::new(ejection),
            pools: (0..cores.max(1)).map(|_| Arc::new(Pool::new(limits))).collect(),
            multiplexed: (0..cores.max(1)).map(|_| Mutex::new(None)).collect(),
            opening_multiplexed: (0..cores.max(1)).map(|_| tokio::sync::Mutex::new(())).collect(),
        }
    }

    /// Takes over what a new manifest says.
    pub(crate) fn reconfigure(&self, limits: PoolLimits, ejection: Ejection) {
        *self.ejection.lock().unwrap_or_else(PoisonError::into_inner) = ejection;
        for pool in &self.pools {
            pool.reconfigure(limits);
        }
    }

    /// Whether this is the URL as the manifest gives it.
    pub(crate) fn is_at(&self, url: &str) -> bool {
        *self.url == *url
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn opening_multiplexed(&self, core: &Core) -> &tokio::sync::Mutex<()> {
        &self.opening_multiplexed[core.index]
    }

    pub(crate) fn multiplexed(&self, core: &Core) -> &Mutex<Option<Multiplexed>> {
        &self.multiplexed[core.index]
    }

    pub(crate) fn is_usable(&self, now: Nanos) -> bool {
        now.0 >= self.health.ejected_until.load(Ordering::Relaxed)
    }

    /// A pooled connection that looks alive, without waiting.
    pub(crate) fn idle(&self, core: &Core, now: Nanos) -> Option<Pooled> {
        self.pools[core.index].idle(now)
    }

    /// A connection: one that is given back meanwhile, or a new one.
    pub(crate) async fn open(
        &self,
        core: &Arc<Core>,
        service: &str,
    ) -> Result<Pooled, UpstreamError> {
        let pool = &self.pools[core.index];
        let permit = match Pool::checkout(pool)? {
            Checkout::Open(permit) => permit,
            Checkout::Wait(handed_over) => match handed_over.await {
                Ok(Checkout::Idle(connection)) => return Ok(connection),
                Ok(Checkout::Open(permit)) => permit,
                _ => return Err(UpstreamError::PoolFull),
            },
            Checkout::Idle(connection) => return Ok(connection),
        };
        let io = self.target.connect().await.map_err(UpstreamError::Connect)?;
        core.shard.count(Counter::UpstreamConnect { service });
        Pooled::handshake(core, io, permit).await
    }

    /// An answer came to what was begun then. Answers of a gateway that cannot reach its service
    /// count as failures. True when the URL was ejected for it.
    pub(crate) fn answered(
        &self,
        status: StatusCode,
        begun: Nanos,
        now: impl FnOnce() -> Nanos,
    ) -> bool {
        let gateway =
            [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        if gateway.contains(&status) {
            return self.failed(now());
        }
        // What was under way when the URL was ejected says how it was, not how it is.
        let says_something = || begun.0 >= self.health.ejected_at.load(Ordering::Relaxed);
        if self.health.failures.load(Ordering::Relaxed) != 0 && says_something() {
            self.health.failures.store(0, Ordering::Relaxed);
            self.health.ejections.store(0, Ordering::Relaxed);
            self.health.ejected_until.store(0, Ordering::Relaxed);
        }
        false
    }

    /// No answer came. True when the URL was ejected for it.
    pub(crate) fn failed(&self, now: Nanos) -> bool {
        self.health.failures_total.fetch_add(1, Ordering::Relaxed);
        let failures = self.health.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let ejection = *self.ejection.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = ejection.consecutive_failures;
        // What fails while the URL is passed over already was sent before: it says nothing new.
        let ejected = allowed > 0 && failures >= allowed && self.is_usable(now);
        if ejected {
            let times = self.health.ejections.fetch_add(1, Ordering::Relaxed) + 1;
            let span = ejection.duration.saturating_mul(times).min(ejection.duration_max);
            self.health.ejected_at.store(now.0, Ordering::Relaxed);
            self.health.ejected_until.store(now.plus(span).0, Ordering::Relaxed);
            tracing::warn!(
                url = %self.url, failures, ejected_s = span.as_secs_f64(),
                "upstream URL is passed over after failures in a row"
            );
        }
        ejected
    }

    /// Closes connections that have been idle too long.
    pub(crate) fn sweep(&self, core: usize, now: Nanos) {
        self.pools[core].sweep(now);
    }

    pub(crate) fn status(&self, now: Nanos) -> EndpointStatus {
        let until = Nanos(self.health.ejected_until.load(Ordering::Relaxed));
        let (connections, idle) = self
            .pools
            .iter()
            .map(|pool| pool.counts())
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        EndpointStatus {
            url: self.url.to_string(),
            ejected_for: (until > now).then(|| until.since(now)),
            consecutive_failures: self.health.failures.load(Ordering::Relaxed),
            failures_total: self.health.failures_total.load(Ordering::Relaxed),
            connections,
            idle,
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        for pool in &self.pools {
            pool.retire();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        let limits = PoolLimits::default();
        let ejection = Ejection {
            consecutive_failures: 3,
            duration: Duration::from_secs(10),
            duration_max: Duration::from_secs(25),
        };
        let url = "http://127.0.0.1:9";
        Endpoint::new(url, &url.parse().unwrap(), 1, limits, ejection, &UpstreamTls::default())
            .unwrap()
    }

    #[test]
    fn failures_in_a_row_eject_for_longer_each_time_up_to_the_limit() {
        let endpoint = endpoint();
        let mut now = Nanos(1);
        for expected_s in [10, 20, 25, 25] {
            while endpoint.is_usable(now) {
                endpoint.failed(now);
            }
            for _ in 0..100 {
                assert!(!endpoint.failed(now), "what was under way does not eject again");
            }
            now = now.plus(Duration::from_secs(expected_s) - Duration::from_nanos(1));
            assert!(!endpoint.is_usable(now));
            now = now.plus(Duration::from_nanos(1));
            assert!(endpoint.is_usable(now));
        }
        endpoint.answered(StatusCode::OK, now, || now);
        endpoint.failed(now);
        endpoint.failed(now);
        assert!(endpoint.is_usable(now), "one good answer starts the count anew");
    }

    #[test]
    fn an_answer_to_what_was_under_way_does_not_end_an_ejection() {
        let endpoint = endpoint();
        let (before, ejected, after) = (Nanos(5), Nanos(10), Nanos(11));
        for _ in 0..3 {
            endpoint.failed(ejected);
        }
        endpoint.answered(StatusCode::OK, before, || after);
        assert!(!endpoint.is_usable(after));
        // Sent all the same, because every URL was ejected: it works again.
        endpoint.answered(StatusCode::OK, after, || after);
        assert!(endpoint.is_usable(after));
    }

    #[test]
    fn a_gateway_error_counts_and_an_ordinary_error_does_not() {
        let endpoint = endpoint();
        for _ in 0..9 {
            endpoint.answered(StatusCode::INTERNAL_SERVER_ERROR, Nanos(1), || Nanos(1));
        }
        assert!(endpoint.is_usable(Nanos(1)));
        for _ in 0..3 {
            endpoint.answered(StatusCode::SERVICE_UNAVAILABLE, Nanos(1), || Nanos(1));
        }
        assert!(!endpoint.is_usable(Nanos(1)));
    }
}
