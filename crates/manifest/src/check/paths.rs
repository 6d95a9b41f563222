//! Path prefixes: of API versions, of passthrough, and Plimsoll's own.

use std::collections::BTreeSet;

use super::Context;
use crate::{PassthroughSecurity, PathPrefix, Service};

pub(super) fn check(cx: &mut Context<'_>) {
    version_prefixes(cx);
    passthrough(cx);
}

/// The prefix of a service's API version, with its key.
fn prefix_of(index: usize, service: &Service) -> Option<(String, &PathPrefix)> {
    let prefix = service.version.as_ref()?.prefix.as_ref()?;
    Some((format!("service[{index}].version.prefix"), prefix))
}

fn version_prefixes(cx: &mut Context<'_>) {
    let services = &cx.manifest.services;
    for (index, service) in services.iter().enumerate() {
        let Some((key, prefix)) = prefix_of(index, service) else {
            continue;
        };
        own_path(cx, &key, prefix);
        let earlier = services[..index].iter().enumerate().find_map(|(at, other)| {
            let (_, taken) = prefix_of(at, other)?;
            taken.overlaps(prefix).then_some((other, taken))
        });
        if let Some((other, taken)) = earlier {
            let message = format!("{prefix} overlaps {taken} of the service `{}`", other.name);
            cx.refuse(&key, message, "a prefix that no other service uses");
        }
    }
}

fn passthrough(cx: &mut Context<'_>) {
    let all = &cx.manifest.passthrough;
    for (index, entry) in all.iter().enumerate() {
        let key = format!("passthrough[{index}]");
        let at = format!("{key}.prefix");
        let prefix = &entry.prefix;
        cx.require_service(&format!("{key}.service"), entry.service.as_str());
        own_path(cx, &at, prefix);
        if let Some(other) = all[..index].iter().find(|other| other.prefix.overlaps(prefix)) {
            let message = format!("{prefix} overlaps the passthrough {}", other.prefix);
            cx.refuse(&at, message, "a prefix that no other passthrough covers");
        }
        foreign_service(cx, &at, prefix, entry.service.as_str());
        let token = entry.security == Some(PassthroughSecurity::Token);
        if token && !cx.has_issuer() {
            let expected = "an [[auth.issuer]], or security = \"public\"";
            let message = "no issuer could verify the token";
            cx.refuse(&format!("{key}.security"), message, expected);
        }
    }
}

/// A passthrough under another service's version prefix would take paths from it.
fn foreign_service(cx: &mut Context<'_>, key: &str, prefix: &PathPrefix, service: &str) {
    let foreign = cx.manifest.services.iter().enumerate().find_map(|(index, other)| {
        let (_, taken) = prefix_of(index, other)?;
        (other.name.as_str() != service && taken.overlaps(prefix)).then_some((other, taken))
    });
    if let Some((other, taken)) = foreign {
        let message = format!("{prefix} overlaps {taken} of the service `{}`", other.name);
        cx.refuse(key, message, format!("a prefix outside {taken}"));
    }
}

/// Where the edge answers by itself. `/` covers them all and takes none: the exact path wins.
pub(super) fn own_path(cx: &mut Context<'_>, key: &str, prefix: &PathPrefix) {
    if prefix.is_root() {
        return;
    }
    if let Some(own) = owned(cx, prefix.as_str(), |own| prefix.covers(own)) {
        let message = format!("{prefix} collides with Plimsoll's own {own}");
        cx.refuse(key, message, "another prefix");
    }
}

/// The own path that `path` lies under, or that `covers` says lies under it.
pub(super) fn owned(cx: &Context<'_>, path: &str, covers: impl Fn(&str) -> bool) -> Option<String> {
    const RESERVED: &str = "/.plimsoll";
    let below = path.strip_prefix(RESERVED);
    if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Some(RESERVED.to_owned());
    }
    let mut documents = BTreeSet::new();
    let with_contract = cx.manifest.services.iter().filter(|s| s.contract.is_some());
    for service in with_contract {
        documents.insert("/openapi.json".to_owned());
        documents.insert(format!("/openapi/{}.json", service.name));
    }
    documents.into_iter().find(|own| own == path || covers(own))
}
