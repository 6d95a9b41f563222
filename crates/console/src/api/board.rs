//! The board: every gate judged anew from the evidence in the ledger, as pages, JSON and CSV.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use maud::Markup;
use plimsoll_ledger::{EvidenceKind, LedgerError, Recorded};
use plimsoll_plan::{
    Board, Condition, Gate, Gates, Judged, PlanError, PlanFacts, Turn, WEEKS, board as judged,
    history,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::api::{Rooms, failed, refused, rooms};
use crate::board::{Narrow, Parameters, Standing, title, word};
use crate::csv;
use crate::http::{Console, csv_answer};
use crate::page::board as pages;
use crate::problem::{OpsCode, Problem};

const DAY_MS: u64 = 86_400_000;

/// What the board is made of besides the ledger.
#[derive(Clone, Debug)]
pub struct PlanRoom {
    /// The gates.
    pub gates: Arc<Gates>,
    /// The kinds of evidence that a capability of this Plimsoll brings.
    pub built: Arc<[EvidenceKind]>,
    /// What the documents of the plan say.
    pub facts: watch::Receiver<PlanFacts>,
}

impl Rooms {
    /// The board as it stands.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn board(&self) -> Result<Board, PlanError> {
        let mut connection = self.pool().acquire().await.map_err(LedgerError::from)?;
        let facts = self.plan.facts.borrow().clone();
        let (gates, built) = (&self.plan.gates, &self.plan.built);
        let now = self.clock.unix_ms();
        judged(&mut connection, &self.ledger, gates, built, &facts, now).await
    }
}

type Given = Result<Query<Parameters>, QueryRejection>;

fn read(given: Given) -> Result<(Narrow, bool), Problem> {
    let Query(asked) = given.map_err(|error| refused(&error))?;
    asked.read()
}

async fn stands(console: &Console) -> Result<Board, Problem> {
    rooms(console)?.board().await.map_err(|error| failed(&error))
}

/// The gates that were asked for.
pub(crate) fn narrowed<'b>(board: &'b Board, narrow: &Narrow) -> Vec<&'b Judged> {
    board.gates.iter().filter(|gate| narrow.takes(gate, board.week)).collect()
}

fn as_json(board: &Board, narrow: &Narrow) -> Json<Value> {
    let gates = narrowed(board, narrow);
    let next: Vec<&Judged> = board.next.iter().filter_map(|id| board.gate(id)).collect();
    Json(json!({
        "at_unix_ms": board.at_unix_ms,
        "start": board.start,
        "week": board.week,
        "weeks": WEEKS,
        "standing": Standing::of(board),
        "shown": plimsoll_plan::Summary::of(gates.iter().copied()),
        "gates": gates,
        "next": next,
        "risks": board.risks,
    }))
}

/// `GET /api/v1/board`: every gate, or those that are asked for.
pub(crate) async fn list(
    State(console): State<Console>,
    given: Given,
) -> Result<Json<Value>, Problem> {
    let (narrow, _) = read(given)?;
    Ok(as_json(&stands(&console).await?, &narrow))
}

/// `GET /board.csv`: the same as a table.
pub(crate) async fn table(
    State(console): State<Console>,
    given: Given,
) -> Result<Response, Problem> {
    let (narrow, _) = read(given)?;
    let board = stands(&console).await?;
    Ok(csv_answer("board.csv", csv::board::board(&narrowed(&board, &narrow))))
}

/// `GET /board`: the same for people, who get what went wrong as a page, too.
pub(crate) async fn show(State(console): State<Console>, given: Given) -> Response {
    let (narrow, json) = match read(given) {
        Ok(read) => read,
        Err(problem) => return refusal_page(&console, problem),
    };
    match stands(&console).await {
        Ok(board) if json => as_json(&board, &narrow).into_response(),
        Err(problem) if json => problem.into_response(),
        Ok(board) => page(&pages::document(&board, &narrow)),
        Err(problem) => refusal_page(&console, problem),
    }
}

/// `GET /board/summary`: one page for who pays or oversees, to be printed.
pub(crate) async fn summary(State(console): State<Console>) -> Response {
    match stands(&console).await {
        Ok(board) => page(&pages::summary::document(&board)),
        Err(problem) => refusal_page(&console, problem),
    }
}

/// `GET /board/gates/{id}`: one gate with its evidence and its history.
pub(crate) async fn gate_page(
    State(console): State<Console>,
    Path(id): Path<String>,
    given: Given,
) -> Response {
    let json = match read(given) {
        Ok((_, json)) => json,
        Err(problem) => return refusal_page(&console, problem),
    };
    match look(&console, &id).await {
        Ok(view) if json => view.as_json().into_response(),
        Err(problem) if json => problem.into_response(),
        Ok(view) => page(&pages::gate::document(&view)),
        Err(problem) => refusal_page(&console, problem),
    }
}

/// `GET /api/v1/board/gates/{id}`.
pub(crate) async fn gate(
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(look(&console, &id).await?.as_json())
}

fn page(markup: &Markup) -> Response {
    Html(markup.0.clone()).into_response()
}

fn refusal_page(console: &Console, problem: Problem) -> Response {
    let memory = console.source.memory();
    let down = memory.as_ref().and_then(|memory| memory.database_down.as_deref());
    let page = pages::refused(&problem, down).into_string();
    problem.into_page(page)
}

/// One gate with all that is known of it.
pub(crate) struct GateView {
    pub(crate) gate: Gate,
    pub(crate) judged: Judged,
    /// The newest evidence, however old.
    pub(crate) newest: Option<Recorded>,
    /// How it stood, newest first.
    pub(crate) turns: Vec<Turn>,
    /// What the history covers, in milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) from_unix_ms: u64,
    pub(crate) to_unix_ms: u64,
    /// From when on it is known: later than its start where there is too much evidence to read.
    pub(crate) known_from_unix_ms: u64,
    pub(crate) at_unix_ms: u64,
    pub(crate) week: Option<u32>,
}

