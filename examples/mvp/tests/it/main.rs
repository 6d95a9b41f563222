//! The example backend over real sockets and a real Postgres: its API against its own contract, its
//! switches, its spans, its simulator and its command line.

// `cfg(test)` tells the linter that these modules are tests throughout.
#[cfg(test)]
mod api;
#[cfg(test)]
mod command;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod database;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod support;
#[cfg(test)]
mod switches;
