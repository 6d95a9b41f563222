//! What becomes of a read once the service has answered or failed.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use plimsoll_base::Nanos;
use plimsoll_http_kit::Problem;
use plimsoll_http_kit::caching::status::{CACHE_STATUS, CacheStatus, Forward};
use plimsoll_http_kit::caching::storing::{self, Asked, Credentials, Terms, Times, Unstored};
use plimsoll_http_kit::caching::vary::Selection;
use plimsoll_http_kit::caching::{http_date, update};
use plimsoll_http_kit::hygiene::strip_response;
use plimsoll_telemetry::{CacheOutcome, Counter};

use super::Dormant;
use super::read::{Read, Role, Stored};
use super::serve;
use super::tee::Tee;
use crate::cache::{Entry, Kept, Leader, Stamped};
use crate::conn::ConnContext;
use crate::steps::forward::Passed;
use crate::upstream::Answer;

/// Sees whether an operation that never answered what may be stored has begun to.
pub(super) fn wake(context: &ConnContext, dormant: &Dormant, outcome: &Result<Passed, Problem>) {
    let Ok(Passed::Upstream { answer, .. }) = outcome else { return };
    let says = dormant.rules.ttl.is_some() || answer.facts.says_of_storing;
    if !says || answer.facts.is_event_stream {
        return;
    }
    let headers = answer.response.headers();
    // Whoever asked, by whom more is stored than by anybody else.
    let asked = Asked { credentials: Credentials::Verified, no_store: false, range: false };
    let now_unix_s = context.core.clock.unix_seconds();
    let times = Times { delay: std::time::Duration::ZERO, now_unix_s };
    let status = answer.response.status();
    if storing::judge(&asked, &dormant.rules, times, status, headers).is_ok() {
        dormant.held.habits.note(dormant.habit, true);
    }
}

/// What an answer means for the store.
pub(super) enum Settled {
    /// What is stored still holds, and is as it says now.
    Holds(Arc<Entry>),
    /// It is to be stored as it passes.
    Kept(Box<Tee>),
    /// It is not stored.
    Passes(Option<Unstored>),
}

impl Read {
    pub(super) fn answered(
        mut self: Box<Self>,
        context: &ConnContext,
        outcome: Result<Passed, Problem>,
    ) -> Result<Passed, Problem> {
        match outcome {
            Err(problem) if problem.code().status().is_server_error() => {
                self.stand_in(context, None).ok_or(problem)
            }
            Ok(Passed::Upstream { mut answer, begun, limits, .. }) => {
                let status = answer.response.status();
                if is_failure(status)
                    && let Some(passed) = self.stand_in(context, Some(status))
                {
                    return Ok(passed);
                }
                let settled = self.settle(context, &answer);
                if let Settled::Holds(entry) = settled {
                    let now = context.core.clock.now();
                    let cookies = answer.response.headers().get_all(header::SET_COOKIE);
                    let cookies: Vec<HeaderValue> = cookies.iter().cloned().collect();
                    give_back(&mut answer, now);
                    return Ok(self.holds(context, &entry, cookies, now));
                }
                let (tee, unstored) = match settled {
                    Settled::Kept(tee) => (Some(tee), None),
                    Settled::Holds(_) => (None, None),
                    Settled::Passes(unstored) => (None, unstored),
                };
                if tee.is_some() {
                    context.core.shard.count(Counter::Cache(CacheOutcome::Miss));
                    self.tally().count(CacheOutcome::Miss);
                }
                self.say(answer.response.headers_mut(), tee.is_some(), unstored);
                Ok(Passed::Upstream { answer, begun, limits, tee })
            }
            other => other,
        }
    }

