//! What limits are made from.

use std::time::Duration;

use plimsoll_manifest::{Limit, LimitPer, LimitUnits};

/// The most limits that one manifest may name: a set of them is one machine word.
pub const LIMITS_MAX: usize = 64;

/// Everything that [`Limits`](super::Limits) are made from.
#[derive(Clone, Debug, Default)]
pub struct LimitsOptions {
    /// The limits, by the manifest's order.
    pub limits: Vec<LimitOptions>,
    /// The id of every operation, at the operation's index.
    pub operations: Vec<String>,
    /// Other nodes are told what is used up here.
    pub shared: bool,
}

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitOptions {
    /// Its name in fields, problems and metrics; unique.
    pub name: String,
    /// What is counted apart.
    pub per: Per,
    /// What may be used in a window, in `units`.
    pub quota: u32,
    /// The window.
    pub window: Duration,
    /// What may be used at once after a pause, in `units`.
    pub burst: u32,
    /// What a request uses up.
    pub units: Units,
    /// The operations it applies to, by id; empty for all, unknown paths too.
    pub operations: Vec<String>,
    /// How many keys are tracked apart.
    pub keys_max: u32,
}

/// What a limit counts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// Each caller.
    Caller,
    /// Each address prefix, while the request is anonymous.
    Ip,
    /// Each operation, all callers together.
    Operation,
}

/// What a request uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// One.
    Requests,
    /// The operation's cost.
    Cost,
}

impl LimitsOptions {
    /// From the manifest and the operations of all contracts.
    #[must_use]
    pub fn from_manifest<'a>(
        limits: &[Limit],
        operations: impl IntoIterator<Item = &'a str>,
        shared: bool,
    ) -> Self {
        Self {
            limits: limits.iter().map(LimitOptions::from).collect(),
            operations: operations.into_iter().map(str::to_owned).collect(),
            shared,
        }
    }
}

impl From<&Limit> for LimitOptions {
    fn from(limit: &Limit) -> Self {
        Self {
            name: limit.name.as_str().to_owned(),
            per: match limit.per {
                LimitPer::Caller => Per::Caller,
                LimitPer::Ip => Per::Ip,
                LimitPer::Operation => Per::Operation,
            },
            quota: limit.quota,
            window: limit.window.0,
            burst: limit.burst(),
            units: match limit.units {
                LimitUnits::Requests => Units::Requests,
                LimitUnits::Cost => Units::Cost,
            },
            operations: limit.operations.clone(),
            keys_max: limit.keys_max,
        }
    }
}

/// Why limits cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitFault {
    /// Too many limits.
    #[error("{count} limits are named; at most {LIMITS_MAX} are allowed")]
    TooMany {
        /// How many are named.
        count: usize,
    },
    /// Two limits have one name.
    #[error("two limits are called `{name}`")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// The figures make no limit.
    #[error(
        "limit `{name}`: quota, window and burst must be more than zero, and the burst must be \
         earned within 100 years"
    )]
    Figures {
        /// The limit's name.
        name: String,
    },
    /// No contract has the operation.
    #[error("limit `{name}`: no operation is called `{operation}`")]
    UnknownOperation {
        /// The limit's name.
        name: String,
        /// The operation it names.
        operation: String,
    },
}
