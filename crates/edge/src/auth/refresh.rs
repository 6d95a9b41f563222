//! The task that keeps one issuer's keys fresh.

use std::sync::Arc;
use std::time::Duration;

use super::fetch;
use super::options::KeyLocation;
use super::source::Shared;

/// How often a key file is looked at.
const FILE_POLL: Duration = Duration::from_secs(2);
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Runs until it is aborted.
pub(super) async fn run(shared: Arc<Shared>) {
    // Issuers of one edge must not keep step either.
    let by_issuer = |seed: u64, byte: u8| seed.rotate_left(7) ^ u64::from(byte);
    let seed = shared.spec.issuer.bytes().fold(shared.parts.seed, by_issuer);
    let mut random = fastrand::Rng::with_seed(seed);
    // A file was read when the source was made.
    if matches!(shared.spec.location, KeyLocation::File(_)) {
        rest(&shared, FILE_POLL).await;
    }
    loop {
        shared.begin();
        let outcome = Box::pin(fetch::load(&shared.spec, &shared.parts, shared.mark())).await;
        shared.finish(outcome);
        let pause = match &shared.spec.location {
            KeyLocation::File(_) => FILE_POLL,
            _ => pause(shared.spec.refresh, shared.failures(), random.f64()),
        };
        rest(&shared, pause).await;
    }
}

/// Until the next fetch is due or somebody asks for one.
async fn rest(shared: &Shared, pause: Duration) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = shared.wake.notified() => {}
    }
}

/// How long to wait. Fetches that go well spread over ±10 % so that many edges do not ask at once;
/// after `failures` in a row the wait doubles from one second to one minute, over 50 to 100 % of
/// it, and is never longer than a good one.
fn pause(refresh: Duration, failures: u32, random: f64) -> Duration {
    if failures == 0 {
        return refresh.mul_f64(0.9 + 0.2 * random);
    }
    let doubled = RETRY_FIRST.saturating_mul(1 << (failures - 1).min(10));
    doubled.min(RETRY_MAX).min(refresh).mul_f64(0.5 + 0.5 * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_spread_doubled_and_bounded() {
        let refresh = Duration::from_secs(300);
        assert_eq!(pause(refresh, 0, 0.0), Duration::from_secs(270));
        assert_eq!(pause(refresh, 0, 1.0), Duration::from_secs(330));
        assert_eq!(pause(refresh, 1, 1.0), Duration::from_secs(1));
        assert_eq!(pause(refresh, 1, 0.0), Duration::from_millis(500));
        assert_eq!(pause(refresh, 4, 1.0), Duration::from_secs(8));
        assert_eq!(pause(refresh, u32::MAX, 1.0), RETRY_MAX);
        assert_eq!(pause(Duration::from_secs(5), 30, 1.0), Duration::from_secs(5));
    }
}