    /// Answers with what is stored although it is stale, because the service failed.
    fn stand_in(&mut self, context: &ConnContext, failed: Option<StatusCode>) -> Option<Passed> {
        let stored = self.stored.as_ref().filter(|stored| stored.if_error)?;
        let entry = &stored.entry;
        // A write may have come in the meantime.
        if !entry.is_valid(&self.held.stamps) {
            return None;
        }
        let now = context.core.clock.now();
        self.count(context, entry, CacheOutcome::Stale);
        tracing::debug!(status = failed.map(|s| s.as_u16()), "a stale answer stands in");
        let status = CacheStatus::Hit { ttl: entry.ttl(now), detail: Some("service-fails") };
        Some(serve::entry(entry, &self.request, self.is_head, now, status))
    }

    fn holds(
        &self,
        context: &ConnContext,
        entry: &Entry,
        cookies: Vec<HeaderValue>,
        now: Nanos,
    ) -> Passed {
        self.count(context, entry, CacheOutcome::Revalidated);
        let status = CacheStatus::Forwarded {
            why: self.why,
            status: Some(StatusCode::NOT_MODIFIED.as_u16()),
            stored: true,
            collapsed: false,
            unstored: None,
        };
        let mut passed = serve::entry(entry, &self.request, self.is_head, now, status);
        if let Passed::Stored(response) = &mut passed {
            // They are this client's alone, and so are not in the store.
            for cookie in cookies {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
        }
        passed
    }

    fn say(&self, headers: &mut HeaderMap, stored: bool, unstored: Option<Unstored>) {
        let (why, collapsed) = (self.why, false);
        let status = CacheStatus::Forwarded { why, status: None, stored, collapsed, unstored };
        headers.append(CACHE_STATUS, status.to_value());
        update::hide(headers);
    }

    /// What an answer means for the store.
    pub(super) fn settle(&mut self, context: &ConnContext, answer: &Answer) -> Settled {
        let role = std::mem::replace(&mut self.role, Role::Alone);
        // Dropped with what follows, unless it is kept: whoever waits goes on.
        let leader = if let Role::Leads(leader) = role { Some(leader) } else { None };
        let now = context.core.clock.now();
        let status = answer.response.status();
        let stored = self.stored.as_ref().filter(|stored| stored.is_asked_about);
        if status == StatusCode::NOT_MODIFIED {
            return match stored {
                Some(stored) => self.freshen(context, stored, answer, leader, now),
                None => Settled::Passes(None),
            };
        }
        if self.is_head {
            return Settled::Passes(None);
        }
        let judged = self.judge(context, answer, now);
        self.held.habits.note(self.habit, judged.is_ok());
        match judged {
            Ok((key, kept)) => {
                let length = answer.response.body().size_hint().exact();
                let held = Arc::clone(&self.held);
                let mut tee = Tee::new(held, key, kept, self.entry_bytes_max, length, leader);
                if answer.response.body().is_end_stream() {
                    tee.finish();
                }
                Settled::Kept(Box::new(tee))
            }
            Err(unstored) => {
                if let Some(stored) = &self.stored
                    && self.says_something_of_what_is_stored(status)
                {
                    self.held.store.remove(stored.key, &stored.entry);
                }
                Settled::Passes(Some(unstored))
            }
        }
    }

    /// Whether an answer that is not stored takes what is stored away. Not where the client had it
    /// so, or was refused: one request of anybody's must not undo the cache.
    fn says_something_of_what_is_stored(&self, status: StatusCode) -> bool {
        let refused =
            [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
        let by_the_client = self.control.no_store || self.why == Forward::Request;
        !by_the_client && !status.is_server_error() && !refused.contains(&status)
    }

    /// What a POST was answered, as the answer to a GET of its target. Only where nothing else was
    /// written meanwhile that it might not know of.
    pub(super) fn shown(
        mut self: Box<Self>,
        context: &ConnContext,
        answer: &Answer,
        stamped: Stamped,
    ) -> Option<Box<Tee>> {
        if stamped.before > self.asked.ordinal {
            return None;
        }
        self.asked.own = Some(stamped.ordinal);
        match self.settle(context, answer) {
            Settled::Kept(tee) => Some(tee),
            Settled::Holds(_) | Settled::Passes(_) => None,
        }
    }

    /// Whether the answer is stored, and as what.
    fn judge(
        &self,
        context: &ConnContext,
        answer: &Answer,
        now: Nanos,
    ) -> Result<(crate::cache::Key, Kept), Unstored> {
        if answer.facts.is_event_stream {
            return Err(Unstored::Stream);
        }
        let response = &answer.response;
        let terms = self.terms(context, response.status(), response.headers())?;
        let key = self.key(&terms).ok_or(Unstored::Credentials)?;
        if response.body().size_hint().lower() > self.entry_bytes_max as u64 {
            return Err(Unstored::TooLarge);
        }
        let mut head = response.headers().clone();
        strip_response(&mut head, &answer.facts);
        let selection = Selection::of(&head, &self.request).ok_or(Unstored::Vary)?;
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        let range = is_part.then(|| self.request.get(header::RANGE).cloned()).flatten();
        Ok((key, self.kept(context, response.status(), head, selection, range, terms, now)))
    }

    fn terms(
        &self,
        context: &ConnContext,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Terms, Unstored> {
        let asked = Asked {
            credentials: self.identity.credentials(),
            no_store: self.control.no_store,
            range: self.request.contains_key(header::RANGE),
        };
        let unix_ms = context.core.clock.unix_ms();
        let delay = std::time::Duration::from_millis(unix_ms.saturating_sub(self.asked.unix_ms));
        let times = Times { delay, now_unix_s: unix_ms / 1000 };
        storing::judge(&asked, &self.rules, times, status, headers)
    }

    #[expect(clippy::too_many_arguments, reason = "what is kept is what was found, one by one")]
    fn kept(
        &self,
        context: &ConnContext,
        status: StatusCode,
        mut head: HeaderMap,
        selection: Selection,
        range: Option<HeaderValue>,
        terms: Terms,
        came: Nanos,
    ) -> Kept {
        let marks = self.marks(&head);
        update::strip(&mut head, &terms.omitted);
        if !head.contains_key(header::DATE) {
            head.insert(header::DATE, http_date(context.core.clock.unix_seconds()));
        }
        let (asked, tally) = (self.asked, self.tally());
        Kept { status, head, selection, range, terms, asked, came, marks, tally }
    }

    /// The service says that what is stored still holds.
    fn freshen(
        &self,
        context: &ConnContext,
        stored: &Stored,
        answer: &Answer,
        leader: Option<Leader>,
        now: Nanos,
    ) -> Settled {
        let mut said = answer.response.headers().clone();
        strip_response(&mut said, &answer.facts);
        if !said.contains_key(header::DATE) {
            said.insert(header::DATE, http_date(context.core.clock.unix_seconds()));
        }
        let old = &stored.entry;
        let mut head = update::freshen(&old.kept.head, &said);
        if let Some(age) = said.get(header::AGE) {
            head.insert(header::AGE, age.clone());
        }
        let terms = self.terms(context, old.kept.status, &head);
        let is_kept = terms.is_ok();
        // Where it may not be kept any longer it is used this once, as it was.
        let terms = terms.unwrap_or_else(|_| old.kept.terms.clone());
        let key = self.key(&terms);
        let (status, selection) = (old.kept.status, old.kept.selection.clone());
        let kept = self.kept(context, status, head, selection, None, terms, now);
        let entry = Arc::new(Entry::new(kept, old.body.clone()));
        match key {
            Some(key) if is_kept => {
                self.held.keep(key, &entry);
                if key != stored.key {
                    self.held.store.remove(stored.key, old);
                }
                if let Some(leader) = leader {
                    leader.stored();
                }
            }
            _ if self.control.no_store => {}
            _ => self.held.store.remove(stored.key, old),
        }
        Settled::Holds(entry)
    }
}

/// What says that the service fails, and not that the request does (RFC 5861 §4).
pub(super) fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// An answer without a body is read whole.
pub(super) fn give_back(answer: &mut Answer, now: Nanos) {
    let whole = |response: &Response<hyper::body::Incoming>| response.body().is_end_stream();
    if whole(&answer.response)
        && let Some(connection) = answer.connection.take()
    {
        connection.give_back(now);
    }
}
