//! Services and releases: names, addresses, API versions, timeouts.

use std::net::IpAddr;

use plimsoll_base::HumanDuration;

use super::Context;
use super::listeners::steers_or_hides;
use crate::{ListenAddr, OriginUrl, Service, UnknownPaths, VersionRule};

pub(super) fn check(cx: &mut Context<'_>) {
    let services = &cx.manifest.services;
    if services.is_empty() && !cx.services_lost() {
        let expected = "at least one [[service]] with a name and urls";
        cx.refuse("service", "there is no service to send requests to", expected);
    }
    let name_key = |(index, service): (usize, &Service)| {
        (format!("service[{index}].name"), service.name.to_string())
    };
    cx.refuse_repeated("service", services.iter().enumerate().map(name_key));
    for (index, service) in services.iter().enumerate() {
        let key = format!("service[{index}]");
        addresses(cx, &key, service);
        version(cx, &key, service);
        timeouts(cx, &key, service);
        reachable(cx, &key, service);
    }
    unknown_paths_of_one(cx);
}

fn addresses(cx: &mut Context<'_>, key: &str, service: &Service) {
    let releases = format!("{key}.release");
    let lost = cx.lost(key, "urls")
        || cx.lost(key, "release")
        || cx.lost(&releases, "")
        || cx.lost(&format!("{key}.urls"), "");
    match (service.urls.is_empty(), service.releases.is_empty()) {
        (true, true) if !lost => {
            let message = format!("the service `{}` has no address", service.name);
            cx.refuse(&format!("{key}.urls"), message, "urls = [\"http://host:port\"]");
        }
        (false, false) => {
            let message = "`urls` and [[service.release]] say the same thing in two ways";
            cx.refuse(&format!("{key}.urls"), message, "one of them");
        }
        _ => {}
    }
    let ids = service.releases.iter().enumerate();
    let ids =
        ids.map(|(index, release)| (format!("{releases}[{index}].id"), release.id.to_string()));
    cx.refuse_repeated("release", ids);
    for (index, url) in service.urls.iter().enumerate() {
        not_the_edge_itself(cx, &format!("{key}.urls[{index}]"), url);
    }
    for (release, of) in service.releases.iter().enumerate() {
        for (index, url) in of.urls.iter().enumerate() {
            not_the_edge_itself(cx, &format!("{releases}[{release}].urls[{index}]"), url);
        }
    }
}

/// A request that comes back to where it started would circle until a bound ends it.
fn not_the_edge_itself(cx: &mut Context<'_>, key: &str, url: &OriginUrl) {
    let host = url.host().trim_start_matches('[').trim_end_matches(']');
    let ip = host.parse::<IpAddr>().ok();
    let leads_to = |listener: &ListenAddr| {
        let own = listener.0.ip().to_canonical();
        listener.0.port() == url.port()
            && match ip.map(|ip| ip.to_canonical()) {
                Some(ip) => {
                    ip == own || ip.is_unspecified() || (own.is_unspecified() && ip.is_loopback())
                }
                None => url.is_loopback() && (own.is_loopback() || own.is_unspecified()),
            }
    };
    let mut own = cx.manifest.edge.listen.iter().chain([&cx.manifest.ops.listen]);
    if let Some(listener) = own.find(|listener| leads_to(listener)) {
        let message = format!("{url} is Plimsoll's own listener {listener}");
        cx.refuse(key, message, "the address of the backend");
    }
}

fn version(cx: &mut Context<'_>, key: &str, service: &Service) {
    let at = format!("{key}.version");
    let Some(version) = &service.version else {
        if service.strip_prefix && !cx.lost(key, "version") {
            let expected = "[service.version] with a prefix";
            cx.refuse(&format!("{key}.strip_prefix"), "there is no prefix to strip", expected);
        }
        return;
    };
    if ["prefix", "header", "value"].iter().any(|part| cx.lost(&at, part)) {
        return;
    }
    let expected = "either `prefix`, or `header` and `value`";
    match (&version.prefix, &version.header, &version.value) {
        (Some(prefix), None, None) if prefix.is_root() => {
            cx.refuse(&format!("{at}.prefix"), "`/` tells no version from another", "\"/v2\"");
        }
        (Some(_), None, None) => {}
        (None, Some(header), Some(value)) => {
            if steers_or_hides(header.as_str()) {
                let message = format!("`{header}` cannot name a version");
                cx.refuse(&format!("{at}.header"), message, "a header such as \"Api-Version\"");
            }
            if value.trim() != value || !value.is_ascii() {
                let message = "no header value has spaces around it or letters beyond ASCII";
                cx.refuse(&format!("{at}.value"), message, "a value such as \"2\"");
            }
        }
        (Some(_), _, _) => cx.refuse(&at, "a prefix and a header at once", expected),
        (None, Some(_), None) => cx.refuse(&at, "`header` without `value`", expected),
        (None, None, Some(_)) => cx.refuse(&at, "`value` without `header`", expected),
        (None, None, None) => cx.refuse(&at, "nothing tells this version from another", expected),
    }
    if service.strip_prefix && version.prefix.is_none() {
        let expected = "[service.version] with a prefix";
        cx.refuse(&format!("{key}.strip_prefix"), "there is no prefix to strip", expected);
    }
}

