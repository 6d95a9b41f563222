//! `POST /api/v1/ledger/entries`: an action of the team's own, such as a refund that somebody
//! approved. Repeated with the same id it appends once.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use http::StatusCode;
use plimsoll_ledger::{Appended, LedgerError, TEAM_ACTION_BYTES_MAX, TeamAction};
use serde_json::{Value, json};

use crate::api::{bad_body, failed, rooms};
use crate::http::Console;
use crate::problem::{OpsCode, Problem};

/// The longest body, bytes.
pub(super) const BODY_BYTES_MAX: usize = TEAM_ACTION_BYTES_MAX;

pub(crate) async fn append(
    State(console): State<Console>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let rooms = rooms(&console)?;
    let body = body.map_err(|error| unread(&error))?;
    let action = TeamAction::parse(&body).map_err(|error| bad_body(&error))?;
    let mut transaction = rooms.pool().begin().await.map_err(|error| failed(&error))?;
    let appended = rooms.ledger.append_team_action(&mut transaction, action).await;
    let appended = appended.map_err(|error| refusal(&error))?;
    transaction.commit().await.map_err(|error| failed(&error))?;
    Ok(match appended {
        Appended::New(entry) => (StatusCode::CREATED, Json(json!({ "entry": entry.to_string() }))),
        Appended::Before(entry) => (StatusCode::OK, Json(json!({ "entry": entry.to_string() }))),
    })
}

fn unread(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_long();
    }
    Problem::new(OpsCode::BadBody, rejection.body_text())
}

fn too_long() -> Problem {
    let says = format!("An action has at most {TEAM_ACTION_BYTES_MAX} bytes.");
    Problem::new(OpsCode::BodyTooLong, says)
}

fn refusal(error: &LedgerError) -> Problem {
    match error {
        LedgerError::IdReused { .. } => Problem::new(OpsCode::IdReused, error.to_string()),
        LedgerError::Invalid { .. } | LedgerError::TooLong { .. } => bad_body(error),
        _ => failed(error),
    }
}
