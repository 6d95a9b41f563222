//! Why a node that serves is not as it should be.

use std::time::Duration;

use plimsoll_console::Reason;
use plimsoll_edge::AdmissionFigures;
use plimsoll_ledger::SealerState;

use super::Node;

/// A service that has more to do than it can take. The node serves all the same.
pub(super) fn shedding(service: &str, figures: &AdmissionFigures) -> Option<Reason> {
    figures.shedding.then(|| Reason {
        code: "load_shed".to_owned(),
        why: format!(
            "{service} has all it can take, {} requests at once: others are refused.",
            figures.limit
        ),
        next: "Critical operations go first; docs/admission.md, When load is shed, says what to \
               look at."
            .to_owned(),
    })
}

impl Node {
    /// What of the memory is not as it should be. An edge serves all the same.
    pub(super) fn memory_reasons(&self) -> Vec<Reason> {
        let standing = self.memory.standing(self.clock.now());
        let mut reasons = Vec::new();
        if let Some(why) = standing.database_down {
            let age = match standing.known_ago {
                Some(ago) => format!("known {} s ago", ago.as_secs()),
                None => "from the last snapshot on disk".to_owned(),
            };
            reasons.push(Reason {
                code: "database_down".to_owned(),
                why: format!("The database is not used: {why}. Epoch {} is {age}.", standing.epoch),
                next: "Requests go on; operations with revocation = \"strict\" are refused and \
                       audited ones wait in the spool until it is back."
                    .to_owned(),
            });
        }
        reasons.extend(standing.sealer.and_then(of_sealer));
        if standing.unsealed_for >= UNSEALED_MAX {
            reasons.push(Reason {
                code: "ledger_lags".to_owned(),
                why: format!(
                    "The oldest entry that is not sealed was written {} s ago.",
                    standing.unsealed_for.as_secs()
                ),
                next: "An open transaction in the database's cluster holds the sealer back, or no \
                       node seals; docs/ledger.md, When sealing lags, names the query that finds it."
                    .to_owned(),
            });
        }
        if let Some(why) = standing.spool_damaged {
            reasons.push(Reason {
                code: "audit_spool_damaged".to_owned(),
                why: format!("Records on this node's disk do not reach the ledger: {why}."),
                next: "docs/ledger.md, A spool that cannot be read, says what to do.".to_owned(),
            });
        }
        reasons
    }
}

/// What the sealer cannot do, and what to do about it.
fn of_sealer(state: SealerState) -> Option<Reason> {
    let (code, why, next) = match state {
        SealerState::Down { why } => (
            "ledger_not_sealed",
            format!("The ledger is written but not sealed: {why}."),
            "It is tried again every second; docs/ledger.md, When sealing lags, says what to do.",
        ),
        SealerState::Diverged { why, .. } => (
            "ledger_not_signed",
            format!("The ledger is sealed but not signed: {why}."),
            "Run `plimsoll ledger verify`; docs/ledger.md says what each fault means.",
        ),
        SealerState::Unsigned { why, .. } => (
            "ledger_not_signed",
            format!("The ledger is sealed but not signed: {why}."),
            "It is tried again every 5 s; docs/ledger.md, After replacing the signing key, says \
             what to do where the key is another one.",
        ),
        _ => return None,
    };
    Some(Reason { code: code.to_owned(), why, next: next.to_owned() })
}

/// An entry that waits longer for the sealer is worth a word.
const UNSEALED_MAX: Duration = Duration::from_secs(60);
