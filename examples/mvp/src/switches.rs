//! What is broken on purpose: latency, errors and crashes, one switch per operation; and the feed's
//! N+1, which is there from the beginning and goes when its switch says so.
//!
//! The switches are set on a listener of their own, on loopback, that the edge knows nothing of:
//! no client of the app can reach them. They live in memory; a crash clears them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::api::ApiError;

/// The exit code of a crash by switch, so that a supervisor can tell it from a true fault
/// (`EX_SOFTWARE` of sysexits).
pub const CRASH_EXIT: i32 = 70;
/// The longest latency a switch may add. Unit: milliseconds.
pub const LATENCY_MS_MAX: u64 = 60_000;

/// The operation that asks its database too often.
pub const FEED: &str = "getFeed";

/// What one operation does wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switch {
    /// Added before the answer. Unit: milliseconds.
    pub latency_ms: u64,
    /// The share of requests that fail with `status`, from 0 to 1; absent means all of them when
    /// `status` is given, none otherwise.
    pub error_share: Option<f64>,
    /// The status of the errors, 400 to 599. Default: 500.
    pub status: Option<u16>,
    /// The next request takes the whole process down, unanswered.
    pub crash: bool,
    /// Whether the feed asks the database once for each post; [`FEED`] alone has it. Absent: as it
    /// was, and at the beginning it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_plus_one: Option<bool>,
}

impl Switch {
    fn share(&self) -> f64 {
        self.error_share.unwrap_or(if self.status.is_some() { 1.0 } else { 0.0 })
    }

    fn error_status(&self) -> StatusCode {
        self.status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Says what is wrong with the switch itself.
    fn check(&self) -> Result<(), ApiError> {
        if self.latency_ms > LATENCY_MS_MAX {
            return Err(ApiError::invalid(format!("`latency_ms` is at most {LATENCY_MS_MAX}")));
        }
        if self.error_share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(ApiError::invalid("`error_share` is from 0 to 1"));
        }
        if self.status.is_some_and(|status| !(400..=599).contains(&status)) {
            return Err(ApiError::invalid("`status` is from 400 to 599"));
        }
        Ok(())
    }
}

/// All switches, and the pace that every operation keeps.
#[derive(Debug)]
pub struct Switches {
    known: Vec<&'static str>,
    pace: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    set: BTreeMap<&'static str, Switch>,
    dice: fastrand::Rng,
}

impl Inner {
    fn mend(&mut self, which: impl Fn(&str) -> bool) {
        self.set.retain(|operation, switch| {
            if which(operation) {
                *switch = Switch { n_plus_one: switch.n_plus_one, ..Switch::default() };
            }
            *switch != Switch::default()
        });
    }
}

impl Switches {
    /// No switch set. `pace` is how long a typical answer takes, as if a database stood behind.
    #[must_use]
    pub fn new(known: Vec<&'static str>, pace: Duration, dice: fastrand::Rng) -> Self {
        let inner = Mutex::new(Inner { set: BTreeMap::new(), dice });
        Self { known, pace, inner }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, operation: &str) -> Result<&'static str, ApiError> {
        let found = self.known.iter().find(|known| **known == operation);
        found.copied().ok_or_else(|| {
            let message = format!("`{operation}` is none of {}", self.known.join(", "));
            ApiError::new(StatusCode::NOT_FOUND, "unknown_operation", message)
        })
    }

    /// Sets the switch of an operation.
    pub fn set(&self, operation: &str, mut switch: Switch) -> Result<(), ApiError> {
        switch.check()?;
        let operation = self.known(operation)?;
        if operation != FEED && switch.n_plus_one.is_some() {
            return Err(ApiError::invalid(format!("`n_plus_one` is a switch of {FEED} alone")));
        }
        let mut inner = self.inner();
        let before = inner.set.get(operation).and_then(|before| before.n_plus_one);
        switch.n_plus_one = switch.n_plus_one.or(before);
        inner.set.insert(operation, switch);
        Ok(())
    }

    /// Mends one operation. Whether the feed has its N+1 stays as it was.
    pub fn mend(&self, operation: &str) -> Result<(), ApiError> {
        let operation = self.known(operation)?;
        self.inner().mend(|name| name == operation);
        Ok(())
    }

    /// Mends everything. Whether the feed has its N+1 stays as it was.
    pub fn mend_all(&self) {
        self.inner().mend(|_| true);
    }

    /// Whether the feed asks the database once for each post.
    #[must_use]
    pub fn n_plus_one(&self) -> bool {
        self.inner().set.get(FEED).and_then(|feed| feed.n_plus_one).unwrap_or(true)
    }

    /// The switches that are set.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, Switch> {
        self.inner().set.clone()
    }

    /// What happens to the next request of an operation.
    fn fate(&self, operation: &str) -> Fate {
        let mut inner = self.inner();
        // Mostly around the pace, now and then several times as long: as databases are.
        let long = inner.dice.f64() * inner.dice.f64() * inner.dice.f64();
        let pace = self.pace.mul_f64(0.5 + 4.0 * long);
        let Some(switch) = inner.set.get(operation).cloned() else {
            return Fate { delay: pace, end: End::Answer };
        };
        let delay = pace + Duration::from_millis(switch.latency_ms);
        let end = if switch.crash {
            End::Crash
        } else if inner.dice.f64() < switch.share() {
            End::Error(switch.error_status())
        } else {
            End::Answer
        };
        Fate { delay, end }
    }
}

