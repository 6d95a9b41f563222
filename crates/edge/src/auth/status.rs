//! How an issuer's keys are, for people and probes.

use std::sync::Arc;
use std::time::Duration;

/// How fresh an issuer's keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// They were never seen: its tokens are answered with 503.
    Waiting,
    /// The last look brought them.
    Fresh,
    /// The last look failed; those from before are used.
    Stale,
    /// Its set holds no key that can be used: its tokens are answered with 503.
    Empty,
    /// They are older than `stale_max` and believed no more: 503.
    TooOld,
}

impl KeyState {
    /// Whether tokens of the issuer can be verified.
    #[must_use]
    pub fn serves(self) -> bool {
        matches!(self, Self::Fresh | Self::Stale)
    }
}

/// How one issuer's keys are.
#[derive(Clone, Debug)]
pub struct IssuerStatus {
    /// Its name, as in `iss`.
    pub issuer: Arc<str>,
    /// In one word.
    pub state: KeyState,
    /// How many keys can be used.
    pub keys: usize,
    /// The keys that it publishes and that cannot be used, each with the reason.
    pub skipped: Vec<String>,
    /// Time since they were last seen at their source; `None` when they never were.
    pub age: Option<Duration>,
    /// Looks that failed since then.
    pub failures: u32,
    /// What went wrong at the last look, if anything did, and what to do.
    pub last_error: Option<String>,
}
