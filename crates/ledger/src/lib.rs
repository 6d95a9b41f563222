//! The ledger: the append-only, sealed log of every critical action, ours and the team's.
//!
//! An entry is a plain insert with its hash, in the transaction of the effect it speaks of
//! ([`Ledger::append`]). One [`Sealer`] for each database chains what is committed, so that no
//! writer waits for the chain, and signs [`Checkpoints`] outside the database. [`verify`] goes
//! through everything again and names what was deleted, edited, moved, inserted, cut or forged;
//! [`verify_export`] does the same without a database. What the edge audits goes through the
//! [`Spool`] first.
//!
//! It never keeps a body, a token or a name: actors are keyed hashes, and what is personal stands
//! sealed. It never changes or removes an entry.

mod canonical;
mod checkpoint;
mod checkpoints;
mod error;
mod evidence;
mod export;
mod facts;
mod hex;
mod ids;
mod migrations;
mod model;
mod restored;
mod sealer;
mod service;
mod spool;
mod store;
mod team;
mod verify;

use plimsoll_store::Room;

pub use checkpoint::{CHECKPOINT_DOMAIN, Checkpoint, Kind as CheckpointKind};
pub use checkpoints::{CHECKPOINT_FILE_BYTES_MAX, CHECKPOINT_FILES_MAX, Checkpoints, former_keys};
pub use error::{CheckpointError, DetailError, LedgerError, SealerError};
pub use evidence::{
    EVIDENCE_FACTS_MAX, EVIDENCE_TEXT_BYTES_MAX, Evidence, EvidenceKind, How, Recorded,
};
pub use export::{ExportError, export, verify_export};
pub use facts::{ACTIONS, Fact, ManifestDiff};
pub use migrations::AppliedMigration;
pub use model::{
    ActorKind, CHAIN_START, DETAIL_BYTES_MAX, Entry, Hash, Outcome, PERSONAL_BYTES_MAX,
    SUBJECT_BYTES_MAX, link,
};
pub use restored::end_with_copied_checkpoints;
pub use sealer::{
    AcceptError, CHECKPOINT_ENTRIES, CHECKPOINT_EVERY, SEAL_BATCH_ENTRIES_MAX, SEAL_EVERY, Sealer,
    SealerDoor, SealerState,
};
pub use service::{Actor, Append, Filter, Ledger, Listed, PAGE_ENTRIES_MAX, Page};
pub use spool::{
    AuditRecord, Imported, Importer, Leftover, OwnEntry, RECORD_BYTES_MAX, SEGMENT_BYTES_MAX,
    Spool, SpoolError, SpoolFigures, SpoolFull, SpoolOptions,
};
pub use team::{Appended, TEAM_ACTION_BYTES_MAX, TeamAction};
pub use verify::{FAULTS_MAX, Fault, Progress, Report, VerifyOptions, unsealed_for, verify};

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// The ledger's part of the database.
pub static ROOM: Room = Room {
    name: "ledger",
    migrator: &MIGRATOR,
    append_only: &["entries", "seals", "team_actions"],
};
