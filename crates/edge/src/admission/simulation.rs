//! The real [`Admission`] before a model of a service, on a clock that is moved by events. All
//! chance comes from a seed, so every run is the same.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use plimsoll_base::Nanos;
use plimsoll_snapshot::Criticality;

use super::concurrency::{Bounds, Ended};
use super::model::{Admission, Asked, Asking, Rules, Told};
use super::queue::Patience;

const RULES: Rules = Rules {
    bounds: Bounds { min: 8, max: 1_000 },
    operations: 0,
    queue_depth_max: 1_024,
    patience: Patience { target: Duration::from_millis(100), interval: Duration::from_secs(1) },
    retry_after_max: Duration::from_secs(300),
};

/// Requests a second that the model service can answer: 20 slots of 50 ms.
const CAPACITY: f64 = 400.0;
const SLOTS: usize = 20;
const TAKES: Duration = Duration::from_millis(50);

/// How long a client waits for its answer.
const CLIENT_WAITS: Duration = Duration::from_secs(2);

/// How long the model service takes to say that it will not.
const REFUSAL_TAKES: Duration = Duration::from_millis(2);

/// A caller who asks more often than all others.
const GREEDY: u64 = 5;

/// Of a hundred requests, by class.
const MIX: [u64; 4] = [5, 55, 25, 15];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Somebody new comes, and after him the next.
    Come,
    /// A client asks, for the first time or again.
    Ask(usize),
    /// The service has done one.
    Done(usize),
    /// The edge's timer.
    Look,
}

#[derive(Debug, Clone, Copy)]
struct Client {
    class: Criticality,
    caller: u64,
    operation: usize,
    asked: Nanos,
    sent: Nanos,
    /// The service refused him.
    unavailable: bool,
}

/// The service: so many at once, the rest in a line of its own.
struct Service {
    slots: usize,
    takes: [Duration; 2],
    /// Times are spread exponentially about these, not by a tenth.
    noisy: bool,
    /// Of a hundred requests, how many it refuses at once however few there are.
    refuses_percent: u64,
    /// Whoever comes while all slots are in use is refused, and not kept in line.
    sheds: bool,
    busy: usize,
    line: VecDeque<usize>,
}

#[derive(Debug, Default, Clone)]
struct Seen {
    asked: [u32; 4],
    answered: [u32; 4],
    refused: [u32; 4],
    /// Of everybody but [`GREEDY`], background left out.
    others_refused: u32,
    /// In the client's time, by second.
    good_by_second: Vec<u32>,
    asked_by_second: Vec<u32>,
    sent_by_second: Vec<u32>,
    refused_by_second: Vec<u32>,
    longest_queue: u32,
    in_flight_max: u32,
}

struct World {
    now: Nanos,
    events: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    order: u64,
    admission: Admission<usize>,
    service: Service,
    clients: Vec<Client>,
    random: fastrand::Rng,
    /// Requests a second of an open loop, now.
    rate: f64,
    /// Of a hundred, how many ask for the second operation.
    second_percent: u64,
    /// Refused clients come back when they are told.
    return_when_told: bool,
    seen: Seen,
}

fn count(by_second: &mut Vec<u32>, now: Nanos) {
    let second = (now.0 / 1_000_000_000) as usize;
    if by_second.len() <= second {
        by_second.resize(second + 1, 0);
    }
    by_second[second] += 1;
}

impl World {
    fn new(slots: usize, takes: [Duration; 2]) -> Self {
        Self::with(RULES, slots, takes)
    }

    fn with(rules: Rules, slots: usize, takes: [Duration; 2]) -> Self {
        let mut world = Self {
            now: Nanos(0),
            events: BinaryHeap::new(),
            order: 0,
            admission: Admission::new(rules, Nanos(0)),
            service: Service {
                slots,
                takes,
                noisy: false,
                refuses_percent: 0,
                sheds: false,
                busy: 0,
                line: VecDeque::new(),
            },
            clients: Vec::new(),
            random: fastrand::Rng::with_seed(20_261_129),
            rate: 0.0,
            second_percent: 0,
            return_when_told: false,
            seen: Seen::default(),
        };
        world.at(Duration::ZERO, Event::Come);
        world.at(Duration::ZERO, Event::Look);
        world
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.order += 1;
        self.events.push(Reverse((self.now.plus(after), self.order, event)));
    }