fn timeouts(cx: &mut Context<'_>, key: &str, service: &Service) {
    let HumanDuration(total) = service.timeouts.total;
    let parts =
        [("connect", service.timeouts.connect), ("first_byte", service.timeouts.first_byte)];
    for (part, span) in parts {
        let at = format!("{key}.timeouts.{part}");
        // The defaults are simply cut to a shorter total.
        if span.0 > total && cx.written(&at) {
            let message = format!("{span} is longer than the total of {}", service.timeouts.total);
            cx.refuse(&at, message, "at most `total`");
        }
    }
    let ejection = &service.ejection;
    let at = format!("{key}.ejection.duration_max");
    if ejection.duration > ejection.duration_max {
        let message = format!(
            "the longest ejection of {} is shorter than the first of {}",
            ejection.duration_max, ejection.duration
        );
        cx.refuse(&at, message, "at least `duration`");
    }
    if let Some(breaker) = &service.breaker
        && breaker.open > breaker.open_max
    {
        let message = format!(
            "the longest time open of {} is shorter than the first of {}",
            breaker.open_max, breaker.open
        );
        cx.refuse(&format!("{key}.breaker.open_max"), message, "at least `open`");
    }
    admission(cx, key, service);
    if let Some(health) = &service.health {
        let at = format!("{key}.health");
        let is_path = health.path.starts_with('/')
            && health.path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if !is_path && !cx.lost(&at, "path") {
            let message = format!("`{}` is no path", health.path);
            cx.refuse(&format!("{at}.path"), message, "a path such as \"/healthz\"");
        }
        if health.timeout > health.every {
            let message = format!(
                "a check may take {}, longer than the {} between two",
                health.timeout, health.every
            );
            cx.refuse(&format!("{at}.timeout"), message, "at most `every`");
        }
    }
    let retries = &service.retries;
    let at = format!("{key}.retries.backoff_max");
    if retries.backoff > retries.backoff_max {
        let message = format!(
            "the longest wait of {} is shorter than the first of {}",
            retries.backoff_max, retries.backoff
        );
        cx.refuse(&at, message, "at least `backoff`");
    }
}

fn admission(cx: &mut Context<'_>, key: &str, service: &Service) {
    let Some(admission) = &service.admission else { return };
    let at = |name: &str| format!("{key}.admission.{name}");
    let (min, max) = (admission.concurrency_min, admission.concurrency_max);
    if min > max {
        let name =
            if cx.written(&at("concurrency_max")) { "concurrency_max" } else { "concurrency_min" };
        let message = format!("at most {max} at once is less than the least, {min}");
        cx.refuse(&at(name), message, "`concurrency_max` of at least `concurrency_min`");
    }
    for name in ["concurrency_min", "concurrency_max"] {
        if admission.concurrency.is_some() && cx.written(&at(name)) {
            let message = "how many at once is fixed, so nothing is found out";
            cx.refuse(&at(name), message, "`concurrency`, or bounds for what is found out");
        }
    }
    if admission.queue_target > admission.queue_interval {
        let message = format!(
            "the wait in a standing queue, {}, is longer than the {} before it stands",
            admission.queue_target, admission.queue_interval
        );
        cx.refuse(&at("queue_target"), message, "at most `queue_interval`");
    }
}

/// Without a contract a service is reached by unknown paths, by passthrough or by operations that
/// name their path; one that is reached by none of them is a mistake.
fn reachable(cx: &mut Context<'_>, key: &str, service: &Service) {
    let manifest = cx.manifest;
    let by_contract = service.contract.is_some() || cx.lost(key, "contract");
    let by_path = manifest.unknown_paths_of(service) == UnknownPaths::Pass;
    let by_passthrough = manifest.passthrough.iter().any(|p| p.service == service.name)
        || cx.lost("passthrough", "");
    let by_operation = manifest.operations.iter().any(|operation| {
        let for_it = operation.service.as_ref().is_none_or(|name| *name == service.name);
        for_it && operation.path.is_some()
    }) || cx.lost("operation", "");
    if by_contract || by_path || by_passthrough || by_operation {
        return;
    }
    let message = format!(
        "nothing leads to `{}`: it has no contract, and unknown paths are refused",
        service.name
    );
    let expected = "a contract, or unknown_paths = \"pass\", or a [[passthrough]] to it";
    cx.refuse(key, message, expected);
}

/// An unknown path must lead to one service at most. Equal prefixes are told of as such.
fn unknown_paths_of_one(cx: &mut Context<'_>) {
    let manifest = cx.manifest;
    let certain = |index: usize| {
        let key = format!("service[{index}]");
        let version = format!("{key}.version");
        let parts = ["prefix", "header", "value"];
        !["version", "contract", "unknown_paths"].iter().any(|part| cx.lost(&key, part))
            && !parts.iter().any(|part| cx.lost(&version, part))
    };
    let by_prefix =
        |service: &Service| matches!(service.version_rule(), Some(VersionRule::Prefix(_)));
    let takers: Vec<(usize, &Service)> = manifest
        .services
        .iter()
        .enumerate()
        .filter(|(_, service)| manifest.unknown_paths_of(service) == UnknownPaths::Pass)
        .filter(|(index, service)| !by_prefix(service) && certain(*index))
        .collect();
    for (at, (index, service)) in takers.iter().enumerate() {
        let rule = service.version_rule();
        let mut earlier = takers.iter().take(at).map(|(_, other)| *other);
        let other =
            earlier.find(|other| other.version_rule() == rule && other.name != service.name);
        let Some(other) = other else { continue };
        let message = format!(
            "a path that no contract names could be for `{}` or for `{}`",
            other.name, service.name
        );
        let expected = "[service.version] on one of them, or unknown_paths = \"refuse\"";
        cx.refuse(&format!("service[{index}]"), message, expected);
    }
}
