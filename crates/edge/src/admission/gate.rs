//! The admission before one service, as all cores share it: one short lock, and waiters woken on
//! whichever core they wait. While a slot is free nothing is allocated.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll_base::{Nanos, SharedClock};
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::concurrency::Ended;
use super::model::{Admission, AdmissionFigures, Asked, Asking, Refusal, Rules, Told};
use super::queue::Place;

/// What one who waits is told.
type Tell = oneshot::Sender<Result<Slot, Refusal>>;

/// What has to be told once the lock is free again: telling may give a slot back, which takes it.
type Tellings = SmallVec<[Told<Tell>; 2]>;

/// A request at the gate.
pub(crate) type Arrival = Asking;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Gate {
    clock: SharedClock,
    admission: Mutex<Admission<Tell>>,
}

/// A slot, with how long it was waited for.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) slot: Slot,
    pub(crate) waited: Duration,
}

/// A request's place among those that the service has. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Slot {
    gate: Arc<Gate>,
    operation: usize,
    sent: Nanos,
    how: Ended,
}

impl Gate {
    pub(crate) fn new(rules: Rules, clock: &SharedClock) -> Arc<Self> {
        let admission = Mutex::new(Admission::new(rules, clock.now()));
        Arc::new(Self { clock: Arc::clone(clock), admission })
    }

    /// Takes over what a new manifest says.
    pub(crate) fn reconfigure(self: &Arc<Self>, rules: Rules) {
        self.lock().reconfigure(rules);
        self.look();
    }

    /// A slot, where one is free and nobody waits for it.
    pub(crate) fn enter(self: &Arc<Self>, operation: usize, now: Nanos) -> Option<Slot> {
        let entered = self.lock().enter();
        entered.then(|| self.slot(operation, now))
    }

    /// A slot, waited for if need be.
    ///
    /// # Errors
    /// [`Refusal`]: there is none in time.
    pub(crate) async fn arrive(self: &Arc<Self>, arrival: Arrival) -> Result<Entry, Refusal> {
        let begun = self.clock.now();
        let (tell, told) = oneshot::channel();
        let mut tellings = Tellings::new();
        let asked = self.lock().ask(arrival, tell, begun, &mut tellings);
        self.tell(tellings);
        let place = match asked {
            Asked::Admitted => {
                return Ok(Entry {
                    slot: self.slot(arrival.operation, begun),
                    waited: Duration::ZERO,
                });
            }
            Asked::Refused(refusal) => return Err(refusal),
            Asked::Queued(place) => place,
        };
        // A client that leaves drops this, and its place is another's.
        let waiting = InQueue { gate: self, place };
        let left = arrival.deadline.since(begun);
        let verdict = tokio::time::timeout(left, told).await;
        let now = self.clock.now();
        match verdict {
            Ok(Ok(Ok(mut slot))) => {
                (slot.operation, slot.sent) = (arrival.operation, now);
                Ok(Entry { slot, waited: now.since(begun) })
            }
            Ok(Ok(Err(refusal))) => Err(refusal),
            // Nobody drops what tells without telling; the timer came first otherwise. What was
            // told at that very moment is dropped with the receiver, a slot as well.
            Ok(Err(_)) | Err(_) => {
                drop(waiting);
                Err(self.lock().too_late(&arrival, now))
            }
        }
    }

    /// For a timer: whoever may not wait any longer is told, although no slot became free.
    pub(crate) fn look(self: &Arc<Self>) {
        let mut tellings = Tellings::new();
        let now = self.clock.now();
        self.lock().serve(now, &mut tellings);
        self.tell(tellings);
    }

    /// Whether somebody waits for a slot.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.lock().is_waited_for()
    }

    pub(crate) fn figures(&self, now: Nanos) -> AdmissionFigures {
        self.lock().figures(now)
    }

    fn slot(self: &Arc<Self>, operation: usize, sent: Nanos) -> Slot {
        Slot { gate: Arc::clone(self), operation, sent, how: Ended::Unknown }
    }

    fn tell(self: &Arc<Self>, tellings: Tellings) {
        for telling in tellings {
            // Whoever is not there any more gives his slot back as it is dropped.
            let _left = match telling {
                Told::Admitted(tell) => tell.send(Ok(self.slot(0, Nanos(0)))).is_err(),
                Told::Refused(tell, refusal) => tell.send(Err(refusal)).is_err(),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Admission<Tell>> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// What the request came to; without it, it says nothing of the service's load.
    pub(crate) fn came_to(&mut self, how: Ended) {
        self.how = how;
    }

    /// When it was given.
    pub(crate) fn since(&self) -> Nanos {
        self.sent
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut tellings = Tellings::new();
        let (ended, now) = ((self.operation, self.sent, self.how), self.gate.clock.now());
        self.gate.lock().ended(ended, now, &mut tellings);
        self.gate.tell(tellings);
    }
}

/// Somebody waits; dropped, he does not.
struct InQueue<'g> {
    gate: &'g Arc<Gate>,
    place: Place,
}

impl Drop for InQueue<'_> {
    fn drop(&mut self) {
        let now = self.gate.clock.now();
        let left = self.gate.lock().leave(self.place, now);
        drop(left);
    }
}
