//! Limits: by address while the caller is anonymous and before any signature is checked, then by
//! caller and operation.

use http::request::Parts;
use http::{HeaderMap, header};
use plimsoll_http_kit::{Code, Problem};
use plimsoll_telemetry::Counter;
use smallvec::SmallVec;

use crate::config::{Config, UNVERIFIED_LIMIT};
use crate::exchange::Exchange;
use crate::limit::{Decision, PolicySet};
use crate::router::Operation;
use crate::steps::authenticate::Credentials;
use crate::steps::route::Route;

/// The limits by address. A token that must be verified is charged to its address apart: one
/// verification costs more than all the rest of a request.
pub(crate) fn by_ip(
    config: &Config,
    exchange: &mut Exchange,
    route: Route<'_>,
    headers: &HeaderMap,
    credentials: &Credentials<'_>,
) -> Result<(), Problem> {
    // A rehearsal owes nothing; limits are tried apart, by `Limits::refuses`.
    if !credentials.is_anonymous() || exchange.context.rehearsal {
        return Ok(());
    }
    let hasher = config.limits.hasher();
    if credentials.must_be_verified() {
        let unverified = &config.unverified;
        let of = unverified.policies_for(None);
        let address = unverified.hasher().ip(exchange.from.prefix());
        let now = exchange.started;
        if let Decision::Refused(refused) = unverified.check(of.by_ip, &of.keys(address, 0), 1, now)
        {
            exchange.context.core.shard.count(Counter::LimitRefused { policy: UNVERIFIED_LIMIT });
            return Err(Problem::new(Code::UnverifiedLimited)
                .with("violated-policies", vec![UNVERIFIED_LIMIT.to_owned()])
                .with_retry_after(refused.retry_after_seconds()));
        }
    }
    // Who counts as an installation that we signed is not anonymous. Who shows credentials beside
    // it counts by these, and anybody can make up as many as he likes.
    if exchange.installation.signed().is_some() && presented(config, headers).is_empty() {
        return Ok(());
    }
    let of = config.limits.policies_for(operation(route));
    if of.by_ip.is_empty() {
        return Ok(());
    }
    let address = hasher.ip(exchange.from.prefix());
    check(config, exchange, route, of.by_ip, address, 0)
}

/// The limits by caller and by operation.
pub(crate) fn by_caller(
    config: &Config,
    exchange: &mut Exchange,
    route: Route<'_>,
    head: &Parts,
) -> Result<(), Problem> {
    let of = config.limits.policies_for(operation(route));
    if of.by_caller.is_empty() || exchange.context.rehearsal {
        return Ok(());
    }
    let caller = caller(config, exchange, &head.headers);
    check(config, exchange, route, of.by_caller, 0, caller)
}

/// What stands in for an operation is charged as if it had been asked for, but for the limits that
/// the request was charged to already. False where one of them refuses.
pub(crate) fn beyond(
    config: &Config,
    exchange: &Exchange,
    first: &Operation,
    other: &Operation,
    headers: &HeaderMap,
) -> bool {
    let limits = &config.limits;
    let of = limits.beyond(first.index, other.index);
    let anonymous = exchange.verified.is_none()
        && (exchange.installation.signed().is_none() || !presented(config, headers).is_empty());
    let by_ip = if anonymous { of.by_ip } else { PolicySet::default() };
    let set = of.by_caller.union(by_ip);
    if set.is_empty() {
        return true;
    }
    let address = limits.hasher().ip(exchange.from.prefix());
    let keys = of.keys(address, caller(config, exchange, headers));
    matches!(limits.check(set, &keys, other.cost, exchange.started), Decision::Allowed(_))
}

/// Who a request counts as: verified caller, else the credentials presented, else the signed
/// installation, else the address.
pub(crate) fn caller(config: &Config, exchange: &Exchange, headers: &HeaderMap) -> u64 {
    known_caller(config, exchange, headers)
        .unwrap_or_else(|| config.limits.hasher().ip(exchange.from.prefix()))
}

/// The same, where something tells it from others of its network.
pub(crate) fn known_caller(
    config: &Config,
    exchange: &Exchange,
    headers: &HeaderMap,
) -> Option<u64> {
    if let Some(verified) = &exchange.verified {
        return Some(verified.caller().low64());
    }
    let hasher = config.limits.hasher();
    let presented = presented(config, headers);
    if !presented.is_empty() {
        return Some(hasher.credentials(&presented));
    }
    exchange.installation.signed().map(|installation| hasher.installation(&installation.id))
}

/// All credentials, verified or not.
fn presented<'h>(config: &Config, headers: &'h HeaderMap) -> SmallVec<[&'h [u8]; 4]> {
    let named = [header::AUTHORIZATION, header::COOKIE];
    let named = named.iter().chain(&config.api_key_fields);
    named.flat_map(|name| headers.get_all(name)).map(http::HeaderValue::as_bytes).collect()
}

fn operation(route: Route<'_>) -> Option<u32> {
    match route {
        Route::Operation(operation) => Some(operation.index),
        _ => None,
    }
}

fn check(
    config: &Config,
    exchange: &mut Exchange,
    route: Route<'_>,
    set: PolicySet,
    address: u64,
    caller: u64,
) -> Result<(), Problem> {
    let limits = &config.limits;
    let keys = limits.policies_for(operation(route)).keys(address, caller);
    let cost = match route {
        Route::Operation(operation) => operation.cost,
        _ => 1,
    };
    match limits.check(set, &keys, cost, exchange.started) {
        Decision::Allowed(standings) => {
            exchange.standings.extend(standings);
            Ok(())
        }
        Decision::Refused(refused) => {
            for policy in limits.violated(&refused) {
                exchange.context.core.shard.count(Counter::LimitRefused { policy });
            }
            exchange.standings.extend(refused.standings().clone());
            Err(limits.problem(&refused))
        }
    }
}
