//! Writes that are sent again after they failed, and whether they carry a key.
//!
//! Whoever gets no answer to a write, or 5xx, sends it again: a person does, if not the app. With a
//! key that is harmless; without one the write may be done twice. What is sent again is told by its
//! mark, a hash of who wrote what where: the same mark soon after a failure of it. While nothing
//! fails, nothing is looked up. Pure: the clock is an argument.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll_base::Nanos;

/// How long after its failure the same write counts as sent again.
const AGAIN_WITHIN: Duration = Duration::from_secs(60);

/// How far back is looked.
const LOOKED_BACK: Duration = Duration::from_secs(24 * 60 * 60);

/// Failures that are remembered at most, and operations of one core; what does not fit is not told.
const FAILURES_MAX: usize = 4_096;
const OPERATIONS_MAX: usize = 1_024;

/// When all places are taken, so often at most it is looked for old failures.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A write that begins.
#[derive(Debug, Clone, Copy)]
pub struct Begins<'w> {
    /// Its service.
    pub service: &'w Arc<str>,
    /// Its operation.
    pub operation: &'w Arc<str>,
    /// Who writes what where. `None` where sending it twice does no harm: it has a key, or its
    /// method is idempotent (RFC 9110 §9.2.2).
    pub mark: Option<u64>,
}

/// What was seen of late.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResentSeen {
    /// Operations that write.
    pub operations: usize,
    /// Those of them that were sent again without a key: `OPERATION of SERVICE`, by name.
    pub unkeyed: Vec<String>,
}

/// See the module's page.
pub struct Resent {
    /// One a core, which alone writes there.
    pages: Box<[Mutex<Page>]>,
    /// When something failed last; 0 while nothing did.
    last: AtomicU64,
    failed: Mutex<Failures>,
}

#[derive(Default)]
struct Failures {
    at: HashMap<u64, Nanos>,
    /// When what is old was last taken out for want of a place.
    swept: Nanos,
}

type Page = HashMap<(Arc<str>, Arc<str>), Times>;

#[derive(Debug, Clone, Copy)]
struct Times {
    seen: Nanos,
    unkeyed: Option<Nanos>,
}

impl fmt::Debug for Resent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resent(..)")
    }
}

