//! Which operations answer what may be stored. Where none ever did, the cache costs nothing: no
//! copy of the request is kept, nothing is looked up, and nobody waits for another's answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Operations told apart; two that share a place share its habit.
const PLACES: usize = 1 << 12;

/// After so many answers in a row that may not be stored an operation is left alone, until it
/// answers one that may.
const DORMANT_AFTER: u32 = 64;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Habits(Box<[AtomicU32]>);

impl Default for Habits {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU32::new(0)).collect())
    }
}

/// An operation's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Habit(usize);

impl Habits {
    /// Names live as long as their configuration, so that their address tells them apart.
    pub(crate) fn of(&self, operation: &Arc<str>) -> Habit {
        Habit((Arc::as_ptr(operation).cast::<u8>() as usize >> 4) % PLACES)
    }

    /// Nothing that may be stored has come for long.
    pub(crate) fn is_dormant(&self, habit: Habit) -> bool {
        self.0[habit.0].load(Ordering::Relaxed) >= DORMANT_AFTER
    }

    /// The last answer could be stored, or none has come yet: it is worth waiting for another's.
    pub(crate) fn is_worth_waiting(&self, habit: Habit) -> bool {
        self.0[habit.0].load(Ordering::Relaxed) == 0
    }

    /// An answer came that may be stored, or not.
    pub(crate) fn note(&self, habit: Habit, storable: bool) {
        let place = &self.0[habit.0];
        if storable {
            place.store(0, Ordering::Relaxed);
        } else {
            // Past the bound it does not matter by how much.
            let seen = place.load(Ordering::Relaxed);
            place.store((seen + 1).min(DORMANT_AFTER), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_storable_answer_wakes_an_operation() {
        let habits = Habits::default();
        let habit = habits.of(&"listOrders".into());
        assert!(habits.is_worth_waiting(habit));
        for seen in 1..=DORMANT_AFTER + 9 {
            habits.note(habit, false);
            assert!(!habits.is_worth_waiting(habit));
            assert_eq!(habits.is_dormant(habit), seen >= DORMANT_AFTER);
        }
        habits.note(habit, true);
        assert!(!habits.is_dormant(habit) && habits.is_worth_waiting(habit));
    }
}
