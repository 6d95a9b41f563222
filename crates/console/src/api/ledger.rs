//! The ledger: a page of entries, verification with its progress, the export.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::mpsc::{SyncSender, sync_channel};

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, LINK};
use plimsoll_ledger::{
    Filter, Listed, PAGE_ENTRIES_MAX, Progress, Report, VerifyOptions, export as export_to,
    verify as verify_all,
};
use plimsoll_protection::PublicKey;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::PrimitiveDateTime;
use time::macros::format_description;
use tokio::sync::mpsc;

use crate::api::acts::Act;
use crate::api::{Operator, Rooms, failed, refused, rooms};
use crate::csv;
use crate::http::{Console, csv_answer, refusal};
use crate::model::VerifiedRow;
use crate::page::ledger::{document, query, refused as refused_page};
use crate::problem::{OpsCode, Problem};

/// Entries on a page where nobody says otherwise.
const PAGE_ENTRIES: u32 = 50;
/// Lines of a stream that wait to be sent.
const LINES_WAITING_MAX: usize = 64;
/// Bytes of an export that go out as one piece.
const PIECE_BYTES: usize = 64 * 1024;
/// Progress is told every so many entries.
const PROGRESS_EVERY: u64 = 20_000;

/// What can be asked of the ledger.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LedgerAsked {
    pub(crate) action: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) outcome: Option<String>,
    /// A time in UTC as a form's field gives it; or the same in milliseconds.
    from: Option<String>,
    to: Option<String>,
    from_unix_ms: Option<u64>,
    to_unix_ms: Option<u64>,
    pub(crate) before: Option<String>,
    pub(crate) limit: Option<u32>,
    format: Option<String>,
}

impl LedgerAsked {
    /// From this time on.
    pub(crate) fn earliest_unix_ms(&self) -> Result<Option<u64>, Problem> {
        Ok(utc("from", self.from.as_deref())?.or(self.from_unix_ms))
    }

    /// Before this time.
    pub(crate) fn end_unix_ms(&self) -> Result<Option<u64>, Problem> {
        Ok(utc("to", self.to.as_deref())?.or(self.to_unix_ms))
    }

    fn filter(&self) -> Result<Filter, Problem> {
        // A form sends what was left empty, too.
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let before = given(&self.before).as_deref().map(uuid::Uuid::parse_str).transpose();
        Ok(Filter {
            action: given(&self.action),
            actor: given(&self.actor),
            subject: given(&self.subject),
            outcome: given(&self.outcome),
            from_unix_ms: self.earliest_unix_ms()?,
            to_unix_ms: self.end_unix_ms()?,
            before: before.map_err(|error| refused(&error))?,
        })
    }
}

/// A form's time in UTC: `2026-11-29T08:10`, with seconds or without.
fn utc(name: &str, text: Option<&str>) -> Result<Option<u64>, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let parsed = PrimitiveDateTime::parse(
        text,
        format_description!("[year]-[month]-[day]T[hour]:[minute][optional [:[second]]]"),
    );
    let ms = parsed.ok().map(|time| time.assume_utc().unix_timestamp().saturating_mul(1_000));
    let ms = ms.and_then(|ms| u64::try_from(ms).ok());
    ms.map(Some).ok_or_else(|| refusal(name, "a time in UTC such as 2026-11-29T08:10"))
}

/// What was found, and when it was looked for.
pub(crate) struct Found {
    pub(crate) entries: Vec<EntryRow>,
    pub(crate) next: Option<String>,
    pub(crate) read_unix_ms: u64,
}

/// One entry as it is listed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EntryRow {
    pub(crate) id: String,
    pub(crate) at_unix_ms: i64,
    pub(crate) action: String,
    pub(crate) actor_kind: String,
    pub(crate) actor: Option<String>,
    pub(crate) subject: String,
    pub(crate) outcome: String,
    pub(crate) change_id: Option<String>,
    pub(crate) detail: Value,
    pub(crate) has_personal: bool,
    pub(crate) position: Option<u64>,
}

impl From<Listed> for EntryRow {
    fn from(listed: Listed) -> Self {
        let entry = listed.entry;
        Self {
            id: entry.id.to_string(),
            at_unix_ms: entry.at_us / 1_000,
            action: entry.action,
            actor_kind: entry.actor_kind,
            actor: entry.actor.map(|actor| actor.to_string()),
            subject: entry.subject,
            outcome: entry.outcome,
            change_id: entry.change_id.map(|id| id.to_string()),
            detail: entry.detail,
            has_personal: entry.sealed_personal.is_some(),
            position: listed.position,
        }
    }
}

type Given = Result<Query<LedgerAsked>, QueryRejection>;

/// `GET /api/v1/ledger`: one page of entries.
pub(crate) async fn tail(
    State(console): State<Console>,
    asked: Given,
) -> Result<Json<Value>, Problem> {
    let (asked, _) = read(asked)?;
    Ok(as_json(&find(&console, &asked).await?))
}

