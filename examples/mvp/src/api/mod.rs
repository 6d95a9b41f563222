//! The HTTP API, one module per subject, exactly as `openapi.json` describes it.

mod error;
mod input;
mod media;
mod orders;
mod people;
mod posts;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get};

pub use error::ApiError;

use crate::store::Store;
use crate::switches::{self, Gate, Switches};
use crate::trace::{self, Route, Tracer};

/// The largest JSON body. Unit: bytes.
pub const JSON_BYTES_MAX: usize = 64 * 1024;

/// What every handler may use.
#[derive(Clone, Debug)]
pub struct App {
    /// The state of the backend.
    pub store: Store,
    /// What is broken on purpose.
    pub switches: Arc<Switches>,
    /// Where spans go; `None`: nowhere.
    pub tracer: Option<Tracer>,
}

/// One operation of the contract: its `operationId`, its path and its handler.
struct Operation {
    id: &'static str,
    path: &'static str,
    handler: MethodRouter<App>,
}

const fn operation(id: &'static str, path: &'static str, handler: MethodRouter<App>) -> Operation {
    Operation { id, path, handler }
}

fn operations() -> Vec<Operation> {
    let mut all = people::operations();
    all.extend(posts::operations());
    all.extend(orders::operations());
    all.extend(media::operations());
    all
}

/// The `operationId` of each operation.
#[must_use]
pub fn operation_ids() -> Vec<&'static str> {
    operations().into_iter().map(|operation| operation.id).collect()
}

/// The API, each operation traced and behind its own switch, and `/healthz` beside it.
pub fn router(app: App) -> Router {
    let mut router = Router::new();
    for Operation { id, path, handler } in operations() {
        let gate = Gate { switches: Arc::clone(&app.switches), operation: id };
        let route = Route { tracer: app.tracer.clone(), path };
        let handler = handler
            .layer(from_fn_with_state(gate, switches::apply))
            .layer(from_fn_with_state(route, trace::serve));
        router = router.route(path, handler);
    }
    router
        .layer(DefaultBodyLimit::max(JSON_BYTES_MAX))
        .route("/healthz", get(async || "ok\n"))
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .with_state(app)
}
