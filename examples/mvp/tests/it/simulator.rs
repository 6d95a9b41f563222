//! The simulator against the backend itself, which stands in for the edge.

use std::future::pending;
use std::time::Duration;

use http::Method;
use mvp::client::Connection;
use mvp::traffic::{self, Ended, Options};
use tokio::time::Instant;

use crate::support::{Backend, request, token};

fn options(backend: &Backend, run_for: Duration) -> Options {
    Options {
        edge: backend.api,
        tokens: (1..=4).map(|n| token(&format!("sim_{n}"))).collect(),
        rps: 100,
        otlp: None,
        unix_ms: || 1_795_000_000_000,
        run_for,
        edge_gone_max: traffic::EDGE_GONE_MAX,
        verbose: false,
        seed: 3,
    }
}

#[tokio::test]
async fn it_uses_the_backend_within_its_rate_and_ends_by_itself() {
    let backend = Backend::start().await;
    let start = Instant::now();
    let options = options(&backend, Duration::from_secs(6));
    let report = traffic::run(options, pending(), |_| {}).await;
    let elapsed = start.elapsed();
    assert_eq!(report.ended, Ended::TimeUp);
    assert!(elapsed >= Duration::from_secs(5) && elapsed < Duration::from_secs(9), "{elapsed:?}");
    let requests = report.summary.requests();
    assert!((50..=700).contains(&requests), "{}", report.summary);
    assert_eq!((report.summary.server_errors, report.summary.failed), (0, 0));
    assert!(report.summary.success > report.summary.client_errors * 5, "{}", report.summary);
    let mut api = Connection::to(backend.api);
    let profile = request(&mut api, Method::GET, "/v1/people/sim_1", None, None).await;
    assert_eq!(profile.status, 200, "who holds a token has signed up");
}

#[tokio::test]
async fn it_stops_when_asked() {
    let backend = Backend::start().await;
    let start = Instant::now();
    let options = options(&backend, Duration::from_secs(600));
    let end = tokio::time::sleep(Duration::from_secs(1));
    let report = traffic::run(options, end, |_| {}).await;
    assert_eq!(report.ended, Ended::Asked);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn it_gives_up_when_the_edge_is_gone() {
    let backend = Backend::start().await;
    let mut options = options(&backend, Duration::from_secs(600));
    options.edge_gone_max = Duration::from_secs(2);
    drop(backend.end().await);
    let start = Instant::now();
    let report = traffic::run(options, pending(), |_| {}).await;
    assert_eq!(report.ended, Ended::EdgeGone);
    assert!(start.elapsed() >= Duration::from_secs(2) && start.elapsed() < Duration::from_secs(8));
    assert_eq!(report.summary.success, 0);
}
