//! What a client gets: an answer, or why there is none.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::wire::{BodyEnd, Headers};

/// Why an answer could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket failed; a reset by the peer is one of these.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The system's word.
        source: io::Error,
    },
    /// The patience ran out.
    #[error("{doing}: nothing more within the patience; so far {so_far:?}")]
    Timeout {
        /// What was being done.
        doing: &'static str,
        /// The unread bytes, at most 200.
        so_far: String,
    },
    /// The peer ended the connection too soon.
    #[error("{doing}: the peer ended the connection; so far {so_far:?}")]
    Ended {
        /// What was being done.
        doing: &'static str,
        /// The unread bytes, at most 200.
        so_far: String,
    },
    /// The answer breaks RFC 9112, or something came that was not asked for.
    #[error("malformed: {0}")]
    Malformed(String),
}

impl ClientError {
    /// Whether the peer ended or reset the connection before it sent a single byte of an answer.
    #[must_use]
    pub fn is_silent_end(&self) -> bool {
        match self {
            Self::Ended { so_far, .. } => so_far.is_empty(),
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
            }
            Self::Timeout { .. } | Self::Malformed(_) => false,
        }
    }

    /// Whether the patience ran out.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }
}

/// What a [`crate::RawClient`] speaks over. Wrap a TLS stream to speak over TLS.
pub trait Wire: Read + Write {
    /// The longest that a single read or write may take.
    ///
    /// # Errors
    /// When the socket refuses it.
    fn set_patience(&self, at_most: Duration) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn set_patience(&self, at_most: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(at_most))?;
        self.set_write_timeout(Some(at_most))
    }
}

impl Wire for UnixStream {
    fn set_patience(&self, at_most: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(at_most))?;
        self.set_write_timeout(Some(at_most))
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct RawResponse {
    /// Status.
    pub status: u16,
    /// Reason phrase.
    pub reason: String,
    /// Fields in order.
    pub headers: Headers,
    /// Interim answers (1xx) that came before it, status and fields.
    pub interim: Vec<(u16, Headers)>,
    /// The head as it came, with its last CRLF CRLF.
    pub raw_head: Vec<u8>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// Trailer fields of a chunked body.
    pub trailers: Headers,
    pub(super) end: BodyEnd,
}

impl RawResponse {
    /// The body as text, bytes that are no UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<serde_json::Value, ClientError> {
        serde_json::from_slice(&self.body)
            .map_err(|e| ClientError::Malformed(format!("{e} in {:?}", self.text())))
    }

    /// Whether the connection can carry another request by what the answer says.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        !self.headers.lists("connection", "close") && self.end != BodyEnd::Close
    }
}

pub(super) fn status_line(line: &str) -> Result<(u16, String), ClientError> {
    let bad = || ClientError::Malformed(format!("status line {line:?}"));
    // A server may answer HTTP/1.0 in its own version (RFC 9112, 2.3).
    let version = ["HTTP/1.1 ", "HTTP/1.0 "].into_iter().find(|v| line.starts_with(v));
    let rest = version.and_then(|version| line.strip_prefix(version)).ok_or_else(bad)?;
    let (status, reason) = rest.split_once(' ').ok_or_else(bad)?;
    let digits = status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit());
    let status = digits.then(|| status.parse().ok()).flatten().ok_or_else(bad)?;
    Ok((status, reason.to_owned()))
}
