//! A newer answer, fetched while the client has the stale one already (RFC 5861 §3).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, Request, header};
use http_body::Body as _;
use hyper::body::Incoming;
use plimsoll_base::Deadline;
use plimsoll_http_kit::hygiene::RequestFacts;
use plimsoll_snapshot::RetryRule;

use super::answered::{Settled, give_back, is_failure};
use super::read::Read;
use crate::body::InboundBody;
use crate::config::Config;
use crate::conn::ConnContext;
use crate::exchange::Exchange;
use crate::lazy_timer::LazyTimer;
use crate::router::Operation;
use crate::steps::route::Route;
use crate::steps::{admit, breaker, forward};
use crate::tasks::Kind;
use crate::upstream::{self, Message, Retries, Sending};

/// Newer answers that are fetched at once; beyond, what is stale stays so for the next request.
const REFRESHES_MAX: usize = 256;

/// Begins to fetch a newer answer, unless that is under way. The client's answer waits for nothing
/// here, and its request's head is used up.
pub(super) fn begin(
    context: &Arc<ConnContext>,
    config: &Config,
    exchange: &Exchange,
    route: Route<'_>,
    facts: &RequestFacts,
    head: &mut Parts,
    mut read: Box<Read>,
) {
    let core = &context.core;
    let config_now = core.config();
    // After a reload the route may lead elsewhere; the next request will see to it.
    if core.tasks.running(Kind::Refresh) >= REFRESHES_MAX || !std::ptr::eq(&*config_now, config) {
        return;
    }
    let Some(service) = route.service() else { return };
    let operation = match route {
        Route::Operation(operation) => Some(Arc::clone(operation)),
        _ => None,
    };
    if !read.lead() {
        return;
    }
    let Ok(trying) = breaker::check(context, config, route) else { return };
    let (empty, ()) = Request::new(()).into_parts();
    let mut head = std::mem::replace(head, empty);
    head.method = Method::GET;
    head.headers.remove(header::RANGE);
    read.request.remove(header::RANGE);
    read.is_head = false;
    let Some(leads_to) = config.service(service) else { return };
    // A service that has all it can take is not asked for what nobody waits for.
    let Ok(slot) = admit::at_leisure(route, leads_to, core.clock.now()) else { return };
    if forward::prepare_head(config, exchange, leads_to, facts, &mut head).is_err() {
        return;
    }
    read.prepare_alone(&mut head);
    let context = Arc::clone(context);
    let fetching = async move {
        fetch(&context, &config_now, (service, operation), head, read).await;
        drop((slot, trying));
    };
    core.tasks.spawn(Kind::Refresh, fetching);
}

async fn fetch(
    context: &ConnContext,
    config: &Config,
    (service, operation): (u16, Option<Arc<Operation>>),
    mut head: Parts,
    mut read: Box<Read>,
) {
    let route = operation.as_ref().map_or(Route::Unknown { service }, Route::Operation);
    let Some(service) = config.service(service) else { return };
    let core = &context.core;
    let begun = core.clock.now();
    let sending = Sending {
        begun,
        deadline: Some(Deadline::after(begun, service.total_timeout)),
        body: None,
        held: false,
        multiplexed: false,
        gate: None,
        timeouts: service.timeouts,
        service: &service.name,
        // Nobody waits for it: the next request that finds what is stored stale tries again.
        retries: Retries {
            policy: &service.retries,
            rule: RetryRule::Off,
            budget: &service.budget,
        },
        hedge: None,
    };
    let mut timer = LazyTimer::default();
    let mut reached = false;
    let mut message = Message::new(&mut head, InboundBody::Empty, &mut reached);
    let sent = upstream::send(core, &service.release, &sending, &mut timer, &mut message).await;
    breaker::ended(context, config, route, &sending, (&sent, reached));
    let Ok(mut answer) = sent else { return };
    if is_failure(answer.response.status()) {
        return;
    }
    let settled = read.settle(context, &answer);
    if let Settled::Kept(mut tee) = settled {
        let reading = read_whole(answer.response.body_mut(), &mut tee);
        let read = tokio::time::timeout(service.total_timeout, reading).await;
        if read != Ok(true) {
            return;
        }
    }
    give_back(&mut answer, core.clock.now());
}

/// True where the body is whole.
async fn read_whole(body: &mut Incoming, tee: &mut super::Tee) -> bool {
    while !body.is_end_stream() {
        match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            None => break,
            Some(Err(_broken)) => return false,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => tee.push(&data),
                Err(_trailers) => tee.abandon(),
            },
        }
    }
    tee.finish();
    true
}
