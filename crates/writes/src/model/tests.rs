use proptest::prelude::*;

use super::*;

const LEASE_MS: u64 = 5_000;
const KEPT_MS: u64 = 86_400_000;

fn claim(owner: Owner, on_unknown: OnUnknown) -> Claim {
    Claim {
        id: Hash([1; 32]),
        caller: Hash([2; 32]),
        formerly: None,
        fingerprint: Hash([3; 32]),
        owner,
        on_unknown,
        kept_for_ms: KEPT_MS,
        service: "shop".into(),
        operation: "createOrder".into(),
    }
}

/// What one actor does next. Actors are the nodes' requests of one key.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    Send,
    Answer,
    Release,
    Cut,
    Crash,
    Renew,
    Wait(u64),
}

/// An actor's own view.
#[derive(Clone, Copy, Debug, Default)]
struct Actor {
    owner: Owner,
    fence: Option<u64>,
    sent: bool,
}

/// A record, those who work on it, and what really happened at the service.
struct World {
    on_unknown: OnUnknown,
    record: Option<Record>,
    actors: Vec<Actor>,
    now_ms: u64,
    executions: u64,
    last_fence: u64,
    owners: Owner,
}

impl World {
    fn new(actors: usize, on_unknown: OnUnknown) -> Self {
        Self {
            on_unknown,
            record: None,
            actors: vec![Actor::default(); actors],
            now_ms: 1_000_000,
            executions: 0,
            last_fence: 0,
            owners: 0,
        }
    }

    fn lives(&self, actor: Actor) -> bool {
        self.record.as_ref().is_some_and(|record| {
            record.owner == actor.owner
                && Some(record.fence) == actor.fence
                && matches!(record.state, State::Leased { until_ms, .. } if until_ms > self.now_ms)
        })
    }

    fn finish(&mut self, at: usize, outcome: Outcome) {
        let actor = std::mem::take(&mut self.actors[at]);
        let (Some(fence), Some(record)) = (actor.fence, &self.record) else { return };
        match finish(record, actor.owner, fence, outcome, self.now_ms) {
            Finished::Is(record) => {
                assert_eq!(record.fence, fence, "an owner changed what is not its own");
                self.record = Some(record);
            }
            Finished::Gone => {
                assert!(!actor.sent, "what was sent is forgotten");
                self.record = None;
                self.last_fence = 0;
            }
            Finished::Fenced => {}
        }
    }

