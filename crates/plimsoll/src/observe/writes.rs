//! Keyed writes: whether each is executed once, and whether what is sent again carries a key.

use plimsoll_console::Rooms;

use super::Observer;
use super::facts::{Seen, many};

/// What the records say of executions, and a write of our own that is claimed three times: granted,
/// held, replayed. No service hears of it.
pub(super) async fn idempotency(observer: &Observer, rooms: &Rooms) -> Result<Seen, String> {
    let looked = observer.node.memory.writes().look(rooms.store.pool()).await;
    let seen = looked.map_err(|error| error.to_string())?;
    let keys = usize::try_from(seen.keys).unwrap_or(usize::MAX);
    let says = match (keys, seen.executed_twice) {
        (0, 0) => "no write with a key was seen".to_owned(),
        (_, 0) => format!("{} with a key, each executed once", many(keys, "write")),
        (_, twice) => format!("{} with a key, {twice} executed twice", many(keys, "write")),
    };
    let first: Vec<String> = seen.first_twice.into_iter().collect();
    Ok(Seen::saying(says)
        .count("keys", keys)
        .count("executed_twice", seen.executed_twice)
        .first("first_twice", &first))
}

/// Operations that write, and those of them that were sent again without a key after they failed.
pub(super) fn retries(observer: &Observer) -> Seen {
    let seen = observer.node.edge.resent(observer.node.clock.now());
    let says = match (seen.operations, seen.unkeyed.len()) {
        (0, _) => "no write was seen".to_owned(),
        (all, 0) => format!("{}, none sent again without a key", many(all, "operation")),
        (all, few) => format!("{}, {few} sent again without a key", many(all, "operation")),
    };
    Seen::saying(says)
        .count("operations", seen.operations)
        .count("unkeyed", seen.unkeyed.len())
        .first("first_unkeyed", &seen.unkeyed)
}
