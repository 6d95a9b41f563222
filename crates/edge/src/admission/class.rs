//! The class of a request: what the contract or the manifest gives its operation, lowered by what
//! the client says of itself, never raised by it.

use plimsoll_http_kit::client::AppState;
use plimsoll_snapshot::Criticality;

/// RFC 9218 §4.1: urgencies 0 to 7, 3 where nothing is said; 7 is for background work.
const URGENCY_ORDINARY_MAX: u8 = 3;
const URGENCY_SHEDDABLE_MAX: u8 = 5;

/// What the client says of the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppSays {
    /// The urgency of `Priority` (RFC 9218), where it is one.
    pub(crate) urgency: Option<u8>,
    pub(crate) state: AppState,
}

/// The class that counts: the operation's own, or what the client lowers it to.
pub(crate) fn class_of(own: Criticality, says: AppSays) -> Criticality {
    let by_urgency = match says.urgency {
        None => Criticality::Critical,
        Some(urgency) if urgency <= URGENCY_ORDINARY_MAX => Criticality::Critical,
        Some(urgency) if urgency <= URGENCY_SHEDDABLE_MAX => Criticality::Sheddable,
        Some(_) => Criticality::Background,
    };
    let by_state = match says.state {
        AppState::Foreground | AppState::Unknown => Criticality::Critical,
        AppState::Background => Criticality::Sheddable,
        // Nobody has asked to see it yet.
        AppState::Prefetch => Criticality::Background,
    };
    own.max(by_urgency).max(by_state)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [AppState; 4] =
        [AppState::Foreground, AppState::Background, AppState::Prefetch, AppState::Unknown];

    #[test]
    fn what_a_client_says_never_raises_a_class() {
        for own in Criticality::ALL {
            for state in STATES {
                for urgency in [None, Some(0), Some(3), Some(5), Some(7), Some(200)] {
                    assert!(class_of(own, AppSays { urgency, state }) >= own);
                }
            }
        }
    }

    #[test]
    fn what_nobody_waits_for_goes_last() {
        let class = |urgency, state| class_of(Criticality::Critical, AppSays { urgency, state });
        assert_eq!(class(None, AppState::Foreground), Criticality::Critical);
        assert_eq!(class(Some(0), AppState::Unknown), Criticality::Critical);
        assert_eq!(class(Some(5), AppState::Foreground), Criticality::Sheddable);
        assert_eq!(class(None, AppState::Background), Criticality::Sheddable);
        assert_eq!(class(None, AppState::Prefetch), Criticality::Background);
        assert_eq!(class(Some(7), AppState::Foreground), Criticality::Background);
    }
}
