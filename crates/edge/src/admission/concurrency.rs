//! How many requests a service can take at once, found out from how long they take.
//!
//! Every answer is compared with what its own operation usually takes, so that a slow operation
//! does not read as overload: the mean over a window of the logarithms of those ratios says how
//! many times slower than usual the service is. While it is as fast as usual and all slots are in
//! use, the limit grows: doubled until it first gets slower, by its square root afterwards (the
//! headroom of Envoy's gradient controller). When it gets slower, the limit is cut by a quarter.
//!
//! What is usual (the baseline) goes down at once. It goes up only when two cuts in a row did not
//! make the service faster: where requests queue inside a service, a quarter fewer of them take a
//! quarter less time (Little's law), and where they do not, the service has become slower by
//! itself and fewer requests would help nobody. So no measurement ever holds the limit down, and
//! what a cut holds back waits in the queue before it.
//!
//! The limit is cut in the same way when the service says "too much" (503, or no answer in time)
//! more often than it always does, and two cuts in vain are undone in the same way: what it refuses
//! anyway, such as an operation that is switched off, is not for want of places.
//!
//! Requests that began before the limit last changed say nothing about it and are left out.

use std::time::Duration;

use plimsoll_base::Nanos;

/// Where an adaptive limit begins, requests.
const START: f64 = 16.0;

/// So many times slower than usual is slower.
const SLOWER: f64 = 1.5;

/// What is left of the limit after a cut.
const CUT: f64 = 0.75;

/// Cuts in a row that must have no effect before the baseline goes up.
const CUTS_IN_VAIN: u32 = 2;

/// A window ends after so long and so many samples, when its mean is precise enough; at the latest
/// after [`WINDOW_LONG`] and a few samples.
const WINDOW: Duration = Duration::from_millis(100);
const WINDOW_SAMPLES: u32 = 20;
const WINDOW_LONG: Duration = Duration::from_secs(1);
const WINDOW_SAMPLES_FEW: u32 = 5;

/// The standard error that a window's mean may have, a logarithm; of one that judges a cut less,
/// and it may take twice as long, because it decides about the baseline.
const ERROR_MAX: f64 = 0.1;
const ERROR_JUDGED_MAX: f64 = 0.05;

/// This share of answers that say "too much" is overload, where there are so many of them and it is
/// more than are refused anyway, by so many standard errors.
const OVERLOAD: f64 = 0.1;
const OVERLOADED_FEW: u32 = 5;
const OVERLOAD_ERRORS: f64 = 3.0;

/// Samples by which it is judged whether a cut made a service refuse less.
const REFUSED_SAMPLES: u32 = 100;

/// The share by which one window moves what a service refuses anyway.
const REFUSES_STEP: f64 = 0.05;

/// Failures in a row after which a service that comes back is begun with again.
const FAILED_IN_ROW: u32 = 20;

/// The share of an operation's usual time that one sample moves, once there are enough.
const LEVEL_STEP: f64 = 1.0 / 128.0;

/// Before so many samples an operation's baseline is simply their mean.
const LEVEL_SAMPLES: u32 = 64;

/// Operations told apart; those beyond share one baseline.
const OPERATIONS_MAX: usize = 1_024;

/// The share by which one window moves the figures for people and for `Retry-After`.
const FIGURE_STEP: f64 = 0.3;

/// Between what a limit lies, requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) min: u32,
    pub(crate) max: u32,
}

/// How a request ended that had a slot, as far as it says something about the service's load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Answered, so long after it was sent.
    Answered(Duration),
    /// The service said that it was too much, or did not answer in time.
    Overloaded,
    /// It failed at once: no connection, or an error that took no work.
    Failed,
    /// It says nothing: its client left, or the edge's own bound was reached.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// The limit doubles; it was never too high yet.
    Learning,
    Steady,
    /// The service got slower. It is looked at once more at the same limit: the answers that showed
    /// it were asked for while more and more came to wait inside the service.
    Slower {
        learning: bool,
    },
    /// It was cut so many times from `from`, where the service was `slower`, a logarithm.
    Cut {
        from: f64,
        slower: f64,
        times: u32,
    },
    /// It was cut so many times from `from`, where the service gave `odds` refusals an answer.
    Refused {
        from: f64,
        odds: f64,
        times: u32,
    },
}

