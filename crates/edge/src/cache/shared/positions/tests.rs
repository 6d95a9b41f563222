//! Several nodes, one log: nobody uses what was asked for before a write that is done.

use proptest::prelude::*;

use super::super::super::key::Mark;
use super::super::super::stamps::{Ordinal, Stamps};
use super::*;

const NODES: usize = 3;
const MARKS: u64 = 3;

/// What a node can do.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Ask the service for what stands under a mark.
    Ask { mark: u64 },
    /// Store the oldest answer that is under way, late as it may be.
    Store,
    /// The service carried out a write, and its node stamps it; others are not told yet.
    Write { mark: u64 },
    /// Tell all that is untold.
    Tell,
    /// Hear so many events.
    Hear(usize),
    /// Use what is stored under a mark, here or elsewhere.
    Use { mark: u64 },
    /// Redis loses its memory.
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    let mark = 0..MARKS;
    prop_oneof![
        mark.clone().prop_map(|mark| Step::Ask { mark }),
        Just(Step::Store),
        Just(Step::Store),
        mark.clone().prop_map(|mark| Step::Write { mark }),
        Just(Step::Tell),
        (1_usize..4).prop_map(Step::Hear),
        mark.clone().prop_map(|mark| Step::Use { mark }),
        mark.prop_map(|mark| Step::Use { mark }),
        prop_oneof![19 => Just(Step::Tell), 1 => Just(Step::Lose)],
    ]
}

/// An answer: what the service said (how often the mark was written), and when it was asked for.
#[derive(Clone, Copy)]
struct Answer {
    mark: u64,
    version: u64,
    asked: Ordinal,
}

/// The same in Redis.
#[derive(Clone, Copy)]
struct Shared {
    mark: u64,
    version: u64,
    position: Position,
}

#[derive(Default)]
struct Node {
    stamps: Stamps,
    positions: Positions,
    under_way: Vec<Answer>,
    stored: Vec<Answer>,
    /// Marks written here that others were not told of, with the version that was written.
    untold: Vec<(u64, u64, Ordinal)>,
    /// By mark, the version that this node must know of: it wrote it, or it heard of it.
    knows: [u64; MARKS as usize],
}

#[derive(Default)]
struct World {
    epoch: u64,
    log: Vec<(u64, u64)>,
    redis: Vec<Shared>,
    /// By mark, how often it was written.
    service: [u64; MARKS as usize],
}

impl Node {
    fn hear(&mut self, world: &World, many: usize) {
        let end = Position { epoch: world.epoch, number: world.log.len() as u64 };
        let last = self.positions.last().filter(|last| last.epoch == world.epoch);
        let Some(last) = last else {
            let dropped = self.stamps.drop_everything();
            self.positions.begin(end, dropped);
            return;
        };
        let from = usize::try_from(last.number).unwrap();
        for (mark, version) in world.log[from..].iter().take(many) {
            self.positions.heard(self.stamps.write([Mark(*mark)], None).ordinal);
            let known = &mut self.knows[usize::try_from(*mark).unwrap()];
            *known = (*known).max(*version);
        }
    }

