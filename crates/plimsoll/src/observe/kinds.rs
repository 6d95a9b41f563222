//! The kinds of evidence that this Plimsoll brings. Rooms below the ledger cannot see its types, so
//! theirs stand here, with their names.

use plimsoll_ledger::{EvidenceKind, How};
use plimsoll_plan::{DOCUMENTS, REPORTS};

/// Every kind there is: what is measured, what the manifest and the plan's documents declare, and
/// other tools' reports. A gate that asks for another is not built.
pub(crate) fn built() -> Vec<EvidenceKind> {
    [&MEASURED[..], &[OBJECTIVES], DOCUMENTS, REPORTS].concat()
}

const fn measured(room: &'static str, kind: &'static str) -> EvidenceKind {
    EvidenceKind { kind, room, how: How::Measured }
}

pub(super) const AUTHENTICATION: EvidenceKind = measured("edge", "edge.authentication");
pub(super) const LIMITS: EvidenceKind = measured("edge", "edge.limits");
pub(super) const BREAKERS: EvidenceKind = measured("edge", "edge.breakers");
pub(super) const ADMISSION: EvidenceKind = measured("edge", "edge.admission");
pub(super) const PROBLEMS: EvidenceKind = measured("edge", "edge.problems");
pub(super) const DRAIN: EvidenceKind = measured("edge", "edge.drain");
pub(super) const CACHE: EvidenceKind = measured("edge", "edge.cache");
pub(super) const SERVICE_LEVELS: EvidenceKind = measured("edge", "edge.service-levels");
pub(super) const COMPRESSION: EvidenceKind = measured("edge", "edge.compression");
pub(super) const PUBLISHED: EvidenceKind = measured("contracts", "contracts.published");
pub(super) const VERSIONS: EvidenceKind = measured("contracts", "contracts.versions");
pub(super) const VERIFIED: EvidenceKind = measured("ledger", "ledger.verified");
pub(super) const EPOCH: EvidenceKind = measured("snapshot", "snapshot.epoch");
pub(super) const REVOCATION: EvidenceKind = measured("identity", "identity.revocation");
pub(super) const DATABASE: EvidenceKind = measured("telemetry", "telemetry.database");
pub(super) const READ: EvidenceKind = measured("telemetry", "telemetry.read");

pub(super) const IDEMPOTENCY: EvidenceKind = measured("writes", "writes.idempotency");
pub(super) const RETRIES: EvidenceKind = measured("writes", "writes.retries");

/// Not looked at but told: by `plimsoll restore --rehearse`, over `ops.sock`.
const RESTORED: EvidenceKind = measured("store", "store.restored");

/// Told as well: by `plimsoll journey run`, and by the smoke test after a start.
const JOURNEYS: EvidenceKind = measured("drills", "drills.journeys");

pub(super) const OBJECTIVES: EvidenceKind =
    EvidenceKind { kind: "manifest.objectives", room: "manifest", how: How::Declared };

const MEASURED: [EvidenceKind; 20] = [
    AUTHENTICATION,
    LIMITS,
    BREAKERS,
    ADMISSION,
    PROBLEMS,
    DRAIN,
    CACHE,
    SERVICE_LEVELS,
    COMPRESSION,
    PUBLISHED,
    VERSIONS,
    VERIFIED,
    RESTORED,
    JOURNEYS,
    EPOCH,
    REVOCATION,
    DATABASE,
    READ,
    IDEMPOTENCY,
    RETRIES,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use plimsoll_plan::Gates;

    use super::super::looks::Look;
    use super::*;

    #[test]
    fn each_kind_is_there_once_and_named_as_its_gates_expect() {
        let built = built();
        let names: BTreeSet<&str> = built.iter().map(|kind| kind.kind).collect();
        assert_eq!(names.len(), built.len());
        for look in Look::ALL {
            assert!(names.contains(look.kind().kind), "{look:?}");
        }
        for gate in Gates::shipped().unwrap().iter() {
            if let Some(kind) = built.iter().find(|kind| kind.kind == gate.evidence) {
                assert_eq!((kind.room, kind.how), (&*gate.room, gate.how), "{}", gate.id);
            }
        }
    }
}
