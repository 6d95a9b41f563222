//! The built binary as its users meet it: real sockets, real processes, a scripted origin with a
//! raw byte log as the judge.

// Under `cfg(test)` the lints know that helpers here are test code.
#[cfg(test)]
mod admission;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod append;
#[cfg(test)]
mod backends;
#[cfg(test)]
mod backups;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod compression;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod gates;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod installations;
#[cfg(test)]
mod journeys;
#[cfg(test)]
mod keyed;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod ready;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod resilience;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod shared_limits;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod status;
#[cfg(test)]
mod streams;