    fn run_until(&mut self, until: Nanos) {
        while let Some(Reverse((at, _, event))) = self.events.peek().copied() {
            if at > until {
                break;
            }
            self.events.pop();
            self.now = at;
            match event {
                Event::Come => self.come(),
                Event::Ask(client) => self.ask(client),
                Event::Done(client) => self.done(client),
                Event::Look => {
                    let mut told = Vec::new();
                    self.admission.serve(self.now, &mut told);
                    self.told(told);
                    self.at(Duration::from_millis(100), Event::Look);
                }
            }
            let figures = self.admission.figures(self.now);
            self.seen.longest_queue = self.seen.longest_queue.max(figures.queued.iter().sum());
            self.seen.in_flight_max = self.seen.in_flight_max.max(figures.in_flight);
        }
        self.now = until;
    }

    fn come(&mut self) {
        if self.rate > 0.0 {
            let client = self.new_client();
            self.ask(client);
        }
        let mean = 1.0 / self.rate.max(100.0);
        let gap = -(1.0 - self.random.f64()).ln() * mean;
        self.at(Duration::from_secs_f64(gap), Event::Come);
    }

    fn new_client(&mut self) -> usize {
        let drawn = self.random.u64(0..100);
        let mut class = Criticality::Critical;
        let mut below = 0;
        for (of, share) in Criticality::ALL.into_iter().zip(MIX) {
            below += share;
            if drawn < below {
                class = of;
                break;
            }
        }
        self.clients.push(Client {
            class,
            caller: self.random.u64(..),
            operation: usize::from(self.random.u64(0..100) < self.second_percent),
            asked: Nanos(0),
            sent: Nanos(0),
            unavailable: false,
        });
        self.clients.len() - 1
    }

    fn ask(&mut self, index: usize) {
        let now = self.now;
        let client = &mut self.clients[index];
        client.asked = now;
        let Client { class, caller, operation, .. } = *client;
        self.seen.asked[class.index()] += 1;
        count(&mut self.seen.asked_by_second, now);
        let deadline = now.plus(CLIENT_WAITS);
        let asking = Asking { class, again: false, caller, operation, deadline };
        let mut told = Vec::new();
        let asked = self.admission.ask(asking, index, now, &mut told);
        self.told(told);
        match asked {
            Asked::Admitted => self.send(index),
            Asked::Queued(_) => {}
            Asked::Refused(refusal) => self.refused(index, refusal.retry_after),
        }
    }

    fn told(&mut self, told: Vec<Told<usize>>) {
        for told in told {
            match told {
                Told::Admitted(index) => self.send(index),
                Told::Refused(index, refusal) => self.refused(index, refusal.retry_after),
            }
        }
    }

    fn refused(&mut self, index: usize, after: Duration) {
        self.seen.refused[self.clients[index].class.index()] += 1;
        let Client { class, caller, .. } = self.clients[index];
        let others = caller != GREEDY && class != Criticality::Background;
        self.seen.others_refused += u32::from(others);
        count(&mut self.seen.refused_by_second, self.now);
        if self.return_when_told {
            self.at(after, Event::Ask(index));
        }
    }

    fn send(&mut self, index: usize) {
        self.clients[index].sent = self.now;
        count(&mut self.seen.sent_by_second, self.now);
        let shed = self.service.sheds && self.service.busy >= self.service.slots;
        if shed || self.random.u64(0..100) < self.service.refuses_percent {
            self.clients[index].unavailable = true;
            self.at(REFUSAL_TAKES, Event::Done(index));
        } else if self.service.busy < self.service.slots {
            self.begin(index);
        } else {
            self.service.line.push_back(index);
        }
    }

