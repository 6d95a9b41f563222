//! Active health checks: each URL of a service is asked for a path now and then, whether requests
//! come or not. What failed often enough in a row is passed over until it passed often enough.
//!
//! The look-out is one task on one core; a bounded number of checks is under way at once.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use plimsoll_base::Nanos;
use plimsoll_telemetry::{Counter, HealthCheck};

use super::endpoint::Endpoint;
use crate::body::InboundBody;
use crate::core::Core;
use crate::tasks::Kind;

/// Checks under way at once; the next ones wait for the next look.
const CHECKS_MAX: usize = 32;

const USER_AGENT: HeaderValue = HeaderValue::from_static("plimsoll-health-check");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// How a service is checked, from `[service.health]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HealthRule {
    pub(crate) path: Uri,
    pub(crate) authority: HeaderValue,
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
    pub(crate) healthy_after: u32,
    pub(crate) unhealthy_after: u32,
}

/// The health of one URL: a pure state machine.
#[derive(Debug)]
pub(super) struct Health {
    rule: Arc<HealthRule>,
    state: State,
    next: Nanos,
    under_way: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up { failed: u32 },
    Down { passed: u32 },
}

/// What a check changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is passed over from now on.
    Down,
    /// It takes requests again.
    Up,
}

impl Health {
    /// It takes requests until checks say otherwise.
    pub(super) fn new(rule: Arc<HealthRule>) -> Self {
        Self { rule, state: State::Up { failed: 0 }, next: Nanos::default(), under_way: false }
    }

    pub(super) fn follow(&mut self, rule: Arc<HealthRule>) {
        self.rule = rule;
    }

    /// The rule, where a check is due. The next one is drawn a little around `every` later, so that
    /// nodes do not check in step.
    pub(super) fn due(
        &mut self,
        now: Nanos,
        random: impl FnOnce() -> u64,
    ) -> Option<Arc<HealthRule>> {
        if self.under_way || now < self.next {
            return None;
        }
        self.under_way = true;
        let fifth = u64::try_from(self.rule.every.as_nanos() / 5).unwrap_or(u64::MAX).max(1);
        let drawn = Duration::from_nanos(random() % fifth);
        self.next = now.plus(self.rule.every - self.rule.every / 10).plus(drawn);
        Some(Arc::clone(&self.rule))
    }

    pub(super) fn ended(&mut self, passed: bool) -> Option<Turn> {
        self.under_way = false;
        let (state, turn) = match (self.state, passed) {
            (State::Up { .. }, true) => (State::Up { failed: 0 }, None),
            (State::Up { failed }, false) if failed + 1 >= self.rule.unhealthy_after => {
                (State::Down { passed: 0 }, Some(Turn::Down))
            }
            (State::Up { failed }, false) => (State::Up { failed: failed + 1 }, None),
            (State::Down { .. }, false) => (State::Down { passed: 0 }, None),
            (State::Down { passed }, true) if passed + 1 >= self.rule.healthy_after => {
                (State::Up { failed: 0 }, Some(Turn::Up))
            }
            (State::Down { passed }, true) => (State::Down { passed: passed + 1 }, None),
        };
        self.state = state;
        turn
    }
}

/// Starts the checks that are due.
pub(crate) fn look(core: &Arc<Core>) {
    let (config, now) = (core.config(), core.clock.now());
    for service in config.services.iter().filter(|service| service.health.is_some()) {
        for endpoint in &service.release.endpoints {
            if core.tasks.running(Kind::Check) >= CHECKS_MAX {
                return;
            }
            let Some(rule) = endpoint.check_due(now, || core.random_u64()) else { continue };
            let checking =
                check(Arc::clone(core), Arc::clone(endpoint), rule, Arc::clone(&service.name));
            core.tasks.spawn(Kind::Check, checking);
        }
    }
}

async fn check(core: Arc<Core>, endpoint: Arc<Endpoint>, rule: Arc<HealthRule>, service: Arc<str>) {
    let asked = tokio::time::timeout(rule.timeout, ask(&core, &endpoint, &rule)).await;
    let passed = asked.unwrap_or(false);
    let outcome = if passed { HealthCheck::Passed } else { HealthCheck::Failed };
    core.shard.count(Counter::HealthCheck { service: &service, outcome });
    endpoint.checked(passed, core.clock.now());
}

/// Whether the answer is 2xx. A connection of its own, so that it says something of a URL whose
/// pool is full, and takes no request's place.
async fn ask(core: &Core, endpoint: &Endpoint, rule: &HealthRule) -> bool {
    let Ok(io) = endpoint.target().connect().await else { return false };
    let Ok((mut sender, connection)) = http1::handshake(TokioIo::new(io)).await else {
        return false;
    };
    core.tasks.spawn(Kind::Upstream, async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection of a health check ended");
        }
    });
    let mut request = Request::new(InboundBody::Empty);
    request.uri_mut().clone_from(&rule.path);
    let headers = request.headers_mut();
    headers.insert(header::HOST, rule.authority.clone());
    headers.insert(header::USER_AGENT, USER_AGENT);
    headers.insert(header::CONNECTION, CLOSE);
    sender.send_request(request).await.is_ok_and(|answer| answer.status().is_success())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn health(healthy_after: u32, unhealthy_after: u32) -> Health {
        Health::new(Arc::new(HealthRule {
            path: Uri::from_static("/healthz"),
            authority: HeaderValue::from_static("a"),
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            healthy_after,
            unhealthy_after,
        }))
    }

    #[test]
    fn one_check_at_a_time_and_about_as_often_as_it_is_told() {
        let mut health = health(1, 1);
        let (mut now, mut gaps) = (Nanos(0), Vec::new());
        for random in [0, 1 << 40, u64::MAX, 77] {
            assert!(health.due(now, || random).is_some());
            let late = now.plus(Duration::from_secs(60));
            assert!(health.due(late, || random).is_none(), "one is under way");
            health.ended(true);
            let mut later = now;
            while health.due(later, || 0).is_none() {
                later = later.plus(Duration::from_millis(1));
            }
            health.ended(true);
            gaps.push(later.since(now));
            now = later.plus(Duration::from_secs(60));
        }
        let around = Duration::from_secs(9)..=Duration::from_millis(11_001);
        assert!(gaps.iter().all(|gap| around.contains(gap)), "{gaps:?}");
    }

    proptest! {
        /// Against the last checks looked at as a list.
        #[test]
        fn it_turns_after_so_many_in_a_row(
            checks in prop::collection::vec(any::<bool>(), 0..60),
            healthy_after in 1_u32..5,
            unhealthy_after in 1_u32..5,
        ) {
            let mut health = health(healthy_after, unhealthy_after);
            let (mut up, mut in_row, mut last) = (true, 0, None);
            for passed in checks {
                in_row = if last == Some(passed) { in_row + 1 } else { 1 };
                last = Some(passed);
                let enough = if up { unhealthy_after } else { healthy_after };
                let turns = passed != up && in_row >= enough;
                let expected = match (turns, up) {
                    (false, _) => None,
                    (true, true) => Some(Turn::Down),
                    (true, false) => Some(Turn::Up),
                };
                prop_assert_eq!(health.ended(passed), expected);
                if turns {
                    up = passed;
                }
            }
        }
    }
}
