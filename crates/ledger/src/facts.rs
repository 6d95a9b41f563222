//! The catalogue of actions: what is written for each, and where it stands in the entry.
//!
//! Free text, which may name people, is never a detail: it goes into the sealed part.

use plimsoll_protection::ActorHash;
use serde_json::{Map, Value, json};

use crate::evidence::Evidence;

/// Names listed in one entry at most; the rest is counted.
const NAMES_MAX: usize = 100;
/// A name in such a list, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What happened, with what an entry of its kind says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fact {
    /// The process started.
    Start {
        /// The version of Plimsoll.
        version: String,
        /// The node.
        node: String,
        /// Its role, such as `all`.
        role: String,
        /// SHA-256 of the manifest, in hex.
        manifest_sha256: String,
    },
    /// The process stopped in good order.
    Stop {
        /// The node.
        node: String,
        /// `signal`, `operator`, `error`.
        reason: &'static str,
        /// Requests that were under way and were not answered.
        requests_cut: u64,
        /// How long the drain took, milliseconds.
        took_ms: u64,
    },
    /// The manifest in force was exchanged for another.
    ManifestChange {
        /// The node.
        node: String,
        /// SHA-256 of the one before, in hex.
        before_sha256: String,
        /// SHA-256 of the one after, in hex.
        after_sha256: String,
        /// Which keys differ; never their values.
        diff: ManifestDiff,
    },
    /// A migration was applied.
    MigrationRun {
        /// The room.
        room: String,
        /// Its version number.
        version: i64,
        /// What it is called.
        description: String,
    },
    /// An operator did something through the console or the command line.
    OperatorAct {
        /// What, such as `ledger.export`.
        act: String,
        /// On what.
        subject: String,
        /// Anything else, without personal data.
        detail: Map<String, Value>,
    },
    /// Tokens of a subject, or one token, are no longer accepted.
    TokenRevoke {
        /// `sub` or `jti`.
        claim: &'static str,
        /// The keyed hash of the claim's value.
        value: ActorHash,
    },
    /// A client called an operation that says `audit = true`.
    AuditOperation {
        /// The service.
        service: String,
        /// The operation.
        operation: String,
        /// The request's id.
        request_id: String,
        /// The status it was answered with.
        status: u16,
        /// The node.
        node: String,
    },
    /// The team's own backend did something; see [`crate::TeamAction`].
    TeamAction {
        /// What, in the team's words.
        name: String,
        /// On what.
        subject: String,
        /// Anything else.
        detail: Map<String, Value>,
    },
    /// Records of a spool that never reached the ledger: the spool's position was set back by a
    /// restored backup, or its files were removed.
    SpoolGap {
        /// The spool.
        spool: uuid::Uuid,
        /// The first record missing.
        from: u64,
        /// The first record that is there again.
        to: u64,
    },
    /// Something was seen that readiness gates are judged by; the entry carries a keyed mark. See
    /// [`crate::Evidence`].
    Evidence {
        /// What was seen.
        evidence: Evidence,
    },
}

/// Every name of the catalogue, for filters and help.
pub const ACTIONS: [&str; 10] = [
    "plimsoll.start",
    "plimsoll.stop",
    "manifest.change",
    "migration.run",
    "operator.act",
    "token.revoke",
    "audit.operation",
    "team.action",
    "audit.gap",
    "evidence.add",
];

impl Fact {
    /// The action's name.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Fact::Start { .. } => ACTIONS[0],
            Fact::Stop { .. } => ACTIONS[1],
            Fact::ManifestChange { .. } => ACTIONS[2],
            Fact::MigrationRun { .. } => ACTIONS[3],
            Fact::OperatorAct { .. } => ACTIONS[4],
            Fact::TokenRevoke { .. } => ACTIONS[5],
            Fact::AuditOperation { .. } => ACTIONS[6],
            Fact::TeamAction { .. } => ACTIONS[7],
            Fact::SpoolGap { .. } => ACTIONS[8],
            Fact::Evidence { .. } => ACTIONS[9],
        }
    }

    /// Subject and detail, as they are stored.
    pub(crate) fn into_parts(self) -> (String, Value) {
        match self {
            Fact::Start { version, node, role, manifest_sha256 } => (
                node,
                json!({ "version": version, "role": role, "manifest_sha256": manifest_sha256 }),
            ),
            Fact::Stop { node, reason, requests_cut, took_ms } => (
                node,
                json!({ "reason": reason, "requests_cut": requests_cut, "took_ms": took_ms }),
            ),
            Fact::ManifestChange { node, before_sha256, after_sha256, diff } => (
                node,
                json!({
                    "before_sha256": before_sha256, "after_sha256": after_sha256,
                    "added": list(&diff.added), "removed": list(&diff.removed),
                    "changed": list(&diff.changed),
                }),
            ),
            Fact::MigrationRun { room, version, description } => {
                (room, json!({ "version": version, "description": description }))
            }
            Fact::OperatorAct { act, subject, mut detail } => {
                detail.insert("act".into(), act.into());
                (subject, Value::Object(detail))
            }
            Fact::TokenRevoke { claim, value } => {
                (format!("{claim}:{value}"), json!({ "claim": claim }))
            }
            Fact::AuditOperation { service, operation, request_id, status, node } => (
                format!("{service}/{operation}"),
                json!({ "request_id": request_id, "status": status, "node": node }),
            ),
            Fact::TeamAction { name, subject, detail } => {
                (subject, json!({ "name": name, "detail": detail }))
            }
            Fact::SpoolGap { spool, from, to } => {
                (spool.to_string(), json!({ "from": from, "to": to }))
            }
            Fact::Evidence { evidence } => {
                (evidence.kind, json!({ "how": evidence.how.as_str(), "facts": evidence.facts }))
            }
        }
    }
}

