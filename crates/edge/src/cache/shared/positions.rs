//! Where the log of all nodes and the order of events on this one meet.
//!
//! An event has a number in the log and, where it was heard, an [`Ordinal`]. With both, what
//! another node asked for after its number `n` can be judged here as if it had been asked for
//! right after `n` was heard, and the other way round. What lies before the first event that is
//! remembered cannot be judged, and is not used.
//!
//! A write of this node stands among its own stamps before it stands in the log. Until it was heard
//! there, what comes from elsewhere counts as asked for before it: nobody there knew of it.

use std::collections::{BTreeMap, VecDeque};

use super::super::stamps::Ordinal;

/// Events that are remembered, 8 bytes each. An entry that is older than so many writes of all
/// nodes is asked for anew.
const POSITIONS_MAX: usize = 1 << 16;

/// A place in a log. Where Redis lost its memory, or some of it, another epoch begins, of which
/// nothing before can be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) epoch: u64,
    pub(super) number: u64,
}

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Positions {
    epoch: u64,
    /// The number of the first that is remembered.
    first: u64,
    ordinals: VecDeque<Ordinal>,
    /// Writes of this node that were not heard yet, with their number where they were told.
    own: BTreeMap<Ordinal, Option<u64>>,
    /// The last event that is known, and its tag.
    known: (u64, Vec<u8>),
}

impl Positions {
    /// Everything up to `position`, the event with `tag`, was dropped here at `dropped`.
    pub(super) fn begin(&mut self, position: Position, tag: &[u8], dropped: Ordinal) {
        self.known = (position.number, tag.to_vec());
        self.epoch = position.epoch;
        self.first = position.number;
        self.ordinals = [dropped].into();
        // What was told before is gone with the log it was told in; whoever joins this one asks for
        // nothing earlier than now.
        self.own.retain(|_, told| told.is_none());
    }

    /// This node wrote, and is going to tell it.
    pub(super) fn stamped(&mut self, own: Ordinal) {
        self.own.insert(own, None);
    }

    /// These will be told as one. Gives back which of them stands for all.
    pub(super) fn merge(&mut self, untold: &[Ordinal]) -> Option<Ordinal> {
        let first = *untold.iter().min()?;
        for own in untold.iter().filter(|own| **own != first) {
            self.own.remove(own);
        }
        Some(first)
    }

    /// They were told, the last of them as `position` with `tag`. False where that is not the log
    /// that is followed: then they have to be told again.
    pub(super) fn told(&mut self, own: &[Ordinal], position: Position, tag: &[u8]) -> bool {
        let Some(last) = self.last().filter(|last| last.epoch == position.epoch) else {
            return false;
        };
        for own in own {
            if position.number <= last.number {
                self.own.remove(own);
            } else if let Some(told) = self.own.get_mut(own) {
                *told = Some(position.number);
            }
        }
        self.know(position.number, tag);
        true
    }

    fn know(&mut self, number: u64, tag: &[u8]) {
        if number > self.known.0 {
            self.known = (number, tag.to_vec());
        }
    }

    /// The last event of the log that is known here, because it was heard or told, and its tag. The
    /// log that goes on from there is the one of which everything is known that was heard.
    pub(super) fn known(&self) -> (u64, &[u8]) {
        (self.known.0, &self.known.1)
    }

    /// What was heard last; `None` before the beginning.
    pub(super) fn last(&self) -> Option<Position> {
        let behind = (self.ordinals.len() as u64).checked_sub(1)?;
        Some(Position { epoch: self.epoch, number: self.first + behind })
    }

    /// The event behind the last was heard, has `tag`, and is known here by `ordinal`.
    pub(super) fn heard(&mut self, tag: &[u8], ordinal: Ordinal) {
        self.ordinals.push_back(ordinal);
        if self.ordinals.len() > POSITIONS_MAX {
            self.ordinals.pop_front();
            self.first += 1;
        }
        let heard = self.last().map_or(0, |last| last.number);
        self.know(heard, tag);
        if self.own.is_empty() {
            return;
        }
        self.own.retain(|_, told| told.is_none_or(|told| told > heard));
    }

    /// When here what was asked for at `position` elsewhere counts as asked for; at the latest,
    /// what was heard last. `None` where that cannot be judged.
    pub(super) fn ordinal(&self, position: Position) -> Option<Ordinal> {
        if position.epoch != self.epoch {
            return None;
        }
        let behind = usize::try_from(position.number.checked_sub(self.first)?).ok()?;
        let heard = *self.ordinals.get(behind).or_else(|| self.ordinals.back())?;
        let own = self.own.keys().next();
        Some(own.map_or(heard, |own| heard.min(own.just_before())))
    }

    /// The last event that was heard at `ordinal`; `None` where none was that is remembered.
    pub(super) fn position(&self, ordinal: Ordinal) -> Option<Position> {
        let heard = self.ordinals.partition_point(|held| *held <= ordinal) as u64;
        let number = self.first + heard.checked_sub(1)?;
        Some(Position { epoch: self.epoch, number })
    }
}

#[cfg(test)]
mod tests;
