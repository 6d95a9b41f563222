//! Drills: what is practised before it is needed. Today that is journeys; planned faults and full
//! rehearsals of a release will stand beside them.
//!
//! A [journey] is a sequence of requests that must not fail, such as sign-up or payment,
//! in a file of Hurl's syntax. [`journey::parse`] reads it, [`journey::Runner`] runs it against an
//! edge, and [`journey::touched`] says which operations it is made of.
//!
//! It never ignores a line that it does not understand, never follows a redirect, never asks
//! without a deadline, and never shows a secret that it was given.

pub mod journey;
