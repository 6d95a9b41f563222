//! The manifest's word on operations, applied on top of the contracts.

use std::collections::HashSet;
use std::path::Path as FilePath;

use plimsoll_manifest::{
    AuditOnFull, CompressionRule, Fault, IdempotencyRule, Manifest, OnStoreDown, OnUnknownOutcome,
    OperationCache, OperationPolicy, OperationSecurity, RevocationRule,
};
use plimsoll_snapshot::template::Template;
use plimsoll_snapshot::{
    Audit, CacheMode, CacheRoute, Criticality, Idempotency, KeyRule, OperationRoute, RetryRule,
    Security, UnknownOutcome,
};

use crate::check::shown;
use crate::fallback;
use crate::faults::{Faults, fault};
use crate::load::Loading;
use crate::operations::{Found, generated_id};

/// Applies every `[[operation]]`, and checks the operations that `[[limit]]`s, `[[objective]]`s and
/// `[[journey]]`s name.
pub(crate) fn apply(manifest: &Manifest, services: &mut [Loading], faults: &mut Faults) {
    let mut with_fallback = Vec::new();
    for (index, policy) in manifest.operations.iter().enumerate() {
        let key = format!("operation[{index}]");
        match target(policy, services, &key) {
            Ok((service, operation)) => {
                if policy.fallback_operation.is_some() {
                    with_fallback.push((index, (service, operation)));
                }
                let found = &mut services[service].found;
                if let Err(fault) = rename(policy, found, operation, &key) {
                    faults.push(*fault);
                }
                change(policy, &mut found[operation].route);
                if policy.hedge == Some(true) && found[operation].route.method != "GET" {
                    let message = "only what reads can be asked for twice";
                    faults
                        .push(fault(format!("{key}.hedge"), message).expecting("a GET operation"));
                }
                if policy.fallback_file.is_some() && found[operation].route.method != "GET" {
                    let message = "only what reads can be answered with a document";
                    faults.push(
                        fault(format!("{key}.fallback_file"), message).expecting("a GET operation"),
                    );
                }
            }
            Err(fault) => faults.push(*fault),
        }
    }
    check_find_out(manifest, services, faults);
    fallback::apply(manifest, services, &with_fallback, faults);
    check_named(manifest, services, faults);
}

/// Service and operation that a policy is about; an operation of a service without a contract is
/// made.
fn target(
    policy: &OperationPolicy,
    services: &mut [Loading],
    key: &str,
) -> Result<(usize, usize), Box<Fault>> {
    let named = policy.service.as_ref().map(plimsoll_base::Name::as_str);
    let asked = |service: &Loading| named.is_none_or(|name| name == service.routes.service);
    let matching = |wanted: &dyn Fn(&Found) -> bool| -> Vec<(usize, usize)> {
        let services = services.iter().enumerate().filter(|(_, service)| asked(service));
        services
            .flat_map(|(at, service)| {
                let found = service.found.iter().enumerate();
                found.filter(|(_, found)| wanted(found)).map(move |(index, _)| (at, index))
            })
            .collect()
    };
    let (Some(method), Some(path)) = (policy.method, policy.path.as_ref()) else {
        let Some(id) = policy.id.as_deref() else {
            return Err(fault(key, "it names no operation")
                .expecting("`id`, or `method` and `path`")
                .into());
        };
        let matches = matching(&|found| found.route.id == id);
        return one(&matches, services, &format!("{key}.id"), id)
            .unwrap_or_else(|| Err(unknown_id(id, services, asked, &format!("{key}.id"))));
    };
    let label = format!("{method} {path}");
    let shape = Template::parse(path.as_str())
        .map_err(|error| fault(format!("{key}.path"), error.to_string()))?
        .to_string();
    let matches = matching(&|found| found.route.method == method.as_str() && found.shape == shape);
    if let Some(decided) = one(&matches, services, &format!("{key}.path"), &label) {
        return decided;
    }
    let open: Vec<usize> = (0..services.len())
        .filter(|index| asked(&services[*index]) && !services[*index].routes.has_contract)
        .collect();
    match open.as_slice() {
        [] => Err(unknown_path(&label, services, asked, &format!("{key}.path"))),
        [service] => {
            let key = format!("{key}.path");
            Ok((*service, add(policy, &mut services[*service], (&label, shape), key)))
        }
        _ => Err(ambiguous(&format!("{key}.path"), &label, open.iter().map(|at| &services[*at]))),
    }
}

