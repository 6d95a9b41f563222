//! Policies of single operations: what they name, and settings that contradict each other.

use std::collections::BTreeMap;

use super::Context;
use super::paths::owned;
use crate::{
    IdempotencyRule, Method, OnUnknownOutcome, OperationCache, OperationPolicy, OperationSecurity,
};

/// The longest name of a cache group, bytes.
const GROUP_BYTES_MAX: usize = 128;

pub(super) fn check(cx: &mut Context<'_>) {
    let operations = &cx.manifest.operations;
    for (index, operation) in operations.iter().enumerate() {
        let key = format!("operation[{index}]");
        named(cx, &key, operation);
        if let Some(service) = &operation.service {
            cx.require_service(&format!("{key}.service"), service.as_str());
        }
        security(cx, &key, operation);
        idempotency(cx, &key, operation);
        cache(cx, &key, operation);
        if let Some(path) = &operation.path
            && let Some(own) = owned(cx, path.as_str(), |_| false)
        {
            let message = format!("{path} collides with Plimsoll's own {own}");
            cx.refuse(&format!("{key}.path"), message, "another path");
        }
    }
    repeated(cx);
}

/// A policy must say which operation it is for.
fn named(cx: &mut Context<'_>, key: &str, operation: &OperationPolicy) {
    if ["id", "method", "path", "service"].iter().any(|name| cx.lost(key, name)) {
        return;
    }
    let expected = "`id`, or `method` and `path`";
    match (&operation.id, operation.method, &operation.path) {
        (None, None, None) => cx.refuse(key, "this policy names no operation", expected),
        (_, Some(_), None) => cx.refuse(key, "`method` without `path`", expected),
        (_, None, Some(_)) => cx.refuse(key, "`path` without `method`", expected),
        (Some(id), None, None) => in_a_contract(cx, key, operation, id),
        (_, Some(_), Some(_)) => one_service(cx, key, operation),
    }
}

fn in_a_contract(cx: &mut Context<'_>, key: &str, operation: &OperationPolicy, id: &str) {
    let services = cx.manifest.services.iter();
    let mut candidates = services
        .filter(|service| operation.service.as_ref().is_none_or(|name| *name == service.name));
    if candidates.any(|service| service.contract.is_some()) || cx.services_lost() {
        return;
    }
    let unknown =
        operation.service.as_ref().is_some_and(|name| cx.manifest.service(name.as_str()).is_none());
    if unknown {
        return;
    }
    let message = format!("no contract names an operation `{}`", crate::values::shown(id));
    let expected = "`method` and `path` beside it, or a contract on the service";
    cx.refuse(&format!("{key}.id"), message, expected);
}

/// With several services a path alone does not say whose it is.
fn one_service(cx: &mut Context<'_>, key: &str, operation: &OperationPolicy) {
    if operation.service.is_none() && cx.manifest.services.len() > 1 {
        let message = "there are several services it could belong to";
        cx.refuse(&format!("{key}.service"), message, "service = \"NAME\"");
    }
}

fn security(cx: &mut Context<'_>, key: &str, operation: &OperationPolicy) {
    let at = format!("{key}.scopes");
    let scopes = operation.scopes.as_deref().unwrap_or_default();
    for (index, scope) in scopes.iter().enumerate() {
        // RFC 6749 section 3.3: %x21 / %x23-5B / %x5D-7E
        if !scope.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'"' && b != b'\\') {
            let message = format!("`{}` is no scope", crate::values::shown(scope));
            let expected = "printable ASCII without spaces, `\"` and `\\`";
            cx.refuse(&format!("{at}[{index}]"), message, expected);
        }
    }
    let open =
        matches!(operation.security, Some(OperationSecurity::Public | OperationSecurity::Pass));
    if open && !scopes.is_empty() {
        let message = "scopes are asked for where no token is verified";
        cx.refuse(&at, message, "security = \"token\", or no scopes");
    }
    if cx.has_issuer() {
        return;
    }
    let expected = "an [[auth.issuer]]";
    if operation.security == Some(OperationSecurity::Token) {
        cx.refuse(&format!("{key}.security"), "no issuer could verify the token", expected);
    } else if !open && !scopes.is_empty() {
        cx.refuse(&at, "no issuer could verify the token that holds them", expected);
    }
}

/// Who asks has to know whom, and what is off has no policy.
fn idempotency(cx: &mut Context<'_>, key: &str, operation: &OperationPolicy) {
    if operation.unknown_outcome == Some(OnUnknownOutcome::Ask) && operation.find_out.is_none() {
        let message = "nothing is named that could be asked";
        cx.refuse(&format!("{key}.unknown_outcome"), message, "`find_out` beside it");
    }
    let of_keys = operation.unknown_outcome.is_some()
        || operation.find_out.is_some()
        || operation.on_store_down.is_some();
    if operation.idempotency == Some(IdempotencyRule::Off) && of_keys {
        let message = "keys are off here, and what happens to keyed writes is set";
        let expected = "`required` or `optional`, or none of the other keys";
        cx.refuse(&format!("{key}.idempotency"), message, expected);
    }
}

/// Names of groups fit a structured field, and what is kept belongs to an operation that reads.
fn cache(cx: &mut Context<'_>, key: &str, operation: &OperationPolicy) {
    for (name, groups) in
        [("cache_groups", &operation.cache_groups), ("invalidates", &operation.invalidates)]
    {
        for (index, group) in groups.iter().flatten().enumerate() {
            let fits = (1..=GROUP_BYTES_MAX).contains(&group.len())
                && group.bytes().all(|b| matches!(b, b' '..=b'~'));
            if !fits {
                let message = format!("`{}` is no name of a group", crate::values::shown(group));
                let expected = "1 to 128 bytes of printable ASCII";
                cx.refuse(&format!("{key}.{name}[{index}]"), message, expected);
            }
        }
    }
    let writes = operation.method.is_some_and(|m| !matches!(m, Method::Get | Method::Head));
    if writes && operation.cache_ttl.is_some() {
        let message = "answers to this method are not kept";
        cx.refuse(&format!("{key}.cache_ttl"), message, "method = \"GET\", or no `cache_ttl`");
    }
    if operation.cache == Some(OperationCache::Off) && operation.cache_ttl.is_some() {
        let message = "how long answers are kept, and that none is";
        cx.refuse(&format!("{key}.cache_ttl"), message, "another `cache`, or no `cache_ttl`");
    }
}

/// Two policies for one operation: which of them counts would be a matter of order.
fn repeated(cx: &mut Context<'_>) {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    let mut twice = Vec::new();
    for (index, operation) in cx.manifest.operations.iter().enumerate() {
        let service = operation.service.as_ref().map_or("", |name| name.as_str());
        let by_id = operation.id.as_ref().map(|id| format!("{service} {id}"));
        let by_path = operation.method.zip(operation.path.as_ref());
        let by_path = by_path.map(|(method, path)| format!("{service} {method} {}", path.shape()));
        for named in by_id.into_iter().chain(by_path) {
            match first.get(&named) {
                None => {
                    first.insert(named, index);
                }
                Some(other) => twice.push((index, *other)),
            }
        }
    }
    twice.dedup();
    for (index, other) in twice {
        let message = format!("operation[{other}] is a policy for the same operation");
        cx.refuse(&format!("operation[{index}]"), message, "one policy for each operation");
    }
}
