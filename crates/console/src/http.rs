//! The routes of the ops listener. Every one is a question, but `/otlp` and where the team's own
//! backend appends to the ledger.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use plimsoll_base::SharedClock;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, watch};

use crate::api::{self, RoomsCell};
use crate::csv;
use crate::guard::{Guard, guard};
use crate::live::{Hub, live};
use crate::model::Source;
use crate::otlp::{self, READING_MAX};
use crate::page;
use crate::problem::{OpsCode, Problem};
use crate::server::ConsoleOptions;
use crate::view::{Asked, Sort, View, WINDOWS};

const STYLE: &str = include_str!("assets/console.css");
const BOARD_STYLE: &str = include_str!("assets/board.css");
const SCRIPT: &str = include_str!("assets/console.js");
const ICON: &str = include_str!("assets/icon.svg");

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Console {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) clock: SharedClock,
    pub(crate) hub: Arc<Hub>,
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) rooms: RoomsCell,
    /// Bodies sent to `/otlp` that are read at once.
    pub(crate) reading: Arc<Semaphore>,
}

impl Console {
    pub(crate) fn new(
        source: Arc<dyn Source>,
        options: &ConsoleOptions,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            source,
            clock: Arc::clone(&options.clock),
            hub: Arc::new(Hub::new(options.live_max)),
            stopped,
            rooms: Arc::clone(&options.rooms),
            reading: Arc::new(Semaphore::new(READING_MAX)),
        }
    }

    pub(crate) fn view(&self, asked: Asked) -> View {
        View::gather(&*self.source, &self.clock, asked)
    }
}

pub(crate) fn router(console: Console, guarded: Guard, pages: bool) -> Router {
    let always = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/otlp/v1/{signal}", post(otlp::take))
        .merge(api::ingest());
    let routes = if pages { always.merge(page_routes()).merge(api::questions()) } else { always };
    routes.fallback(nothing).layer(from_fn_with_state(guarded, guard)).with_state(console)
}

fn page_routes() -> Router<Console> {
    Router::new()
        .route("/", get(index))
        .route("/live", get(live))
        .route("/{table}", get(table))
        .route("/assets/console.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/assets/board.css", get(async || asset("text/css; charset=utf-8", BOARD_STYLE)))
        .route("/assets/console.js", get(async || asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/assets/icon.svg", get(async || asset("image/svg+xml", ICON)))
}

/// The query of the page, of its JSON, of its tables and of its live form.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Parameters {
    window: Option<String>,
    sort: Option<String>,
    format: Option<String>,
}

pub(crate) type Given = Result<Query<Parameters>, QueryRejection>;

/// Reads the query; what means nothing is refused, not guessed at.
pub(crate) fn asked(given: Given) -> Result<(Asked, bool), Problem> {
    let Query(parameters) =
        given.map_err(|error| Problem::new(OpsCode::BadQuery, error.body_text()))?;
    let mut asked = Asked::default();
    if let Some(window) = &parameters.window {
        let known = WINDOWS.into_iter().find(|known| known.to_string() == *window);
        asked.window = known.ok_or_else(|| refusal("window", "10, 60 or 300 (seconds)"))?;
    }
    if let Some(sort) = &parameters.sort {
        let known = Sort::ALL.into_iter().find(|(_, name)| name == sort);
        let known = known.ok_or_else(|| refusal("sort", "contract, requests, errors, p95 or p99"));
        asked.sort = known?.0;
    }
    let json = match parameters.format.as_deref() {
        None | Some("html") => false,
        Some("json") => true,
        Some(_) => return Err(refusal("format", "html or json")),
    };
    Ok((asked, json))
}

/// A parameter with a value that means nothing.
pub(crate) fn refusal(parameter: &str, expected: &str) -> Problem {
    Problem::new(OpsCode::BadQuery, format!("`{parameter}` must be {expected}."))
        .with("parameter", json!(parameter))
}

async fn index(State(console): State<Console>, given: Given) -> Result<Response, Problem> {
    let (asked, as_json) = asked(given)?;
    let view = console.view(asked);
    if as_json {
        return Ok(Json(view).into_response());
    }
    Ok(Html(page::document(&view).into_string()).into_response())
}

async fn table(
    State(console): State<Console>,
    Path(file): Path<String>,
    given: Given,
) -> Result<Response, Problem> {
    let Some(table) = csv::Table::by_file(&file) else { return Err(nothing().await) };
    let (asked, _) = asked(given)?;
    Ok(csv_answer(&file, csv::write(table, &console.view(asked))))
}

/// A table as a file.
pub(crate) fn csv_answer(file: &str, text: String) -> Response {
    let disposition = format!("inline; filename=\"plimsoll-{file}\"");
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    response
}

async fn metrics(State(console): State<Console>) -> Response {
    let (metrics, now) = (console.source.metrics(), console.clock.now());
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    let text = metrics.render_prometheus();
    metrics.note_read(now);
    (kind, text).into_response()
}

/// The process answers: that is all it says.
async fn healthz() -> Response {
    Json(json!({ "status": "alive" })).into_response()
}

async fn readyz(State(console): State<Console>) -> Response {
    let readiness = console.source.readiness();
    if readiness.ready && !readiness.draining {
        return (StatusCode::OK, Json(readiness)).into_response();
    }
    let why: Vec<&str> = readiness.reasons.iter().map(|reason| reason.why.as_str()).collect();
    let detail = match (why.is_empty(), readiness.draining) {
        (false, _) => why.join(" "),
        (true, true) => "The node drains.".to_owned(),
        (true, false) => "The node is not ready.".to_owned(),
    };
    Problem::new(OpsCode::NotReady, detail)
        .with("ready", json!(false))
        .with("draining", json!(readiness.draining))
        .with("reasons", json!(readiness.reasons))
        .into_response()
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")];
    (headers, text).into_response()
}

pub(crate) async fn nothing() -> Problem {
    Problem::new(
        OpsCode::NotFound,
        "The ops listener has /, /board, /ledger, the tables as CSV, /live, /metrics, /healthz, /readyz, \
         /otlp and /api/v1.",
    )
}
