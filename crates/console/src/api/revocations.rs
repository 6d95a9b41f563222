//! `POST /api/v1/revocations`: take back a token, or all that was issued to somebody until now.

use axum::body::Bytes;
use axum::extract::State;
use axum::{Extension, Json};
use plimsoll_identity::{IdentityError, Revoke, Revoked, revoke as revoke_in};

use crate::api::{Operator, bad_body, failed, rooms};
use crate::http::Console;
use crate::problem::Problem;

pub(crate) async fn revoke(
    State(console): State<Console>,
    Extension(operator): Extension<Operator>,
    body: Bytes,
) -> Result<Json<Revoked>, Problem> {
    let rooms = rooms(&console)?;
    let asked: Revoke = serde_json::from_slice(&body).map_err(|error| bad_body(&error))?;
    match revoke_in(rooms.pool(), &rooms.ledger, &*rooms.clock, operator.actor(), &asked).await {
        Ok(revoked) => Ok(Json(revoked)),
        Err(error @ IdentityError::Invalid { .. }) => Err(bad_body(&error)),
        Err(error) => Err(failed(&error)),
    }
}
