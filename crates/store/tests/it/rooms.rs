//! Rooms for tests.

use plimsoll_store::Room;
use sqlx::migrate::Migrator;

static GARDEN_MIGRATOR: Migrator = sqlx::migrate!("tests/it/rooms/garden");

/// A room with a table to write and a diary to append to.
pub(crate) const GARDEN: Room =
    Room { name: "garden", migrator: &GARDEN_MIGRATOR, append_only: &["diary"] };
