//! The keys of one issuer, kept fresh in the background.
//!
//! One task per issuer on the control runtime does all the fetching; cores only read what it left
//! behind. A core that needs a key that is not there may ask for one early fetch and wait for it,
//! bounded in time, in how many wait, and in how often that may happen.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use plimsoll_base::{Nanos, SharedClock};
use plimsoll_manifest::Algorithm;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::error::{AuthError, Refusal};
use super::fetch::{self, FileMark, LoadError, Loaded};
use super::keys::{Key, KeySet, NoKey};
use super::options::KeyLocation;
use super::status::{IssuerStatus, KeyState};
use super::{AuthParts, refresh};

/// How often unknown keys may cause a fetch, for one issuer.
pub(super) const EARLY_FETCH_INTERVAL: Duration = Duration::from_secs(10);
/// How long a request waits for keys.
const KEY_WAIT_MAX: Duration = Duration::from_secs(3);
/// How many requests may wait for one issuer's keys.
const WAITERS_MAX: usize = 1_024;
/// What a client is told to wait when keys cannot be had.
const RETRY_AFTER: Duration = Duration::from_secs(5);

pub(super) const UNAVAILABLE: AuthError = AuthError::Unavailable { retry_after: RETRY_AFTER };

/// What decides which keys an issuer has. Two sources with equal specifications are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceSpec {
    pub(super) issuer: Arc<str>,
    pub(super) location: KeyLocation,
    pub(super) refresh: Duration,
    pub(super) stale_max: Duration,
    pub(super) allow_private: bool,
}

impl SourceSpec {
    /// Whether keys found for `other` are keys for this one too: same issuer, same place.
    fn same_place(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.location == other.location
    }
}

/// An issuer's keys. Dropping it ends its task.
pub(super) struct KeySource {
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What the task and the cores share.
pub(super) struct Shared {
    pub(super) spec: SourceSpec,
    pub(super) parts: AuthParts,
    keys: ArcSwap<KeySet>,
    book: Mutex<Book>,
    /// Counts finished fetches.
    finished: watch::Sender<u64>,
    pub(super) wake: Notify,
    waiters: AtomicUsize,
}

/// What is written down about the fetches.
#[derive(Debug, Default, Clone)]
struct Book {
    /// A fetch is asked for or under way.
    pending: bool,
    /// When an unknown key last caused one.
    early_at: Option<Nanos>,
    /// Wall time in seconds when the source last showed its keys.
    seen_unix_s: Option<u64>,
    /// Failed fetches since then.
    failures: u32,
    error: Option<String>,
    mark: Option<FileMark>,
}

impl KeySource {
    /// Starts keeping keys. Keys that `before` found at the same place are used at once, so that a
    /// reload that only changes how often they are fetched delays nobody.
    pub(super) fn start(spec: SourceSpec, parts: &AuthParts, before: Option<&Self>) -> Self {
        let (keys, mut book) = match before.filter(|b| spec.same_place(&b.shared.spec)) {
            Some(before) => (before.shared.keys.load_full(), before.shared.book().clone()),
            None => (Arc::new(KeySet::default()), Book::default()),
        };
        book.pending = true;
        if let Some(seen) = book.seen_unix_s {
            keys.extend(seen.saturating_add(spec.stale_max.as_secs()));
        }
        let shared = Arc::new(Shared {
            spec,
            parts: parts.clone(),
            keys: ArcSwap::new(keys),
            book: Mutex::new(book),
            finished: watch::Sender::new(0),
            wake: Notify::new(),
            waiters: AtomicUsize::new(0),
        });
        // A file is read right here: a start with a good file needs nothing else to serve.
        if let KeyLocation::File(path) = &shared.spec.location {
            let loaded = fetch::file(path, shared.mark().as_ref());
            shared.finish(loaded);
        }
        let task = start_task(&parts.control, &shared);
        Self { shared, task }
    }

    pub(super) fn spec(&self) -> &SourceSpec {
        &self.shared.spec
    }

    /// The key for a token that names `id`, or none, and `algorithm`. It waits only when there is
    /// no such key and a fetch may bring one.
    pub(super) async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        now_unix_s: u64,
    ) -> Result<Arc<Key>, AuthError> {
        let missing = match self.look(id, algorithm, now_unix_s) {
            Ok(key) => return Ok(key),
            Err(known @ (NoKey::Mismatch | NoKey::Ambiguous)) => return Err(self.refusal(known)),
            Err(missing) => missing,
        };
        self.shared.fetched(missing).await;
        // Looked at again in any case: a fetch may have finished just before it was asked for.
        self.look(id, algorithm, now_unix_s).map_err(|missing| self.refusal(missing))
    }

    fn refusal(&self, missing: NoKey) -> AuthError {
        match missing {
            NoKey::Mismatch => Refusal::KeyMismatch.into(),
            NoKey::Ambiguous => Refusal::AmbiguousKey.into(),
            // While the issuer cannot be asked, a key we do not know may be a good new one: a 401
            // would sign its bearer out for no fault of theirs.
            NoKey::Unknown if self.shared.book().failures == 0 => Refusal::UnknownKey.into(),
            NoKey::Unknown | NoKey::NoKeys => UNAVAILABLE,
        }
    }

    fn look(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        now_unix_s: u64,
    ) -> Result<Arc<Key>, NoKey> {
        self.shared.keys.load().select(id, algorithm, now_unix_s).map(Arc::clone)
    }

