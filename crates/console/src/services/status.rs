//! `GET /status.json` and `/.plimsoll/status`: the node's state for everybody. It says what a user
//! would notice, and nothing of how the house is built: no name, no address, no cause.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use plimsoll_base::SharedClock;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::model::Source;
use crate::services::page;

/// A flood of questions is answered by caches; five seconds late is no harm.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=5");

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    /// `ok` or `degraded`.
    state: &'static str,
    /// Since when this is so (RFC 3339).
    pub(super) since: String,
    /// The same in seconds since 1970, as `Plimsoll-Status` says it: another one means that
    /// something has changed.
    epoch: u64,
    /// What is not as it should be, in words for users.
    pub(super) degraded: Vec<&'static str>,
}

impl Answer {
    pub(super) fn is_ok(&self) -> bool {
        self.degraded.is_empty()
    }
}

/// What is so, and since when.
pub(super) struct Status {
    source: Arc<dyn Source>,
    clock: SharedClock,
    seen: Mutex<Option<(Vec<&'static str>, u64)>>,
}

impl Status {
    pub(super) fn new(source: Arc<dyn Source>, clock: SharedClock) -> Self {
        Self { source, clock, seen: Mutex::default() }
    }

    /// Looks at the node; remembers when its state has changed, and has ordinary answers say so.
    pub(super) fn look(&self) {
        let answer = self.answer();
        self.source.status_is(!answer.is_ok(), answer.epoch);
    }

    fn answer(&self) -> Answer {
        let degraded = degraded(&*self.source);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match *seen {
            Some((ref before, since)) if *before == degraded => since,
            _ => self.clock.unix_ms(),
        };
        *seen = Some((degraded.clone(), since));
        let state = if degraded.is_empty() { "ok" } else { "degraded" };
        Answer { state, since: rfc3339(since), epoch: since / 1_000, degraded }
    }
}

/// In the order of how much it matters.
fn degraded(source: &dyn Source) -> Vec<&'static str> {
    let readiness = source.readiness();
    let upstreams = source.upstreams();
    let out =
        |row: &&crate::model::UpstreamRow| row.ejected_for_ms.is_some() || row.state == "down";
    let ejected = upstreams.iter().any(|row| out(&row));
    words(ejected, readiness.reasons.iter().map(|reason| reason.code.as_str()))
}

/// Each sentence once, whatever number of reasons it stands for.
fn words<'a>(ejected: bool, codes: impl Iterator<Item = &'a str>) -> Vec<&'static str> {
    let mut words: Vec<&'static str> = Vec::new();
    if ejected {
        words.push("Part of the service does not answer as it should; some requests may fail.");
    }
    for code in codes {
        let word = match code {
            "draining" => "This node is being replaced; others take over.",
            "load_shed" => "There is more to do than can be done; some requests have to wait.",
            "issuer_keys_missing" => "Signing in may fail.",
            "database_down" => "Changes made by the operators may take longer to take effect.",
            "ledger_not_sealed" | "ledger_not_signed" | "ledger_lags" => {
                "Records are kept, but not yet sealed."
            }
            _ => "Something is not as it should be.",
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

fn rfc3339(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or_default();
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_default()
}

pub(super) async fn answer(State(status): State<Arc<Status>>) -> Response {
    ([(CACHE_CONTROL, CACHED)], Json(status.answer())).into_response()
}

pub(super) async fn page(State(status): State<Arc<Status>>) -> Response {
    let fields = [
        (CACHE_CONTROL, CACHED),
        (CONTENT_SECURITY_POLICY, page::POLICY),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (fields, Html(page::document(&status.answer()).into_string())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sentence_stands_once_and_the_ledgers_reasons_share_one() {
        let codes = ["ledger_lags", "database_down", "ledger_not_signed", "odd", "odder"];
        let [sealed, changes, other] = [
            "Records are kept, but not yet sealed.",
            "Changes made by the operators may take longer to take effect.",
            "Something is not as it should be.",
        ];
        assert_eq!(words(false, codes.into_iter()), [sealed, changes, other]);
        assert_eq!(words(true, [].into_iter()).len(), 1);
    }

    #[test]
    fn a_moment_is_written_as_others_read_it() {
        assert_eq!(rfc3339(1_795_000_000_999), "2026-11-18T11:06:40Z");
    }
}
