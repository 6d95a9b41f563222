//! Epochs in a real Postgres.

mod epoch;
