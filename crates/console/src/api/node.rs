//! `GET /api/v1/node`: where the node itself is asked, for commands beside it.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::http::Console;

/// What its first listener speaks where it is asked without TLS begins so.
const PLAIN: &str = "HTTP/";

pub(crate) async fn show(State(console): State<Console>) -> Json<Value> {
    let node = console.source.identity();
    let first = node.listeners.first().filter(|one| one.speaks.starts_with(PLAIN));
    let base = first.map(|one| {
        let address = one.address.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:");
        format!("http://{address}")
    });
    Json(json!({ "version": node.version, "listeners": node.listeners, "base": base }))
}
