//! Resent: notes which writes are sent again without a key after they failed. It changes nothing
//! for the request; the readiness gate *Retries carry their key* is judged by it.

use http::request::Parts;
use http::{Method, header};
use plimsoll_http_kit::idempotency_key::IDEMPOTENCY_KEY;
use plimsoll_writes::Begins;

use crate::config::Config;
use crate::exchange::Exchange;
use crate::steps::limit;
use crate::steps::route::Route;

/// A write goes on its way.
pub(crate) fn note(config: &Config, exchange: &mut Exchange, route: Route<'_>, head: &Parts) {
    let writes = matches!(head.method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE);
    if !writes || !matches!(route, Route::Operation(_) | Route::Unknown { .. }) {
        return;
    }
    // PUT and DELETE may be sent twice (RFC 9110 §9.2.2).
    let harmful = matches!(head.method, Method::POST | Method::PATCH);
    let unkeyed = harmful && !head.headers.contains_key(IDEMPOTENCY_KEY);
    let mark = if unkeyed { mark(config, exchange, head) } else { None };
    exchange.unkeyed = mark;
    let core = &exchange.context.core;
    let (service, operation) = (exchange.service(), exchange.operation());
    core.shared.resent.begins(core.index, Begins { service, operation, mark }, exchange.started);
}

/// Who writes what where: two writes of one mark differ in a body of the same length at most.
/// `None` where nobody knows who: behind one address are many.
fn mark(config: &Config, exchange: &Exchange, head: &Parts) -> Option<u64> {
    let caller = limit::known_caller(config, exchange, &head.headers)?.to_be_bytes();
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    let length = head.headers.get(header::CONTENT_LENGTH).map_or(&[][..], |value| value.as_bytes());
    let method = head.method.as_str().as_bytes();
    Some(config.limits.hasher().write(&[&caller, method, target.as_bytes(), length]))
}

/// It ended: with a status that was sent, or the one that stands for none.
pub(crate) fn ended(exchange: &Exchange, status: u16) {
    let Some(mark) = exchange.unkeyed else { return };
    let failed = matches!(status, 408 | 499 | 500..=599);
    if failed && exchange.upstream_reached {
        let core = &exchange.context.core;
        core.shared.resent.failed(mark, core.clock.now());
    }
}
