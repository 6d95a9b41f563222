//! `/otlp`: where the team's backend and apps send spans and figures (OTLP over HTTP).

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use http::header::{
    ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderValue, StatusCode};
use plimsoll_telemetry::OtlpSignal;
use plimsoll_telemetry::ingest::{BODY_BYTES_MAX, Reply, refusal};
use tokio::time::timeout;

use crate::http::Console;

/// Bodies read at once: with the bounds on each, some 80 MiB. One more is told to come again.
pub(crate) const READING_MAX: usize = 4;
/// A body must be there within this.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that an ingest token has at least: fewer can be guessed.
pub const TOKEN_BYTES_LEAST: usize = 16;

/// What whoever sends telemetry has to show. No `Debug` shows it.
#[derive(Clone)]
pub struct IngestToken(Arc<str>);

impl IngestToken {
    /// A token; none where it is shorter than [`TOKEN_BYTES_LEAST`].
    #[must_use]
    pub fn new(token: &str) -> Option<Self> {
        (token.len() >= TOKEN_BYTES_LEAST).then(|| Self(token.into()))
    }

    /// Whether the one `Authorization` shows it, in a time that says nothing of the token.
    pub(crate) fn is_shown(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some((scheme, given)) = value.as_bytes().split_at_checked("Bearer ".len()) else {
            return false;
        };
        let wanted = self.0.as_bytes();
        let mut differs = u8::from(given.len() != wanted.len());
        for (index, byte) in wanted.iter().enumerate() {
            differs |= byte ^ given.get(index).copied().unwrap_or(0);
        }
        scheme.eq_ignore_ascii_case(b"Bearer ") && black_box(differs) == 0
    }
}

impl fmt::Debug for IngestToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IngestToken(hidden)")
    }
}

/// Whether a path belongs here.
pub(crate) fn is_path(path: &str) -> bool {
    path == "/otlp" || path.starts_with("/otlp/")
}

/// A refusal that has nothing to do with the body.
#[derive(Debug)]
pub(crate) struct Refused(Reply);

impl Refused {
    pub(crate) fn new(headers: &HeaderMap, status: u16, says: &str) -> Self {
        Self(refusal(text(headers, &CONTENT_TYPE), status, says))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        answer(self.0)
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn answer(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, reply.body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if let Some(seconds) = reply.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    match reply.status {
        401 => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"otlp\""));
        }
        405 => {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        _ => {}
    }
    response
}

pub(crate) async fn take(
    State(console): State<Console>,
    Path(signal): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let refuse = |status, says| answer(refusal(text(&headers, &CONTENT_TYPE), status, says));
    let signal = match signal.as_str() {
        "traces" => OtlpSignal::Traces,
        "metrics" => OtlpSignal::Metrics,
        "logs" => OtlpSignal::Logs,
        _ => return refuse(404, "There are /otlp/v1/traces, /otlp/v1/metrics and /otlp/v1/logs."),
    };
    let Some(ingest) = console.source.ingest() else {
        return refuse(404, "This node takes no telemetry.");
    };
    let kind = text(&headers, &CONTENT_TYPE).to_owned();
    let Ok(place) = Arc::clone(&console.reading).try_acquire_owned() else {
        return answer(ingest.busy(&kind));
    };
    let body = match timeout(BODY_TIMEOUT, read(body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(Broken::TooLarge)) => return answer(ingest.too_large(&kind)),
        Ok(Err(Broken::Off)) => return refuse(400, "The body broke off."),
        Err(_) => return refuse(400, "The body did not arrive within 30 s."),
    };
    let coding = text(&headers, &CONTENT_ENCODING).to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let _place = place;
        ingest.accept(signal, &kind, &coding, &body)
    });
    match read.await {
        Ok(reply) => answer(reply),
        Err(_) => refuse(500, "Reading the request failed."),
    }
}

enum Broken {
    TooLarge,
    Off,
}

async fn read(body: Body) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Broken::Off)?;
        if chunk.len() > BODY_BYTES_MAX - bytes.len() {
            return Err(Broken::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let token = IngestToken::new("0123456789abcdef").unwrap();
        let shown = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            token.is_shown(&headers)
        };
        assert!(shown(&["Bearer 0123456789abcdef"]) && shown(&["bearer 0123456789abcdef"]));
        for wrong in [
            "Bearer 0123456789abcdeF",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer ",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!shown(&[wrong]), "{wrong}");
        }
        assert!(!shown(&[]) && !shown(&["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"]));
        assert!(IngestToken::new("short").is_none() && !format!("{token:?}").contains("0123"));
    }
}
