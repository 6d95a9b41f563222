//! Requests under way to a service that others of the same key may wait for.
//!
//! A key says whose answer it is, so that nobody ever waits for another subject's. A follower waits
//! for an answer that was asked for after its own last write, or goes alone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::entry::{Asked, Demand};
use super::key::Key;

/// Requests that wait for one answer; one more goes to the service itself.
const FOLLOWERS_MAX: u32 = 1_024;

/// How old a request may be that others begin to wait for, milliseconds.
const FLIGHT_JOINED_MAX_MS: u64 = 5_000;
/// Locks over which keys are spread.
const SHARDS: usize = 16;

/// Where a flight stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Underway,
    /// The answer is stored.
    Stored,
    /// There is none to wait for.
    Over,
}

#[derive(Debug)]
struct Flight {
    asked: Asked,
    stage: watch::Sender<Stage>,
    followers: AtomicU32,
}

type Shard = Mutex<HashMap<Key, Arc<Flight>, ahash::RandomState>>;

/// See the module's page. It holds no more than there are requests under way.
#[derive(Clone, Debug)]
pub(crate) struct Flights(Arc<[Shard]>);

impl Default for Flights {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Shard::default()).collect())
    }
}

/// What a request is among those of its key.
#[derive(Debug)]
pub(crate) enum Joined {
    /// The first: others wait for it.
    Leads(Leader),
    /// One that waits.
    Follows(Follower),
    /// One that goes by itself.
    Alone,
}

/// The request that others wait for. When it is dropped, they wait no longer.
#[derive(Debug)]
pub(crate) struct Leader {
    flights: Arc<[Shard]>,
    key: Key,
    flight: Arc<Flight>,
}

/// A request that waits for another.
#[derive(Debug)]
pub(crate) struct Follower {
    flight: Arc<Flight>,
    stage: watch::Receiver<Stage>,
}

impl Flights {
    /// Joins the requests for `key`.
    pub(crate) fn join(&self, key: Key, asked: Asked, demand: &Demand) -> Joined {
        let mut shard = lock(&self.0[key.spread() % SHARDS]);
        if let Some(flight) = shard.get(&key) {
            // Whoever leads may have a client that reads slowly: nobody begins to wait for long.
            let old = flight.asked.unix_ms.saturating_add(FLIGHT_JOINED_MAX_MS) < asked.unix_ms;
            if old || !demand.is_met_by(flight.asked) {
                return Joined::Alone;
            }
            if flight.followers.fetch_add(1, Ordering::Relaxed) >= FOLLOWERS_MAX {
                flight.followers.fetch_sub(1, Ordering::Relaxed);
                return Joined::Alone;
            }
            let stage = flight.stage.subscribe();
            return Joined::Follows(Follower { flight: Arc::clone(flight), stage });
        }
        let (stage, _) = watch::channel(Stage::Underway);
        let flight = Arc::new(Flight { asked, stage, followers: AtomicU32::new(0) });
        shard.insert(key, Arc::clone(&flight));
        drop(shard);
        Joined::Leads(Leader { flights: Arc::clone(&self.0), key, flight })
    }
}

impl Leader {
    /// The answer is stored: whoever waits can have it.
    pub(crate) fn stored(self) {
        self.flight.stage.send_replace(Stage::Stored);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        lock(&self.flights[self.key.spread() % SHARDS]).remove(&self.key);
        let over = |stage: &mut Stage| {
            *stage == Stage::Underway && {
                *stage = Stage::Over;
                true
            }
        };
        self.flight.stage.send_if_modified(over);
    }
}

impl Follower {
    /// Waits for the answer. True where it is stored.
    pub(crate) async fn wait(&mut self) -> bool {
        let ended = self.stage.wait_for(|stage| *stage != Stage::Underway).await;
        ended.is_ok_and(|stage| *stage == Stage::Stored)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.flight.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock(shard: &Shard) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Flight>, ahash::RandomState>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::key::{Keys, Partition, Place};
    use super::super::stamps::Stamps;
    use super::*;

    fn key() -> Key {
        let (tenant, service, release, host, target) = ("t", "s", "r", "h", "/");
        let place = Place { tenant, service, release, secure: false, host, target };
        Keys::new(&[7; 16]).key(&place, Partition::Shared)
    }

    fn asked(stamps: &Stamps) -> Asked {
        Asked { ordinal: stamps.now(), unix_ms: 0, own: None }
    }

    #[tokio::test]
    async fn followers_go_on_when_their_leader_has_stored_or_is_gone() {
        let (flights, stamps) = (Flights::default(), Stamps::default());
        for stores in [true, false] {
            let join = || flights.join(key(), asked(&stamps), &Demand::default());
            let Joined::Leads(leader) = join() else { panic!("the first leads") };
            let Joined::Follows(mut one) = join() else { panic!("the second follows") };
            let Joined::Follows(mut other) = join() else { panic!("the third follows") };
            if stores {
                leader.stored();
            } else {
                drop(leader);
            }
            assert_eq!((one.wait().await, other.wait().await), (stores, stores));
        }
        assert!(flights.0.iter().all(|shard| lock(shard).is_empty()));
    }

    #[test]
    fn nobody_follows_who_asked_before_their_own_write_or_when_there_are_too_many() {
        let (flights, stamps) = (Flights::default(), Stamps::default());
        let Joined::Leads(_leader) = flights.join(key(), asked(&stamps), &Demand::default()) else {
            panic!("the first leads")
        };
        let stamped = stamps.write([], None);
        let demand = Demand { since: stamped.ordinal, since_unix_ms: None };
        assert!(matches!(flights.join(key(), asked(&stamps), &demand), Joined::Alone));
        let join = || flights.join(key(), asked(&stamps), &Demand::default());
        let followers: Vec<Joined> = (0..FOLLOWERS_MAX).map(|_| join()).collect();
        assert!(followers.iter().all(|joined| matches!(joined, Joined::Follows(_))));
        assert!(matches!(join(), Joined::Alone));
        drop(followers);
        assert!(matches!(join(), Joined::Follows(_)));
    }
}
