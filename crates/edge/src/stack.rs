//! The way of a request: one step after the other, in this order. The same page in prose:
//! `docs/life-of-a-request.md`.
//!
//! A step is a function in a file of its own under `steps/`. It reads the request and what the
//! steps before it found (the [`Exchange`]), and either lets the request pass or ends it with a
//! [`Problem`]. Nothing after the step that ended it runs, except `record`.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use plimsoll_http_kit::Problem;
use plimsoll_http_kit::hygiene::{Fields, RequestFacts};

use crate::body::{AnswerBody, Unasked};
use crate::compress;
use crate::config::Config;
use crate::conn::ConnContext;
use crate::cors::{self, Preflight};
use crate::exchange::Exchange;
use crate::installation;
use crate::record::Finish;
use crate::steps::cache::Looked;
use crate::steps::forward::Passed;
use crate::steps::route::Route;
use crate::steps::{
    accept, answer, audit, authenticate, breaker, cache, client, fallback, forward, idempotency,
    limit, resent, route,
};

/// Answers one request.
///
/// Everything large that is held from here to the answer is made before the future and lies in it
/// once: an `async fn` would hold its arguments twice, and each copy is paid for.
pub(crate) fn serve(
    context: Arc<ConnContext>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + Send {
    let config = context.core.config();
    let (mut head, body) = request.into_parts();
    let mut finish = Box::new(Finish::new(Exchange::begin(&context, &head)));
    let mut body = Unasked::new(body, &head.headers);
    async move {
        // It is large, so it stays where it is unless something becomes of it.
        let mut outcome = run(&context, &config, &mut finish.exchange, &mut head, &mut body).await;
        if let Ok(Passed::Granted(execution)) = outcome {
            // A box, because this is rare; a task of its own, because a client that leaves does not
            // end it.
            let execution = idempotency::execute(&context, &config, finish, head, execution);
            (finish, outcome) = Box::pin(execution).await;
        }
        if finish.exchange.audit.is_some() {
            // A box, because this is rare.
            outcome = Box::pin(audit::write(&context, &mut finish.exchange, outcome)).await;
        }
        finish.exchange.body_in_the_way = !body.settle().await;
        Ok(match outcome {
            Ok(passed) => answer::passed_on(&context, &config, finish, passed),
            Err(problem) => answer::refused(&context, &config, finish, problem),
        })
    }
}

/// The steps. A step that is not built yet is a comment line in its place.
async fn run(
    context: &Arc<ConnContext>,
    config: &Config,
    exchange: &mut Exchange,
    head: &mut Parts,
    body: &mut Unasked,
) -> Result<Passed, Problem> {
    let (facts, route) = match enter(context, config, exchange, head).await? {
        Entered::Through(facts, route) => (facts, route),
        Entered::Preflight(preflight) => {
            exchange.audit = None;
            return Ok(Passed::Own(preflight.answer(config)));
        }
    };
    audit::check(context, exchange)?;
    limit::by_caller(config, exchange, route, head)?;
    // kill switches: a flag that is off answers here
    accept::check_size(config, route, &facts)?;
    // validate: the request against its contract
    // Before the cache and what chooses a release: a replay needs neither.
    let keyed = idempotency::key(route, head)?.is_some();
    resent::note(config, exchange, route, head);
    if keyed {
        let keyed = idempotency::begin(context, config, exchange, route, &facts, head, body);
        return Box::pin(keyed).await;
    }
    send_on(context, config, exchange, route, &facts, head, body).await
    // answer: steps/answer.rs; record: record.rs, when the answer's last byte is handed over
}

/// The last steps before the answer, of a keyed write too: what the service gets, if anything.
pub(crate) async fn send_on(
    context: &Arc<ConnContext>,
    config: &Config,
    exchange: &mut Exchange,
    route: Route<'_>,
    facts: &RequestFacts,
    head: &mut Parts,
    body: &mut Unasked,
) -> Result<Passed, Problem> {
    let mut turn = match cache::look(context, config, exchange, route, facts, head, body)? {
        Looked::Answered(passed) => return Ok(passed),
        Looked::Onward(turn) => turn,
    };
    // Boxes, because this is rare.
    if turn.seeks_elsewhere() {
        let looking = cache::look_elsewhere(context, config, exchange, route, facts, head, turn);
        turn = match Box::pin(looking).await {
            Looked::Answered(passed) => return Ok(passed),
            Looked::Onward(turn) => turn,
        };
    }
    if turn.waits()
        && let Some(passed) = Box::pin(turn.wait(context, config, route)).await
    {
        return Ok(passed);
    }
    // release: stable or canary, by signed installation
    // A slot of the service is taken, or waited for, in `forward` just before it sends.
    let trying = match breaker::check(context, config, route) {
        Ok(trying) => trying,
        Err(open) => {
            // What the service answered before says more than what stands in at such a time.
            let answered = turn.answered(context, Err(open), exchange.upstream_reached);
            return match answered.everywhere(context, exchange).await {
                Err(open) => {
                    let standing_in =
                        fallback::stand_in(context, config, exchange, route, facts, head);
                    standing_in.await.ok_or(open)
                }
                answered => answered,
            };
        }
    };
    compress::restore_tags(config, exchange, head);
    let outcome = forward::forward(context, config, exchange, route, facts, head, body).await;
    drop(trying);
    if turn.is_over(context, &outcome) {
        return outcome;
    }
    let answered = turn.answered(context, outcome, exchange.upstream_reached);
    answered.everywhere(context, exchange).await
}

/// What a request came to at the door.
pub(crate) enum Entered<'c> {
    /// It may go on.
    Through(RequestFacts, Route<'c>),
    /// A browser asked whether it may ask, and may.
    Preflight(Preflight),
}

/// The first of the steps: what is asked, and whether its caller may come in. Nothing is sent and
/// nothing written here, so that a [rehearsal](crate::rehearse) goes this very way.
pub(crate) async fn enter<'c>(
    context: &ConnContext,
    config: &'c Config,
    exchange: &mut Exchange,
    head: &Parts,
) -> Result<Entered<'c>, Problem> {
    // What the fields say is read here; their memory is free again before the first wait.
    let (facts, route, credentials) = {
        let fields = Fields::of(&head.headers);
        exchange.identify(config, &head.headers, &fields);
        let facts = accept::check(context, config, head, &fields)?;
        let route = route::find(config, exchange, head)?;
        client::read(config, exchange, &head.headers, &fields);
        installation::read(config, exchange, route, &fields);
        compress::read(config, exchange, route, &head.headers, &fields);
        // version policy: ok, warn, brownout or block by platform and version range
        let credentials = authenticate::credentials(config, exchange, route, &fields)?;
        (facts, route, credentials)
    };
    limit::by_ip(config, exchange, route, &head.headers, &credentials)?;
    if let Some(preflight) = cors::preflight(config, exchange.origin.as_ref(), route, head)? {
        return Ok(Entered::Preflight(preflight));
    }
    authenticate::verify(config, exchange, route, head, credentials).await?;
    Ok(Entered::Through(facts, route))
}