impl Resent {
    /// For so many cores.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        Self {
            pages: (0..cores.max(1)).map(|_| Mutex::default()).collect(),
            last: AtomicU64::new(0),
            failed: Mutex::default(),
        }
    }

    /// A write begins on this core.
    pub fn begins(&self, core: usize, write: Begins<'_>, now: Nanos) {
        let again = write.mark.is_some_and(|mark| self.failed_before(mark, now));
        let Some(page) = self.pages.get(core) else { return };
        let mut page = lock(page);
        let key = (Arc::clone(write.service), Arc::clone(write.operation));
        if page.len() >= OPERATIONS_MAX && !page.contains_key(&key) {
            return;
        }
        let times = page.entry(key).or_insert(Times { seen: now, unkeyed: None });
        times.seen = now;
        if again {
            times.unkeyed = Some(now);
        }
    }

    /// True where the same failed a short time ago; that failure is not told a second time.
    fn failed_before(&self, mark: u64, now: Nanos) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        if last == 0 || now.since(Nanos(last)) >= AGAIN_WITHIN {
            return false;
        }
        lock(&self.failed).at.remove(&mark).is_some_and(|at| now.since(at) < AGAIN_WITHIN)
    }

    /// A write of that mark got no answer although the service may have had it, or a bad one.
    pub fn failed(&self, mark: u64, now: Nanos) {
        let failed = &mut *lock(&self.failed);
        if failed.at.len() >= FAILURES_MAX && now.since(failed.swept) >= SWEEP_EVERY {
            failed.at.retain(|_, at| now.since(*at) < AGAIN_WITHIN);
            failed.swept = now;
        }
        if failed.at.len() < FAILURES_MAX {
            failed.at.insert(mark, now);
        }
        self.last.store(now.0.max(1), Ordering::Relaxed);
    }

    /// What was seen, on all cores.
    #[must_use]
    pub fn seen(&self, now: Nanos) -> ResentSeen {
        let mut all: Page = HashMap::new();
        for page in &self.pages {
            let mut page = lock(page);
            page.retain(|_, times| now.since(times.seen) < LOOKED_BACK);
            for (key, times) in page.iter() {
                let known = all.entry(key.clone()).or_insert(*times);
                known.unkeyed = known.unkeyed.max(times.unkeyed);
            }
        }
        let lately = |at: Nanos| now.since(at) < LOOKED_BACK;
        let unkeyed = all.iter().filter(|(_, times)| times.unkeyed.is_some_and(lately));
        let mut unkeyed: Vec<String> =
            unkeyed.map(|((service, name), _)| format!("{name} of {service}")).collect();
        unkeyed.sort_unstable();
        ResentSeen { operations: all.len(), unkeyed }
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Nanos {
        Nanos(1).plus(Duration::from_secs(seconds))
    }

    fn begins(resent: &Resent, core: usize, operation: &str, mark: Option<u64>, now: Nanos) {
        let (service, operation) = ("shop".into(), operation.into());
        resent.begins(core, Begins { service: &service, operation: &operation, mark }, now);
    }

    fn unkeyed(resent: &Resent, now: Nanos) -> (usize, Vec<String>) {
        let seen = resent.seen(now);
        (seen.operations, seen.unkeyed)
    }

    #[test]
    fn a_write_that_failed_and_comes_again_is_told_on_whichever_core() {
        let resent = Resent::new(2);
        begins(&resent, 0, "pay", Some(7), at(0));
        assert_eq!(unkeyed(&resent, at(0)), (1, vec![]));
        // Without a failure the same twice is two writes.
        begins(&resent, 1, "pay", Some(7), at(1));
        assert_eq!(unkeyed(&resent, at(1)), (1, vec![]));
        resent.failed(7, at(2));
        begins(&resent, 1, "pay", Some(8), at(3));
        begins(&resent, 1, "like", None, at(3));
        assert_eq!(unkeyed(&resent, at(3)), (2, vec![]));
        begins(&resent, 1, "pay", Some(7), at(4));
        assert_eq!(unkeyed(&resent, at(4)), (2, vec!["pay of shop".to_owned()]));
        assert_eq!(unkeyed(&resent, at(4 + LOOKED_BACK.as_secs())), (0, vec![]));
    }

    #[test]
    fn what_comes_long_after_is_another_write() {
        let resent = Resent::new(1);
        resent.failed(7, at(0));
        begins(&resent, 0, "pay", Some(7), at(AGAIN_WITHIN.as_secs()));
        assert_eq!(unkeyed(&resent, at(61)), (1, vec![]));
        resent.failed(7, at(70));
        begins(&resent, 0, "pay", Some(7), at(71));
        // Others go on without; the day after it is forgotten.
        let later = at(71 + LOOKED_BACK.as_secs());
        begins(&resent, 0, "pay", Some(9), later);
        assert_eq!(unkeyed(&resent, later), (1, vec![]));
    }

    #[test]
    fn a_failure_that_nobody_comes_back_for_costs_others_nothing_for_long() {
        let resent = Resent::new(1);
        resent.failed(7, at(0));
        assert!(!resent.failed_before(8, at(1)));
        let held = lock(&resent.failed);
        // Would wait for ever if it looked.
        assert!(!resent.failed_before(8, at(AGAIN_WITHIN.as_secs())));
        drop(held);
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let resent = Resent::new(1);
        for mark in 0..2 * FAILURES_MAX as u64 {
            resent.failed(mark, at(0));
            begins(&resent, 0, &format!("operation-{mark}"), None, at(0));
        }
        assert_eq!(lock(&resent.failed).at.len(), FAILURES_MAX);
        assert_eq!(unkeyed(&resent, at(0)).0, OPERATIONS_MAX);
        resent.failed(u64::MAX, at(AGAIN_WITHIN.as_secs()));
        assert_eq!(lock(&resent.failed).at.len(), 1, "those of before have gone");
    }
}