    fn step(&mut self, at: usize, step: Step) {
        let actor = self.actors[at];
        match step {
            Step::Begin if actor.fence.is_none() => {
                self.owners += 1;
                let claim = claim(self.owners, self.on_unknown);
                let (decision, changed) =
                    begin(self.record.as_ref(), &claim, self.now_ms, LEASE_MS);
                if let Some(changed) = changed {
                    self.record = Some(changed);
                }
                if let Decision::Granted { fence, .. } = decision {
                    assert!(fence > self.last_fence, "a fence came twice");
                    assert!(
                        !self.actors.iter().any(|other| self.lives(*other)),
                        "two leases live at the same time"
                    );
                    self.last_fence = fence;
                    self.actors[at] = Actor { owner: self.owners, fence: Some(fence), sent: false };
                }
            }
            // An edge sends only while its lease lives: it renews it, and stops where it cannot.
            Step::Send if actor.fence.is_some() && !actor.sent && self.lives(actor) => {
                self.actors[at].sent = true;
                self.executions += 1;
            }
            Step::Answer if actor.sent => {
                self.finish(at, Outcome::Answered { sealed: vec![1] });
            }
            Step::Release if !actor.sent => self.finish(at, Outcome::Released),
            Step::Cut if actor.sent => self.finish(at, Outcome::Unknown),
            Step::Crash => self.actors[at] = Actor::default(),
            Step::Renew if self.lives(actor) => {
                let until = self.now_ms + LEASE_MS;
                if let Some(Record { state: State::Leased { until_ms, .. }, .. }) = &mut self.record
                {
                    *until_ms = until;
                }
            }
            Step::Wait(ms) => self.now_ms += ms,
            _ => {}
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Begin),
        4 => Just(Step::Send),
        2 => Just(Step::Answer),
        1 => Just(Step::Release),
        1 => Just(Step::Cut),
        2 => Just(Step::Crash),
        1 => Just(Step::Renew),
        3 => (1u64..4_000).prop_map(Step::Wait),
    ]
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    prop::collection::vec((0usize..4, step()), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever dies when, and whoever asks again.
    #[test]
    fn under_hold_a_write_is_executed_at_most_once(steps in steps()) {
        let mut world = World::new(4, OnUnknown::Hold);
        for (at, step) in steps {
            world.step(at, step);
            prop_assert!(world.executions <= 1, "executed {} times", world.executions);
            if let Some(record) = &world.record {
                prop_assert!(record.fence <= 1 + record.taken_over, "the record says twice");
            }
        }
    }

    /// Where a policy allows another execution, one follows the other and never beside it, and the
    /// record can tell them from those that nobody allowed.
    #[test]
    fn executions_that_are_allowed_are_counted_as_such(steps in steps()) {
        for policy in [OnUnknown::Retry, OnUnknown::Ask] {
            let mut world = World::new(4, policy);
            for (at, step) in &steps {
                world.step(*at, *step);
                if let Some(record) = &world.record {
                    prop_assert_eq!(record.fence, 1 + record.taken_over);
                }
            }
        }
    }

    /// Once everybody is dead, a lease later nobody is told to wait.
    #[test]
    fn every_wait_ends_with_the_lease(steps in steps(), policy in 0usize..3) {
        let policy = [OnUnknown::Hold, OnUnknown::Retry, OnUnknown::Ask][policy];
        let mut world = World::new(4, policy);
        for (at, step) in steps {
            world.step(at, step);
        }
        world.now_ms += LEASE_MS;
        let claim = claim(999, policy);
        let (decision, _) = begin(world.record.as_ref(), &claim, world.now_ms, LEASE_MS);
        prop_assert_ne!(decision, Decision::Running);
    }

    /// What was answered stays the answer until it expires, whatever others say.
    #[test]
    fn an_answer_is_the_last_word(steps in steps()) {
        let mut world = World::new(4, OnUnknown::Ask);
        let mut answered = None;
        for (at, step) in steps {
            world.step(at, step);
            if let Some(record) = &answered {
                prop_assert_eq!(Some(record), world.record.as_ref());
            }
            if let Some(record) = &world.record
                && matches!(record.state, State::Answered { .. })
            {
                answered = Some(record.clone());
            }
        }
    }
}

#[test]
fn only_the_same_caller_with_the_same_request_is_replayed() {
    let mine = claim(1, OnUnknown::Hold);
    let (_, record) = begin(None, &mine, 0, LEASE_MS);
    let Finished::Is(record) =
        finish(&record.unwrap(), 1, 1, Outcome::Answered { sealed: vec![7] }, 1)
    else {
        panic!("not answered");
    };
    let ask = |claim: &Claim| begin(Some(&record), claim, 2, LEASE_MS);
    let again = claim(2, OnUnknown::Hold);
    assert_eq!(ask(&again), (Decision::Replay { fence: 1, sealed: vec![7] }, None));
    let other = Claim { fingerprint: Hash([9; 32]), ..again };
    assert_eq!(ask(&other), (Decision::OtherPayload, None));
    let stranger = Claim { caller: Hash([9; 32]), ..other };
    assert_eq!(ask(&stranger), (Decision::OtherCaller, None), "it learns nothing of the request");
    let (decision, record) = begin(Some(&record), &stranger, KEPT_MS, LEASE_MS);
    assert!(matches!(decision, Decision::Granted { fence: 2, unknown_since_ms: None }));
    assert_eq!(record.unwrap().taken_over, 1, "it is another write by now");
}

#[test]
fn a_caller_that_is_told_apart_better_keeps_its_own_and_gives_away_nothing() {
    let (address, phone, other) = (Hash([2; 32]), Hash([3; 32]), Hash([4; 32]));
    let by = |owner, caller, formerly| Claim { caller, formerly, ..claim(owner, OnUnknown::Hold) };
    let ask = |of: &Claim, by: &Claim| {
        let (_, record) = begin(None, of, 0, LEASE_MS);
        begin(record.as_ref(), by, 1, LEASE_MS).0
    };
    let (as_address, as_phone) = (by(1, address, None), by(2, phone, Some(address)));
    assert_eq!(ask(&as_address, &as_phone), Decision::Running);
    assert_eq!(ask(&as_phone, &as_phone), Decision::Granted { fence: 1, unknown_since_ms: None });
    assert_eq!(ask(&as_phone, &as_address), Decision::OtherCaller);
    assert_eq!(ask(&as_phone, &by(3, other, Some(address))), Decision::OtherCaller);
    let elsewhere = by(3, phone, Some(Hash([9; 32])));
    assert_eq!(ask(&as_phone, &elsewhere), Decision::Running, "the network has changed");
    assert_eq!(ask(&as_address, &elsewhere), Decision::OtherCaller);
}

#[test]
fn an_owner_that_is_late_is_heard_until_another_has_taken_over() {
    let (_, first) = begin(None, &claim(1, OnUnknown::Hold), 0, LEASE_MS);
    let first = first.unwrap();
    let late = Outcome::Answered { sealed: vec![7] };
    let (decision, held) = begin(Some(&first), &claim(2, OnUnknown::Hold), LEASE_MS, LEASE_MS);
    assert_eq!(decision, Decision::Unknown { since_ms: LEASE_MS });
    let ended = finish(&held.unwrap(), 1, 1, late.clone(), LEASE_MS + 1);
    assert!(matches!(ended, Finished::Is(Record { state: State::Answered { .. }, .. })));
    let (_, taken) = begin(Some(&first), &claim(2, OnUnknown::Retry), LEASE_MS, LEASE_MS);
    let taken = taken.unwrap();
    assert_eq!(finish(&taken, 1, 1, late, LEASE_MS + 1), Finished::Fenced);
    // The second one did nothing: what the first one did is still unknown.
    let Finished::Is(record) = finish(&taken, 2, 2, Outcome::Released, LEASE_MS + 1) else {
        panic!("forgotten");
    };
    assert_eq!(record.state, State::Unknown { since_ms: LEASE_MS });
}