    fn step(&mut self, step: Step, world: &mut World) -> Result<(), TestCaseError> {
        let at = |mark: u64| usize::try_from(mark).unwrap();
        match step {
            Step::Ask { mark } => {
                let (asked, version) = (self.stamps.now(), world.service[at(mark)]);
                self.under_way.push(Answer { mark, version, asked });
            }
            Step::Store if !self.under_way.is_empty() => {
                let answer = self.under_way.remove(0);
                self.stored.push(answer);
                if let Some(position) = self.positions.position(answer.asked) {
                    let (mark, version) = (answer.mark, answer.version);
                    world.redis.push(Shared { mark, version, position });
                }
            }
            Step::Write { mark } => {
                world.service[at(mark)] += 1;
                let version = world.service[at(mark)];
                let own = self.stamps.write([Mark(mark)], None).ordinal;
                self.positions.stamped(own);
                self.knows[at(mark)] = version;
                self.untold.push((mark, version, own));
            }
            Step::Tell => {
                world.log.extend(self.untold.iter().map(|(mark, version, _)| (*mark, *version)));
                let own: Vec<Ordinal> = self.untold.iter().map(|(.., own)| *own).collect();
                let number = world.log.len() as u64;
                if self.positions.told(&own, Position { epoch: world.epoch, number }) {
                    self.untold.clear();
                }
            }
            Step::Hear(many) => self.hear(world, many),
            Step::Use { mark } => {
                let elsewhere = world.redis.iter().filter(|held| held.mark == mark);
                let elsewhere = elsewhere.filter_map(|held| {
                    let asked = self.positions.ordinal(held.position)?;
                    Some(Answer { mark, version: held.version, asked })
                });
                let here = self.stored.iter().filter(|held| held.mark == mark).copied();
                for answer in here.chain(elsewhere) {
                    let valid = answer.asked >= self.stamps.invalidated(Mark(mark));
                    prop_assert!(!valid || answer.version >= self.knows[at(mark)]);
                }
            }
            Step::Lose => {
                world.epoch += 1;
                world.log.clear();
                world.redis.clear();
            }
            Step::Store => {}
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is done in whatever order: a node that wrote, or heard of a write, never uses what
    /// was asked for before it, wherever that was stored and however late.
    #[test]
    fn what_was_asked_before_a_write_is_used_by_nobody_who_heard_of_it(
        steps in prop::collection::vec((0..NODES, step()), 1..120)
    ) {
        let mut world = World { epoch: 1, ..World::default() };
        let mut nodes: [Node; NODES] = std::array::from_fn(|_| Node::default());
        for (node, step) in steps {
            nodes[node].step(step, &mut world)?;
        }
    }
}

#[test]
fn what_is_stored_elsewhere_is_used_until_it_is_invalid() {
    let mut world = World { epoch: 1, ..World::default() };
    let (mut here, mut there) = (Node::default(), Node::default());
    for node in [&mut here, &mut there] {
        node.hear(&world, 9);
    }
    there.step(Step::Ask { mark: 0 }, &mut world).unwrap();
    there.step(Step::Store, &mut world).unwrap();
    let judged = |here: &Node, world: &World| {
        let asked = here.positions.ordinal(world.redis[0].position);
        asked.is_some_and(|asked| asked >= here.stamps.invalidated(Mark(0)))
    };
    assert!(judged(&here, &world), "it proves nothing to use nothing");
    there.step(Step::Write { mark: 1 }, &mut world).unwrap();
    there.step(Step::Tell, &mut world).unwrap();
    here.hear(&world, 9);
    assert!(judged(&here, &world), "another mark");
    there.step(Step::Write { mark: 0 }, &mut world).unwrap();
    there.step(Step::Tell, &mut world).unwrap();
    here.hear(&world, 9);
    assert!(!judged(&here, &world));
}

#[test]
fn what_comes_from_elsewhere_was_asked_before_a_write_that_nobody_heard_of() {
    let (stamps, mut positions) = (Stamps::default(), Positions::default());
    let at = |number| Position { epoch: 7, number };
    positions.begin(at(0), stamps.drop_everything());
    let own = stamps.write([Mark(1)], None).ordinal;
    positions.stamped(own);
    positions.heard(stamps.write([Mark(2)], None).ordinal);
    assert!(positions.ordinal(at(1)).unwrap() < own);
    assert!(positions.told(&[own], at(2)));
    assert!(positions.ordinal(at(1)).unwrap() < own);
    let again = stamps.write([Mark(1)], None).ordinal;
    positions.heard(again);
    assert!(positions.ordinal(at(1)).unwrap() < again && positions.ordinal(at(2)) == Some(again));
    // Those that are too many are told as one.
    let many: Vec<Ordinal> = (0..9).map(|_| stamps.write([Mark(1)], None).ordinal).collect();
    many.iter().for_each(|own| positions.stamped(*own));
    assert_eq!(positions.merge(&many), Some(many[0]));
    assert!(!positions.told(&many[..1], Position { epoch: 8, number: 3 }), "another log");
    assert!(positions.told(&many[..1], at(3)));
    positions.heard(stamps.drop_everything());
    assert_eq!(positions.ordinal(at(3)), Some(stamps.now()));
}

#[test]
fn what_is_too_old_to_be_judged_is_not_used() {
    let (stamps, mut positions) = (Stamps::default(), Positions::default());
    assert_eq!((positions.last(), positions.position(stamps.now())), (None, None));
    let at = |number| Position { epoch: 7, number };
    positions.begin(at(10), stamps.drop_everything());
    assert_eq!(positions.ordinal(at(9)), None);
    assert_eq!(positions.ordinal(Position { epoch: 6, number: 10 }), None);
    assert!(positions.ordinal(at(10)).is_some());
    assert_eq!(positions.ordinal(at(10)), positions.ordinal(at(99)), "as of what was heard last");
    for _ in 0..POSITIONS_MAX {
        positions.heard(stamps.drop_everything());
    }
    assert_eq!(positions.ordinal(at(10)), None);
    assert!(positions.ordinal(at(11)).is_some());
    assert_eq!(positions.last(), Some(at(10 + POSITIONS_MAX as u64)));
}
