//! Admission: how many requests a service gets at once, and who waits, in what order, or is told
//! to come back later when that is not enough.
//!
//! [`Admission`] is the whole decision for one service: an adaptive limit on requests in flight
//! ([`concurrency`]), a bounded queue with classes before it ([`queue`]), and the times at which
//! those who were refused are asked to return ([`returns`]). It is pure: no clock of its own, no
//! chance, no I/O. The edge ([`gate`]) and the simulation in its tests run the very same type.
//!
//! It never refuses anybody while a slot is free, never lets more in than the limit, and never
//! holds requests back in order to measure.

mod class;
mod concurrency;
mod gate;
mod model;
mod queue;
mod returns;
mod trial;

pub(crate) use class::{AppSays, class_of};
pub(crate) use concurrency::{Bounds, Ended};
pub(crate) use gate::{Arrival, Gate, Slot};
pub(crate) use model::Rules;
pub use model::{AdmissionFigures, Reason};
pub(crate) use queue::Patience;
pub use trial::AdmissionTried;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