/// Which keys of a manifest differ. Values never stand here: a URL may hold a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestDiff {
    /// Keys that the newer has and the older has not, dotted.
    pub added: Vec<String>,
    /// Keys that the older has and the newer has not.
    pub removed: Vec<String>,
    /// Keys whose values differ.
    pub changed: Vec<String>,
}

impl ManifestDiff {
    /// Compares two manifests as trees. Members of a list are named by their place.
    #[must_use]
    pub fn between(before: &Value, after: &Value) -> Self {
        let mut diff = Self::default();
        diff.walk("", before, after);
        diff
    }

    fn walk(&mut self, at: &str, before: &Value, after: &Value) {
        match (before, after) {
            (Value::Object(a), Value::Object(b)) => {
                for (name, value) in a {
                    match b.get(name) {
                        Some(other) => self.walk(&dotted(at, name), value, other),
                        None => self.removed.push(dotted(at, name)),
                    }
                }
                let new = b.keys().filter(|name| !a.contains_key(*name));
                self.added.extend(new.map(|name| dotted(at, name)));
            }
            (Value::Array(a), Value::Array(b)) => {
                for (n, (value, other)) in a.iter().zip(b).enumerate() {
                    self.walk(&dotted(at, &n.to_string()), value, other);
                }
                let both = a.len().min(b.len());
                self.removed.extend((both..a.len()).map(|n| dotted(at, &n.to_string())));
                self.added.extend((both..b.len()).map(|n| dotted(at, &n.to_string())));
            }
            (a, b) if a != b => self.changed.push(at.to_owned()),
            _ => {}
        }
    }
}

fn dotted(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// At most [`NAMES_MAX`] names and [`LIST_BYTES_MAX`] bytes, then how many more there are.
fn list(names: &[String]) -> Value {
    let mut left = LIST_BYTES_MAX;
    let fitting = names.iter().take(NAMES_MAX).map(|name| cut(name)).take_while(|name| {
        let fits = name.len() + 3 <= left;
        left = left.saturating_sub(name.len() + 3);
        fits
    });
    let mut shown: Vec<Value> = fitting.map(Value::from).collect();
    if shown.len() < names.len() {
        shown.push(format!("and {} more", names.len() - shown.len()).into());
    }
    Value::Array(shown)
}

/// The bytes of one list; three of them fit the bound on a detail, escapes included.
const LIST_BYTES_MAX: usize = 2 * 1024;

/// Control characters become `?`, so that no name grows when it is escaped.
fn cut(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        let c = if c.is_control() || matches!(c, '"' | '\\') { '?' } else { c };
        if out.len() + c.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::canonical;
    use crate::model::DETAIL_BYTES_MAX;

    #[test]
    fn a_diff_names_keys_and_never_values() {
        let before =
            json!({ "edge": { "listen": "secret-1", "tls": true }, "service": [{ "a": 1 }] });
        let after = json!({
            "edge": { "listen": "secret-2", "cors": {} }, "service": [{ "a": 1 }, { "b": 2 }],
        });
        let diff = ManifestDiff::between(&before, &after);
        assert_eq!(diff.added, ["edge.cors", "service.1"]);
        assert_eq!(diff.removed, ["edge.tls"]);
        assert_eq!(diff.changed, ["edge.listen"]);
        let fact = Fact::ManifestChange {
            node: "n".into(),
            before_sha256: String::new(),
            after_sha256: String::new(),
            diff,
        };
        let (_, detail) = fact.into_parts();
        assert!(!detail.to_string().contains("secret"), "{detail}");
    }

    #[test]
    fn the_greatest_diff_fits_an_entry() {
        let names: Vec<_> = (0..5_000).map(|n| format!("{}{n}", "\"\u{1}é".repeat(40))).collect();
        let diff = ManifestDiff { added: names.clone(), removed: names.clone(), changed: names };
        let fact = Fact::ManifestChange {
            node: "n".into(),
            before_sha256: "0".repeat(64),
            after_sha256: "0".repeat(64),
            diff,
        };
        let (_, detail) = fact.into_parts();
        let text = canonical(&detail).unwrap();
        assert!(text.len() <= DETAIL_BYTES_MAX, "{}", text.len());
        assert!(text.contains("more"), "{text}");
    }
}
