//! `GET /api/v1/database`: what is so about the database, for `plimsoll doctor`.

use axum::Json;
use axum::extract::State;
use plimsoll_store::Weight;
use serde_json::{Value, json};

use crate::api::rooms;
use crate::http::Console;
use crate::problem::Problem;

pub(crate) async fn facts(State(console): State<Console>) -> Result<Json<Value>, Problem> {
    let facts = rooms(&console)?.store.facts().await;
    let facts = facts.iter().map(|fact| {
        let weight = match fact.weight {
            Weight::Good => "ok",
            Weight::Weak => "weak",
            Weight::Bad => "broken",
        };
        json!({ "state": weight, "found": fact.sentence })
    });
    Ok(Json(json!({ "facts": facts.collect::<Vec<_>>() })))
}