struct Fate {
    delay: Duration,
    end: End,
}

enum End {
    Answer,
    Error(StatusCode),
    Crash,
}

/// The switch of one operation, as its middleware holds it.
#[derive(Clone, Debug)]
pub struct Gate {
    /// All switches.
    pub switches: Arc<Switches>,
    /// The `operationId`.
    pub operation: &'static str,
}

/// The middleware in front of each operation.
pub async fn apply(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let fate = gate.switches.fate(gate.operation);
    if !fate.delay.is_zero() {
        tokio::time::sleep(fate.delay).await;
    }
    match fate.end {
        End::Answer => next.run(request).await,
        End::Error(status) => {
            ApiError::new(status, "switched", "broken on purpose by a switch").into_response()
        }
        End::Crash => std::process::exit(CRASH_EXIT),
    }
}

/// The API of the switches.
pub fn router(switches: Arc<Switches>) -> Router {
    Router::new()
        .route("/_switches", get(list).delete(mend_all))
        .route("/_switches/{operation}", put(set).delete(mend))
        .fallback(async || ApiError::not_found())
        .layer(from_fn(check_host))
        .with_state(switches)
}

/// A web page may point a name of its own at 127.0.0.1 (DNS rebinding); its requests carry that
/// name.
async fn check_host(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    if matches!(name, "127.0.0.1" | "localhost" | "[::1]") {
        return next.run(request).await;
    }
    let message = "switches answer to 127.0.0.1, [::1] and localhost";
    ApiError::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", message).into_response()
}

async fn list(State(switches): State<Arc<Switches>>) -> Json<BTreeMap<&'static str, Switch>> {
    Json(switches.all())
}

async fn set(
    State(switches): State<Arc<Switches>>,
    Path(operation): Path<String>,
    Json(switch): Json<Switch>,
) -> Result<Json<Switch>, ApiError> {
    switches.set(&operation, switch.clone())?;
    Ok(Json(switch))
}

async fn mend(
    State(switches): State<Arc<Switches>>,
    Path(operation): Path<String>,
) -> Result<StatusCode, ApiError> {
    switches.mend(&operation)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn mend_all(State(switches): State<Arc<Switches>>) -> StatusCode {
    switches.mend_all();
    StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switches(pace: Duration) -> Switches {
        Switches::new(vec!["getFeed", "createOrder"], pace, fastrand::Rng::with_seed(7))
    }

    #[test]
    fn a_share_of_requests_fails() {
        let switches = switches(Duration::ZERO);
        let half = Switch { error_share: Some(0.5), status: Some(503), ..Switch::default() };
        switches.set("getFeed", half).unwrap();
        let fates = (0..1_000).map(|_| switches.fate("getFeed"));
        let failed = fates.filter(|fate| matches!(fate.end, End::Error(s) if s == 503)).count();
        assert!((440..560).contains(&failed), "{failed}");
        assert!(matches!(switches.fate("createOrder").end, End::Answer));
    }

    #[test]
    fn a_status_alone_means_every_request() {
        let switch = Switch { status: Some(404), ..Switch::default() };
        assert_eq!(switch.share().to_bits(), 1.0_f64.to_bits());
        assert_eq!(Switch::default().share().to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn a_switch_that_makes_no_sense_is_refused() {
        let switches = switches(Duration::ZERO);
        let bad = [
            Switch { latency_ms: LATENCY_MS_MAX + 1, ..Switch::default() },
            Switch { error_share: Some(1.1), ..Switch::default() },
            Switch { error_share: Some(f64::NAN), ..Switch::default() },
            Switch { status: Some(200), ..Switch::default() },
        ];
        for switch in bad {
            assert!(switches.set("getFeed", switch.clone()).is_err(), "{switch:?}");
        }
        assert!(switches.set("nothing", Switch::default()).is_err());
        assert!(switches.all().is_empty());
    }

    #[test]
    fn the_feeds_n_plus_one_goes_when_it_is_told_to_and_not_otherwise() {
        let switches = switches(Duration::ZERO);
        assert!(switches.n_plus_one());
        let told = |n_plus_one| Switch { n_plus_one, ..Switch::default() };
        assert!(switches.set("createOrder", told(Some(false))).is_err());
        switches.set(FEED, told(Some(false))).unwrap();
        assert!(!switches.n_plus_one());
        switches.set(FEED, Switch { status: Some(503), ..Switch::default() }).unwrap();
        switches.mend(FEED).unwrap();
        switches.mend_all();
        assert!(!switches.n_plus_one(), "mended it stays");
        assert_eq!(switches.all()[FEED], told(Some(false)));
        switches.set(FEED, told(Some(true))).unwrap();
        assert!(switches.n_plus_one());
    }

    #[test]
    fn the_pace_is_kept_within_its_bounds() {
        let switches = switches(Duration::from_millis(10));
        for _ in 0..500 {
            let delay = switches.fate("getFeed").delay;
            assert!(delay >= Duration::from_millis(5) && delay <= Duration::from_millis(45));
        }
    }
}
