//! What a person should know, with what to do about it.

use std::sync::PoisonError;

use plimsoll_console::{Notice, NoticeLevel};
use plimsoll_edge::router::Operation;
use plimsoll_edge::{BreakerState, Config};

use super::Node;

/// How an operation that is set aside is answered.
fn answered_by(operation: &Operation) -> String {
    match (&operation.fallback_operation, &operation.fallback_file) {
        (Some(other), Some(_)) => format!("answered by {}, else by its document", other.id),
        (Some(other), None) => format!("answered by {}, or 503", other.id),
        (None, Some(_)) => "answered by its document".to_owned(),
        (None, None) => "answered 503".to_owned(),
    }
}

pub(super) fn set_aside(operation: &Operation, state: BreakerState) -> Notice {
    let why = match state {
        BreakerState::Open { left } => format!(
            "It failed too often: for {} s more its requests are {}.",
            left.as_secs() + 1,
            answered_by(operation)
        ),
        BreakerState::Probing => "It failed too often. The next request tries it.".to_owned(),
        _ => "It works again: a growing share of its requests is sent on.".to_owned(),
    };
    Notice {
        level: NoticeLevel::Warning,
        title: format!("{} is set aside", operation.id),
        why,
        next: format!("Look at the log of {}.", operation.service_name),
    }
}

impl Node {
    pub(super) fn refusals(&self) -> Vec<Notice> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = refused.first() else { return Vec::new() };
        vec![Notice {
            level: NoticeLevel::Critical,
            title: "The changed manifest was refused".to_owned(),
            why: format!(
                "{} faults, the first: {first}. The one before is in force.",
                refused.len()
            ),
            next: "Mend it; it is read again when the file changes.".to_owned(),
        }]
    }

    pub(super) fn restart_notice(&self) -> Option<Notice> {
        let keys = self.waits_for_restart();
        if keys.is_empty() {
            return None;
        }
        Some(Notice {
            level: NoticeLevel::Warning,
            title: "The changed manifest needs a restart".to_owned(),
            why: format!("Not in force before that: {}. All else is.", keys.join(", ")),
            next: "Restart the process; with LISTEN_FDS no request is lost.".to_owned(),
        })
    }
}

/// What a person should know although it works.
pub(crate) fn weaknesses(config: &Config) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut note = |title: &str, why: &str, next: &str| {
        notices.push(Notice {
            level: NoticeLevel::Warning,
            title: title.to_owned(),
            why: why.to_owned(),
            next: next.to_owned(),
        });
    };
    let manifest = config.manifest();
    if config.auth().is_none() {
        note(
            "No issuer is configured",
            "Nothing is verified: credentials pass through to the backend.",
            "Name your issuer in [[auth.issuer]].",
        );
    } else if manifest.auth.issuers.iter().any(|issuer| issuer.development) {
        note(
            "The development issuer is trusted",
            "Whoever can read the data directory can make tokens.",
            "Name your real issuer before clients can reach this edge.",
        );
    }
    if config.limits().is_empty() {
        note(
            "No limit is configured",
            "Nobody is refused for asking too often.",
            "Name limits in [[limit]]; `plimsoll init` suggests some.",
        );
    }
    for overlap in config.router().overlaps() {
        let why = format!("{}: the operations keep their own policies.", overlap.said());
        note(
            "A passthrough covers operations",
            &why,
            "Give the passthrough a prefix of its own, unless this is meant.",
        );
    }
    for shadowed in config.shadowed() {
        note(
            "A path of our own is never reached",
            &format!("{} is taken by {}, which goes first.", shadowed.path, shadowed.by),
            "Rename the operation's path, or set [status] public = false.",
        );
    }
    let public = manifest.edge.listen.iter().any(|address| !address.0.ip().is_loopback());
    if public && manifest.edge.tls.is_none() && manifest.edge.trusted_proxies.is_empty() {
        note(
            "Clients are served without TLS",
            "The edge listens beyond this machine, has no certificate and trusts no proxy.",
            "Set [edge.tls], or name the proxy that ends TLS in trusted_proxies.",
        );
    }
    notices
}