/// The only match, a fault for several, `None` for none.
fn one(
    matches: &[(usize, usize)],
    services: &[Loading],
    key: &str,
    label: &str,
) -> Option<Result<(usize, usize), Box<Fault>>> {
    match matches {
        [] => None,
        [only] => Some(Ok(*only)),
        _ => {
            let services = matches.iter().map(|(service, _)| &services[*service]);
            Some(Err(ambiguous(key, label, services)))
        }
    }
}

fn ambiguous<'s>(
    key: &str,
    label: &str,
    services: impl Iterator<Item = &'s Loading>,
) -> Box<Fault> {
    let names: Vec<String> =
        services.map(|service| format!("`{}`", service.routes.service)).collect();
    let message = format!("`{}` could be one of several services", shown(label));
    fault(key, message).expecting(format!("`service`: {}", names.join(" or "))).into()
}

fn unknown_id(
    id: &str,
    services: &[Loading],
    asked: impl Fn(&Loading) -> bool,
    key: &str,
) -> Box<Fault> {
    let services: Vec<&Loading> = services.iter().filter(|service| asked(service)).collect();
    let ids = services.iter().flat_map(|service| &service.found).map(|found| &*found.route.id);
    let mut fault = fault(key, format!("no operation is called `{}`", shown(id)));
    fault.suggestion = crate::similar(id, ids);
    if services.iter().all(|service| !service.routes.has_contract) {
        return fault
            .expecting("`method` and `path`, because there is no contract to name it")
            .into();
    }
    fault.expecting("an `operationId` of the contract").into()
}

fn unknown_path(
    label: &str,
    services: &[Loading],
    asked: impl Fn(&Loading) -> bool,
    key: &str,
) -> Box<Fault> {
    let labels: Vec<String> = services
        .iter()
        .filter(|service| asked(service))
        .flat_map(|service| &service.found)
        .map(|found| format!("{} {}", found.route.method, found.route.template))
        .collect();
    let mut fault = fault(key, format!("no contract has {}", shown(label)))
        .expecting("a method and a whole path of the contract, base path included");
    fault.suggestion = crate::similar(label, labels.iter().map(String::as_str));
    fault.into()
}

/// Makes the operation that a policy describes where no contract does.
fn add(
    policy: &OperationPolicy,
    service: &mut Loading,
    (label, shape): (&str, String),
    key: String,
) -> usize {
    let (method, template) = label.split_once(' ').unwrap_or_default();
    let mut taken: HashSet<String> =
        service.found.iter().map(|found| found.route.id.clone()).collect();
    let id = policy.id.clone();
    let id = id.unwrap_or_else(|| generated_id(method, template, &mut taken));
    service.found.push(Found {
        route: OperationRoute {
            security: Security::any_token(),
            ..OperationRoute::new(id, method.to_owned(), template.to_owned())
        },
        shape,
        pointer: key,
        path: template.to_owned(),
        named: policy.id.is_some(),
    });
    service.found.len() - 1
}

/// With `method`, `path` and `id`, the operation is called `id` from then on.
fn rename(
    policy: &OperationPolicy,
    found: &mut [Found],
    operation: usize,
    key: &str,
) -> Result<(), Box<Fault>> {
    let Some(id) = policy.id.as_deref() else {
        return Ok(());
    };
    let mut others = found.iter().enumerate().filter(|(index, _)| *index != operation);
    if let Some((_, other)) = others.find(|(_, other)| other.route.id == id) {
        let message = format!(
            "`{}` is what {} {} is called already",
            shown(id),
            other.route.method,
            shown(&other.route.template),
        );
        return Err(fault(format!("{key}.id"), message).expecting("a name of its own").into());
    }
    id.clone_into(&mut found[operation].route.id);
    Ok(())
}

