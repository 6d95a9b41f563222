//! The team's own actions, as their backend reports them.

use std::fmt;

use plimsoll_protection::sha256;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::canonical::canonical;
use crate::error::LedgerError;
use crate::facts::Fact;
use crate::model::{ActorKind, Outcome, SUBJECT_BYTES_MAX};
use crate::service::{Actor, Append, Ledger, bounded};
use crate::store;

/// The longest body that holds one action, in bytes.
pub const TEAM_ACTION_BYTES_MAX: usize = 16 * 1024;
const ID_BYTES_MAX: usize = 128;
const NAME_BYTES_MAX: usize = 64;
const ACTOR_BYTES_MAX: usize = 256;
const DETAIL_BYTES_MAX: usize = 4 * 1024;
const PERSONAL_BYTES_MAX: usize = 4 * 1024;

/// One action of the team's own, such as a refund that somebody approved.
#[derive(Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TeamAction {
    /// The caller's id: a call that is repeated with the same id appends once. 1 to 128 of
    /// letters, digits, `.`, `_`, `:`, `-`.
    pub id: String,
    /// What, in the team's words: 1 to 64 of `a-z`, digits, `.`, `_`, `-`.
    pub action: String,
    /// Who; only a keyed hash of it is written. At most 256 bytes.
    #[serde(default)]
    pub actor: Option<String>,
    /// On what: a reference such as `order/17`, no personal data. At most 256 bytes.
    #[serde(default)]
    pub subject: String,
    /// How it ended.
    pub outcome: Outcome,
    /// When, in milliseconds since 1970-01-01T00:00:00Z; the time of the call where it is missing.
    #[serde(default)]
    pub at_unix_ms: Option<u64>,
    /// The change it belongs to.
    #[serde(default, deserialize_with = "uuid_of_text")]
    pub change_id: Option<Uuid>,
    /// Anything else, without personal data: canonically at most 4 KiB, numbers integers.
    #[serde(default)]
    pub detail: Map<String, Value>,
    /// Personal data, written encrypted: canonically at most 4 KiB.
    #[serde(default)]
    pub personal: Map<String, Value>,
}

impl fmt::Debug for TeamAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TeamAction")
            .field("id", &self.id)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// A new entry.
    New(Uuid),
    /// The same call was made before; its entry.
    Before(Uuid),
}

impl TeamAction {
    /// Reads and checks an action.
    ///
    /// # Errors
    /// Names the field and what it has to be.
    pub fn parse(body: &[u8]) -> Result<Self, LedgerError> {
        bounded("body", body.len(), TEAM_ACTION_BYTES_MAX)?;
        let action: Self = serde_json::from_slice(body).map_err(LedgerError::NotAnAction)?;
        action.check()?;
        Ok(action)
    }

    fn check(&self) -> Result<(), LedgerError> {
        let made_of = |text: &str, bytes_max: usize, extra: &str, upper: bool| {
            (1..=bytes_max).contains(&text.len())
                && text.chars().all(|c| {
                    c.is_ascii_digit()
                        || c.is_ascii_lowercase()
                        || (upper && c.is_ascii_uppercase())
                        || extra.contains(c)
                })
        };
        if !made_of(&self.id, ID_BYTES_MAX, "._:-", true) {
            let expected = "has to be 1 to 128 letters, digits, `.`, `_`, `:` or `-`";
            return Err(LedgerError::Invalid { field: "id", expected });
        }
        if !made_of(&self.action, NAME_BYTES_MAX, "._-", false) {
            let expected = "has to be 1 to 64 of `a-z`, digits, `.`, `_` or `-`";
            return Err(LedgerError::Invalid { field: "action", expected });
        }
        bounded("actor", self.actor.as_ref().map_or(0, String::len), ACTOR_BYTES_MAX)?;
        bounded("subject", self.subject.len(), SUBJECT_BYTES_MAX)?;
        if self.subject.contains('\0') {
            return Err(LedgerError::Invalid { field: "subject", expected: "holds a NUL" });
        }
        let size = |map: &Map<String, Value>| canonical(&Value::Object(map.clone()));
        bounded("detail", size(&self.detail)?.len(), DETAIL_BYTES_MAX)?;
        bounded("personal", size(&self.personal)?.len(), PERSONAL_BYTES_MAX)
    }

