//! Stored answers: told to the others, and asked of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plimsoll_telemetry::{Counter, SharedCache};
use tokio::sync::{mpsc, watch};

use super::super::entry::{Asked, CLOCKS_APART_MAX, Entry};
use super::super::key::Key;
use super::super::store::VARIANTS_MAX;
use super::super::tally::Tally;
use super::positions::Position;
use super::scripts::fetched;
use super::wire::{self, Answer};
use super::{Shared, text};
use crate::core::Phase;

/// How long a request waits for what others stored, at most.
const LOOK_WAIT_MAX: Duration = Duration::from_millis(25);
/// Requests that wait at once; one more does not ask.
const LOOKS_MAX: usize = 256;
/// What one look brings, bytes, at most.
const LOOK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Answers that wait to be told, at most; one more is not told.
pub(super) const OFFERS_MAX: usize = 256;
/// Bytes that they may have, all together.
const OFFERS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What is fresh for less is not worth telling, seconds.
const FRESH_S_MIN: i64 = 1;
/// The longest that Redis keeps an answer.
const KEPT_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// What answers are sealed for.
const PURPOSE: &str = "edge.cache.v1";

/// An answer that is to be told.
#[derive(Debug)]
pub(super) struct Offer {
    key: Key,
    entry: Arc<Entry>,
    position: Position,
}

impl Shared {
    /// Tells an answer that was stored here, unless it is larger than `bytes_max`, a part, or not
    /// fresh for long enough. Nobody waits for it.
    pub(crate) fn offer(&self, key: Key, entry: &Arc<Entry>, bytes_max: usize) {
        let kept = &entry.kept;
        let small = entry.bytes() <= bytes_max;
        let fresh = entry.ttl(self.clock.now()) >= FRESH_S_MIN;
        if !small || !fresh || kept.range.is_some() || kept.asked.own.is_some() {
            return;
        }
        // What was asked for before this node knew of the others says nothing to them.
        let Some(position) = self.positions().position(kept.asked.ordinal) else { return };
        let bytes = entry.bytes();
        let room = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= OFFERS_BYTES_MAX);
        if self.offered_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            self.count(SharedCache::Dropped);
            return;
        }
        let offer = Offer { key, entry: Arc::clone(entry), position };
        if self.offers.try_send(offer).is_err() {
            self.offered_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.count(SharedCache::Dropped);
        }
    }

    fn count(&self, what: SharedCache) {
        self.metrics.count(Counter::SharedCache(what));
    }

    /// Stores what is offered, until the edge stops.
    pub(super) async fn store(
        &self,
        mut offers: mpsc::Receiver<Offer>,
        mut phase: watch::Receiver<Phase>,
    ) {
        loop {
            let stopped = async { phase.wait_for(|phase| *phase == Phase::Stopped).await.is_ok() };
            let offer = tokio::select! {
                biased;
                _stopped = stopped => return,
                offer = offers.recv() => offer,
            };
            let Some(offer) = offer else { return };
            let stored = self.put(&offer).await;
            self.offered_bytes.fetch_sub(offer.entry.bytes(), Ordering::Relaxed);
            self.count(if stored { SharedCache::Stored } else { SharedCache::Dropped });
        }
    }

    async fn put(&self, offer: &Offer) -> bool {
        let Offer { key, entry, position } = offer;
        let age = entry.age(self.clock.now());
        let terms = &entry.kept.terms;
        let beyond = terms.while_revalidating.max(terms.if_error);
        let lives = terms.fresh.saturating_add(beyond).saturating_sub(age).min(KEPT_MAX);
        let plain = wire::answer(entry, age, *position, self.clock.unix_ms());
        let place = self.entry_key(*key);
        let Ok(sealed) = self.keyring.seal_apart(PURPOSE, &place, &plain) else { return false };
        let variant = self.keys.variant(&entry.kept.selection, terms.audience);
        let variants = text(VARIANTS_MAX);
        let arguments = [variant, sealed, text(lives.as_millis().max(1)), variants];
        match self.entries.run(&self.scripts.store, &[place], &arguments).await {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(%error, "an answer was not shared");
                false
            }
        }
    }

    /// What others stored under `keys` and may be judged here, with what became of the look.
    pub(crate) async fn look(
        &self,
        keys: &[Key],
        tally: &Arc<Tally>,
    ) -> (SharedCache, Vec<(Key, Arc<Entry>)>) {
        let looking = Looking(&self.looking);
        if looking.0.fetch_add(1, Ordering::Relaxed) >= LOOKS_MAX {
            return (SharedCache::Slow, Vec::new());
        }
        let places: Vec<Vec<u8>> = keys.iter().map(|key| self.entry_key(*key)).collect();
        let most = [text(LOOK_BYTES_MAX)];
        let answer = self.entries.run(&self.scripts.fetch, &places, &most);
        let answer = match tokio::time::timeout(LOOK_WAIT_MAX, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => return (SharedCache::Away, Vec::new()),
            Err(_) => return (SharedCache::Slow, Vec::new()),
        };
        drop(looking);
        let mut found = Vec::new();
        let mut outcome = SharedCache::Miss;
        for (place, stood, sealed) in fetched(&answer) {
            let (Some(key), Some(at)) = (keys.get(place), places.get(place)) else { continue };
            match self.open(at, stood, sealed, tally) {
                Some(entry) => {
                    outcome = SharedCache::Hit;
                    found.push((*key, Arc::new(entry)));
                }
                None if outcome == SharedCache::Miss => outcome = SharedCache::Unproven,
                None => {}
            }
        }
        (outcome, found)
    }

    /// An answer that another node stored `stood` ago, as one of this node's. `None` where it is
    /// not what one of ours wrote there, or nobody can tell what was written since then.
    fn open(
        &self,
        place: &[u8],
        stood: Duration,
        sealed: &[u8],
        tally: &Arc<Tally>,
    ) -> Option<Entry> {
        let plain = self.keyring.open_apart(PURPOSE, place, sealed).ok()?;
        let answer = Answer::from_bytes(&plain)?;
        let ordinal = self.positions().ordinal(answer.position)?;
        // By Redis' clock, which stood beside it all the while; and whatever that says, by ours.
        let told = Duration::from_millis(self.clock.unix_ms().saturating_sub(answer.told_unix_ms));
        let since = stood.max(told.saturating_sub(CLOCKS_APART_MAX));
        let age = answer.terms.age.saturating_add(since);
        let asked = Asked { ordinal, unix_ms: answer.asked_unix_ms, own: None };
        Some(answer.kept(asked, age, self.clock.now(), Arc::clone(tally)))
    }
}

/// A look that is under way.
struct Looking<'s>(&'s std::sync::atomic::AtomicUsize);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
