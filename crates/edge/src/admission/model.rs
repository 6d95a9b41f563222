//! The decision for one service: in, wait, or come back later.

use std::time::Duration;

use plimsoll_base::{Nanos, failpoint};
use plimsoll_snapshot::Criticality;

use super::concurrency::{Bounds, Concurrency, Ended};
use super::queue::{CLASSES, Gone, Patience, Place, Queue, Waiting};
use super::returns::Returns;

/// What the manifest says of a service's admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) bounds: Bounds,
    /// Stands for the operations and their numbers.
    pub(crate) operations: u64,
    /// Requests that may wait.
    pub(crate) queue_depth_max: u32,
    pub(crate) patience: Patience,
    /// The longest `Retry-After`.
    pub(crate) retry_after_max: Duration,
}

/// A request that wants a slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking {
    pub(crate) class: Criticality,
    /// Its client tried before.
    pub(crate) again: bool,
    /// A keyed hash of whoever it counts as.
    pub(crate) caller: u64,
    /// Which operation, for what it usually takes.
    pub(crate) operation: usize,
    /// When its answer is no longer wanted.
    pub(crate) deadline: Nanos,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No place in the queue.
    QueueFull,
    /// It waited as long as anybody may.
    Waited,
    /// Its deadline would pass before it could be answered.
    Deadline,
}

impl Reason {
    /// Every reason, in the order of the variants.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::Waited, Self::Deadline];

    /// A word for machines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Waited => "waited",
            Self::Deadline => "deadline",
        }
    }
}

/// A request that gets no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) class: Criticality,
    pub(crate) reason: Reason,
    /// Whole seconds.
    pub(crate) retry_after: Duration,
}

/// What came of a request that asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It has a slot, which [`Admission::ended`] gives back.
    Admitted,
    Queued(Place),
    Refused(Refusal),
}

/// What came of one that waited.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told<T> {
    /// It has a slot.
    Admitted(T),
    Refused(T, Refusal),
}

/// What people and figures are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdmissionFigures {
    /// Requests that may be in flight.
    pub limit: u32,
    /// Requests that are.
    pub in_flight: u32,
    /// The limit doubles: it was never too high yet.
    pub learning: bool,
    /// Requests that wait, by class.
    pub queued: [u32; CLASSES],
    /// Requests that may wait.
    pub queue_depth_max: u32,
    /// How long the one that waits longest has waited.
    pub queue_delay: Duration,
    /// Requests refused since the start, by class and [`Reason`].
    pub shed: [[u64; Reason::ALL.len()]; CLASSES],
    /// Somebody was refused within the last [`SHEDDING_FOR`].
    pub shedding: bool,
}

/// So long after the last refusal a service is said to shed load.
pub(crate) const SHEDDING_FOR: Duration = Duration::from_secs(10);

/// See the module's page. `T` is what stands for a request that waits.
#[derive(Debug)]
pub(crate) struct Admission<T> {
    rules: Rules,
    concurrency: Concurrency,
    queue: Queue<T>,
    returns: Returns,
    in_flight: u32,
    shed: [[u64; Reason::ALL.len()]; CLASSES],
    shed_last: Option<Nanos>,
}

impl<T> Admission<T> {
    pub(crate) fn new(rules: Rules, now: Nanos) -> Self {
        Self {
            rules,
            concurrency: Concurrency::new(rules.bounds, now),
            queue: Queue::new(),
            returns: Returns::default(),
            in_flight: 0,
            shed: Default::default(),
            shed_last: None,
        }
    }

    /// Takes over what a new manifest says. Whoever has a slot or waits goes on.
    pub(crate) fn reconfigure(&mut self, rules: Rules) {
        if rules.operations != self.rules.operations {
            self.concurrency.forget_operations();
        }
        self.rules = rules;
        self.concurrency.reconfigure(rules.bounds);
    }

    /// Takes a slot where one is free and nobody waits: the way of nearly every request.
    pub(crate) fn enter(&mut self) -> bool {
        let free = self.in_flight < self.concurrency.limit();
        if !free || self.queue.len() > 0 {
            self.concurrency.is_full();
            return false;
        }
        self.in_flight += 1;
        if self.in_flight >= self.concurrency.limit() {
            self.concurrency.is_full();
        }
        true
    }

