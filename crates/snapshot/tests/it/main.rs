//! Epochs in a real Postgres.

// Under `cfg(test)` the lints know that helpers here are test code.
#[cfg(test)]
mod epoch;