/// What an operation usually takes: logarithms of nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Usual {
    level: f64,
    base: f64,
    samples: u32,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    /// Requests sent before this do not count; `None` while more are in flight than the limit.
    since: Option<Nanos>,
    /// Sums of the samples and of their squares.
    slower: f64,
    squares: f64,
    samples: u32,
    overloaded: u32,
    /// All slots were in use.
    full: bool,
    /// How many ended, whenever they were sent, and whether somebody waited all the time.
    ended: u32,
    waited: bool,
}

impl Window {
    fn at(since: Option<Nanos>) -> Self {
        Self {
            since,
            slower: 0.0,
            squares: 0.0,
            samples: 0,
            overloaded: 0,
            full: false,
            ended: 0,
            waited: true,
        }
    }

    fn mean(&self) -> f64 {
        self.slower / f64::from(self.samples.max(1))
    }

    /// The standard error of the mean.
    fn error(&self) -> f64 {
        let samples = f64::from(self.samples.max(1));
        let variance = (self.squares / samples - self.mean() * self.mean()).max(0.0);
        (variance / samples).sqrt()
    }
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Concurrency {
    bounds: Bounds,
    limit: f64,
    phase: Phase,
    window: Window,
    operations: Vec<Usual>,
    failed_in_row: u32,
    /// Nothing was answered since so many failed in a row.
    gone: bool,
    /// The share that the service refuses however few there are.
    refuses: f64,
    /// Mean seconds that an answer usually takes, over the operations as they are asked for.
    takes: f64,
    /// Answers a second while somebody waited; 0 before that was seen.
    served: f64,
}

impl Concurrency {
    pub(crate) fn new(bounds: Bounds, now: Nanos) -> Self {
        let mut new = Self {
            bounds,
            limit: START,
            phase: Phase::Learning,
            window: Window::at(Some(now)),
            operations: Vec::new(),
            failed_in_row: 0,
            gone: false,
            refuses: 0.0,
            takes: 0.0,
            served: 0.0,
        };
        new.set(START);
        new
    }

    /// Takes over other bounds; what was learned stays.
    pub(crate) fn reconfigure(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.set(self.limit);
    }

    /// The operations are others now: nobody knows what they usually take.
    pub(crate) fn forget_operations(&mut self) {
        self.operations.clear();
    }

    /// Requests that may be in flight.
    pub(crate) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// Whether it is being found out how many are too many.
    pub(crate) fn is_learning(&self) -> bool {
        let learning = matches!(self.phase, Phase::Learning | Phase::Slower { learning: true });
        learning && !self.is_at_most() && !self.gone
    }

    /// There is nothing to find out beyond.
    fn is_at_most(&self) -> bool {
        self.limit >= f64::from(self.bounds.max)
    }

    fn is_fixed(&self) -> bool {
        self.bounds.min >= self.bounds.max
    }

    /// Answers a second that the service gives when it has all it can take; 0 while unknown.
    pub(crate) fn per_second(&self) -> f64 {
        match self.takes {
            _ if self.served > 0.0 => self.served,
            // A limit that was never too high may be far above what can be served.
            takes if takes > 0.0 => self.limit.min(START) / takes,
            _ => 0.0,
        }
    }

    /// What the operation takes when the service is not busy; zero while unknown.
    pub(crate) fn usual(&self, operation: usize) -> Duration {
        match self.operations.get(operation.min(OPERATIONS_MAX)) {
            Some(usual) if usual.samples > 0 => Duration::from_nanos(usual.base.exp() as u64),
            _ => Duration::ZERO,
        }
    }

    /// All slots are in use, or somebody wants one who must wait.
    pub(crate) fn is_full(&mut self) {
        self.window.full = true;
    }

    /// Nobody waits.
    pub(crate) fn nobody_waits(&mut self) {
        self.window.waited = false;
    }

