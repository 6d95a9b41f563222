//! The built binary as its users meet it: real sockets, real processes, a scripted origin with a
//! raw byte log as the judge.

mod answers;
mod bodies;
mod cli;
mod drain;
mod failures;
mod http2;
mod reload;
mod scene;
mod slow;
mod smuggling;
mod streams;
