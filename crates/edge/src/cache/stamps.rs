//! The order of events: which entry was asked for after which write.
//!
//! Two tables of a fixed size, in which a write leaves its ordinal where the hash of its target, of
//! its groups and of its writer points. Nothing is forgotten, so that nothing stale can come back;
//! two that share a place make each other's answers be asked for once more, and no more than that.

use std::array;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_base::failpoint;

use super::key::{Mark, Writer};

/// Places for targets and groups, and for writers; memory is taken for what is used of them.
const MARKS: usize = 1 << 20;
const WRITERS: usize = 1 << 18;
/// Places that take memory together.
const CHUNK: usize = 1 << 12;

/// A moment in the order of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ordinal(u64);

impl Ordinal {
    /// After everything that will ever happen.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// What was asked for then was asked for before this.
    pub(super) fn just_before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// What a write left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamped {
    pub(crate) ordinal: Ordinal,
    /// The latest that stood in any of its places.
    pub(crate) before: Ordinal,
}

type Chunk = Box<[AtomicU64; CHUNK]>;

#[derive(Debug)]
struct Table {
    chunks: Box<[OnceLock<Chunk>]>,
}

impl Table {
    fn new(places: usize) -> Self {
        Self { chunks: (0..places / CHUNK).map(|_| OnceLock::new()).collect() }
    }

    fn place(&self, hash: u64) -> (usize, usize) {
        let places = self.chunks.len() * CHUNK;
        let place = usize::try_from(hash % places as u64).unwrap_or(0);
        (place / CHUNK, place % CHUNK)
    }

    fn get(&self, hash: u64) -> Ordinal {
        let (chunk, at) = self.place(hash);
        let held = self.chunks[chunk].get();
        Ordinal(held.map_or(0, |held| held[at].load(Ordering::SeqCst)))
    }

    /// What stood there before.
    fn set(&self, hash: u64, ordinal: Ordinal) -> Ordinal {
        let (chunk, at) = self.place(hash);
        let held =
            self.chunks[chunk].get_or_init(|| Box::new(array::from_fn(|_| AtomicU64::new(0))));
        Ordinal(held[at].fetch_max(ordinal.0, Ordering::SeqCst))
    }
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Stamps {
    next: AtomicU64,
    /// Up to when everything is invalid.
    everything: AtomicU64,
    marks: Table,
    writers: Table,
}

impl Default for Stamps {
    fn default() -> Self {
        Self {
            next: AtomicU64::new(0),
            everything: AtomicU64::new(0),
            marks: Table::new(MARKS),
            writers: Table::new(WRITERS),
        }
    }
}

impl Stamps {
    /// Now: after everything that has a stamp.
    pub(crate) fn now(&self) -> Ordinal {
        Ordinal(self.next.load(Ordering::SeqCst))
    }

    /// A moment of its own, after all before it.
    fn event(&self) -> Ordinal {
        Ordinal(self.next.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// A write: what was asked for before now under any of these marks is no longer valid, and
    /// `writer` is shown nothing that was asked for before.
    pub(crate) fn write(
        &self,
        marks: impl IntoIterator<Item = Mark>,
        writer: Option<Writer>,
    ) -> Stamped {
        let ordinal = self.event();
        if failpoint::hit("edge.cache.invalidate").is_err() {
            return Stamped { ordinal, before: ordinal };
        }
        let marked = marks.into_iter().map(|mark| self.marks.set(mark.0, ordinal));
        // One that stands there twice finds itself the second time.
        let before = marked.filter(|before| *before != ordinal).max().unwrap_or_default();
        let written = writer.map(|writer| self.writers.set(writer.0, ordinal));
        Stamped { ordinal, before: before.max(written.unwrap_or_default()) }
    }

    /// Whatever was asked for before now is no longer valid.
    pub(crate) fn drop_everything(&self) -> Ordinal {
        let ordinal = self.event();
        self.everything.fetch_max(ordinal.0, Ordering::SeqCst);
        ordinal
    }

    /// Up to when what was asked for under `mark` is invalid.
    pub(crate) fn invalidated(&self, mark: Mark) -> Ordinal {
        self.marks.get(mark.0).max(Ordinal(self.everything.load(Ordering::SeqCst)))
    }

    /// When `writer` wrote last.
    pub(crate) fn written(&self, writer: Writer) -> Ordinal {
        self.writers.get(writer.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Event {
        Ask(u8),
        Invalidate(u8),
    }

    proptest! {
        /// As a list of everything that ever happened would have it, up to collisions, of which
        /// these few have none.
        #[test]
        fn what_was_asked_before_is_invalid_and_nothing_else(
            events in prop::collection::vec(
                prop_oneof![(0_u8..4).prop_map(Event::Ask), (0_u8..4).prop_map(Event::Invalidate)],
                0..40,
            )
        ) {
            let stamps = Stamps::default();
            let mut asked = Vec::new();
            for event in &events {
                match event {
                    Event::Ask(mark) => asked.push((*mark, stamps.now(), true)),
                    Event::Invalidate(mark) => {
                        stamps.write([Mark(u64::from(*mark))], None);
                        for held in asked.iter_mut().filter(|held| held.0 == *mark) {
                            held.2 = false;
                        }
                    }
                }
            }
            for (mark, begun, valid) in asked {
                prop_assert_eq!(begun >= stamps.invalidated(Mark(u64::from(mark))), valid);
            }
        }
    }

    #[test]
    fn what_was_asked_before_everything_was_dropped_is_invalid() {
        let stamps = Stamps::default();
        let before = stamps.now();
        let dropped = stamps.drop_everything();
        assert!(before < stamps.invalidated(Mark(1)) && stamps.now() >= dropped);
        assert!(stamps.now() >= stamps.invalidated(Mark(1)));
        assert_eq!(stamps.write([Mark(1)], None).before, Ordinal::default());
    }

    #[test]
    fn what_was_there_before_is_never_the_write_itself() {
        let stamps = Stamps::default();
        let twice = stamps.write([Mark(7), Mark(7)], None);
        assert_eq!(twice.before, Ordinal::default());
        assert_eq!(stamps.write([Mark(8), Mark(7)], None).before, twice.ordinal);
    }

    #[test]
    fn what_shares_a_place_is_invalid_rather_than_stale() {
        let stamps = Stamps::default();
        let begun = stamps.now();
        stamps.write([Mark(5)], None);
        assert!(begun < stamps.invalidated(Mark(5 + MARKS as u64)));
        assert!(begun >= stamps.invalidated(Mark(6)));
        let stamped = stamps.write([Mark(5)], Some(Writer(9)));
        assert!(stamped.before < stamped.ordinal && stamped.before > begun);
        assert!(begun < stamps.written(Writer(9 + WRITERS as u64)));
        assert!(stamps.now() >= stamps.written(Writer(9)));
    }
}
