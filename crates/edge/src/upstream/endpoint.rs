//! One URL of a release: its address, its health, its connections on every core.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use plimsoll_base::Nanos;
use plimsoll_telemetry::Counter;

use super::breaker::{BreakerState, Outcome, Trip};
use super::circuit::Circuit;
use super::connect::{Target, UpstreamTls};
use super::health::{Health, HealthRule, Turn};
use super::multiplexed::Multiplexed;
use super::pool::{Checkout, Pool, PoolLimits, Pooled};
use super::{UpstreamError, connect};
use crate::core::Core;

/// One URL. It outlives reloads as long as a manifest names it, so that connections and health
/// are kept.
#[derive(Debug)]
pub(crate) struct Endpoint {
    url: Arc<str>,
    target: Target,
    circuit: Circuit,
    health: Mutex<Option<Health>>,
    /// Its health checks fail.
    down: AtomicBool,
    pools: Vec<Arc<Pool>>,
    /// One shared HTTP/2 connection a core, for gRPC.
    multiplexed: Vec<Mutex<Option<Multiplexed>>>,
    opening_multiplexed: Vec<tokio::sync::Mutex<()>>,
}

/// What the console shows of a URL.
#[derive(Debug, Clone)]
pub struct EndpointStatus {
    /// The URL as the manifest gives it.
    pub url: String,
    /// Passed over for so much longer; `None` when it takes requests.
    pub ejected_for: Option<Duration>,
    /// Whether one request tries it, or a growing share of them goes there.
    pub state: BreakerState,
    /// Passed over because its health checks fail.
    pub down: bool,
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
        trip: Trip,
        tls: &UpstreamTls,
    ) -> Result<Self, connect::TargetError> {
        Ok(Self::over(as_given, Target::new(url, tls)?, cores, limits, trip))
    }

    /// An endpoint for a socket of this machine.
    pub(crate) fn unix(path: &Path, cores: usize, limits: PoolLimits, trip: Trip) -> Self {
        let target = Target::Unix(path.to_owned());
        Self::over(&format!("unix:{}", path.display()), target, cores, limits, trip)
    }

    fn over(url: &str, target: Target, cores: usize, limits: PoolLimits, trip: Trip) -> Self {
        Self {
            url: url.into(),
            target,
            circuit: Circuit::new(trip, cores),
            health: Mutex::new(None),
            down: AtomicBool::new(false),
            pools: (0..cores.max(1)).map(|_| Arc::new(Pool::new(limits))).collect(),
            multiplexed: (0..cores.max(1)).map(|_| Mutex::new(None)).collect(),
            opening_multiplexed: (0..cores.max(1)).map(|_| tokio::sync::Mutex::new(())).collect(),
        }
    }

    /// Takes over what a new manifest says.
    pub(crate) fn reconfigure(
        &self,
        limits: PoolLimits,
        trip: Trip,
        health: Option<&Arc<HealthRule>>,
    ) {
        self.circuit.reconfigure(trip);
        let mut held = self.health();
        match (&mut *held, health) {
            (Some(held), Some(rule)) => held.follow(Arc::clone(rule)),
            (held, rule) => {
                *held = rule.map(|rule| Health::new(Arc::clone(rule)));
                self.down.store(false, Ordering::Relaxed);
            }
        }
        drop(held);
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

    /// Whether a request may go there: it is not passed over, or this is the one that tries.
    pub(crate) fn admits(&self, now: Nanos, random: impl FnOnce() -> u64) -> bool {
        !self.down.load(Ordering::Relaxed) && self.circuit.admits(now, random).is_ok()
    }

    /// The rule of a health check that is due.
    pub(super) fn check_due(
        &self,
        now: Nanos,
        random: impl FnOnce() -> u64,
    ) -> Option<Arc<HealthRule>> {
        self.health().as_mut()?.due(now, random)
    }

    /// A health check ended.
    pub(super) fn checked(&self, passed: bool, now: Nanos) {
        match self.health().as_mut().and_then(|health| health.ended(passed)) {
            None => {}
            Some(Turn::Down) => {
                self.down.store(true, Ordering::Relaxed);
                tracing::warn!(url = %self.url, "upstream URL is passed over: health checks fail");
            }
            Some(Turn::Up) => {
                self.down.store(false, Ordering::Relaxed);
                self.circuit.came_back(now);
                tracing::info!(url = %self.url, "upstream URL takes requests: health checks pass");
            }
        }
    }

    fn health(&self) -> MutexGuard<'_, Option<Health>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pooled connection that looks alive and has not rested longer, without waiting.
    pub(crate) fn idle(&self, core: &Core, now: Nanos, rested_max: Duration) -> Option<Pooled> {
        self.pools[core.index].idle(now, rested_max)
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

    /// What was begun then ended so. True when the URL is passed over for it.
    pub(crate) fn ended(
        &self,
        core: usize,
        outcome: Outcome,
        begun: Nanos,
        now: impl FnOnce() -> Nanos,
    ) -> bool {
        let opened = self.circuit.ended(core, outcome, begun, now);
        if opened {
            tracing::warn!(url = %self.url, "upstream URL is passed over after failures");
        }
        opened
    }

    /// Nobody will say how a request ended that was begun then.
    pub(crate) fn given_up(&self, begun: Nanos, now: Nanos) {
        self.circuit.given_up(begun, now);
    }

    /// Closes connections that have been idle too long.
    pub(crate) fn sweep(&self, core: usize, now: Nanos) {
        self.pools[core].sweep(now);
    }

    pub(crate) fn status(&self, now: Nanos) -> EndpointStatus {
        let state = self.circuit.state(now);
        let (connections, idle) = self
            .pools
            .iter()
            .map(|pool| pool.counts())
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        EndpointStatus {
            url: self.url.to_string(),
            ejected_for: match state {
                BreakerState::Open { left } => Some(left),
                _ => None,
            },
            state,
            down: self.down.load(Ordering::Relaxed),
            consecutive_failures: self.circuit.in_row(),
            failures_total: self.circuit.failures_total(),
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
    use http::StatusCode;

    use super::*;

    fn endpoint() -> Endpoint {
        let limits = PoolLimits::default();
        let trip = Trip {
            consecutive: 3,
            open: Duration::from_secs(10),
            open_max: Duration::from_secs(25),
            ..Trip::NEVER
        };
        let url = "http://127.0.0.1:9";
        Endpoint::new(url, &url.parse().unwrap(), 1, limits, trip, &UpstreamTls::default()).unwrap()
    }

    fn is_usable(endpoint: &Endpoint, now: Nanos) -> bool {
        endpoint.status(now).ejected_for.is_none()
    }

    fn failed(endpoint: &Endpoint, now: Nanos) -> bool {
        endpoint.ended(0, Outcome::Failed, now, || now)
    }

    fn answered(endpoint: &Endpoint, status: StatusCode, begun: Nanos, now: Nanos) {
        endpoint.ended(0, Outcome::of_status(status), begun, || now);
    }

    #[test]
    fn failures_in_a_row_eject_for_longer_each_time_up_to_the_limit() {
        let endpoint = endpoint();
        let mut now = Nanos(1);
        for expected_s in [10, 20, 25, 25] {
            while is_usable(&endpoint, now) {
                failed(&endpoint, now);
            }
            for _ in 0..100 {
                assert!(!failed(&endpoint, now), "what was under way does not eject again");
            }
            now = now.plus(Duration::from_secs(expected_s) - Duration::from_nanos(1));
            assert!(!is_usable(&endpoint, now));
            now = now.plus(Duration::from_nanos(1));
            assert!(is_usable(&endpoint, now));
        }
        answered(&endpoint, StatusCode::OK, now, now);
        failed(&endpoint, now);
        failed(&endpoint, now);
        assert!(is_usable(&endpoint, now), "one good answer starts the count anew");
    }

    #[test]
    fn an_answer_to_what_was_under_way_does_not_end_an_ejection() {
        let endpoint = endpoint();
        let (before, ejected, after) = (Nanos(5), Nanos(10), Nanos(11));
        for _ in 0..3 {
            failed(&endpoint, ejected);
        }
        answered(&endpoint, StatusCode::OK, before, after);
        assert!(!is_usable(&endpoint, after));
        // Sent all the same, because every URL was ejected: it works again.
        answered(&endpoint, StatusCode::OK, after, after);
        assert!(is_usable(&endpoint, after));
    }

    #[test]
    fn a_gateway_error_counts_and_an_ordinary_error_does_not() {
        let endpoint = endpoint();
        let now = Nanos(1);
        for _ in 0..9 {
            answered(&endpoint, StatusCode::INTERNAL_SERVER_ERROR, now, now);
        }
        assert!(is_usable(&endpoint, now));
        for _ in 0..3 {
            answered(&endpoint, StatusCode::SERVICE_UNAVAILABLE, now, now);
        }
        assert!(!is_usable(&endpoint, now));
    }

    #[test]
    fn one_request_tries_a_url_that_was_ejected_and_the_rest_go_elsewhere() {
        let endpoint = endpoint();
        for _ in 0..3 {
            failed(&endpoint, Nanos(1));
        }
        let later = Nanos(1).plus(Duration::from_secs(10));
        let admitted = (0..5).filter(|_| endpoint.admits(later, || 0)).count();
        assert_eq!(admitted, 1);
        answered(&endpoint, StatusCode::OK, later, later);
        assert!((0..5).all(|_| endpoint.admits(later, || 0)));
    }

    #[test]
    fn the_next_one_tries_where_nobody_waits_for_the_first() {
        let endpoint = endpoint();
        for _ in 0..3 {
            failed(&endpoint, Nanos(1));
        }
        let later = Nanos(1).plus(Duration::from_secs(10));
        assert!(endpoint.admits(later, || 0));
        let given_up = Nanos(later.0 + 5);
        endpoint.given_up(Nanos(later.0 - 1), given_up);
        assert!(!endpoint.admits(given_up, || 0), "another request's end is none of this one's");
        endpoint.given_up(later, given_up);
        let admitted = (0..5).filter(|_| endpoint.admits(given_up, || 0)).count();
        assert_eq!(admitted, 1);
        failed(&endpoint, given_up);
        assert!(!endpoint.admits(given_up, || 0));
    }
}
