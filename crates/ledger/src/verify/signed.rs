//! The signed side: checkpoints of all nodes, their order, and what they say of the chain.

use std::path::Path;

use plimsoll_protection::PublicKey;

use super::{Fault, Report, VerifyOptions};
use crate::checkpoint::{Checkpoint, Kind};
use crate::checkpoints::{Found, has_rotated, read_all};
use crate::error::{CheckpointError, SealerError};
use crate::model::Hash;

/// Checkpoints in the order of the sizes they speak of.
#[derive(Debug, Default)]
pub(crate) struct Signed {
    /// With the note of a later record of the same key that accepts what differs.
    all: Vec<(Checkpoint, Option<String>)>,
    next: usize,
    /// The size of the last that agrees.
    agreed: u64,
    /// One fault for each stretch that disagrees.
    disagreeing: bool,
    /// The id of our own key and the last sequence in our own folder; 0 where it holds none.
    own: Option<(String, u64)>,
}

impl Signed {
    /// Reads and checks the files.
    pub(crate) fn read(options: &VerifyOptions, report: &mut Report) -> Result<Self, SealerError> {
        let mut signed = Self::default();
        let mut trusted = options.trusted.clone();
        trusted.push(options.key.clone());
        signed.folder(&options.checkpoints, &trusted, report)?;
        let ours = |(c, _): &&(Checkpoint, _)| c.key_id == options.key.id();
        let last = signed.all.iter().rev().find(ours).map_or(0, |(last, _)| last.sequence);
        signed.own = Some((options.key.id().to_owned(), last));
        for directory in &options.further {
            if !signed.folder(directory, &trusted, report)? {
                // A mistyped path must not pass for checkpoints that agree.
                return Err(CheckpointError::Nothing { path: directory.clone() }.into());
            }
        }
        signed.sort();
        Ok(signed)
    }

    /// One directory. Says whether it holds any file of checkpoints.
    fn folder(
        &mut self,
        directory: &Path,
        trusted: &[PublicKey],
        report: &mut Report,
    ) -> Result<bool, SealerError> {
        let (found, files) = read_all(directory)?;
        self.chain(found, trusted, has_rotated(files), report);
        Ok(files > 0)
    }

    /// Checkpoints that came with an export.
    pub(crate) fn of(
        lines: &[Found],
        trusted: &[PublicKey],
        from: u64,
        report: &mut Report,
    ) -> Self {
        let mut signed = Self { agreed: from.saturating_sub(1), ..Self::default() };
        signed.chain(lines.to_vec(), trusted, true, report);
        signed.sort();
        signed
    }

    /// One directory: every record follows the one before.
    fn chain(
        &mut self,
        found: Vec<Found>,
        trusted: &[PublicKey],
        rotated: bool,
        report: &mut Report,
    ) {
        let begin = self.all.len();
        let mut last: Option<Checkpoint> = None;
        let mut broken = false;
        for Found { path, line, checkpoint } in found {
            let Some(checkpoint) = checkpoint.filter(|c| c.is_signed_by(trusted)) else {
                report.add(Fault::CheckpointForged { path, line });
                broken = true;
                continue;
            };
            // A key that was replaced begins a count of its own.
            let same = last.as_ref().filter(|last| last.key_id == checkpoint.key_id);
            let expected = same.map_or(1, |last| last.sequence + 1);
            let follows = same.is_none_or(|last| last.hash() == checkpoint.before);
            let key_id = checkpoint.key_id.clone();
            let excused = broken || (same.is_none() && rotated);
            if checkpoint.sequence > expected && !excused {
                let (from, to) = (expected, checkpoint.sequence - 1);
                report.add(Fault::CheckpointsMissing { from, to, key_id });
            } else if checkpoint.sequence < expected || (!follows && !excused) {
                // Signed by us, and not what followed: a copy put in another's place.
                report.add(Fault::CheckpointForged { path, line });
            }
            broken = false;
            if checkpoint.kind == Kind::Accepted {
                // Only what the same key signed: nobody takes back the word of another.
                let same = |(c, note): &&mut (Checkpoint, Option<String>)| {
                    note.is_none() && c.key_id == checkpoint.key_id
                };
                for (_, note) in self.all[begin..].iter_mut().filter(same) {
                    *note = Some(checkpoint.note.clone());
                }
            }
            last = Some(checkpoint.clone());
            self.all.push((checkpoint, None));
        }
    }

    fn sort(&mut self) {
        let order = |c: &Checkpoint| (c.size, c.at_unix_ms, c.sequence);
        self.all.sort_by(|(a, _), (b, _)| {
            order(a).cmp(&order(b)).then_with(|| a.key_id.cmp(&b.key_id))
        });
        // A copy of a folder says the same again, perhaps from before it was accepted.
        self.all.dedup_by(|(copy, accepted), (kept, note)| {
            let same = copy == kept;
            if same && note.is_none() {
                *note = accepted.take();
            }
            same
        });
    }

    /// The database remembers the last checkpoint of each key: where our folder ends before it, its
    /// end was cut. Of other keys we have copies, which end when they were made: what they lack
    /// shows as what lies after the last checkpoint.
    pub(crate) fn check_marks(&self, marks: &[(String, i64)], report: &mut Report) {
        let Some((own, last)) = &self.own else { return };
        for (key_id, sequence) in marks.iter().filter(|(key_id, _)| key_id == own) {
            let to = u64::try_from(*sequence).unwrap_or_default();
            if *last < to {
                let (from, key_id) = (last + 1, key_id.clone());
                report.add(Fault::CheckpointsMissing { from, to, key_id });
            }
        }
    }

    /// Compares with what the chain holds at `position`.
    pub(crate) fn compare(&mut self, position: u64, chain: &Hash, report: &mut Report) {
        while let Some((checkpoint, accepted)) = self.all.get(self.next) {
            if checkpoint.size > position {
                break;
            }
            self.next += 1;
            // Its position is missing, which is a fault of its own; or an empty ledger.
            if checkpoint.size < position || checkpoint.size == 0 {
                continue;
            }
            if checkpoint.head == *chain {
                self.agreed = checkpoint.size;
                self.disagreeing = false;
                report.checkpoints += 1;
                report.checkpoint_size = checkpoint.size;
                report.checkpoint_at_unix_ms = checkpoint.at_unix_ms;
                continue;
            }
            let (from, to, sequence) = (self.agreed + 1, checkpoint.size, checkpoint.sequence);
            let fault = Fault::HistoryRewritten { from, to, sequence };
            match accepted {
                Some(note) => accept(report, fault, note),
                None if self.disagreeing => report.faults_more += 1,
                None => {
                    self.disagreeing = true;
                    report.add(fault);
                }
            }
        }
    }

    /// Checkpoints beyond the end of the chain.
    pub(crate) fn finish(&mut self, size: u64, report: &mut Report) {
        let beyond = &self.all[self.next..];
        let fault =
            |c: &Checkpoint| Fault::TailCut { size, checkpoint_size: c.size, sequence: c.sequence };
        if let Some((last, _)) = beyond.iter().rev().find(|(_, accepted)| accepted.is_none()) {
            report.add(fault(last));
        }
        if let Some((last, Some(note))) = beyond.iter().rev().find(|(_, note)| note.is_some()) {
            accept(report, fault(last), note);
        }
    }
}

/// As many as faults are named, no more.
fn accept(report: &mut Report, fault: Fault, note: &str) {
    if report.accepted.len() < super::FAULTS_MAX {
        report.accepted.push((fault, note.to_owned()));
    }
}
