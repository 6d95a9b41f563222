//! What an operator does, over the local socket: each act leaves an entry in the ledger.

use axum::body::Bytes;
use axum::extract::State;
use axum::{Extension, Json};
use plimsoll_ledger::{AcceptError, Append, EVIDENCE_TEXT_BYTES_MAX, Evidence, Fact};
use plimsoll_store::{PgConnection, PgPool};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::{Operator, Rooms, bad_body, failed, rooms};
use crate::http::Console;
use crate::problem::{OpsCode, Problem};

/// Acts that commands do themselves and report.
const REPORTED: [&str; 4] = ["backup", "restore", "database.create", "keys.rotate"];
/// Those among them that are evidence.
const REHEARSED: &str = "backup.rehearse";
const JOURNEYS: &str = "journey.run";
/// The longest reason, bytes: as much as a signed record holds.
const REASON_BYTES_MAX: usize = 512;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accept {
    reason: String,
}

/// `POST /api/v1/ledger/accept`: the chain as it stands is accepted, though earlier checkpoints say
/// otherwise, and signed again from now on.
pub(crate) async fn accept(
    State(console): State<Console>,
    Extension(operator): Extension<Operator>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let rooms = rooms(&console)?;
    let asked: Accept = serde_json::from_slice(&body).map_err(|error| bad_body(&error))?;
    let reason = asked.reason.trim();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        let says = format!("`reason` has to have 1 to {REASON_BYTES_MAX} bytes.");
        return Err(Problem::new(OpsCode::BadBody, says));
    }
    rooms.sealer.differs().map_err(|error| refusal(&error))?;
    // Both or neither, as far as two places allow it: what is signed carries the reason as well.
    let mut transaction = rooms.pool().begin().await.map_err(|error| failed(&error))?;
    let act = Act { reason: Some(reason), ..Act::new("ledger.accept", "ledger") };
    act.append(rooms, &operator, &mut transaction).await?;
    let size = rooms.sealer.accept(reason).await.map_err(|error| refusal(&error))?;
    transaction.commit().await.map_err(|error| {
        let says = format!("It is accepted, and the entry that says so was not written: {error}.");
        Problem::new(OpsCode::NoDatabase, says)
    })?;
    Ok(Json(json!({ "size": size })))
}

