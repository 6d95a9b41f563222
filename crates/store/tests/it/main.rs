//! The store against a real Postgres.

// Under `cfg(test)` the lints know that helpers here are test code.
#[cfg(test)]
mod backups;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod database;
#[cfg(test)]
mod migrations;
#[cfg(test)]
mod outside;
#[cfg(test)]
mod place;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod rooms;
#[cfg(test)]
mod running;
