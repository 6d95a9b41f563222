//! Clients that are many, slow, silent or hostile: each is bounded in what it can hold, and the
//! others are served meanwhile.

mod garbage;
mod idle;
mod loris;
mod reader;
mod tls;

pub(crate) use tls::{Certified, TlsScene, client_config, localhost};
