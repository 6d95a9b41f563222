//! The record of a keyed write and what may become of it. Pure: no I/O, no clock.
//!
//! ```text
//!            begin                        answered
//! (none) ───────────▶ leased(owner, fence) ─────────▶ answered
//!    ▲                  │  │  ▲
//!    └───── released ───┘  │  │ begin, where the policy takes over: fence + 1
//!                          ▼  │
//!                        unknown ── answered, by the owner that was late ──▶ answered
//! ```
//!
//! A lease that ran out is an unknown outcome: its owner may have sent the write. What an owner
//! says counts only while the record still has its fence.

use std::fmt;

/// Who executes: drawn at random for each attempt.
pub type Owner = u128;

/// A keyed hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}..", self.0[0], self.0[1])
    }
}

/// What a write is known by: one of a kind in its scope.
pub type WriteId = Hash;

/// What happens to a write whose outcome is unknown when it is sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// Nothing: whoever sends it again is told.
    #[default]
    Hold,
    /// It is executed again: the service itself obeys the key.
    Retry,
    /// It is found out first, by whoever gets the lease.
    Ask,
}

/// A write that wants to be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What it is known by.
    pub id: WriteId,
    /// Who asks.
    pub caller: Hash,
    /// Who that counted as before it could be told apart better: a write of that one is its own,
    /// and none of its own is that one's.
    pub formerly: Option<Hash>,
    /// For what exactly.
    pub fingerprint: Hash,
    /// Who would execute it.
    pub owner: Owner,
    /// What happens where an execution before it has an unknown outcome.
    pub on_unknown: OnUnknown,
    /// How long the record is kept, milliseconds.
    pub kept_for_ms: u64,
    /// For people: the service.
    pub service: String,
    /// For people: the operation.
    pub operation: String,
}

/// The state of a record; times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Somebody executes it, or died over it once the lease has run out.
    Leased {
        /// When the lease runs out.
        until_ms: u64,
        /// An execution before this one has an unknown outcome since then.
        unknown_since_ms: Option<u64>,
    },
    /// It may have been executed.
    Unknown {
        /// Since when nobody works on it.
        since_ms: u64,
    },
    /// It was executed, and this is what came of it.
    Answered {
        /// The answer, sealed.
        sealed: Vec<u8>,
    },
}

/// The record of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who asked.
    pub caller: Hash,
    /// For what exactly.
    pub fingerprint: Hash,
    /// Who executes or executed it.
    pub owner: Owner,
    /// Which execution that is, from 1.
    pub fence: u64,
    /// Executions that a policy allowed after an unknown outcome.
    pub taken_over: u64,
    /// When the record goes.
    pub expires_ms: u64,
    /// What is known.
    pub state: State,
}

/// What a claim comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Execute it, under this fence.
    Granted {
        /// The fence.
        fence: u64,
        /// Where an execution before has an unknown outcome: since when. It is to be found out
        /// first ([`OnUnknown::Ask`]) or executed again ([`OnUnknown::Retry`]).
        unknown_since_ms: Option<u64>,
    },
    /// Another executes it.
    Running,
    /// It was executed; the answer, sealed.
    Replay {
        /// Under which fence it was sealed.
        fence: u64,
        /// The answer.
        sealed: Vec<u8>,
    },
    /// It may have been executed, since then.
    Unknown {
        /// Since when nobody works on it.
        since_ms: u64,
    },
    /// The key was used for another request.
    OtherPayload,
    /// The key was used by another caller.
    OtherCaller,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this answer, sealed.
    Answered {
        /// The answer.
        sealed: Vec<u8>,
    },
    /// Nothing of it can have been executed, or the service said that it was not.
    Released,
    /// It may have been executed.
    Unknown,
}

/// What an outcome does to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It is this now.
    Is(Record),
    /// It goes.
    Gone,
    /// Nothing: another execution has taken over, or all is said.
    Fenced,
}

