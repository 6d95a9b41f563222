//! The ledger against a real Postgres: what it writes, and what it notices when somebody with all
//! rights lays hands on it.

#[cfg(test)]
mod place;

#[cfg(test)]
mod appending;
#[cfg(test)]
mod checkpoints;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod export;
#[cfg(test)]
mod leftovers;
#[cfg(test)]
mod sealing;
#[cfg(test)]
mod spool;
#[cfg(test)]
mod spool_kill;
#[cfg(test)]
mod tampering;
