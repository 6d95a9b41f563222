//! Every look there is. A new one is a variant here, its kind in `kinds`, and a function.

use plimsoll_console::Rooms;
use plimsoll_ledger::EvidenceKind;

use super::facts::Seen;
use super::{Observer, contracts, edge, kinds, manifest, memory, telemetry, writes};

/// Something that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Authentication,
    Limits,
    Breakers,
    Admission,
    Problems,
    Drain,
    Cache,
    ServiceLevels,
    Compression,
    Published,
    Versions,
    Verified,
    Epoch,
    Revocation,
    Database,
    Read,
    Idempotency,
    Retries,
    Objectives,
}

impl Look {
    pub(super) const ALL: [Self; 19] = [
        Self::Authentication,
        Self::Limits,
        Self::Breakers,
        Self::Admission,
        Self::Problems,
        Self::Drain,
        Self::Cache,
        Self::ServiceLevels,
        Self::Compression,
        Self::Published,
        Self::Versions,
        Self::Verified,
        Self::Epoch,
        Self::Revocation,
        Self::Database,
        Self::Read,
        Self::Idempotency,
        Self::Retries,
        Self::Objectives,
    ];

    /// What it brings.
    pub(super) const fn kind(self) -> EvidenceKind {
        match self {
            Self::Authentication => kinds::AUTHENTICATION,
            Self::Limits => kinds::LIMITS,
            Self::Breakers => kinds::BREAKERS,
            Self::Admission => kinds::ADMISSION,
            Self::Problems => kinds::PROBLEMS,
            Self::Drain => kinds::DRAIN,
            Self::Cache => kinds::CACHE,
            Self::ServiceLevels => kinds::SERVICE_LEVELS,
            Self::Compression => kinds::COMPRESSION,
            Self::Published => kinds::PUBLISHED,
            Self::Versions => kinds::VERSIONS,
            Self::Verified => kinds::VERIFIED,
            Self::Epoch => kinds::EPOCH,
            Self::Revocation => kinds::REVOCATION,
            Self::Database => kinds::DATABASE,
            Self::Read => kinds::READ,
            Self::Idempotency => kinds::IDEMPOTENCY,
            Self::Retries => kinds::RETRIES,
            Self::Objectives => kinds::OBJECTIVES,
        }
    }

    /// Looks. `None` where there is nothing to say now; an error where it could not be looked.
    pub(super) async fn make(
        self,
        observer: &mut Observer,
        rooms: &Rooms,
    ) -> Result<Option<Seen>, String> {
        match self {
            Self::Authentication => Ok(Some(edge::authentication(observer).await)),
            Self::Limits => Ok(Some(edge::limits(observer))),
            Self::Breakers => Ok(Some(edge::breakers(observer))),
            Self::Admission => Ok(Some(edge::admission(observer))),
            Self::Problems => Ok(Some(edge::problems(observer).await)),
            Self::Drain => memory::drain(rooms).await.map(Some),
            Self::Cache => Ok(Some(edge::cache(observer))),
            Self::ServiceLevels => Ok(Some(edge::service_levels(observer))),
            Self::Compression => Ok(Some(edge::compression(observer))),
            Self::Published => Ok(Some(contracts::published(observer).await)),
            Self::Versions => Ok(Some(contracts::versions(observer))),
            Self::Verified => Ok(memory::verified(observer, rooms)),
            Self::Epoch => memory::epoch(rooms).await.map(Some),
            Self::Revocation => memory::revocation(observer, rooms).await,
            Self::Database => Ok(Some(telemetry::database(observer))),
            Self::Read => Ok(Some(telemetry::read(observer))),
            Self::Idempotency => writes::idempotency(observer, rooms).await.map(Some),
            Self::Retries => Ok(Some(writes::retries(observer))),
            Self::Objectives => Ok(Some(manifest::objectives(observer))),
        }
    }
}
