//! Operations that stand in for others while their breaker is open.

use std::collections::HashSet;

use plimsoll_manifest::{Fault, Manifest, OperationPolicy};
use plimsoll_snapshot::OperationName;
use plimsoll_snapshot::template::{parameters, whole_parameters};

use crate::check::shown;
use crate::faults::{Faults, fault};
use crate::load::Loading;
use crate::operations::Found;

/// An operation, by its service and its place there.
pub(crate) type Place = (usize, usize);

/// Finds what each policy of `asking` names as its fallback, given as the policy's index and the
/// operation that it is about, and writes it into that operation's route.
pub(crate) fn apply(
    manifest: &Manifest,
    services: &mut [Loading],
    asking: &[(usize, Place)],
    faults: &mut Faults,
) {
    // Whoever has one of its own stands in for nobody: so there is no way around in a circle.
    let with_own: HashSet<Place> = asking.iter().map(|(_, place)| *place).collect();
    for (index, place) in asking {
        let Some(policy) = manifest.operations.get(*index) else { continue };
        let key = format!("operation[{index}].fallback_operation");
        match stands_in(policy, services, *place, &with_own, &key) {
            Ok(name) => services[place.0].found[place.1].route.fallback_operation = Some(name),
            Err(fault) => faults.push(*fault),
        }
    }
    for (index, policy) in manifest.operations.iter().enumerate() {
        if policy.fallback_service.is_some() && policy.fallback_operation.is_none() {
            let key = format!("operation[{index}].fallback_service");
            let message = "it names a service and no operation of it";
            faults.push(fault(key, message).expecting("`fallback_operation` beside it"));
        }
    }
}

fn stands_in(
    policy: &OperationPolicy,
    services: &[Loading],
    (own_service, own): Place,
    with_own: &HashSet<Place>,
    key: &str,
) -> Result<OperationName, Box<Fault>> {
    let refused =
        |message: String, expected: &str| Box::new(fault(key, message).expecting(expected));
    let first = &services[own_service].found[own].route;
    if first.method != "GET" {
        let message = "only what reads can be answered by another operation".to_owned();
        return Err(refused(message, "a GET operation"));
    }
    let id = policy.fallback_operation.as_deref().unwrap_or_default();
    let place = find(policy, services, own_service, id, key)?;
    let other = &services[place.0].found[place.1].route;
    let called = shown(id);
    if place == (own_service, own) {
        let message = format!("`{called}` cannot stand in for itself");
        return Err(refused(message, "another GET operation"));
    }
    if other.method != "GET" {
        let message = format!("`{called}` is a {}: it does not only read", other.method);
        return Err(refused(message, "a GET operation"));
    }
    if with_own.contains(&place) {
        let message = format!("`{called}` has a fallback operation of its own");
        return Err(refused(message, "an operation without `fallback_operation`"));
    }
    if other.audit.is_some() {
        let message = format!("`{called}` is audited, and its entry would name `{}`", first.id);
        return Err(refused(message, "an operation without `audit`"));
    }
    let known: HashSet<&str> = whole_parameters(&first.template).collect();
    if let Some(missing) = parameters(&other.template).find(|name| !known.contains(name)) {
        let message = format!("`{{{}}}` of {} cannot be filled", shown(missing), other.template);
        let expected = format!("an operation whose path parameters {} has, too", first.template);
        return Err(refused(message, &expected));
    }
    Ok(OperationName { service: services[place.0].routes.service.clone(), id: id.to_owned() })
}

/// The operation of that name in the service that the policy names, or in its own.
fn find(
    policy: &OperationPolicy,
    services: &[Loading],
    own: usize,
    id: &str,
    key: &str,
) -> Result<Place, Box<Fault>> {
    let service = match policy.fallback_service.as_ref().map(plimsoll_base::Name::as_str) {
        None => own,
        Some(name) => {
            let at = services.iter().position(|service| service.routes.service == name);
            at.ok_or_else(|| {
                let key = key.replace("fallback_operation", "fallback_service");
                let mut fault = fault(key, format!("no service is called `{}`", shown(name)));
                let names = services.iter().map(|service| &*service.routes.service);
                fault.suggestion = crate::similar(name, names);
                Box::new(fault.expecting("the `name` of a `[[service]]`"))
            })?
        }
    };
    let found: &[Found] = &services[service].found;
    let at = found.iter().position(|found| found.route.id == id);
    at.map(|at| (service, at)).ok_or_else(|| {
        let name = &services[service].routes.service;
        let message = format!("no operation of `{name}` is called `{}`", shown(id));
        let mut fault = fault(key, message);
        fault.suggestion = crate::similar(id, found.iter().map(|found| &*found.route.id));
        Box::new(fault.expecting("a GET operation; of another service with `fallback_service`"))
    })
}