    fn begin(&mut self, index: usize) {
        self.service.busy += 1;
        let takes = self.service.takes[self.clients[index].operation];
        let drawn = self.random.f64();
        let takes = takes.mul_f64(match self.service.noisy {
            true => -(1.0 - drawn).ln(),
            false => 0.9 + 0.2 * drawn,
        });
        self.at(takes, Event::Done(index));
    }

    fn done(&mut self, index: usize) {
        let client = self.clients[index];
        if client.unavailable {
            let mut told = Vec::new();
            let ended = (client.operation, client.sent, Ended::Overloaded);
            self.admission.ended(ended, self.now, &mut told);
            return self.told(told);
        }
        self.service.busy -= 1;
        while self.service.busy < self.service.slots
            && let Some(next) = self.service.line.pop_front()
        {
            self.begin(next);
        }
        let took = self.now.since(client.sent);
        self.seen.answered[client.class.index()] += 1;
        if self.now.since(client.asked) <= CLIENT_WAITS {
            count(&mut self.seen.good_by_second, self.now);
        }
        let mut told = Vec::new();
        let ended = (client.operation, client.sent, Ended::Answered(took));
        self.admission.ended(ended, self.now, &mut told);
        self.told(told);
    }

    fn limit(&self) -> u32 {
        self.admission.figures(self.now).limit
    }
}

fn seconds(seconds: u64) -> Nanos {
    Nanos(seconds * 1_000_000_000)
}

fn mean(by_second: &[u32]) -> f64 {
    f64::from(by_second.iter().sum::<u32>()) / by_second.len().max(1) as f64
}

#[test]
fn overload_costs_neither_the_service_its_pace_nor_critical_requests_their_answer() {
    let mut goodput = Vec::new();
    for load in [1.0, 2.0, 3.0, 5.0, 10.0] {
        let mut world = World::new(SLOTS, [TAKES, TAKES]);
        world.rate = load * CAPACITY;
        world.run_until(seconds(20));
        let seen = &world.seen;
        let good = mean(&seen.good_by_second[2..20]);
        let critical = f64::from(seen.asked[0] - seen.refused[0]) / f64::from(seen.asked[0]);
        assert!(critical >= 0.99, "{load} ×: {critical} of the critical ones answered");
        assert!(seen.longest_queue <= RULES.queue_depth_max);
        let limit = world.limit();
        assert!((18..=64).contains(&limit), "{load} ×: a limit of {limit} for 20 slots");
        goodput.push(good);
    }
    let peak = goodput.iter().copied().fold(0.0, f64::max);
    assert!(peak >= 0.95 * CAPACITY, "{goodput:?}");
    assert!(goodput.iter().all(|good| *good >= 0.9 * peak), "{goodput:?}");
}

#[test]
fn below_capacity_nobody_is_refused() {
    let mut world = World::new(SLOTS, [TAKES, TAKES]);
    for (until, load) in [(10, 0.3), (20, 0.6), (30, 0.9), (40, 0.2)] {
        world.rate = load * CAPACITY;
        world.run_until(seconds(until));
    }
    assert_eq!(world.seen.refused, [0; 4]);
}

#[test]
fn it_recovers_within_two_seconds() {
    let mut world = World::new(SLOTS, [TAKES, TAKES]);
    world.rate = 10.0 * CAPACITY;
    world.run_until(seconds(10));
    world.rate = 0.5 * CAPACITY;
    world.run_until(seconds(11));
    let delay = world.admission.figures(world.now).queue_delay;
    assert!(delay < RULES.patience.target, "{delay:?}");
    world.run_until(seconds(20));
    assert!(world.seen.refused_by_second.len() <= 12, "{:?}", world.seen.refused_by_second);
    assert!(mean(&world.seen.good_by_second[12..20]) >= 0.9 * 0.5 * CAPACITY);
}