fn refusal(error: &AcceptError) -> Problem {
    match error {
        AcceptError::NothingDiffers | AcceptError::NotSealing { .. } => {
            Problem::new(OpsCode::NotAccepted, error.to_string())
        }
        _ => failed(error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reported {
    act: String,
    subject: String,
    #[serde(default)]
    detail: Map<String, Value>,
}

/// `POST /api/v1/acts`: a command tells what it did.
pub(crate) async fn report(
    State(console): State<Console>,
    Extension(operator): Extension<Operator>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let rooms = rooms(&console)?;
    let told: Reported = serde_json::from_slice(&body).map_err(|error| bad_body(&error))?;
    if told.act == REHEARSED {
        return rehearsed(rooms, &operator, told).await;
    }
    if told.act == JOURNEYS {
        return journeys(rooms, &operator, told).await;
    }
    if !REPORTED.contains(&told.act.as_str()) {
        let says =
            format!("`act` must be one of {}, {REHEARSED}, {JOURNEYS}.", REPORTED.join(", "));
        return Err(Problem::new(OpsCode::BadBody, says));
    }
    let act = Act { detail: told.detail, ..Act::new(&told.act, &told.subject) };
    act.append_alone(rooms, &operator).await?;
    Ok(Json(json!({})))
}

/// What `plimsoll restore --rehearse` says of a backup.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RehearsedBackup {
    entries: u64,
    whole: bool,
    /// When the backup was taken, where that could be read.
    taken_unix_s: Option<i64>,
    /// Why it is not whole.
    why: Option<String>,
}

/// Plimsoll measured it, so it is measured, though it was an operator who let it.
async fn rehearsed(
    rooms: &Rooms,
    operator: &Operator,
    told: Reported,
) -> Result<Json<Value>, Problem> {
    let said: RehearsedBackup = serde_json::from_value(Value::Object(told.detail.clone()))
        .map_err(|error| bad_body(&error))?;
    let mut facts = Map::new();
    facts.insert("entries".into(), i64::try_from(said.entries).unwrap_or(i64::MAX).into());
    facts.insert("whole".into(), said.whole.into());
    if let Some(taken) = said.taken_unix_s {
        let now = i64::try_from(rooms.clock.unix_seconds()).unwrap_or(i64::MAX);
        facts.insert("backup_age_s".into(), now.saturating_sub(taken).max(0).into());
    }
    let says = match said.why {
        Some(why) => why,
        None => format!("a backup was restored, and {} entries verified", said.entries),
    };
    let says = says.get(..says.floor_char_boundary(EVIDENCE_TEXT_BYTES_MAX)).unwrap_or_default();
    facts.insert("says".into(), says.into());
    brought(rooms, operator, told, Evidence::measured("store.restored", facts)).await
}

/// What `plimsoll journey run` says of all journeys that must not fail.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JourneysRan {
    journeys: u64,
    failed: u64,
    /// The name of the first that failed.
    first_failed: Option<String>,
}

/// Plimsoll ran them itself, so what came of it is measured.
async fn journeys(
    rooms: &Rooms,
    operator: &Operator,
    told: Reported,
) -> Result<Json<Value>, Problem> {
    let said: JourneysRan = serde_json::from_value(Value::Object(told.detail.clone()))
        .map_err(|error| bad_body(&error))?;
    let count = |count: u64| Value::from(i64::try_from(count).unwrap_or(i64::MAX));
    let mut facts = Map::new();
    facts.insert("journeys".into(), count(said.journeys));
    facts.insert("failed".into(), count(said.failed));
    let mut says = format!("{} journeys were run, {} failed", said.journeys, said.failed);
    if let Some(first) = said.first_failed {
        says.push_str(&format!(", first {first}"));
        facts.insert("first_failed".into(), first.into());
    }
    says.truncate(says.floor_char_boundary(EVIDENCE_TEXT_BYTES_MAX));
    facts.insert("says".into(), says.into());
    brought(rooms, operator, told, Evidence::measured("drills.journeys", facts)).await
}

/// The act, and the evidence that it brought: both or neither.
async fn brought(
    rooms: &Rooms,
    operator: &Operator,
    told: Reported,
    evidence: Evidence,
) -> Result<Json<Value>, Problem> {
    let mut transaction = rooms.pool().begin().await.map_err(|error| failed(&error))?;
    let act = Act { detail: told.detail, ..Act::new(&told.act, &told.subject) };
    act.append(rooms, operator, &mut transaction).await?;
    let added = rooms.ledger.add_evidence(&mut transaction, operator.actor(), evidence).await;
    added.map_err(|error| failed(&error))?;
    transaction.commit().await.map_err(|error| failed(&error))?;
    Ok(Json(json!({})))
}

/// An act on its way into the ledger.
pub(super) struct Act<'a> {
    act: &'a str,
    subject: &'a str,
    pub(super) detail: Map<String, Value>,
    reason: Option<&'a str>,
}

impl<'a> Act<'a> {
    pub(super) fn new(act: &'a str, subject: &'a str) -> Self {
        Self { act, subject, detail: Map::new(), reason: None }
    }

    /// In the caller's transaction.
    async fn append(
        self,
        rooms: &Rooms,
        operator: &Operator,
        conn: &mut PgConnection,
    ) -> Result<(), Problem> {
        let (act, subject) = (self.act.to_owned(), self.subject.to_owned());
        let fact = Fact::OperatorAct { act, subject, detail: self.detail };
        let append = Append { personal: self.reason, ..Append::ok(operator.actor(), fact) };
        rooms.ledger.append(conn, append).await.map(drop).map_err(|error| failed(&error))
    }

    /// In a transaction of its own.
    pub(super) async fn append_alone(
        self,
        rooms: &Rooms,
        operator: &Operator,
    ) -> Result<(), Problem> {
        let pool: &PgPool = rooms.pool();
        let mut connection = pool.acquire().await.map_err(|error| failed(&error))?;
        self.append(rooms, operator, &mut connection).await
    }
}