/// `GET /ledger.csv`: the same as a table, as much of it as there may be at once. What is left out
/// has a link (RFC 8288), as a table has no room for one.
pub(crate) async fn table(
    State(console): State<Console>,
    asked: Given,
) -> Result<Response, Problem> {
    let (mut asked, _) = read(asked)?;
    asked.limit = asked.limit.or(Some(PAGE_ENTRIES_MAX));
    let found = find(&console, &asked).await?;
    let mut response = csv_answer("ledger.csv", csv::entries(&found.entries));
    if let Some(next) = &found.next {
        let link = format!("<{}>; rel=\"next\"", query("/ledger.csv", &asked, Some(next)));
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(LINK, link);
        }
    }
    Ok(response)
}

/// `GET /ledger`: the same for people, who get what went wrong as a page, too.
pub(crate) async fn show(State(console): State<Console>, asked: Given) -> Response {
    let memory = console.source.memory();
    let down = memory.as_ref().and_then(|memory| memory.database_down.as_deref());
    let refusal_page = |problem: Problem| {
        let page = refused_page(&problem, down).into_string();
        problem.into_page(page)
    };
    let (asked, json) = match read(asked) {
        Ok(read) => read,
        Err(problem) => return refusal_page(problem),
    };
    match find(&console, &asked).await {
        Ok(found) if json => as_json(&found).into_response(),
        Err(problem) if json => problem.into_response(),
        Ok(found) => {
            let standing = memory.as_ref().map(|memory| &memory.ledger);
            Html(document(standing, &asked, &found).into_string()).into_response()
        }
        Err(problem) => refusal_page(problem),
    }
}

fn as_json(found: &Found) -> Json<Value> {
    Json(json!({ "entries": found.entries, "next": found.next }))
}

/// What was asked, and whether for JSON.
fn read(asked: Given) -> Result<(LedgerAsked, bool), Problem> {
    let Query(asked) = asked.map_err(|error| refused(&error))?;
    let json = match asked.format.as_deref() {
        None | Some("html") => false,
        Some("json") => true,
        Some(_) => return Err(refusal("format", "html or json")),
    };
    Ok((asked, json))
}

async fn find(console: &Console, asked: &LedgerAsked) -> Result<Found, Problem> {
    let filter = asked.filter()?;
    let rooms = rooms(console)?;
    let limit = asked.limit.unwrap_or(PAGE_ENTRIES).clamp(1, PAGE_ENTRIES_MAX);
    let mut connection = rooms.pool().acquire().await.map_err(|error| failed(&error))?;
    let page = rooms.ledger.tail(&mut connection, &filter, limit).await;
    let page = page.map_err(|error| failed(&error))?;
    Ok(Found {
        entries: page.entries.into_iter().map(EntryRow::from).collect(),
        next: page.next.map(|id| id.to_string()),
        read_unix_ms: console.clock.unix_ms(),
    })
}

/// What is asked of a verification.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VerifyAsked {
    /// Directories of further checkpoints: a JSON list of absolute paths.
    checkpoints: Option<String>,
    /// Public keys that are believed, too: a JSON list, each in hexadecimal.
    keys: Option<String>,
}

impl VerifyAsked {
    fn options(&self, rooms: &Rooms) -> Result<VerifyOptions, Problem> {
        fn list<T: DeserializeOwned>(given: Option<&str>) -> Result<Vec<T>, Problem> {
            let list = given.map_or(Ok(Vec::new()), serde_json::from_str);
            list.map_err(|error| refused(&error))
        }
        let mut further: Vec<PathBuf> = list(self.checkpoints.as_deref())?;
        further.retain(|path| *path != rooms.checkpoints);
        let mut trusted = rooms.trusted.clone();
        for key in list::<String>(self.keys.as_deref())? {
            trusted.push(PublicKey::from_hex(&key).map_err(|error| refused(&error))?);
        }
        let (checkpoints, key) = (rooms.checkpoints.clone(), rooms.checkpoint_key.clone());
        Ok(VerifyOptions { checkpoints, key, further, trusted })
    }
}

/// Lines of JSON: `{"progress": {...}}` while it goes on, at last `{"report": {...}}` or
/// `{"error": "..."}`.
pub(crate) async fn verify(
    State(console): State<Console>,
    operator: Option<Extension<Operator>>,
    given: Result<Query<VerifyAsked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = given.map_err(|error| refused(&error))?;
    let rooms = rooms(&console)?.clone();
    // What lies in whose folders, and who is believed, is for the local operator to say.
    if operator.is_none() && (asked.checkpoints.is_some() || asked.keys.is_some()) {
        let says = "`checkpoints` and `keys` are taken over ops.sock only: use `plimsoll ledger \
                    verify`.";
        return Err(Problem::new(OpsCode::BadQuery, says));
    }
    let options = asked.options(&rooms)?;
    let (lines, body) = mpsc::channel::<io::Result<Bytes>>(LINES_WAITING_MAX);
    let task = async move {
        let last = match verified(&rooms, options, &lines).await {
            Ok(report) => {
                let mut report = report_json(&report);
                report["public_key"] = rooms.checkpoint_key.to_hex().into();
                json!({ "report": report })
            }
            Err(error) => json!({ "error": error }),
        };
        // Whoever asked may be gone.
        let _heard = lines.send(Ok(line(&last))).await.is_ok();
    };
    #[expect(clippy::disallowed_methods, reason = "ends with its answer; bounded by the listener")]
    tokio::task::spawn(task);
    Ok(stream(body))
}