async fn look(console: &Console, id: &str) -> Result<GateView, Problem> {
    let rooms = rooms(console)?;
    let unknown = || {
        let says = format!("There is no gate `{id}`; /board lists them all.");
        Problem::new(OpsCode::NotFound, says)
    };
    let gate = rooms.plan.gates.get(id).cloned().ok_or_else(unknown)?;
    let board = rooms.board().await.map_err(|error| failed(&error))?;
    let judged = board.gate(id).cloned().ok_or_else(unknown)?;
    let (from_unix_ms, to_unix_ms) = ninety_days(&board);
    let mut connection = rooms.pool().acquire().await.map_err(|error| failed(&error))?;
    let ledger = &rooms.ledger;
    let since = ledger.evidence_since(&mut connection, &gate.evidence, from_unix_ms).await;
    let since = since.map_err(|error| failed(&error))?;
    let newest = match since.first() {
        Some(newest) => Some(newest.clone()),
        None => {
            let kinds = [gate.evidence.clone()];
            let newest = ledger.newest_evidence(&mut connection, &kinds).await;
            newest.map_err(|error| failed(&error))?.pop()
        }
    };
    let full = since.len() >= plimsoll_ledger::PAGE_ENTRIES_MAX as usize;
    let oldest = since.last().map_or(from_unix_ms, |oldest| oldest.at_unix_ms);
    Ok(GateView {
        turns: turns(&gate, &judged, &since, &board),
        gate,
        judged,
        newest,
        from_unix_ms,
        to_unix_ms,
        known_from_unix_ms: if full { oldest } else { from_unix_ms },
        at_unix_ms: board.at_unix_ms,
        week: board.week,
    })
}

/// How it stood, up to now: what evidence does by growing old is no entry of the ledger.
fn turns(gate: &Gate, judged: &Judged, since: &[Recorded], board: &Board) -> Vec<Turn> {
    let mut turns = history(gate, since, board.at_unix_ms);
    let verdict = &judged.verdict;
    if turns.first().is_some_and(|last| last.light != verdict.light) {
        let (light, reason) = (verdict.light, verdict.reason.clone());
        turns.insert(0, Turn { at_unix_ms: board.at_unix_ms, light, reason });
    }
    turns
}

/// The days of the plan, or those before now where there is none or it is not under way.
fn ninety_days(board: &Board) -> (u64, u64) {
    let span = u64::from(WEEKS) * 7 * DAY_MS;
    let now = board.at_unix_ms;
    let under_way = |start: &u64| (*start..start.saturating_add(span)).contains(&now);
    match board.start.map(|start| start.unix_ms()).filter(under_way) {
        Some(start) => (start, start + span),
        None => (now.saturating_sub(span), now),
    }
}

/// A condition with what was seen of it.
#[derive(Serialize)]
pub(crate) struct Seen<'v> {
    pub(crate) fact: &'v str,
    /// What it has to be, in words.
    pub(crate) wanted: String,
    pub(crate) seen: Option<&'v Value>,
    pub(crate) holds: bool,
    /// Whether it makes the gate amber where it does not hold, and not red.
    pub(crate) better: bool,
}

impl GateView {
    /// What has to hold, each with what was seen.
    pub(crate) fn conditions(&self) -> Vec<Seen<'_>> {
        let none = Map::new();
        let facts = self.newest.as_ref().map(|newest| &newest.evidence.facts);
        let seen = |condition: &'_ Condition, better: bool| {
            (condition.holds(facts.unwrap_or(&none)), wanted(condition), better)
        };
        let all = self.gate.require.iter().map(|one| (one, false));
        let all = all.chain(self.gate.better.iter().map(|one| (one, true)));
        all.map(|(condition, better)| {
            let (holds, wanted, better) = seen(condition, better);
            let seen = facts.and_then(|facts| facts.get(&condition.fact));
            Seen { fact: &condition.fact, wanted, seen, holds, better }
        })
        .collect()
    }

    fn as_json(&self) -> Json<Value> {
        let evidence = self.newest.as_ref().map(|newest| {
            json!({
                "entry": newest.id.to_string(),
                "kind": newest.evidence.kind,
                "how": newest.evidence.how,
                "at_unix_ms": newest.at_unix_ms,
                "facts": newest.evidence.facts,
                "by": newest.actor_kind,
                "actor": newest.actor.map(|actor| actor.to_string()),
                "genuine": newest.genuine,
                "position": newest.position,
            })
        });
        Json(json!({
            "at_unix_ms": self.at_unix_ms,
            "title": title(&self.judged),
            "state": word(self.judged.verdict.light),
            "gate": self.judged,
            "kind": self.gate.evidence,
            "room": self.gate.room,
            "fresh_seconds": self.gate.freshness().as_secs(),
            "conditions": self.conditions(),
            "evidence": evidence,
            "history": self.turns,
            "history_from_unix_ms": self.known_from_unix_ms,
        }))
    }
}

/// What a fact has to be.
fn wanted(condition: &Condition) -> String {
    let is = condition.is.as_ref().map(|is| match is {
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => format!("“{text}”"),
        other => other.to_string(),
    });
    let least = condition.at_least.map(|least| format!("at least {least}"));
    let most = condition.at_most.map(|most| match most {
        0 if condition.at_least.is_none() => "none".to_owned(),
        most => format!("at most {most}"),
    });
    let said: Vec<String> = [is, least, most].into_iter().flatten().collect();
    said.join(" and ")
}
