//! Ids of entries: UUID version 7, increasing within one process, so that entries of one
//! transaction are sealed in the order in which they were written.

use std::sync::{Mutex, PoisonError};

use plimsoll_protection::{RandomError, random};
use uuid::Uuid;

/// Twelve bits after the time count within a millisecond (RFC 9562 §6.2, method 1).
const COUNTER_MAX: u16 = 0x0fff;

/// Makes ids that increase.
#[derive(Debug, Default)]
pub(crate) struct Ids(Mutex<(u64, u16)>);

impl Ids {
    /// An id for `unix_ms`, greater than every id before it.
    pub(crate) fn next(&self, unix_ms: u64) -> Result<Uuid, RandomError> {
        let tail: [u8; 8] = random()?;
        let (ms, counter) = {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *last = match *last {
                (ms, _) if unix_ms > ms => (unix_ms, 0),
                (ms, COUNTER_MAX) => (ms + 1, 0),
                (ms, counter) => (ms, counter + 1),
            };
            *last
        };
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&counter.to_be_bytes());
        bytes[2..].copy_from_slice(&tail);
        Ok(uuid::Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_even_when_time_does_not() {
        let ids = Ids::default();
        let mut last = Uuid::nil();
        for at in [5, 5, 4, 6].into_iter().chain(std::iter::repeat_n(6, 9_000)) {
            let id = ids.next(at).unwrap();
            assert!(id > last, "{last} then {id}");
            assert_eq!(id.get_version_num(), 7);
            last = id;
        }
    }
}
