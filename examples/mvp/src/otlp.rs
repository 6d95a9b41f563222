//! OpenTelemetry over HTTP in JSON (OTLP): where it goes and how it gets there.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::Value;
use tokio::time::timeout;

use crate::client::{Connection, LocalUrl, NotLocal};

/// How long one message may take.
const POST_WITHIN: Duration = Duration::from_secs(5);

/// Where OTLP is taken, on this machine: `http://127.0.0.1:4318`, with a path or without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    server: LocalUrl,
    path: String,
}

impl FromStr for Url {
    type Err = NotLocal;

    fn from_str(text: &str) -> Result<Self, NotLocal> {
        let after_scheme = text.strip_prefix("http://").unwrap_or(text);
        let path_at = after_scheme.find('/').map(|at| at + text.len() - after_scheme.len());
        let (server, path) = text.split_at(path_at.unwrap_or(text.len()));
        let path = path.trim_end_matches('/');
        if path.contains(['?', '#', ' ']) {
            return Err(NotLocal::new(text));
        }
        Ok(Self { server: server.parse()?, path: path.to_owned() })
    }
}

/// Why a message did not arrive.
#[derive(Debug, thiserror::Error)]
#[error("http://{to} did not take them: {why}")]
pub(crate) struct SendError {
    to: String,
    why: String,
}

/// Sends messages, one after the other, over one connection.
pub(crate) struct Sender {
    url: Url,
    connection: Connection,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Sender {
    pub(crate) fn to(url: Url) -> Self {
        Self { connection: Connection::to(url.server), url }
    }

    /// Sends a message of that signal (`traces`, `metrics`). It is not sent twice.
    pub(crate) async fn post(&mut self, signal: &str, message: &Value) -> Result<(), SendError> {
        let path = format!("{}/v1/{signal}", self.url.path);
        let failed = |why: String| SendError { to: format!("{}{path}", self.url.server.0), why };
        let request = Request::post(&path)
            .header("content-type", "application/json")
            .body(Bytes::from(message.to_string()))
            .map_err(|error| failed(error.to_string()))?;
        match timeout(POST_WITHIN, self.connection.send(request)).await {
            Ok(Ok(answer)) if answer.status.is_success() => Ok(()),
            Ok(Ok(answer)) => Err(failed(answer.status.to_string())),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => {
                self.connection.close();
                Err(failed(format!("no answer in {} s", POST_WITHIN.as_secs())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_stand_behind_the_server() {
        let url = |text: &str| text.parse::<Url>().map(|url| (url.server.0.to_string(), url.path));
        let of = |path: &str| Ok(("127.0.0.1:8081".to_owned(), path.to_owned()));
        assert_eq!(url("http://127.0.0.1:8081/otlp"), of("/otlp"));
        assert_eq!(url("http://127.0.0.1:8081/"), of(""));
        assert_eq!(url("http://localhost:8081"), of(""));
        for bad in ["https://127.0.0.1:8081/otlp", "http://10.0.0.1:80/", "127.0.0.1:80", "/a"] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
