//! Calls against real sockets: what a peer can do to us, and what it cannot.

#[cfg(test)]
mod peer;

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod encrypted;