fn change(policy: &OperationPolicy, route: &mut OperationRoute) {
    if let Some(cost) = policy.cost {
        route.cost = cost;
    }
    if let Some(size) = policy.body_bytes_max {
        route.body_bytes_max = Some(size.0);
    }
    if let Some(time) = policy.total_timeout {
        route.total_timeout_ms = u64::try_from(time.0.as_millis()).ok();
    }
    if let Some(rule) = policy.revocation {
        route.revocation_strict = rule == RevocationRule::Strict;
    }
    if let Some(rule) = policy.compression {
        route.compression = Some(rule == CompressionRule::On);
    }
    if let Some(rule) = policy.retries {
        route.retries = Some(match rule {
            plimsoll_manifest::RetryRule::Off => RetryRule::Off,
            plimsoll_manifest::RetryRule::Safe => RetryRule::Safe,
            plimsoll_manifest::RetryRule::Idempotent => RetryRule::Idempotent,
        });
    }
    if let Some(hedge) = policy.hedge {
        route.hedge = hedge;
    }
    if policy.breaker.is_some() {
        route.breaker = policy.breaker;
    }
    change_admission(policy, route);
    if policy.fallback_file.is_some() {
        route.fallback_file.clone_from(&policy.fallback_file);
    }
    if let Some(audit) = policy.audit {
        route.audit = audit.then(Audit::default);
    }
    if let (Some(on_full), Some(audit)) = (policy.audit_on_full, &mut route.audit) {
        *audit = match on_full {
            AuditOnFull::Refuse => Audit::Refuse,
            AuditOnFull::Pass => Audit::Pass,
        };
    }
    change_idempotency(policy, &mut route.idempotency);
    change_cache(policy, &mut route.cache);
    let scopes = policy.scopes.clone().map(|mut scopes| {
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    });
    // A token that the manifest asks for is asked for without exception: what the contract lets
    // through without one (`{}`, basic, API keys) would let callers around the scopes.
    let token = |any_of| Security::Token { any_of, optional: false, pass_through: false };
    match (policy.security, scopes) {
        (None, None) => {}
        (Some(OperationSecurity::Public), _) => route.security = Security::Public,
        (Some(OperationSecurity::Pass), _) => route.security = Security::PassThrough,
        (_, Some(scopes)) => route.security = token(vec![scopes]),
        (Some(OperationSecurity::Token), None) => {
            let held = std::mem::replace(&mut route.security, Security::Public);
            route.security = match held {
                Security::Token { any_of, .. } => token(any_of),
                Security::Public | Security::PassThrough => Security::any_token(),
            };
        }
    }
}

fn change_admission(policy: &OperationPolicy, route: &mut OperationRoute) {
    if policy.admission.is_some() {
        route.admission = policy.admission;
    }
    if let Some(criticality) = policy.criticality {
        route.criticality = match criticality {
            plimsoll_manifest::Criticality::Critical => Criticality::Critical,
            plimsoll_manifest::Criticality::Default => Criticality::Default,
            plimsoll_manifest::Criticality::Sheddable => Criticality::Sheddable,
            plimsoll_manifest::Criticality::Background => Criticality::Background,
        };
    }
}

fn change_idempotency(policy: &OperationPolicy, idempotency: &mut Idempotency) {
    if let Some(rule) = policy.idempotency {
        idempotency.rule = match rule {
            IdempotencyRule::Required => KeyRule::Required,
            IdempotencyRule::Optional => KeyRule::Optional,
            IdempotencyRule::Off => KeyRule::Off,
        };
    }
    if let Some(unknown) = policy.unknown_outcome {
        idempotency.unknown = match unknown {
            OnUnknownOutcome::Hold => UnknownOutcome::Hold,
            OnUnknownOutcome::RetryUpstreamWithKey => UnknownOutcome::RetryUpstreamWithKey,
            OnUnknownOutcome::Ask => UnknownOutcome::Ask,
        };
    }
    if let Some(find_out) = &policy.find_out {
        idempotency.find_out = Some(find_out.clone());
    }
    if let Some(down) = policy.on_store_down {
        idempotency.unrecorded_passes = down == OnStoreDown::Pass;
    }
}

/// What finds out what became of a write is a read of the same service whose path has one
/// parameter, the key, or none.
fn check_find_out(manifest: &Manifest, services: &[Loading], faults: &mut Faults) {
    for service in services {
        for write in service.found.iter().filter(|found| found.route.idempotency.find_out.is_some())
        {
            let asked = write.route.idempotency.find_out.as_deref().unwrap_or_default();
            let fits = |found: &&Found| {
                found.route.id == asked
                    && found.route.method == "GET"
                    && found.route.template.matches('{').count() <= 1
            };
            if service.found.iter().any(|found| fits(&found)) {
                continue;
            }
            let policy = manifest.operations.iter().position(|policy| {
                policy.find_out.as_deref() == Some(asked)
                    && policy.id.as_deref().is_none_or(|id| id == write.route.id)
            });
            let key = format!("operation[{}].find_out", policy.unwrap_or_default());
            let message = format!("`{}` cannot find out what became of a write", shown(asked));
            let expected = "a GET operation of the same service with at most one path parameter";
            faults.push(fault(key, message).expecting(expected));
        }
    }
}

