//! Keyed writes against a real Postgres.

// Under `cfg(test)` the lints know that helpers here are test code.
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod records;
#[cfg(test)]
mod scene;