async fn verified(
    rooms: &Rooms,
    options: VerifyOptions,
    lines: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<Report, String> {
    let by_ours_alone = options.further.is_empty();
    let mut connection = rooms.pool().acquire().await.map_err(|error| error.to_string())?;
    let mut told = 0;
    let progress = |progress: Progress| {
        if progress.done >= told + PROGRESS_EVERY {
            told = progress.done;
            let said = json!({ "progress": { "done": progress.done, "total": progress.total } });
            // A reader that is slow misses a line of progress, nothing else.
            let _told_or_not = lines.try_send(Ok(line(&said))).is_ok();
        }
    };
    let report = verify_all(&mut connection, &options, &rooms.clock, progress).await;
    let report = report.map_err(|error| error.to_string())?;
    // Checkpoints from elsewhere may be faulty themselves, which says nothing of the ledger here.
    if by_ours_alone {
        let row = VerifiedRow::of(&report, rooms.clock.unix_ms());
        *rooms.verified.lock().unwrap_or_else(PoisonError::into_inner) = Some(row);
    }
    Ok(report)
}

/// A report as JSON.
#[must_use]
pub fn report_json(report: &Report) -> Value {
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    let accepted: Vec<Value> = report
        .accepted
        .iter()
        .map(|(fault, why)| json!({ "fault": fault.to_string(), "why": why }))
        .collect();
    json!({
        "whole": report.is_whole(),
        "entries": report.entries,
        "faults": faults,
        "faults_more": report.faults_more,
        "accepted": accepted,
        "checkpoints": report.checkpoints,
        "checkpoint_size": report.checkpoint_size,
        "checkpoint_at_unix_ms": report.checkpoint_at_unix_ms,
        "after_checkpoint": report.after_checkpoint,
        "unsealed": report.unsealed,
        "took_ms": u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
        "entries_per_second": report.entries_per_second().round(),
    })
}

/// What is asked of an export.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Range {
    from: Option<u64>,
    to: Option<u64>,
}

/// What is said of an export, before its first byte.
fn exported(range: &Range) -> Map<String, Value> {
    let mut detail = Map::new();
    detail.insert("from".into(), range.from.unwrap_or(1).into());
    detail.insert("to".into(), range.to.into());
    detail
}

/// The sealed entries with their proofs, as lines of JSON that `plimsoll ledger verify --file`
/// checks without a database. A break in the middle shows as a missing last line.
pub(crate) async fn export(
    State(console): State<Console>,
    Extension(operator): Extension<Operator>,
    range: Result<Query<Range>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(range) = range.map_err(|error| refused(&error))?;
    let rooms = rooms(&console)?.clone();
    let (pieces, body) = mpsc::channel::<io::Result<Bytes>>(LINES_WAITING_MAX);
    let (written, taken) = sync_channel::<io::Result<Bytes>>(LINES_WAITING_MAX);
    let positions = (range.from.unwrap_or(1), range.to.unwrap_or(u64::MAX));
    let mut act = Act::new("ledger.export", "ledger");
    act.detail = exported(&range);
    act.append_alone(&rooms, &operator).await?;
    let runtime = tokio::runtime::Handle::current();
    let write = move || {
        let mut out = Pieces { written: written.clone(), filled: Vec::new() };
        let done = runtime.block_on(async {
            let mut connection = rooms.pool().acquire().await.map_err(io::Error::other)?;
            let directories = [rooms.checkpoints.clone()];
            export_to(&mut connection, &directories, positions, &mut out)
                .await
                .map_err(io::Error::other)
        });
        if let Err(error) = done.and_then(|_entries| out.flush()) {
            let _heard = written.send(Err(error)).is_ok();
        }
    };
    // Writing waits for whoever reads, so it has threads of its own: one that writes, and one that
    // may wait in the runtime's own way.
    let pass_on =
        move || while taken.recv().is_ok_and(|piece| pieces.blocking_send(piece).is_ok()) {};
    tokio::task::spawn_blocking(write);
    tokio::task::spawn_blocking(pass_on);
    Ok(stream(body))
}

/// Gathers what is written into pieces and waits until they are taken.
struct Pieces {
    written: SyncSender<io::Result<Bytes>>,
    filled: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.filled.extend_from_slice(bytes);
        if self.filled.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.filled.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.filled));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.written.send(Ok(piece)).map_err(gone)
    }
}

fn line(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}

fn stream(mut body: mpsc::Receiver<io::Result<Bytes>>) -> Response {
    let pieces = futures_util::stream::poll_fn(move |cx| body.poll_recv(cx));
    let mut response = Body::from_stream(pieces).into_response();
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