#[test]
fn a_fleet_that_comes_back_after_an_outage_never_asks_for_more_than_there_is() {
    const FLEET: usize = 50_000;
    let mut world = World::new(SLOTS, [TAKES, TAKES]);
    world.rate = 0.5 * CAPACITY;
    world.run_until(seconds(10));
    // The service is gone for a minute: whoever asks is told so at once.
    world.rate = 0.0;
    for _ in 0..100 {
        assert!(world.admission.enter());
        world.admission.ended((0, world.now, Ended::Failed), world.now, &mut Vec::new());
    }
    world.run_until(seconds(70));
    world.return_when_told = true;
    world.seen = Seen::default();
    for _ in 0..FLEET {
        let client = world.new_client();
        let after = Duration::from_nanos(world.random.u64(0..1_000_000_000));
        world.at(after, Event::Ask(client));
    }
    world.run_until(seconds(500));
    let seen = &world.seen;
    let answered: u32 = seen.answered.iter().sum();
    assert_eq!(answered as usize, FLEET, "everybody is served in the end");
    let peak = |by_second: &[u32]| by_second.iter().copied().max().unwrap_or_default();
    let sent = f64::from(peak(&seen.sent_by_second));
    assert!(sent <= 1.2 * CAPACITY, "the service was asked {sent} times in a second");
    // All ask once at first, which nobody can prevent; after that they come as they are told.
    let back = f64::from(peak(&seen.asked_by_second[72..]));
    assert!(back <= 1.2 * CAPACITY, "{back} came back in a second");
    let last = seen.asked_by_second.len();
    assert!(last < 70 + 240, "the last asked in second {last}");
}

#[test]
fn a_service_that_gets_slower_by_itself_is_not_asked_for_less() {
    let mut world = World::new(10_000, [TAKES, TAKES]);
    world.rate = 1_000.0;
    world.run_until(seconds(10));
    assert_eq!(world.seen.refused, [0; 4]);
    world.service.takes = [TAKES * 2, TAKES * 2];
    world.run_until(seconds(30));
    let figures = world.admission.figures(world.now);
    assert!(figures.limit >= 100, "{figures:?}");
    let refused: u32 = world.seen.refused.iter().sum();
    assert_eq!(refused, 0, "nobody is refused for a measurement");
    assert!(mean(&world.seen.good_by_second[20..30]) >= 950.0);
}

#[test]
fn a_slow_operation_does_not_read_as_overload() {
    let mut world = World::new(10_000, [TAKES, TAKES * 10]);
    world.rate = 400.0;
    world.second_percent = 1;
    world.run_until(seconds(10));
    world.second_percent = 80;
    world.run_until(seconds(30));
    let figures = world.admission.figures(world.now);
    // 320 a second of 500 ms each.
    assert!(figures.limit >= 160, "{figures:?}");
    assert_eq!(world.seen.refused, [0; 4]);
    assert!(mean(&world.seen.good_by_second[22..30]) >= 380.0);
}

#[test]
fn the_limit_is_learned_anew_when_capacity_changes() {
    let mut world = World::new(SLOTS, [TAKES, TAKES]);
    world.rate = 3.0 * CAPACITY;
    world.run_until(seconds(10));
    world.service.slots = 2 * SLOTS;
    world.run_until(seconds(20));
    assert!(mean(&world.seen.good_by_second[14..20]) >= 0.95 * 2.0 * CAPACITY);
    world.service.slots = SLOTS / 2;
    world.run_until(seconds(40));
    assert!(mean(&world.seen.good_by_second[30..40]) >= 0.9 * 0.5 * CAPACITY);
    let limit = world.limit();
    assert!((8..=30).contains(&limit), "{limit} for 10 slots");
}

