//! Cache: what was answered before, where it may be used; and the way on, with what has to be done
//! once the service has answered. The rules are in [`plimsoll_http_kit::caching`], what is kept in
//! [`crate::cache`].
//!
//! A read goes on as a [`Read`]: its answer may be stored, may say that what is stored still holds,
//! or may be replaced by it when the service fails. A write goes on as a [`Write`]: what it changed
//! is invalidated, and its writer is never again shown what is older.

mod answered;
mod elsewhere;
mod read;
mod refresh;
mod serve;
mod tee;
mod write;

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use plimsoll_http_kit::caching::conditional;
use plimsoll_http_kit::caching::storing::Rules;
use plimsoll_http_kit::hygiene::{RequestFacts, host_of};
use plimsoll_http_kit::{Code, Problem};

use crate::body::Unasked;
use crate::cache::{self, Habit, Held, Telling};
use crate::config::Config;
use crate::conn::ConnContext;
use crate::exchange::Exchange;
use crate::steps::forward::{self, Passed};
use crate::steps::route::Route;

pub(crate) use elsewhere::look_elsewhere;
use read::{Read, Sought};
pub(crate) use tee::Tee;
use write::Write;

/// How long a request waits for another's answer before it asks the service itself.
const COLLAPSE_WAIT_MAX: Duration = Duration::from_secs(5);

/// What the cache makes of a request.
#[expect(clippy::large_enum_variant, reason = "taken apart at once; a box would cost every hit")]
pub(crate) enum Looked {
    /// It is answered.
    Answered(Passed),
    /// It goes on.
    Onward(Turn),
}

/// What has to be done when the service has answered.
pub(crate) enum Turn {
    /// Nothing.
    Past,
    /// To see whether the operation has begun to answer what may be stored.
    Dormant(Dormant),
    /// A read.
    Read(Box<Read>),
    /// A write.
    Write(Box<Write>),
}

/// What the client gets, and what its answer waits for.
pub(crate) struct Answered {
    outcome: Result<Passed, Problem>,
    /// A write of which other nodes are told.
    telling: Option<Telling>,
}

impl From<Result<Passed, Problem>> for Answered {
    fn from(outcome: Result<Passed, Problem>) -> Self {
        Self { outcome, telling: None }
    }
}

impl Answered {
    /// What the client gets, once no other node uses what was before it. Where the answer has to be
    /// recorded first, [`heard`] waits for that.
    pub(crate) async fn everywhere(
        self,
        context: &ConnContext,
        exchange: &mut Exchange,
    ) -> Result<Passed, Problem> {
        let Self { mut outcome, telling } = self;
        if telling.is_some() {
            exchange.telling = telling;
            if !exchange.is_recorded {
                // A box, because this is rare.
                Box::pin(heard(context, exchange, &mut outcome)).await;
            }
        }
        outcome
    }
}

/// Waits until no other node uses what was before a write, as long as its request has time.
pub(crate) async fn heard(
    context: &ConnContext,
    exchange: &mut Exchange,
    outcome: &mut Result<Passed, Problem>,
) {
    let Some(telling) = exchange.telling.take() else { return };
    if let Ok(Passed::Upstream { answer, .. }) = outcome {
        // The service has done its part; what Redis takes is no reason to send it less.
        answer.slot = None;
    }
    let core = &context.core;
    let left = exchange.deadline.map_or(Duration::MAX, |deadline| deadline.left(core.clock.now()));
    telling.done(&core.shard, left).await;
}

/// A read of an operation that never answered what may be stored.
pub(crate) struct Dormant {
    held: Arc<Held>,
    rules: Rules,
    habit: Habit,
}