fn change_cache(policy: &OperationPolicy, cache: &mut CacheRoute) {
    if let Some(mode) = policy.cache {
        cache.mode = match mode {
            OperationCache::Off => CacheMode::Off,
            OperationCache::Headers => CacheMode::Headers,
            OperationCache::Shared => CacheMode::Shared,
            OperationCache::Caller => CacheMode::Caller,
        };
    }
    if let Some(ttl) = policy.cache_ttl {
        cache.ttl_ms = u64::try_from(ttl.0.as_millis()).ok();
    }
    if let Some(groups) = &policy.cache_groups {
        cache.groups.clone_from(groups);
    }
    if let Some(groups) = &policy.invalidates {
        cache.invalidates.clone_from(groups);
    }
}

/// A limit that names an operation that is not there would limit nothing. Where a service has no
/// contract, names are only known at run time.
fn check_named(manifest: &Manifest, services: &[Loading], faults: &mut Faults) {
    if services.iter().any(|service| !service.routes.has_contract) {
        return;
    }
    let ids: HashSet<&str> =
        services.iter().flat_map(|service| &service.found).map(|f| f.route.id.as_str()).collect();
    let limits = manifest.limits.iter().map(|limit| &limit.operations);
    let objectives = manifest.objectives.iter().map(|objective| &objective.operations);
    let limits = limits.enumerate().map(|(index, named)| (format!("limit[{index}]"), named));
    let objectives =
        objectives.enumerate().map(|(index, named)| (format!("objective[{index}]"), named));
    let journeys = manifest.journeys.iter().map(|journey| &journey.operations);
    let journeys = journeys.enumerate().map(|(index, named)| (format!("journey[{index}]"), named));
    for (table, named) in limits.chain(objectives).chain(journeys) {
        let unknown = named.iter().enumerate();
        for (at, id) in unknown.filter(|(_, id)| !ids.contains(id.as_str())) {
            let key = format!("{table}.operations[{at}]");
            let mut fault = fault(key, format!("no operation is called `{}`", shown(id)))
                .expecting("an `operationId` of a contract");
            let mut known: Vec<&str> = ids.iter().copied().collect();
            known.sort_unstable();
            fault.suggestion = crate::similar(id, known);
            faults.push(fault);
        }
    }
}

/// Gives the manifest's faults their file and, as far as a look at the text tells, their line.
pub(crate) fn place(mut faults: Vec<Fault>, file: &FilePath, text: &str) -> Vec<Fault> {
    for fault in &mut faults {
        file.clone_into(&mut fault.file);
        if let Some((line, column)) = line_of(&fault.key, text) {
            (fault.line, fault.column) = (Some(line), Some(column));
        }
    }
    faults
}

/// Line and column of `operation[1].id`: the key's line in the second `[[operation]]`, else that
/// table's header.
fn line_of(key: &str, text: &str) -> Option<(usize, usize)> {
    let (table, rest) = key.split_once('[')?;
    let (index, rest) = rest.split_once(']')?;
    let field = rest.trim_start_matches('.').split('[').next().unwrap_or_default();
    let header = format!("[[{table}]]");
    let mut lines = (1..).zip(text.lines());
    let (first, head) = lines
        .by_ref()
        .filter(|(_, line)| line.trim_start().starts_with(&header))
        .nth(index.parse().ok()?)?;
    let column = |line: &str| line.len() - line.trim_start().len() + 1;
    let body = lines.take_while(|(_, line)| !line.trim_start().starts_with('['));
    let is_field = |line: &str| {
        let rest = line.trim_start().strip_prefix(field);
        !field.is_empty() && rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let found = body.into_iter().find(|(_, line)| is_field(line));
    Some(found.map_or((first, column(head)), |(number, line)| (number, column(line))))
}
