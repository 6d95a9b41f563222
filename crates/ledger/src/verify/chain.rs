//! The walk along the chain. Pure: rows in, faults out.

use uuid::Uuid;

use super::{Fault, Report};
use crate::model::{CHAIN_START, Hash, link};
use crate::store::seals::Sealed;

/// Seals that fit no neighbour are kept for the end, to say whether they were edited or moved.
/// More than these are called edited.
const SUSPECTS_MAX: usize = 48;

/// How far the walk has come.
#[derive(Debug)]
pub(crate) struct Walk {
    position: u64,
    /// The chain that the seal there holds, and what it should hold where that differs. `None`
    /// after a gap, where nobody can say.
    stored: Option<Hash>,
    computed: Option<Hash>,
    entries: u64,
    suspects: Vec<Suspect>,
}

/// A seal that does not follow from the one before.
#[derive(Debug)]
struct Suspect {
    position: u64,
    entry_id: Uuid,
    entry: Hash,
    before: Hash,
    chain: Hash,
    /// The next seal follows from what this one should hold: only the seal was edited.
    seal_only: bool,
}

impl Walk {
    pub(crate) fn from_start() -> Self {
        Self::from(0, CHAIN_START)
    }

    /// From a position whose chain is known.
    pub(crate) fn from(position: u64, chain: Hash) -> Self {
        let suspects = Vec::new();
        Self { position, stored: Some(chain), computed: None, entries: 0, suspects }
    }

    /// The last position reached.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The chain that is stored there.
    pub(crate) fn chain(&self) -> Hash {
        self.stored.unwrap_or(CHAIN_START)
    }

    /// Entries that are there.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// The next seal.
    pub(crate) fn step(&mut self, sealed: Sealed, report: &mut Report) {
        let entry_id = sealed.entry_id.unwrap_or_default();
        let position = u64::try_from(sealed.position).unwrap_or_default();
        if position <= self.position {
            // A position below 1, or one that stands twice.
            report.add(Fault::EntryInserted { entry_id });
            self.entries += u64::from(sealed.row.is_some());
            return;
        }
        if position > self.position + 1 {
            let (from, to) = (self.position + 1, position - 1);
            report.add(Fault::PositionsMissing { from, to });
            (self.stored, self.computed) = (None, None);
        }
        self.position = position;
        let chain: Option<Hash> = sealed.chain.and_then(|chain| chain.try_into().ok());
        let Some(chain) = chain else {
            report.add(Fault::SealEdited { position, entry_id });
            self.entries += u64::from(sealed.row.is_some());
            (self.stored, self.computed) = (None, None);
            return;
        };
        let (before, computed_before) = (self.stored, self.computed.take());
        self.stored = Some(chain);
        let Some(row) = sealed.row else {
            report.add(Fault::EntryDeleted { position, entry_id });
            return;
        };
        self.entries += 1;
        let read = row.into_entry();
        let hashes = read.and_then(|(entry, kept)| Some((entry.hash().ok()?, kept)));
        let Some((recomputed, kept)) = hashes else {
            report.add(Fault::EntryEdited { position, entry_id });
            return;
        };
        if recomputed != kept {
            report.add(Fault::EntryEdited { position, entry_id });
            return;
        }
        let Some(before) = before else { return };
        let computed = link(&before, position, &recomputed);
        if computed == chain {
            return;
        }
        if computed_before.is_some_and(|before| link(&before, position, &recomputed) == chain) {
            if let Some(last) = self.suspects.last_mut() {
                last.seal_only = true;
            }
            return;
        }
        self.computed = Some(computed);
        if self.suspects.len() >= SUSPECTS_MAX {
            report.add(Fault::EntryEdited { position, entry_id });
            return;
        }
        let seal_only = false;
        let suspect = Suspect { position, entry_id, entry: recomputed, before, chain, seal_only };
        self.suspects.push(suspect);
    }

    /// Says of each suspect what was done to it.
    pub(crate) fn finish(&mut self, report: &mut Report) {
        let suspects = std::mem::take(&mut self.suspects);
        for suspect in &suspects {
            let (position, entry_id) = (suspect.position, suspect.entry_id);
            if suspect.seal_only {
                report.add(Fault::SealEdited { position, entry_id });
                continue;
            }
            // A neighbour was moved: then the chain before stands at another suspect's place.
            let befores =
                || std::iter::once(&suspect.before).chain(suspects.iter().map(|s| &s.chain));
            if befores().any(|before| link(before, position, &suspect.entry) == suspect.chain) {
                continue;
            }
            let moved = suspects.iter().filter(|other| other.position != position).find(|other| {
                befores().any(|before| {
                    let chain = link(before, position, &other.entry);
                    chain == suspect.chain || chain == other.chain
                })
            });
            match moved {
                Some(other) => report.add(Fault::EntryReordered {
                    position: other.position,
                    entry_id: other.entry_id,
                    belongs_at: position,
                }),
                None => report.add(Fault::EntryEdited { position, entry_id }),
            }
        }
    }
}
