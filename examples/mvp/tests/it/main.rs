//! The example backend over real sockets: its API against its own contract, its switches, its
//! simulator and its command line.

// `cfg(test)` tells the linter that these modules are tests throughout.
#[cfg(test)]
mod api;
#[cfg(test)]
mod command;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod support;
#[cfg(test)]
mod switches;
