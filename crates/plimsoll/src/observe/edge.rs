//! The edge: whether it refuses what it has to, and how it answers.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use http::header::CONTENT_TYPE;
use plimsoll_edge::{Rehearsed, Told};
use plimsoll_snapshot::Security;
use serde_json::Value;

use super::facts::{Seen, many};
use super::{LOOK_MAX, Observer};

/// Requests that the edge refuses itself, whatever is behind it: a NUL and a backslash in a path.
const REFUSED: [&str; 2] = ["/%00", "/%5C"];
const PROBLEM: &str = "application/problem+json";
const PROBLEM_BYTES_MAX: usize = 64 * 1024;

/// Every operation that wants a token, asked without one.
pub(super) async fn authentication(observer: &Observer) -> Seen {
    let edge = &observer.node.edge;
    let config = edge.config();
    let (mut asked, mut open) = (0_usize, Vec::new());
    for operation in config.router().operations() {
        if !wants_token(&operation.security) {
            continue;
        }
        asked += 1;
        let name = format!("{} {}", operation.method, operation.template);
        match edge.rehearse(&config, operation).await {
            Rehearsed::Refused => {}
            Rehearsed::LetIn => open.push(name),
            // What could not be asked is not known to be closed.
            Rehearsed::Elsewhere => open.push(format!("{name} (it could not be asked)")),
        }
    }
    let says = match (asked, open.len()) {
        (0, _) => "no operation wants a token".to_owned(),
        (_, 0) => format!("{} asked without a token, all refused", many(asked, "operation")),
        (_, open) => format!("{} asked without a token, {open} let in", many(asked, "operation")),
    };
    Seen::saying(says).count("asked", asked).count("open", open.len()).first("first_open", &open)
}

fn wants_token(security: &Security) -> bool {
    matches!(security, Security::Token { optional: false, pass_through: false, .. })
}

/// Every limit, overdrawn by a key of nobody's.
pub(super) fn limits(observer: &Observer) -> Seen {
    let edge = &observer.node.edge;
    let tried = edge.try_limits(&edge.config());
    let says = match (tried.limits, tried.silent.len()) {
        (0, _) => "there is no limit".to_owned(),
        (limits, 0) => format!(
            "{} overdrawn under {}, all refuse",
            many(limits, "limit"),
            many(tried.operations, "operation")
        ),
        (limits, silent) => format!("{} overdrawn, {silent} let it pass", many(limits, "limit")),
    };
    Seen::saying(says)
        .count("operations", tried.operations)
        .count("limits", tried.limits)
        .count("per_caller", tried.per_caller)
        .count("per_ip", tried.per_ip)
        .count("silent", tried.silent.len())
        .first("first_silent", &tried.silent)
        .count("unlimited", tried.unlimited.len())
        .first("first_unlimited", &tried.unlimited)
}

/// A breaker like those of each service, shown nothing but failures.
pub(super) fn breakers(observer: &Observer) -> Seen {
    let edge = &observer.node.edge;
    let tried = edge.try_breakers(&edge.config());
    let says = match (tried.services, tried.unbroken.len()) {
        (services, 0) => format!("{}, each stops being asked", many(services, "service")),
        (services, unbroken) => {
            format!("{}, {unbroken} without a breaker that opens", many(services, "service"))
        }
    };
    Seen::saying(says)
        .count("services", tried.services)
        .count("unbroken", tried.unbroken.len())
        .first("first_unbroken", &tried.unbroken)
}

/// An admission like that of each service, offered ten times what it can take.
pub(super) fn admission(observer: &Observer) -> Seen {
    let edge = &observer.node.edge;
    let tried = edge.try_admission(&edge.config());
    let says = match (tried.offered, tried.open.len()) {
        (0, _) => "no service has an admission".to_owned(),
        (offered, open) => {
            let open = match open {
                0 => String::new(),
                open => format!("; {} without an admission", many(open, "service")),
            };
            format!(
                "ten times what they can take offered to trial admissions: of {} {} refused; of {} \
                 critical ones {}{open}",
                many(usize::try_from(offered).unwrap_or(usize::MAX), "request"),
                tried.refused,
                tried.critical,
                tried.critical_refused,
            )
        }
    };
    Seen::saying(says)
        .count("offered", tried.offered)
        .count("critical", tried.critical)
        .count("critical_refused", tried.critical_refused)
        .count("services", tried.services)
        .count("open", tried.open.len())
        .first("first_open", &tried.open)
}

/// Requests over the listener that the edge has to refuse, and whether it says so as RFC 9457 has
/// it.
pub(super) async fn problems(observer: &Observer) -> Seen {
    let (mut asked, mut wrong, mut unasked) = (0_usize, Vec::new(), None);
    for path in REFUSED {
        match observer.ask(path, PROBLEM_BYTES_MAX).await {
            Ok(answer) => {
                asked += 1;
                wrong.extend(not_a_problem(&answer).map(|why| format!("GET {path}: {why}")));
            }
            Err(why) => unasked = Some(why),
        }
    }
    let says = match (unasked, asked, wrong.len()) {
        (Some(why), 0, _) => format!("the listener could not be asked: {why}"),
        (_, _, 0) => {
            format!(
                "{} refused over the listener, all with a problem document",
                many(asked, "request")
            )
        }
        (_, _, wrong) => format!("{} refused, {wrong} wrongly", many(asked, "request")),
    };
    Seen::saying(says)
        .count("asked", asked)
        .count("wrong", wrong.len())
        .first("first_wrong", &wrong)
}

