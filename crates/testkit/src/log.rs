//! The origin's book: what arrived on each connection, byte for byte, and what became of it.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::wire::Headers;

/// How a connection ended, as the origin saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Closing {
    /// The peer ended it between two requests.
    ByPeer,
    /// The peer ended or broke it inside a request or an answer.
    Broken,
    /// The origin ended it in order.
    ByOrigin,
    /// The origin reset it, as a script told it.
    Reset,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Still going on.
    Pending,
    /// The whole answer was handed to the kernel.
    Answered {
        /// Status of the answer.
        status: u16,
        /// Body bytes of the answer.
        body_bytes: u64,
    },
    /// The script ended it early or never answered.
    AsScripted,
    /// The connection broke first.
    Broken,
    /// The request was not proper HTTP/1.1 and was answered 400.
    Refused,
}

/// One request as the origin read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The connection it came on.
    pub connection: u64,
    /// Its place on the connection, from 0.
    pub sequence: u64,
    /// Value of the id header ([`crate::ID_HEADER`]).
    pub id: Option<String>,
    /// Method.
    pub method: String,
    /// Request target as sent.
    pub target: String,
    /// Fields as sent.
    pub headers: Headers,
    /// Body bytes, framing not counted.
    pub body_bytes: u64,
    /// SHA-256 of the body in hex; `None` until all of it has come.
    pub body_digest: Option<String>,
    /// What is wrong with it by RFC 9112; empty when nothing is.
    pub anomalies: Vec<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// One connection's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLog {
    /// Its number, from 0.
    pub id: u64,
    /// Every byte received, heads always whole, bodies up to the bound of the options.
    pub received: Vec<u8>,
    /// Bytes of long bodies that were counted and not kept.
    pub elided: u64,
    /// How it ended; `None` while it is open.
    pub closed: Option<Closing>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    Opened { connection: u64 },
    Received { connection: u64, bytes: &'a [u8] },
    Elided { connection: u64, bytes: u64 },
    Began(Exchange),
    Ended(Exchange),
    Closed { connection: u64, how: Closing },
}

/// The book itself. In memory, and on request also in a file that outlives a `kill -9` of its
/// writer: each event is one `write` to a file opened for appending.
#[derive(Debug)]
pub struct OriginLog {
    pages: Mutex<Pages>,
    file: Option<File>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) connections: Vec<ConnectionLog>,
    pub(crate) exchanges: Vec<Exchange>,
    held: usize,
    pub(crate) requests_begun: u64,
}

impl Pages {
    pub(crate) fn take(&mut self, event: &Event<'_>, bytes_max: usize) {
        match event {
            Event::Opened { connection } => {
                self.connections.push(ConnectionLog {
                    id: *connection,
                    received: Vec::new(),
                    elided: 0,
                    closed: None,
                });
            }
            Event::Received { connection, bytes } => {
                let room = bytes_max.saturating_sub(self.held).min(bytes.len());
                self.held += room;
                if let Some(page) = self.connection(*connection) {
                    page.received.extend_from_slice(&bytes[..room]);
                    page.elided += (bytes.len() - room) as u64;
                }
            }
            Event::Elided { connection, bytes } => {
                if let Some(page) = self.connection(*connection) {
                    page.elided += bytes;
                }
            }
            Event::Began(exchange) => {
                self.requests_begun += 1;
                self.exchanges.push(exchange.clone());
            }
            Event::Ended(exchange) => {
                let found = self.exchanges.iter_mut().rev().find(|e| {
                    e.connection == exchange.connection && e.sequence == exchange.sequence
                });
                if let Some(found) = found {
                    found.clone_from(exchange);
                }
            }
            Event::Closed { connection, how } => {
                if let Some(page) = self.connection(*connection) {
                    page.closed = Some(*how);
                }
            }
        }
    }

    fn connection(&mut self, id: u64) -> Option<&mut ConnectionLog> {
        // Connections are numbered in the order they were opened, so the look-up is an index.
        usize::try_from(id).ok().and_then(|at| self.connections.get_mut(at))
    }
}

impl OriginLog {
    /// A book that keeps at most `bytes_max` received bytes, also written to `file`.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub(crate) fn new(bytes_max: usize, file: Option<&Path>) -> io::Result<Self> {
        let file =
            file.map(|path| File::options().create(true).append(true).open(path)).transpose()?;
        Ok(Self { pages: Mutex::default(), file, bytes_max })
    }

    pub(crate) fn open_connection(&self) -> u64 {
        let mut pages = self.pages();
        let connection = pages.connections.len() as u64;
        pages.take(&Event::Opened { connection }, self.bytes_max);
        drop(pages);
        self.to_file(&Event::Opened { connection });
        connection
    }

    pub(crate) fn note(&self, event: &Event<'_>) {
        self.pages().take(event, self.bytes_max);
        self.to_file(event);
    }

    fn to_file(&self, event: &Event<'_>) {
        if let Some(mut file) = self.file.as_ref() {
            // A full disk must not change what the origin answers; the reader sees the gap.
            file.write_all(&crate::log_file::encode(event)).ok();
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every request so far, in the order they began.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.pages().exchanges.clone()
    }

    /// The requests that carried this id.
    #[must_use]
    pub fn with_id(&self, id: &str) -> Vec<Exchange> {
        self.pages().exchanges.iter().filter(|e| e.id.as_deref() == Some(id)).cloned().collect()
    }

    /// Every connection so far with its bytes.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionLog> {
        self.pages().connections.clone()
    }

    /// Connections that are open now.
    #[must_use]
    pub fn connections_open(&self) -> usize {
        self.pages().connections.iter().filter(|c| c.closed.is_none()).count()
    }

    /// Requests begun so far, cleared ones too.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.pages().requests_begun
    }

    /// Everything that was wrong with any request.
    #[must_use]
    pub fn anomalies(&self) -> Vec<String> {
        self.pages().exchanges.iter().flat_map(|e| e.anomalies.clone()).collect()
    }

    /// Forgets the exchanges and bytes in memory (not the file, not the connections' numbers).
    pub fn clear(&self) {
        let mut pages = self.pages();
        pages.exchanges.clear();
        pages.held = 0;
        for connection in &mut pages.connections {
            connection.received.clear();
        }
    }
}