    /// A request of this operation ended that was sent then; `in_flight` are left.
    pub(crate) fn ended(
        &mut self,
        operation: usize,
        sent: Nanos,
        how: Ended,
        (now, in_flight): (Nanos, u32),
    ) {
        let window = &mut self.window;
        if window.since.is_none() && in_flight <= self.limit as u32 {
            *window = Window::at(Some(now));
        }
        let counts = window.since.is_some_and(|since| sent >= since);
        match how {
            Ended::Answered(took) => {
                (self.failed_in_row, self.gone) = (0, false);
                self.window.ended += 1;
                let slower = self.compare(operation, took);
                let usual = took.as_secs_f64() * (-slower).exp();
                let step = if self.takes == 0.0 { 1.0 } else { LEVEL_STEP };
                self.takes += step * (usual - self.takes);
                if counts {
                    self.window.slower += slower;
                    self.window.squares += slower * slower;
                    self.window.samples += 1;
                }
            }
            Ended::Overloaded if counts => self.window.overloaded += 1,
            Ended::Failed => self.failed(now),
            Ended::Overloaded | Ended::Unknown => {}
        }
        if !self.is_fixed() || self.window.waited {
            self.look(now);
        }
    }

    /// How much slower than usual that was, a logarithm; what is usual moves.
    fn compare(&mut self, operation: usize, took: Duration) -> f64 {
        let index = operation.min(OPERATIONS_MAX);
        if self.operations.len() <= index {
            self.operations.resize(index + 1, Usual::default());
        }
        let usual = &mut self.operations[index];
        let took = (took.as_nanos().max(1) as f64).ln();
        usual.samples = usual.samples.saturating_add(1);
        let step = LEVEL_STEP.max(1.0 / f64::from(usual.samples));
        usual.level += step * (took - usual.level);
        if usual.samples <= LEVEL_SAMPLES || usual.level < usual.base {
            usual.base = usual.level;
        }
        took - usual.base
    }

    /// A service that was gone is begun with again as at first.
    fn failed(&mut self, now: Nanos) {
        self.failed_in_row = self.failed_in_row.saturating_add(1);
        if self.failed_in_row >= FAILED_IN_ROW && !self.is_fixed() {
            self.failed_in_row = 0;
            self.gone = true;
            self.phase = Phase::Learning;
            self.served = 0.0;
            self.set(self.limit.min(START));
            self.window = Window::at(Some(now));
        }
    }

    /// Whether the window says something by now, and what follows.
    fn look(&mut self, now: Nanos) {
        let window = self.window;
        let Some(since) = window.since else { return };
        let (age, samples) = (now.since(since), window.samples + window.overloaded);
        let (error_max, long, many, few) = match self.phase {
            Phase::Refused { .. } => (f64::MAX, WINDOW_LONG * 2, REFUSED_SAMPLES, WINDOW_SAMPLES),
            Phase::Cut { .. } => {
                (ERROR_JUDGED_MAX, WINDOW_LONG * 2, WINDOW_SAMPLES, WINDOW_SAMPLES_FEW)
            }
            Phase::Slower { .. } => {
                (ERROR_JUDGED_MAX, WINDOW_LONG, WINDOW_SAMPLES, WINDOW_SAMPLES_FEW)
            }
            Phase::Learning | Phase::Steady => {
                (ERROR_MAX, WINDOW_LONG, WINDOW_SAMPLES, WINDOW_SAMPLES_FEW)
            }
        };
        let precise = samples >= many && window.error() <= error_max;
        let whole = (age >= WINDOW && precise) || (age >= long && samples >= few);
        if !whole {
            return;
        }
        if window.waited && window.ended > 0 {
            let served = f64::from(window.ended) / age.as_secs_f64();
            let step = if self.served == 0.0 { 1.0 } else { FIGURE_STEP };
            self.served += step * (served - self.served);
        }
        self.window = Window::at(Some(now));
        if self.is_fixed() {
            return;
        }
        if !self.is_cut_for_refusals(&window, samples) && window.samples > 0 {
            self.judge(window.mean(), window.full);
        }
    }

