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
    /// Redis is gone, and comes back without what was last written to it: so many events, and all
    /// that was stored after the first of them.
    RollBack(usize),
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
        prop_oneof![
            16 => Just(Step::Tell),
            1 => Just(Step::Lose),
            3 => (1_usize..4).prop_map(Step::RollBack),
        ],
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
    /// Events that there were when it was stored.
    events: usize,
}

/// An event in the log.
#[derive(Clone)]
struct Written {
    mark: u64,
    version: u64,
    tag: Vec<u8>,
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
    /// The life of Redis in which this node last heard of it; it has no other's answers.
    joined: u64,
}

#[derive(Default)]
struct World {
    epoch: u64,
    log: Vec<Written>,
    redis: Vec<Shared>,
    /// How often Redis was gone.
    life: u64,
    /// Epochs and tags that there were.
    used: u64,
    /// By mark, how often it was written.
    service: [u64; MARKS as usize],
}

impl World {
    fn new() -> Self {
        Self { epoch: 1, used: 1, ..Self::default() }
    }

    fn unused(&mut self) -> u64 {
        self.used += 1;
        self.used
    }

    fn end(&self) -> (Position, Vec<u8>) {
        let tag = self.log.last().map(|last| last.tag.clone()).unwrap_or_default();
        (Position { epoch: self.epoch, number: self.log.len() as u64 }, tag)
    }

    /// Another log begins unless this one goes on what a node knows.
    fn prove(&mut self, positions: &Positions) {
        let (number, tag) = positions.known();
        let Some(at) = usize::try_from(number).unwrap().checked_sub(1) else { return };
        let follows = positions.last().is_some_and(|last| last.epoch == self.epoch);
        if follows && self.log.get(at).is_none_or(|event| event.tag != tag) {
            self.epoch = self.unused();
            self.log.clear();
        }
    }

    fn roll_back(&mut self, events: usize) {
        self.life += 1;
        self.log.truncate(self.log.len().saturating_sub(events));
        let left = self.log.len();
        self.redis.retain(|held| held.events <= left);
    }
}