/// A claim against the record, if there is one. The record is what it is from now on; `None` where
/// nothing changes.
#[must_use]
pub fn begin(
    record: Option<&Record>,
    claim: &Claim,
    now_ms: u64,
    lease_ms: u64,
) -> (Decision, Option<Record>) {
    let Some(record) = record.filter(|record| !record.has_expired(now_ms)) else {
        return grant(record, claim, None, now_ms, lease_ms);
    };
    if record.caller != claim.caller && claim.formerly != Some(record.caller) {
        return (Decision::OtherCaller, None);
    }
    if record.fingerprint != claim.fingerprint {
        return (Decision::OtherPayload, None);
    }
    match &record.state {
        State::Answered { sealed } => {
            (Decision::Replay { fence: record.fence, sealed: sealed.clone() }, None)
        }
        // Its own claim, whose answer got lost on the way.
        State::Leased { until_ms, unknown_since_ms }
            if record.owner == claim.owner && *until_ms > now_ms =>
        {
            let unknown_since_ms = *unknown_since_ms;
            (Decision::Granted { fence: record.fence, unknown_since_ms }, None)
        }
        State::Leased { until_ms, .. } if *until_ms > now_ms => (Decision::Running, None),
        State::Leased { until_ms: since_ms, .. } | State::Unknown { since_ms } => {
            let since_ms = *since_ms;
            if claim.on_unknown == OnUnknown::Hold {
                let state = State::Unknown { since_ms };
                let noted = (record.state != state).then(|| Record { state, ..record.clone() });
                return (Decision::Unknown { since_ms }, noted);
            }
            grant(Some(record), claim, Some(since_ms), now_ms, lease_ms)
        }
    }
}

/// A lease for the claim, with the next fence.
pub(crate) fn grant(
    before: Option<&Record>,
    claim: &Claim,
    unknown_since_ms: Option<u64>,
    now_ms: u64,
    lease_ms: u64,
) -> (Decision, Option<Record>) {
    let kept = before.filter(|record| !record.has_expired(now_ms));
    let fence = before.map_or(0, |record| record.fence).saturating_add(1);
    // What has expired is another write's now: its executions do not count for this one.
    let taken_over = match kept {
        Some(record) => record.taken_over + u64::from(unknown_since_ms.is_some()),
        None => fence - 1,
    };
    let until_ms = now_ms.saturating_add(lease_ms);
    let record = Record {
        caller: claim.caller,
        fingerprint: claim.fingerprint,
        owner: claim.owner,
        fence,
        taken_over,
        expires_ms: now_ms.saturating_add(claim.kept_for_ms),
        state: State::Leased { until_ms, unknown_since_ms },
    };
    (Decision::Granted { fence, unknown_since_ms }, Some(record))
}

/// What an owner says of its execution.
#[must_use]
pub fn finish(
    record: &Record,
    owner: Owner,
    fence: u64,
    outcome: Outcome,
    now_ms: u64,
) -> Finished {
    if (record.owner, record.fence) != (owner, fence) {
        return Finished::Fenced;
    }
    let before = match &record.state {
        State::Answered { .. } => return Finished::Fenced,
        State::Leased { unknown_since_ms, .. } => *unknown_since_ms,
        State::Unknown { .. } if outcome == Outcome::Unknown => return Finished::Fenced,
        // Late, and still the last word: nobody has taken over. What came before a take-over is
        // not told apart any more, so it counts as unknown.
        State::Unknown { since_ms } => (record.taken_over > 0).then_some(*since_ms),
    };
    let state = match (outcome, before) {
        (Outcome::Answered { sealed }, _) => State::Answered { sealed },
        (Outcome::Unknown, _) => State::Unknown { since_ms: now_ms },
        // This one did nothing, but the one before may have.
        (Outcome::Released, Some(since_ms)) => State::Unknown { since_ms },
        (Outcome::Released, None) => return Finished::Gone,
    };
    Finished::Is(Record { state, ..record.clone() })
}

impl Record {
    /// Whether it may go: its time is over and nobody executes it.
    #[must_use]
    pub fn has_expired(&self, now_ms: u64) -> bool {
        let lives = matches!(self.state, State::Leased { until_ms, .. } if until_ms > now_ms);
        self.expires_ms <= now_ms && !lives
    }
}

#[cfg(test)]
mod tests;
