//! What an edge acts on: plain, versioned serde sections, one per room that feeds the edge.
//!
//! A room makes its section, the edge obeys it, and neither sees the other: `contracts` makes
//! [`Routes`], the edge's router reads it. A section is data and nothing else: no I/O, no clock,
//! no policy lives here, and no secret may stand in it.
//!
//! Every section carries a `format` number. [`Routes::from_json`] reads that number before
//! anything else, so that a file or message of another version is refused with a sentence that
//! says what to do, not with a serde message about some field.

mod nameless;
mod routes;
pub mod template;

pub use nameless::{NAMELESS_OTHER, NAMES_MAX, NamelessNames, nameless};
pub use routes::{
    ApiVersion, Cost, OperationRoute, ROUTES_FORMAT, Routes, Security, ServiceRoutes, SnapshotError,
};