#[test]
fn noise_is_not_taken_for_a_slower_service_however_long_the_overload_lasts() {
    let mut world = World::new(SLOTS, [TAKES, TAKES]);
    world.service.noisy = true;
    world.rate = 3.0 * CAPACITY;
    let mut highest = 0;
    for second in 1..=120 {
        world.run_until(seconds(second));
        if second > 5 {
            highest = highest.max(world.limit());
        }
    }
    assert!(highest <= 120, "a limit of {highest} for 20 slots");
    let good = mean(&world.seen.good_by_second[5..120]);
    assert!(good >= 0.9 * CAPACITY, "{good} answered a second, a limit of {highest} at most");
    assert!(world.seen.refused[0] <= world.seen.asked[0] / 100);
}

#[test]
fn one_caller_who_floods_takes_nobody_elses_share() {
    let mut world = World::new(SLOTS, [TAKES, TAKES]);
    world.rate = 0.5 * CAPACITY;
    world.run_until(seconds(2));
    // Ten times the capacity from one caller, of one class, beside the others.
    let asked_before: u32 = world.seen.asked.iter().sum();
    for number in 0..40_000_u64 {
        let client = world.new_client();
        world.clients[client].caller = GREEDY;
        world.clients[client].class = Criticality::Default;
        world.at(Duration::from_nanos(number * 250_000), Event::Ask(client));
    }
    world.run_until(seconds(12));
    let asked: u32 = world.seen.asked.iter().sum();
    let others = f64::from(asked - asked_before - 40_000) * 0.85;
    let refused = f64::from(world.seen.others_refused);
    // One in sixty-four of the others shares his turns.
    assert!(refused <= 0.05 * others, "{refused} of {others} others were refused");
    assert!(mean(&world.seen.good_by_second[3..12]) >= 0.9 * CAPACITY, "and nothing is wasted");
}

#[test]
fn a_limit_at_its_bound_is_not_being_found_out_any_more() {
    let bounds = Bounds { min: 8, max: 20 };
    let mut world = World::with(Rules { bounds, ..RULES }, 10_000, [TAKES * 10, TAKES * 10]);
    // 40 a second is what 20 places of half a second are good for.
    world.rate = 80.0;
    world.run_until(seconds(30));
    let figures = world.admission.figures(world.now);
    assert!(!figures.learning && figures.limit == 20, "{figures:?}");
    assert!(figures.queue_delay <= RULES.patience.interval, "{figures:?}");
    assert!(mean(&world.seen.good_by_second[5..30]) >= 0.9 * 40.0, "answered while they wait");
}

#[test]
fn nobody_waits_to_the_end_before_a_service_that_is_gone() {
    let mut world = World::new(SLOTS, [TAKES, TAKES]);
    let failed = |world: &mut World| {
        assert!(world.admission.enter());
        world.admission.ended((0, world.now, Ended::Failed), world.now, &mut Vec::new());
    };
    (0..19).for_each(|_| failed(&mut world));
    assert!(world.admission.figures(world.now).learning);
    failed(&mut world);
    assert!(!world.admission.figures(world.now).learning, "there is nothing to learn from it");
    world.rate = 0.5 * CAPACITY;
    world.run_until(seconds(5));
    assert_eq!(world.seen.refused, [0; 4]);
}

#[test]
fn what_a_service_refuses_anyway_holds_nobody_back() {
    let mut world = World::new(10_000, [TAKES, TAKES]);
    world.service.refuses_percent = 15;
    world.rate = 1_000.0;
    world.run_until(seconds(60));
    let figures = world.admission.figures(world.now);
    assert!(figures.limit >= 50, "{figures:?}");
    let refused: u32 = world.seen.refused_by_second.iter().skip(10).sum();
    assert!(refused <= 500, "{refused} refused of 50,000 for what has nothing to do with them");
}

#[test]
fn a_service_that_refuses_what_is_too_much_is_asked_for_what_it_takes() {
    let mut world = World::new(SLOTS, [TAKES, TAKES]);
    world.service.sheds = true;
    world.rate = 3.0 * CAPACITY;
    world.run_until(seconds(60));
    let limit = world.limit();
    assert!((16..=30).contains(&limit), "a limit of {limit} for 20 slots");
    assert!(mean(&world.seen.good_by_second[10..60]) >= 0.85 * CAPACITY);
}
