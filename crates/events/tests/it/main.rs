//! Events against a real Postgres.

#[cfg(test)]
mod consumers;
#[cfg(test)]
mod retention;