    /// Judges what the service refuses. True where that decides about the limit.
    fn is_cut_for_refusals(&mut self, window: &Window, samples: u32) -> bool {
        let share = f64::from(window.overloaded) / f64::from(samples.max(1));
        let odds = f64::from(window.overloaded) / f64::from(window.samples.max(1));
        let error = (share * (1.0 - share) / f64::from(samples.max(1))).sqrt();
        let is_overload = window.full
            && window.overloaded >= OVERLOADED_FEW
            && share >= OVERLOAD.max(self.refuses + OVERLOAD_ERRORS * error);
        match self.phase {
            // The cut held nobody back, so it could have no effect.
            Phase::Refused { from, .. } if !window.full => {
                self.phase = Phase::Steady;
                self.set(from);
            }
            Phase::Refused { from, odds: before, times } => {
                let helped = 1.0 - CUT.powi(times.min(8) as i32);
                match odds <= before * (1.0 - helped / 2.0) {
                    true => self.phase = Phase::Steady,
                    false if times < CUTS_IN_VAIN && self.limit() > self.bounds.min => {
                        self.phase = Phase::Refused { from, odds: before, times: times + 1 };
                        self.cut_to(self.limit * CUT);
                        return true;
                    }
                    false => {
                        self.refuses = share;
                        self.phase = Phase::Steady;
                        self.set(from);
                        return true;
                    }
                }
            }
            _ => {}
        }
        if is_overload {
            self.phase = Phase::Refused { from: self.limit, odds, times: 1 };
            self.cut_to(self.limit * CUT);
            return true;
        }
        self.refuses += REFUSES_STEP * (share.min(self.refuses) - self.refuses);
        false
    }

    fn judge(&mut self, slower: f64, full: bool) {
        let is_slower = slower > SLOWER.ln();
        match self.phase {
            // Below the limit it is not the limit that makes it so.
            Phase::Learning | Phase::Steady if !full => {}
            Phase::Learning if is_slower => self.phase = Phase::Slower { learning: true },
            Phase::Steady if is_slower => self.phase = Phase::Slower { learning: false },
            Phase::Slower { .. } if full && is_slower => {
                self.phase = Phase::Cut { from: self.limit, slower, times: 1 };
                self.cut_to(self.limit * CUT);
            }
            Phase::Slower { learning: true } => self.phase = Phase::Learning,
            Phase::Slower { learning: false } => self.phase = Phase::Steady,
            Phase::Learning if self.is_at_most() => self.phase = Phase::Steady,
            Phase::Learning => self.set(self.limit * 2.0),
            Phase::Steady => self.set(self.limit + self.limit.sqrt()),
            // Judged before, by what was refused.
            Phase::Refused { .. } => {}
            Phase::Cut { from, slower: before, times } => {
                let expected = f64::from(times) * -CUT.ln();
                if before - slower >= expected / 2.0 {
                    self.phase = Phase::Steady;
                } else if slower - before >= expected / 2.0 {
                    // Something else has changed meanwhile: what was seen before says nothing.
                    self.phase = Phase::Slower { learning: false };
                } else if !full {
                    // The cut held nobody back, so it could have no effect.
                    self.phase = Phase::Steady;
                    self.set(from);
                } else if times < CUTS_IN_VAIN && self.limit() > self.bounds.min {
                    self.phase = Phase::Cut { from, slower: before, times: times + 1 };
                    self.cut_to(self.limit * CUT);
                } else {
                    self.raise(slower);
                    self.set(from);
                    // What it can take now was never found out.
                    self.phase = Phase::Learning;
                }
            }
        }
    }

    /// The service has become slower by itself: what is usual is what it takes now.
    fn raise(&mut self, slower: f64) {
        for usual in &mut self.operations {
            usual.base = (usual.base + slower).min(usual.level.max(usual.base));
        }
    }

    fn cut_to(&mut self, limit: f64) {
        self.set(limit);
        self.window.since = None;
    }

    fn set(&mut self, limit: f64) {
        let (min, max) = (f64::from(self.bounds.min), f64::from(self.bounds.max));
        self.limit = limit.min(max).max(min);
    }
}