/// What an answer lacks of a problem document of ours.
fn not_a_problem(answer: &Told) -> Option<String> {
    if !answer.status.is_client_error() {
        return Some(format!("answered with {}", answer.status.as_u16()));
    }
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind != Some(PROBLEM) {
        let kind = kind.unwrap_or("of no type");
        return Some(format!("it is {kind}, not {PROBLEM}"));
    }
    let Ok(document) = serde_json::from_slice::<Value>(&answer.body) else {
        return Some("it is no JSON".to_owned());
    };
    let text = |member: &str| document.get(member).and_then(Value::as_str).unwrap_or_default();
    let (code, page) = (text("code"), text("type"));
    if code.is_empty() {
        return Some("it has no code".to_owned());
    }
    let named = page.starts_with("https://") && page.ends_with(&format!("/errors/{code}"));
    if !named {
        return Some(format!("its type is not the page of {code}"));
    }
    let status = document.get("status").and_then(Value::as_u64);
    let said = status == Some(answer.status.as_u16().into());
    (!said).then(|| "it says another status than it has".to_owned())
}

/// What the cache did, and whether writes empty it and callers are kept apart when it is tried.
pub(super) fn cache(observer: &Observer) -> Seen {
    let edge = &observer.node.edge;
    let tried = edge.try_cache(&edge.config(), observer.node.clock.now());
    let says = match &tried {
        None => "the cache is switched off".to_owned(),
        Some(tried) => format!(
            "{} answered from the cache, none kept longer than {} s; {} tried, {} left an old \
             answer behind; {} crossed",
            many(usize::try_from(tried.cached).unwrap_or(usize::MAX), "request"),
            tried.ttl_s_max,
            many(tried.writes, "write"),
            tried.stale.len(),
            many(tried.crossed, "answer"),
        ),
    };
    let tried = tried.unwrap_or_default();
    Seen::saying(says)
        .count("cached", tried.cached)
        .count("ttl_s_max", tried.ttl_s_max)
        .count("writes", tried.writes)
        .count("stale_after_write", tried.stale.len())
        .first("first_stale", &tried.stale)
        .count("shared_private", tried.crossed)
}

/// Requests that services answered of late, and how.
pub(super) fn service_levels(observer: &Observer) -> Seen {
    let overview = observer.node.metrics.overview(observer.window());
    let figures = overview.routed;
    let span = format!("{} s", overview.window_seconds.round());
    let (Some(p95), Some(within)) = (figures.p95_seconds, figures.within_objective_share) else {
        return Seen::saying(format!("no request in {span}")).count("requests", 0).idle();
    };
    let requests = usize::try_from(figures.requests).unwrap_or(usize::MAX);
    let (p95_ms, objective_ms) = (whole(p95 * 1e3), whole(overview.objective_seconds * 1e3));
    let (within, errors) = (whole(within * 1e3), whole(figures.error_share * 1e3));
    Seen::saying(format!(
        "{} in {span}: p95 {p95_ms} ms, {within} of 1,000 within {objective_ms} ms, {errors} of \
         1,000 failed",
        many(requests, "request")
    ))
    .count("requests", requests)
    .count("p95_ms", p95_ms)
    .count("within_permille", within)
    .count("error_permille", errors)
    .live()
}

/// A large answer of every operation, for a client that takes every coding.
pub(super) fn compression(observer: &Observer) -> Seen {
    let edge = &observer.node.edge;
    let tried = edge.try_compression(&edge.config());
    let left = match tried.left {
        0 => String::new(),
        left => format!("; the manifest leaves {} as they are", many(left, "operation")),
    };
    let says = match (tried.asked, tried.plain.len()) {
        (0, _) => format!("nothing could be tried{left}"),
        (asked, 0) => {
            format!("a large answer of {} tried, all went smaller{left}", many(asked, "operation"))
        }
        (asked, plain) => {
            let tried = many(asked, "operation");
            format!("a large answer of {tried} tried, {plain} went as they were{left}")
        }
    };
    Seen::saying(says)
        .count("asked", tried.asked)
        .count("plain", tried.plain.len())
        .first("first_plain", &tried.plain)
}

/// To the nearest whole number; figures here are small and never below zero.
fn whole(figure: f64) -> u64 {
    figure.round().max(0.0) as u64
}

impl Observer {
    /// GET over the first listener, as a client on this machine would.
    pub(super) async fn ask(&self, path: &str, bytes_max: usize) -> Result<Told, String> {
        let edge = &self.node.edge;
        if edge.config().manifest().edge.tls.is_some() {
            let why = "it speaks TLS, with a certificate for other names than this machine's";
            return Err(why.to_owned());
        }
        let mut address = *self.node.facts.listeners.first().ok_or("there is none")?;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let asked = edge.ask_itself(address, path, bytes_max);
        match tokio::time::timeout(LOOK_MAX / 4, asked).await {
            Ok(told) => told.map_err(|error| error.to_string()),
            Err(_) => Err(format!("it did not answer within {:?}", LOOK_MAX / 4)),
        }
    }
}