/// Looks for an answer.
///
/// # Errors
/// The client takes nothing but what is stored, and nothing is.
pub(crate) fn look(
    context: &Arc<ConnContext>,
    config: &Config,
    exchange: &Exchange,
    route: Route<'_>,
    facts: &RequestFacts,
    head: &mut Parts,
    body: &Unasked,
) -> Result<Looked, Problem> {
    let past = Ok(Looked::Onward(Turn::Past));
    let Some(cache) = &config.cache else { return past };
    let Some(operation) = cache::cacheable(route) else { return past };
    if !matches!(head.method, Method::GET | Method::HEAD) {
        if matches!(head.method, Method::OPTIONS | Method::TRACE) {
            return past;
        }
        let write = Write::new(context, cache, exchange, operation, head);
        return Ok(Looked::Onward(write.map_or(Turn::Past, |write| Turn::Write(Box::new(write)))));
    }
    let Some(rules) = cache.rules(operation.map(|operation| &**operation)) else { return past };
    let habit = cache.held.habits.of(exchange.operation());
    if cache.held.habits.is_dormant(habit) {
        let held = Arc::clone(&cache.held);
        return Ok(Looked::Onward(Turn::Dormant(Dormant { held, rules, habit })));
    }
    if !body.is_empty() || facts.upgrade.is_some() || conditional::is_for_the_service(&head.headers)
    {
        return past;
    }
    let Some(host) = host_of(&head.uri, &head.headers) else { return past };
    let asked = Read::new(context, cache, exchange, operation, rules, host, head);
    let mut read = Box::new(asked);
    match read.seek(context) {
        Sought::Answer(passed) => Ok(Looked::Answered(passed)),
        Sought::AnswerAndRefresh(passed) => {
            refresh::begin(context, config, exchange, route, facts, head, read);
            Ok(Looked::Answered(passed))
        }
        Sought::Nothing if read.only_if_cached() => Err(Problem::new(Code::NotStored)),
        Sought::Nothing => {
            read.prepare(head);
            Ok(Looked::Onward(Turn::Read(read)))
        }
    }
}

/// A write turned out to be done whose answer did not come this way: what it changed is made
/// invalid, on every node once it is [`heard`].
pub(crate) fn written(
    context: &ConnContext,
    config: &Config,
    exchange: &mut Exchange,
    route: Route<'_>,
    head: &Parts,
) {
    let Some(cache) = &config.cache else { return };
    let Some(operation) = cache::cacheable(route) else { return };
    let write = Write::new(context, cache, exchange, operation, head);
    exchange.telling = write.and_then(Write::done);
}

/// Says when a write was done in an answer that does not come from the service now. A replay says
/// now, too: when it was first done is older than what its client may have been told since.
pub(crate) fn say_fresh(context: &ConnContext, config: &Config, headers: &mut HeaderMap) {
    if config.cache.is_some() {
        headers.insert(read::PLIMSOLL_FRESH, HeaderValue::from(context.core.clock.unix_ms()));
    }
}

impl Turn {
    /// Whether other nodes may have stored an answer.
    pub(crate) fn seeks_elsewhere(&self) -> bool {
        matches!(self, Self::Read(read) if read.seeks_elsewhere())
    }

    /// Whether another request's answer is waited for.
    pub(crate) fn waits(&self) -> bool {
        matches!(self, Self::Read(read) if read.waits())
    }

    /// Waits for another request's answer, and looks once more. `None`: the service has to be asked
    /// all the same.
    pub(crate) async fn wait(
        &mut self,
        context: &ConnContext,
        config: &Config,
        route: Route<'_>,
    ) -> Option<Passed> {
        // Time is left to ask the service after all.
        let service = route.destination(config);
        let most = service.map(|service| forward::total_timeout(route, service) / 2);
        let within = most.unwrap_or(COLLAPSE_WAIT_MAX).min(COLLAPSE_WAIT_MAX);
        match self {
            Self::Read(read) => read.wait(context, within).await,
            _ => None,
        }
    }

    /// Whether nothing has to be done, now that the service has answered or failed: the client gets
    /// the very outcome.
    pub(crate) fn is_over(&self, context: &ConnContext, outcome: &Result<Passed, Problem>) -> bool {
        match self {
            Self::Past => true,
            Self::Dormant(dormant) => {
                answered::wake(context, dormant, outcome);
                true
            }
            Self::Read(_) | Self::Write(_) => false,
        }
    }

    /// What the client gets where it is not [over](Self::is_over); `reached` says that the service
    /// may have had something of the request.
    pub(crate) fn answered(
        self,
        context: &ConnContext,
        outcome: Result<Passed, Problem>,
        reached: bool,
    ) -> Answered {
        match self {
            Self::Past | Self::Dormant(_) => outcome.into(),
            Self::Read(read) => read.answered(context, outcome).into(),
            Self::Write(write) => (*write).answered(context, outcome, reached),
        }
    }
}