    /// What the same id must come with again.
    fn fingerprint(&self) -> Result<[u8; 32], LedgerError> {
        let personal = Value::Object(self.personal.clone());
        let all = serde_json::json!([
            self.action,
            self.actor,
            self.subject,
            self.outcome.as_str(),
            self.at_unix_ms,
            self.change_id.map(|id| id.to_string()),
            self.detail,
            personal,
        ]);
        Ok(sha256(&[b"plimsoll.ledger.team.v1", canonical(&all)?.as_bytes()]))
    }
}

impl Ledger {
    /// Appends an action of the team's own, once for each id.
    ///
    /// `conn` should be a transaction: the id and the entry stand together.
    ///
    /// # Errors
    /// A field that is not what it has to be, an id used for something else, or the database.
    pub async fn append_team_action(
        &self,
        conn: &mut PgConnection,
        action: TeamAction,
    ) -> Result<Appended, LedgerError> {
        action.check()?;
        let fingerprint = action.fingerprint()?;
        let personal = (!action.personal.is_empty())
            .then(|| canonical(&Value::Object(action.personal)))
            .transpose()?;
        let ready = self.ready(Append {
            actor: match &action.actor {
                None => Actor::Named(ActorKind::Team, ""),
                Some(actor) => Actor::Named(ActorKind::Team, actor),
            },
            fact: Fact::TeamAction {
                name: action.action,
                subject: action.subject,
                detail: action.detail,
            },
            outcome: action.outcome,
            change_id: action.change_id,
            personal: personal.as_deref(),
            at_unix_ms: action.at_unix_ms,
        })?;
        let id = ready.entry.id;
        match store::claim_team_id(conn, &action.id, id, &fingerprint).await? {
            None => {
                store::insert(conn, &ready).await?;
                Ok(Appended::New(id))
            }
            Some((entry, before)) if before == fingerprint => Ok(Appended::Before(entry)),
            Some(_) => Err(LedgerError::IdReused { id: action.id }),
        }
    }
}

fn uuid_of_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| Uuid::parse_str(&text).map_err(D::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TeamAction, String> {
        TeamAction::parse(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_small_and_a_full_action_are_taken() {
        parse(r#"{ "id": "a-1", "action": "refund.approve", "outcome": "ok" }"#).unwrap();
        let full = r#"{ "id": "a-2", "action": "refund.approve", "actor": "ann@example.org",
            "subject": "order/17", "outcome": "refused", "at_unix_ms": 1795000000000,
            "change_id": "0192f000-0000-7000-8000-000000000000",
            "detail": { "cents": 1250 }, "personal": { "name": "Ann" } }"#;
        let action = parse(full).unwrap();
        assert!(!format!("{action:?}").contains("nn"), "{action:?}");
    }

    #[test]
    fn every_bound_and_every_unknown_field_is_named() {
        let body =
            |field: &str| format!(r#"{{ "id": "a", "action": "b", "outcome": "ok", {field} }}"#);
        let cases = [
            (body(r#""extra": 1"#), "extra"),
            (r#"{ "id": "a", "outcome": "ok" }"#.to_owned(), "action"),
            (r#"{ "id": "", "action": "b", "outcome": "ok" }"#.to_owned(), "`id`"),
            (r#"{ "id": "a", "action": "B c", "outcome": "ok" }"#.to_owned(), "`action`"),
            (r#"{ "id": "a", "action": "b", "outcome": "nice" }"#.to_owned(), "nice"),
            (body(&format!(r#""actor": "{}""#, "x".repeat(257))), "`actor`"),
            (body(&format!(r#""subject": "{}""#, "x".repeat(257))), "`subject`"),
            (body(r#""subject": "\u0000""#), "`subject`"),
            (body(r#""detail": { "euro": 12.5 }"#), "12.5"),
            (body(&format!(r#""detail": {{ "x": "{}" }}"#, "x".repeat(4096))), "`detail`"),
            (body(&format!(r#""personal": {{ "x": "{}" }}"#, "x".repeat(4096))), "`personal`"),
            ("x".repeat(TEAM_ACTION_BYTES_MAX + 1), "`body`"),
            (
                format!(
                    "{{ \"id\": \"{}\", \"action\": \"b\", \"outcome\": \"ok\" }}",
                    "x".repeat(129)
                ),
                "`id`",
            ),
        ];
        for (text, word) in cases {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