    /// A slot, a place in the queue, or none. Others may lose their place for it: they are `told`.
    pub(crate) fn ask(
        &mut self,
        asking: Asking,
        what: T,
        now: Nanos,
        told: &mut impl Extend<Told<T>>,
    ) -> Asked {
        if self.enter() {
            return Asked::Admitted;
        }
        let usual = self.concurrency.usual(asking.operation);
        // Broken so, nobody goes before another.
        let forgotten = failpoint::hit("edge.admission").is_err();
        let waiting = Waiting {
            class: if forgotten { Criticality::Background } else { asking.class },
            again: asking.again,
            caller: asking.caller,
            arrived: now,
            latest: Nanos(asking.deadline.0.saturating_sub(nanos(usual))),
        };
        if waiting.latest <= now {
            return Asked::Refused(self.refuse(&waiting, Reason::Deadline, now));
        }
        if self.queue.len() >= self.rules.queue_depth_max {
            match self.queue.evict(&waiting, self.rules.queue_depth_max, now) {
                None => return Asked::Refused(self.refuse(&waiting, Reason::QueueFull, now)),
                Some((other, what)) => {
                    let refusal = self.refuse(&other, Reason::QueueFull, now);
                    told.extend([Told::Refused(what, refusal)]);
                }
            }
        }
        Asked::Queued(self.queue.push(waiting, what))
    }

    /// A request that had a slot ended so; it was sent then. Whoever waits may have it.
    pub(crate) fn ended(
        &mut self,
        (operation, sent, how): (usize, Nanos, Ended),
        now: Nanos,
        told: &mut impl Extend<Told<T>>,
    ) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.queue.len() == 0 {
            self.concurrency.nobody_waits();
        }
        self.concurrency.ended(operation, sent, how, (now, self.in_flight));
        self.serve(now, told);
    }

    /// Whoever waits there does not any more: its client left, or its own time ran out.
    pub(crate) fn leave(&mut self, place: Place, now: Nanos) -> Option<T> {
        self.queue.leave(place, now)
    }

    /// A request whose own timer ran out while it waited.
    pub(crate) fn too_late(&mut self, asking: &Asking, now: Nanos) -> Refusal {
        let Asking { class, again, caller, deadline, .. } = *asking;
        let waiting = Waiting { class, again, caller, arrived: now, latest: deadline };
        self.refuse(&waiting, Reason::Deadline, now)
    }

    /// Whether somebody waits for a slot.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.queue.len() > 0
    }

    /// Takes out whoever may not wait any longer, and gives free slots to those who wait.
    pub(crate) fn serve(&mut self, now: Nanos, told: &mut impl Extend<Told<T>>) {
        while let Some((waiting, what, gone)) = self.queue.expired(self.patience(), now) {
            let reason = match gone {
                Gone::TooLong => Reason::Waited,
                Gone::TooLate => Reason::Deadline,
            };
            let refusal = self.refuse(&waiting, reason, now);
            told.extend([Told::Refused(what, refusal)]);
        }
        while self.in_flight < self.concurrency.limit() {
            let Some((waiting, what)) = self.queue.pop(self.patience(), now) else { break };
            if waiting.latest < now {
                let refusal = self.refuse(&waiting, Reason::Deadline, now);
                told.extend([Told::Refused(what, refusal)]);
                continue;
            }
            self.in_flight += 1;
            self.concurrency.is_full();
            told.extend([Told::Admitted(what)]);
        }
    }

    /// While it is found out what the service can take, nobody is refused for having waited.
    fn patience(&self) -> Patience {
        if self.concurrency.is_learning() {
            return Patience { target: Duration::MAX, interval: Duration::MAX };
        }
        self.rules.patience
    }

    fn refuse(&mut self, waiting: &Waiting, reason: Reason, now: Nanos) -> Refusal {
        self.shed[waiting.class.index()][reason as usize] += 1;
        self.shed_last = Some(now);
        let longest = self.rules.retry_after_max;
        let pace = self.concurrency.per_second();
        let retry_after = self.returns.refuse((now, longest), waiting.class, waiting.caller, pace);
        Refusal { class: waiting.class, reason, retry_after }
    }

    pub(crate) fn figures(&self, now: Nanos) -> AdmissionFigures {
        AdmissionFigures {
            limit: self.concurrency.limit(),
            in_flight: self.in_flight,
            learning: self.concurrency.is_learning(),
            queued: Criticality::ALL.map(|class| self.queue.len_of(class)),
            queue_depth_max: self.rules.queue_depth_max,
            queue_delay: self.queue.longest(now),
            shed: self.shed,
            shedding: self.shed_last.is_some_and(|last| now.since(last) < SHEDDING_FOR),
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
