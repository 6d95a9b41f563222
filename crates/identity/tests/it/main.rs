//! Revoking against a real Postgres.

#[cfg(test)]
mod revoking;
