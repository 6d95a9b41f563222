use std::sync::Arc;

use plimsoll_base::{Clock as _, ManualClock};
use plimsoll_protection::{Keyring, KeyringOptions};
use plimsoll_store::RedisLink;
use plimsoll_telemetry::{Metrics, MetricsOptions};

use super::super::super::key::Keys;
use super::super::scripts::Next;
use super::super::{LINK_BOUNDS, SharedCacheOptions};
use super::*;

/// A node that reaches no Redis.
fn node(clock: &Arc<ManualClock>) -> Shared {
    let directory = tempfile::tempdir().unwrap();
    let keyring = KeyringOptions {
        directory: directory.path().join("keys"),
        signing_key_file: None,
        kek_file: None,
        outside_database: false,
    };
    let url = "redis://127.0.0.1:1".to_owned().into();
    let link = || RedisLink::new(&url, LINK_BOUNDS).unwrap();
    let options = SharedCacheOptions {
        links: [link(), link(), link()],
        namespace: "x".to_owned(),
        keyring: Arc::new(Keyring::open(&keyring).unwrap()),
        node: 7,
    };
    let metrics = Metrics::new(MetricsOptions { series_max: 16, ..MetricsOptions::default() });
    let keys = Keys::new(&[7; 16]);
    Shared::new(options, Arc::<ManualClock>::clone(clock), metrics, keys, Arc::default())
}

/// What a log of `last` events has behind number `heard`, so many at most.
fn behind(heard: u64, last: u64, most: usize) -> Behind<'static> {
    let numbers = (heard + 1..=last).take(most);
    let events = numbers.map(|number| Next { number, tag: b"tag", event: b"" }).collect();
    Behind { last: Position { epoch: 7, number: last }, tag: b"tag", events }
}

/// A node that hears of a write each time it asks knows as much as one that hears of none.
#[test]
fn a_lease_goes_on_while_there_is_always_something_to_hear() {
    let clock = Arc::new(ManualClock::default());
    let node = node(&clock);
    assert_eq!(node.take(&behind(0, 0, 9), clock.now()), Taken::Anew);
    clock.advance(Duration::from_secs(3));
    for number in 0..30 {
        assert_eq!(node.take(&behind(number, number + 1, 9), clock.now()), Taken::Events);
        clock.advance(Duration::from_millis(200));
        assert!(node.knows_all_writes(clock.now()), "{number}");
    }
    // Where it did not hear of all it does not know how much it lacks.
    for number in 30..40 {
        assert_eq!(node.take(&behind(number, 99, 1), clock.now()), Taken::Events);
        clock.advance(Duration::from_millis(200));
    }
    assert!(!node.knows_all_writes(clock.now()));
    assert_eq!(node.take(&behind(40, 41, 0), clock.now()), Taken::Anew, "a gap");
}