    /// Waits until there are keys or the source was asked once, or for `wait_max`.
    pub(super) async fn settled(&self, wait_max: Duration) {
        if self.status().state.serves() {
            return;
        }
        let mut finished = self.shared.finished.subscribe();
        let first = finished.wait_for(|count| *count > 0);
        // Time running out is an answer too: the status says what is missing.
        let _late = timeout(wait_max, first).await;
    }

    pub(super) fn status(&self) -> IssuerStatus {
        let now = self.shared.parts.clock.unix_seconds();
        let book = self.shared.book().clone();
        let keys = self.shared.keys.load();
        let age = book.seen_unix_s.map(|seen| Duration::from_secs(now.saturating_sub(seen)));
        let state = match age {
            None => KeyState::Waiting,
            Some(age) if age >= self.shared.spec.stale_max => KeyState::TooOld,
            Some(_) if book.failures > 0 => KeyState::Stale,
            Some(_) if keys.len() == 0 => KeyState::Empty,
            Some(_) => KeyState::Fresh,
        };
        IssuerStatus {
            issuer: Arc::clone(&self.shared.spec.issuer),
            state,
            keys: keys.len(),
            skipped: keys.skipped.clone(),
            age,
            failures: book.failures,
            last_error: book.error,
        }
    }
}

impl Drop for KeySource {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySource").field("spec", &self.shared.spec).finish_non_exhaustive()
    }
}

fn start_task(control: &Handle, shared: &Arc<Shared>) -> AbortHandle {
    control.spawn(refresh::run(Arc::clone(shared))).abort_handle()
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.parts.clock
    }

    pub(super) fn mark(&self) -> Option<FileMark> {
        self.book().mark
    }

    pub(super) fn failures(&self) -> u32 {
        self.book().failures
    }

    /// Waits for a fetch if one is under way or may be asked for.
    async fn fetched(&self, why: NoKey) {
        if self.waiters.fetch_add(1, Ordering::AcqRel) >= WAITERS_MAX {
            self.waiters.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        let _seat = Seat(&self.waiters);
        if let Some(mut finished) = self.ask(why) {
            // Whether it finished or time ran out, what counts is which keys are there now.
            let _finished_or_late = timeout(KEY_WAIT_MAX, finished.changed()).await;
        }
    }

    /// Asks for an early fetch. `None` when the last one that was asked for is too recent.
    fn ask(&self, why: NoKey) -> Option<watch::Receiver<u64>> {
        let now = self.clock().now();
        let mut book = self.book();
        if !book.pending {
            // Without keys and after a failure the task already retries as often as it may.
            let retrying = why == NoKey::NoKeys && book.failures > 0;
            let soon = |at: Nanos| now.since(at) < EARLY_FETCH_INTERVAL;
            if retrying || book.early_at.is_some_and(soon) {
                return None;
            }
            book.pending = true;
            book.early_at = Some(now);
            self.wake.notify_one();
        }
        // Under the lock that `finish` takes, so that its end cannot be missed.
        Some(self.finished.subscribe())
    }

    /// A fetch begins.
    pub(super) fn begin(&self) {
        self.book().pending = true;
    }

    /// A fetch has ended: takes in what it brought and lets those go on who wait for it.
    pub(super) fn finish(&self, outcome: Result<Loaded, LoadError>) {
        let now = self.clock().unix_seconds();
        let until = now.saturating_add(self.spec.stale_max.as_secs());
        if !matches!(outcome, Ok(Loaded::Same)) {
            (self.parts.on_refresh)(outcome.is_ok());
        }
        match outcome {
            Ok(Loaded::Same) => {
                self.keys.load().extend(until);
                self.book().succeeded(now);
            }
            Ok(Loaded::New(set, mark)) => {
                self.replace(set, until);
                let mut book = self.book();
                book.succeeded(now);
                book.mark = mark;
            }
            Err(error) => self.failed(&error),
        }
        // Both under the lock that `ask` takes: who asks after this waits for the next end.
        let mut book = self.book();
        book.pending = false;
        self.finished.send_modify(|count| *count += 1);
    }

    fn replace(&self, set: KeySet, until_unix_s: u64) {
        let old = self.keys.load_full();
        let next = Arc::new(old.succeeded_by(set));
        next.extend(until_unix_s);
        self.keys.store(Arc::clone(&next));
        let removed = old.retire_all_but(&next);
        let added = next.len() + removed - old.len();
        if removed + added > 0 || old.skipped != next.skipped {
            let (issuer, skipped) = (&self.spec.issuer, &next.skipped);
            tracing::info!(%issuer, added, removed, ?skipped, "token keys changed");
        }
    }

    fn failed(&self, error: &LoadError) {
        let text = error.to_string();
        let mut book = self.book();
        book.failures = book.failures.saturating_add(1);
        // A source that stays down would say the same every few seconds.
        if book.error.as_ref() != Some(&text) {
            tracing::warn!(issuer = %self.spec.issuer, error = %text, "token keys not refreshed");
        }
        book.error = Some(text);
    }
}

impl Book {
    fn succeeded(&mut self, now_unix_s: u64) {
        self.seen_unix_s = Some(now_unix_s);
        self.failures = 0;
        self.error = None;
    }
}

/// A place among those who wait.
struct Seat<'a>(&'a AtomicUsize);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
