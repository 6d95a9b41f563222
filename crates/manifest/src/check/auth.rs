//! Issuers: names, where their keys come from, what may not leave the developer's machine.

use super::Context;
use crate::{HttpUrl, Issuer};

pub(super) fn check(cx: &mut Context<'_>) {
    let auth = &cx.manifest.auth;
    if auth.realm.chars().any(|c| !(' '..='~').contains(&c) || matches!(c, '"' | '\\')) {
        let message = "the realm stands in a quoted header value";
        cx.refuse("auth.realm", message, "plain ASCII without `\"` and `\\`");
    }
    let names = auth.issuers.iter().enumerate();
    let names = names
        .filter(|(_, issuer)| !crate::values::has_credentials(&issuer.issuer))
        .map(|(index, issuer)| (format!("auth.issuer[{index}].issuer"), issuer.issuer.clone()));
    cx.refuse_repeated("issuer", names);
    let mut development = None;
    for (index, issuer) in auth.issuers.iter().enumerate() {
        let key = format!("auth.issuer[{index}]");
        keys(cx, &key, issuer);
        times(cx, &key, issuer);
        if !issuer.development {
            continue;
        }
        loopback_only(cx, &format!("{key}.development"));
        if let Some(first) = development.replace(index) {
            let message = format!("auth.issuer[{first}] is the development issuer already");
            cx.refuse(&format!("{key}.development"), message, "one development issuer");
        }
    }
}

/// Its key lies in a developer's data directory and its tokens are minted by anybody who can read
/// it, so that nothing but this machine may reach what trusts it.
fn loopback_only(cx: &mut Context<'_>, key: &str) {
    let open = cx.manifest.edge.listen.iter().find(|address| !address.is_loopback());
    if let Some(address) = open {
        let message =
            format!("the development issuer is trusted while the edge listens on {address}");
        cx.refuse(key, message, "`edge.listen` on loopback only, or an issuer of your own");
    }
}

fn keys(cx: &mut Context<'_>, key: &str, issuer: &Issuer) {
    let urls = [("discovery_url", &issuer.discovery_url), ("jwks_url", &issuer.jwks_url)];
    let file = issuer.jwks_file.is_some().then_some("jwks_file");
    let named = urls.iter().filter(|(_, url)| url.is_some()).map(|(name, _)| *name);
    let sources: Vec<&str> = named.chain(file).collect();
    if let [first, second, ..] = sources.as_slice() {
        let message = format!("`{first}` and `{second}` both say where the keys are");
        cx.refuse(&format!("{key}.{second}"), message, "one of them");
    }
    for (name, url) in urls {
        let Some(url) = url else { continue };
        with_tls(cx, &format!("{key}.{name}"), url, issuer);
    }
    if issuer.development {
        if let Some(source) = sources.first() {
            let message = format!("the development issuer makes its own keys, `{source}` has none");
            cx.refuse(&format!("{key}.{source}"), message, "`development = true` alone");
        }
        return;
    }
    let lost = ["discovery_url", "jwks_url", "jwks_file", "development"];
    if sources.is_empty() && !lost.iter().any(|name| cx.lost(key, name)) {
        discoverable(cx, &format!("{key}.issuer"), issuer);
    }
}

/// Without any other word the keys are discovered under the issuer, which then must be a URL.
fn discoverable(cx: &mut Context<'_>, key: &str, issuer: &Issuer) {
    let expected = "an https URL without query, or `discovery_url`, `jwks_url` or `jwks_file`";
    match issuer.issuer.parse::<HttpUrl>() {
        Ok(url) if url.has_query() => {
            let message = "an issuer with a query cannot be discovered";
            cx.refuse(key, message, expected);
        }
        Ok(url) => with_tls(cx, key, &url, issuer),
        Err(_) => cx.refuse(key, "no keys can be discovered from this", expected),
    }
}

/// Whoever can change keys on their way can sign anything.
fn with_tls(cx: &mut Context<'_>, key: &str, url: &HttpUrl, issuer: &Issuer) {
    if !url.is_https() && !url.is_loopback() && !issuer.allow_private {
        let message = "keys fetched without TLS can be replaced on their way";
        cx.refuse(key, message, "an https URL, or `allow_private = true` inside a trusted network");
    }
}

fn times(cx: &mut Context<'_>, key: &str, issuer: &Issuer) {
    let at = format!("{key}.stale_max");
    if issuer.stale_max < issuer.refresh
        && (cx.written(&at) || cx.written(&format!("{key}.refresh")))
    {
        let message = format!(
            "keys would be too old after {}, before they are fetched again after {}",
            issuer.stale_max, issuer.refresh
        );
        cx.refuse(&at, message, "at least `refresh`");
    }
}