impl Node {
    fn hear(&mut self, world: &mut World, many: usize) {
        world.prove(&self.positions);
        self.joined = world.life;
        let (end, tag) = world.end();
        let last = self.positions.last().filter(|last| last.epoch == world.epoch);
        let Some(last) = last else {
            let dropped = self.stamps.drop_everything();
            self.positions.begin(end, &tag, dropped);
            return;
        };
        let from = usize::try_from(last.number).unwrap();
        for event in world.log[from..].iter().take(many) {
            let heard = self.stamps.write([Mark(event.mark)], None).ordinal;
            self.positions.heard(&event.tag, heard);
            let known = &mut self.knows[usize::try_from(event.mark).unwrap()];
            *known = (*known).max(event.version);
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
                let position = self.positions.position(answer.asked);
                if let Some(position) = position.filter(|_| self.joined == world.life) {
                    let (mark, version, events) = (answer.mark, answer.version, world.log.len());
                    world.redis.push(Shared { mark, version, position, events });
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
                world.prove(&self.positions);
                for (mark, version, _) in &self.untold {
                    let tag = world.unused().to_le_bytes().to_vec();
                    world.log.push(Written { mark: *mark, version: *version, tag });
                }
                let own: Vec<Ordinal> = self.untold.iter().map(|(.., own)| *own).collect();
                let (end, tag) = world.end();
                if self.positions.told(&own, end, &tag) {
                    self.untold.clear();
                }
            }
            Step::Hear(many) => self.hear(world, many),
            Step::Use { mark } => {
                let reached = self.joined == world.life;
                let elsewhere = world.redis.iter().filter(|held| reached && held.mark == mark);
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
                world.roll_back(usize::MAX);
                world.epoch = world.unused();
                world.redis.clear();
            }
            Step::RollBack(events) => world.roll_back(events),
            Step::Store => {}
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Whatever is done in whatever order: a node that wrote, or heard of a write, never uses what
    /// was asked for before it, wherever that was stored and however late.
    #[test]
    fn what_was_asked_before_a_write_is_used_by_nobody_who_heard_of_it(
        steps in prop::collection::vec((0..NODES, step()), 1..120)
    ) {
        let mut world = World::new();
        let mut nodes: [Node; NODES] = std::array::from_fn(|_| Node::default());
        for (node, step) in steps {
            nodes[node].step(step, &mut world)?;
        }
    }
}

#[test]
fn what_is_stored_elsewhere_is_used_until_it_is_invalid() {
    let mut world = World::new();
    let (mut here, mut there) = (Node::default(), Node::default());
    for node in [&mut here, &mut there] {
        node.hear(&mut world, 9);
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
    here.hear(&mut world, 9);
    assert!(judged(&here, &world), "another mark");
    there.step(Step::Write { mark: 0 }, &mut world).unwrap();
    there.step(Step::Tell, &mut world).unwrap();
    here.hear(&mut world, 9);
    assert!(!judged(&here, &world));
}

#[test]
fn what_comes_from_elsewhere_was_asked_before_a_write_that_nobody_heard_of() {
    let (stamps, mut positions) = (Stamps::default(), Positions::default());
    let at = |number| Position { epoch: 7, number };
    positions.begin(at(0), b"", stamps.drop_everything());
    let own = stamps.write([Mark(1)], None).ordinal;
    positions.stamped(own);
    positions.heard(b"", stamps.write([Mark(2)], None).ordinal);
    assert!(positions.ordinal(at(1)).unwrap() < own);
    assert!(positions.told(&[own], at(2), b"2"));
    assert!(positions.ordinal(at(1)).unwrap() < own);
    let again = stamps.write([Mark(1)], None).ordinal;
    positions.heard(b"", again);
    assert!(positions.ordinal(at(1)).unwrap() < again && positions.ordinal(at(2)) == Some(again));
    // Those that are too many are told as one.
    let many: Vec<Ordinal> = (0..9).map(|_| stamps.write([Mark(1)], None).ordinal).collect();
    many.iter().for_each(|own| positions.stamped(*own));
    assert_eq!(positions.merge(&many), Some(many[0]));
    assert!(!positions.told(&many[..1], Position { epoch: 8, number: 3 }, b"3"), "another log");
    assert!(positions.told(&many[..1], at(3), b"3"));
    positions.heard(b"", stamps.drop_everything());
    assert_eq!(positions.ordinal(at(3)), Some(stamps.now()));
}

#[test]
fn what_is_too_old_to_be_judged_is_not_used() {
    let (stamps, mut positions) = (Stamps::default(), Positions::default());
    assert_eq!((positions.last(), positions.position(stamps.now())), (None, None));
    let at = |number| Position { epoch: 7, number };
    positions.begin(at(10), b"10", stamps.drop_everything());
    assert_eq!(positions.ordinal(at(9)), None);
    assert_eq!(positions.ordinal(Position { epoch: 6, number: 10 }), None);
    assert!(positions.ordinal(at(10)).is_some());
    assert_eq!(positions.ordinal(at(10)), positions.ordinal(at(99)), "as of what was heard last");
    for _ in 0..POSITIONS_MAX {
        positions.heard(b"", stamps.drop_everything());
    }
    assert_eq!(positions.ordinal(at(10)), None);
    assert!(positions.ordinal(at(11)).is_some());
    assert_eq!(positions.last(), Some(at(10 + POSITIONS_MAX as u64)));
}

/// What a node told proves as much as what it heard: nobody else may have heard of it.
#[test]
fn the_last_event_is_known_by_its_tag_whether_it_was_told_or_heard() {
    let (stamps, mut positions) = (Stamps::default(), Positions::default());
    assert_eq!(positions.known(), (0, &b""[..]));
    let at = |number| Position { epoch: 7, number };
    positions.begin(at(4), b"four", stamps.drop_everything());
    assert_eq!(positions.known(), (4, &b"four"[..]));
    let own = stamps.write([Mark(1)], None).ordinal;
    positions.stamped(own);
    assert!(positions.told(&[own], at(6), b"six"));
    positions.heard(b"five", stamps.write([Mark(2)], None).ordinal);
    assert_eq!(positions.known(), (6, &b"six"[..]));
    for tag in [&b"six"[..], b"seven"] {
        positions.heard(tag, stamps.write([Mark(1)], None).ordinal);
    }
    assert_eq!(positions.known(), (7, &b"seven"[..]));
    positions.begin(Position { epoch: 8, number: 0 }, b"", stamps.drop_everything());
    assert_eq!(positions.known(), (0, &b""[..]));
}
