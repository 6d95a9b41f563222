//! `/api/v1/evidence`: what readiness is judged by. Everybody may see it; an operator may add what
//! the report of another tool says, and nothing else: what Plimsoll measures nobody can write.

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use http::StatusCode;
use plimsoll_ledger::{LedgerError, Recorded};
use plimsoll_plan::{Gates, REPORTS, accept_report};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::{Operator, bad_body, failed, refused, rooms};
use crate::http::Console;
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    kind: String,
    facts: Map<String, Value>,
}

/// `POST /api/v1/evidence`: the facts of a report, as `plimsoll evidence add` read them. They could
/// be made up: what stands in the ledger is who said so, and when.
pub(crate) async fn add(
    State(console): State<Console>,
    Extension(operator): Extension<Operator>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let rooms = rooms(&console)?;
    let asked: Add = serde_json::from_slice(&body).map_err(|error| bad_body(&error))?;
    let report = accept_report(&asked.kind, asked.facts).map_err(|error| bad_body(&error))?;
    let evidence = report.evidence(rooms.clock.unix_ms()).map_err(|error| bad_body(&error))?;
    let (kind, facts, says) = (report.kind.kind(), evidence.facts.clone(), report.says());
    let mut connection = rooms.pool().acquire().await.map_err(|error| failed(&error))?;
    let added = rooms.ledger.add_evidence(&mut connection, operator.actor(), evidence).await;
    let entry = added.map_err(|error| match error {
        LedgerError::Invalid { .. } => bad_body(&error),
        _ => failed(&error),
    })?;
    let entry = entry.to_string();
    let answer = json!({ "entry": entry, "kind": kind, "says": says, "facts": facts });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// What is asked of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Asked {
    kind: Option<String>,
}

/// `GET /api/v1/evidence`: the newest of each kind.
pub(crate) async fn list(
    State(console): State<Console>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(asked) = asked.map_err(|error| refused(&error))?;
    let rooms = rooms(&console)?;
    let kinds = match asked.kind {
        Some(kind) => vec![kind],
        None => kinds()?,
    };
    let mut connection = rooms.pool().acquire().await.map_err(|error| failed(&error))?;
    let newest = rooms.ledger.newest_evidence(&mut connection, &kinds).await;
    let mut newest = newest.map_err(|error| failed(&error))?;
    newest.sort_by(|a, b| a.evidence.kind.cmp(&b.evidence.kind));
    let rows: Vec<Value> = newest.iter().map(row).collect();
    Ok(Json(json!({ "at_unix_ms": rooms.clock.unix_ms(), "evidence": rows })))
}

/// Those that a gate asks for, and every report that can be added.
fn kinds() -> Result<Vec<String>, Problem> {
    let mut kinds = Gates::shipped().map_err(|error| failed(&error))?.kinds();
    kinds.extend(REPORTS.iter().map(|report| report.kind.to_owned()));
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

fn row(recorded: &Recorded) -> Value {
    json!({
        "entry": recorded.id.to_string(),
        "kind": recorded.evidence.kind,
        "how": recorded.evidence.how.as_str(),
        "at_unix_ms": recorded.at_unix_ms,
        "actor_kind": recorded.actor_kind,
        "actor": recorded.actor.map(|actor| actor.to_string()),
        "genuine": recorded.genuine,
        "position": recorded.position,
        "facts": recorded.evidence.facts,
    })
}
