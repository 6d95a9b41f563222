//! Asking a running Plimsoll over its `ops.sock`, for the command line.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::local::OPS_SOCKET;
use crate::socket::Place;

/// The most of an answer that is kept in memory, bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error(
        "no Plimsoll runs with the data directory {path} ({source}); start one with `plimsoll up`, \
         or name its directory with --data-dir DIR"
    )]
    NotRunning {
        /// The data directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It was refused.
    #[error("{says}")]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// What it says.
        says: String,
    },
    /// The answer came, and whoever it was for does not take it.
    #[error("the answer cannot be handed on: {0}")]
    NotTaken(#[source] io::Error),
    /// The connection broke off.
    #[error("the running Plimsoll broke off: {0}")]
    Broken(String),
}

/// Asks and gives the whole answer as JSON.
///
/// # Errors
/// See [`AskError`].
pub async fn ask(
    data_dir: &Path,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, AskError> {
    let mut bytes = Vec::new();
    let take = |piece: &[u8]| {
        if bytes.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(io::Error::other("the answer is longer than 16 MiB"));
        }
        bytes.extend_from_slice(piece);
        Ok(())
    };
    ask_streaming(data_dir, method, path, body, take).await?;
    serde_json::from_slice(&bytes).map_err(|error| AskError::Broken(error.to_string()))
}

/// Asks and hands over the answer piece by piece.
///
/// # Errors
/// See [`AskError`]; also what `take` says.
pub async fn ask_streaming(
    data_dir: &Path,
    method: Method,
    path: &str,
    body: Option<&Value>,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), AskError> {
    let broken = |error: &dyn std::fmt::Display| AskError::Broken(error.to_string());
    let mut answer = send(data_dir, method, path, body).await?;
    if !answer.status().is_success() {
        return Err(refusal(answer.status(), answer.body_mut()).await);
    }
    while let Some(frame) = answer.body_mut().frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        if let Some(piece) = frame.data_ref() {
            take(piece).map_err(AskError::NotTaken)?;
        }
    }
    Ok(())
}

async fn send(
    data_dir: &Path,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<http::Response<Incoming>, AskError> {
    let not_running = |source| AskError::NotRunning { path: data_dir.to_owned(), source };
    let place = Place::of(data_dir, OPS_SOCKET).map_err(not_running)?;
    let stream = place.connect().await.map_err(not_running)?;
    let broken = |error: &dyn std::fmt::Display| AskError::Broken(error.to_string());
    let handshake = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "one connection of a command, which ends with it"
    )]
    tokio::task::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to ops.sock ended");
        }
    });
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| broken(&error))?;
    sender.send_request(request).await.map_err(|error| broken(&error))
}

/// RFC 3986 §2.3: what is unreserved stays, all else is escaped.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A part of a path's query, escaped (RFC 3986 §2.1).
#[must_use]
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, &ESCAPED).to_string()
}

/// What a problem document says.
async fn refusal(status: StatusCode, body: &mut Incoming) -> AskError {
    let mut text = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(piece) = frame.data_ref()
            && text.len() + piece.len() <= 64 * 1024
        {
            text.extend_from_slice(piece);
        }
    }
    let problem: Value = serde_json::from_slice(&text).unwrap_or_default();
    let said = |key: &str| problem.get(key).and_then(Value::as_str);
    let says = match (said("code"), said("detail")) {
        (Some(code), Some(detail)) => format!("{detail} ({code})"),
        _ => format!("the running Plimsoll answered {status}"),
    };
    AskError::Refused { status, says }
}
