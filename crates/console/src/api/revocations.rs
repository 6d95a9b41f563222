//! `POST /api/v1/revocations`: take back a token, or all that was issued to somebody until now.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use plimsoll_identity::{IdentityError, Revoke, revoke as revoke_in};

use crate::api::{Operator, failed, refused, rooms};
use crate::http::Console;
use crate::problem::Problem;

pub(crate) async fn revoke(
    State(console): State<Console>,
    Extension(operator): Extension<Operator>,
    body: Bytes,
) -> Result<Response, Problem> {
    let rooms = rooms(&console)?;
    let asked: Revoke = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => return Ok(refused(&error)),
    };
    match revoke_in(&rooms.pool, &rooms.ledger, &*rooms.clock, operator.actor(), &asked).await {
        Ok(revoked) => Ok(Json(revoked).into_response()),
        Err(error @ IdentityError::Invalid { .. }) => Ok(refused(&error)),
        Err(error) => Err(failed(&error)),
    }
}
