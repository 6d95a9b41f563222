//! The database's side of keyed writes, on the control runtime: one transaction commits for all who
//! wait, leases are renewed, what has expired goes.

mod keep;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use plimsoll_base::failpoint;
use plimsoll_store::{PgConnection, PgPool};
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Postgres};
use tokio::sync::{mpsc, watch};

use crate::answer::Answer;
use crate::error::WritesError;
use crate::model::{self, Claim, Decision, Finished, Outcome, Record, WriteId};
use crate::service::{Asked, Begun, Ended, Ending, LEASE, Lease, Writes};
use crate::store::{self, Answered, Row};

pub(crate) use keep::COUNT_MAX;

/// The purpose under which answers are sealed.
const SEALED_AS: &str = "writes.answer.v1";

/// Claims and ends that share one transaction, at most, and bytes of answers among them.
const GROUP_MAX: usize = 256;
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long one transaction may take, and how long an end is tried.
const GROUP_WITHIN: Duration = Duration::from_secs(5);
const END_TRIES_MAX: u32 = 60;
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Records by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether the database was asked yet.
    pub known: bool,
    /// Executing now, on any node.
    pub executing: u64,
    /// May have been executed.
    pub unknown: u64,
    /// Were answered; counted to a bound.
    pub answered: u64,
}

/// See the module's page.
pub struct Engine {
    writes: Writes,
    claims: mpsc::Receiver<Asked>,
    ends: mpsc::Receiver<Ended>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine(..)")
    }
}

impl Engine {
    pub(crate) fn new(
        writes: Writes,
        claims: mpsc::Receiver<Asked>,
        ends: mpsc::Receiver<Ended>,
    ) -> Self {
        Self { writes, claims, ends }
    }

    /// Works until it is told to stop; what ended by then is still noted.
    pub async fn run(self, pool: PgPool, stop: watch::Receiver<bool>) {
        let Self { writes, claims, ends } = self;
        tokio::join!(
            take_claims(&writes, &pool, claims, stop.clone()),
            take_ends(&writes, &pool, ends, stop.clone()),
            keep::renew(&writes, &pool, stop.clone()),
            keep::expire(&pool, stop.clone()),
            keep::count(&writes, &pool, stop),
        );
    }
}

async fn take_claims(
    writes: &Writes,
    pool: &PgPool,
    mut claims: mpsc::Receiver<Asked>,
    mut stop: watch::Receiver<bool>,
) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    let mut line = Line::default();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            many = claims.recv_many(&mut group, GROUP_MAX) => if many == 0 { return },
        }
        // Whoever gave up must not get a lease that nobody holds.
        group.retain(|asked| !asked.reply.is_closed());
        let made = writes.0.clock.now();
        let decided = {
            let claims: Vec<&Claim> = group.iter().map(|asked| &asked.claim).collect();
            let deciding = async { decide(line.connection(pool).await?, &claims).await };
            let decided = tokio::time::timeout(GROUP_WITHIN, deciding).await;
            decided.unwrap_or(Err(sqlx::Error::PoolTimedOut))
        };
        if decided.is_err() {
            line = Line::default();
        }
        // A crash here leaves leases that nobody holds.
        let decided = decided
            .and_then(|d| failpoint::hit("writes.leased").map(|()| d).map_err(sqlx::Error::Io));
        match decided {
            Ok((decisions, now_ms)) => {
                for (asked, decision) in group.drain(..).zip(decisions) {
                    let Asked { claim, reply } = asked;
                    let begun = begun(writes, &claim, decision, made, now_ms);
                    // A lease that finds nobody is released as it is dropped.
                    let _heard = reply.send(begun).is_ok();
                }
            }
            Err(error) => {
                let why = error.to_string();
                for asked in group.drain(..) {
                    let again = sqlx::Error::Protocol(why.clone());
                    let _heard = asked.reply.send(Err(again.into())).is_ok();
                }
            }
        }
    }
}

/// A connection that stays with its loop: one of the pool's is tried before each use.
#[derive(Default)]
struct Line(Option<PoolConnection<Postgres>>);

impl Line {
    async fn connection(&mut self, pool: &PgPool) -> sqlx::Result<&mut PgConnection> {
        Ok(match &mut self.0 {
            Some(connection) => connection,
            none => none.insert(pool.acquire().await?),
        })
    }
}

/// What each claim comes to, durable. In most groups all are new: one statement, which commits.
async fn decide(
    connection: &mut PgConnection,
    claims: &[&Claim],
) -> sqlx::Result<(Vec<Decision>, u64)> {
    let firsts: BTreeMap<WriteId, &Claim> =
        claims.iter().rev().map(|claim| (claim.id, *claim)).collect();
    let new: Vec<&Claim> = firsts.values().copied().collect();
    let made = store::insert(connection, &new, millis(LEASE)).await?;
    let made: HashSet<WriteId> = made.into_iter().collect();
    let is_made = |claim: &Claim| {
        let first = firsts.get(&claim.id).is_some_and(|first| first.owner == claim.owner);
        first && made.contains(&claim.id)
    };
    let rest: Vec<&Claim> = claims.iter().filter(|claim| !is_made(claim)).copied().collect();
    let (mut others, now_ms) = match rest.is_empty() {
        true => (VecDeque::new(), 0),
        false => against_records(connection, &rest).await?,
    };
    let new = Decision::Granted { fence: 1, unknown_since_ms: None };
    let decisions = claims.iter().map(|claim| match is_made(claim) {
        true => new.clone(),
        false => others.pop_front().unwrap_or(Decision::Running),
    });
    Ok((decisions.collect(), now_ms))
}

/// What claims come to whose records are there already, in their order.
async fn against_records(
    connection: &mut PgConnection,
    claims: &[&Claim],
) -> sqlx::Result<(VecDeque<Decision>, u64)> {
    let ids: BTreeSet<WriteId> = claims.iter().map(|claim| claim.id).collect();
    let ids: Vec<WriteId> = ids.into_iter().collect();
    let mut tx = connection.begin().await?;
    let (locked, now_ms) = store::lock(&mut tx, &ids).await?;
    let mut records: HashMap<WriteId, Record> =
        locked.into_iter().map(|row| (row.id, row.record)).collect();
    let (mut decisions, mut changed) = (VecDeque::new(), BTreeMap::new());
    for claim in claims {
        // One that went in between is looked for again.
        let Some(record) = records.get(&claim.id) else {
            decisions.push_back(Decision::Running);
            continue;
        };
        let (decision, now) = consider(record, claim, now_ms, millis(LEASE));
        if let Some(now) = now {
            changed.insert(claim.id, now.clone());
            records.insert(claim.id, now);
        }
        decisions.push_back(decision);
    }
    if !changed.is_empty() {
        let rows: Vec<Row> = changed.into_iter().map(|(id, record)| Row { id, record }).collect();
        store::update(&mut tx, &rows).await?;
    }
    tx.commit().await?;
    Ok((decisions, now_ms))
}

fn consider(
    record: &Record,
    claim: &Claim,
    now_ms: u64,
    lease_ms: u64,
) -> (Decision, Option<Record>) {
    // A build that lets everybody through, for whoever has to notice.
    if failpoint::hit("writes.begin").is_err() {
        return model::grant(Some(record), claim, None, now_ms, lease_ms);
    }
    model::begin(Some(record), claim, now_ms, lease_ms)
}

fn begun(
    writes: &Writes,
    claim: &Claim,
    decision: Decision,
    made: plimsoll_base::Nanos,
    now_ms: u64,
) -> Result<Begun, WritesError> {
    let ago = |since_ms: u64| Duration::from_millis(now_ms.saturating_sub(since_ms));
    Ok(match decision {
        Decision::Granted { fence, unknown_since_ms } => {
            Begun::Granted(Lease::new(writes, claim, fence, unknown_since_ms.map(ago), made))
        }
        Decision::Running => Begun::Running,
        Decision::Replay { fence, sealed } => {
            let keyring = &writes.0.keyring;
            let kept = keyring.open_sealed(SEALED_AS, &place(claim.id, fence), &sealed)?;
            let answer = Answer::decode(&kept).ok_or(WritesError::Answer)?;
            Begun::Replay(Box::new(answer))
        }
        Decision::Unknown { since_ms } => Begun::Unknown { since: ago(since_ms) },
        Decision::OtherPayload => Begun::OtherPayload,
        Decision::OtherCaller => Begun::OtherCaller,
    })
}

/// Where an answer stands: of another write it would not open.
fn place(id: WriteId, fence: u64) -> [u8; 40] {
    let mut place = [0; 40];
    place[..32].copy_from_slice(&id.0);
    place[32..].copy_from_slice(&fence.to_be_bytes());
    place
}

async fn take_ends(
    writes: &Writes,
    pool: &PgPool,
    mut ends: mpsc::Receiver<Ended>,
    mut stop: watch::Receiver<bool>,
) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    let mut line = Line::default();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            many = ends.recv_many(&mut group, GROUP_MAX) => if many == 0 { return },
        }
        note(writes, pool, &mut line, std::mem::take(&mut group)).await;
    }
    ends.close();
    while ends.recv_many(&mut group, GROUP_MAX).await > 0 {
        note(writes, pool, &mut line, std::mem::take(&mut group)).await;
    }
}

/// One end as it is written.
struct Sealed {
    ended: Ended,
    outcome: Outcome,
    failed: Option<WritesError>,
}

impl Sealed {
    /// The answer of an execution that knows its fence.
    fn answered(&self) -> Option<Answered<'_>> {
        let Outcome::Answered { sealed } = &self.outcome else { return None };
        let (id, owner, fence) = (self.ended.id, self.ended.owner, self.ended.fence?);
        Some(Answered { id, owner, fence, sealed })
    }
}

/// Notes how these ended, and tells who waits.
async fn note(writes: &Writes, pool: &PgPool, line: &mut Line, group: Vec<Ended>) {
    let mut sealed: Vec<Sealed> = Vec::new();
    let mut bytes = 0;
    let mut waiting = group.into_iter().map(|ended| seal(writes, ended)).peekable();
    while let Some(one) = waiting.next() {
        if let Outcome::Answered { sealed } = &one.outcome {
            bytes += sealed.len();
        }
        sealed.push(one);
        if bytes >= GROUP_BYTES_MAX || waiting.peek().is_none() {
            bytes = 0;
            write(writes, pool, line, std::mem::take(&mut sealed)).await;
        }
    }
}

fn seal(writes: &Writes, mut ended: Ended) -> Sealed {
    let ending = std::mem::replace(&mut ended.ending, Ending::Unknown);
    let outcome = match ending {
        Ending::Released => Ok(Outcome::Released),
        Ending::Unknown => Ok(Outcome::Unknown),
        Ending::Answered(answer) => {
            let place = place(ended.id, ended.fence.unwrap_or_default());
            let sealed = writes.0.keyring.seal(SEALED_AS, &place, &answer.encode());
            sealed.map(|sealed| Outcome::Answered { sealed })
        }
    };
    match outcome {
        Ok(outcome) => Sealed { ended, outcome, failed: None },
        Err(error) => Sealed { ended, outcome: Outcome::Unknown, failed: Some(error.into()) },
    }
}

async fn write(writes: &Writes, pool: &PgPool, line: &mut Line, group: Vec<Sealed>) {
    let mut written = Err(sqlx::Error::PoolTimedOut);
    for attempt in 0..END_TRIES_MAX {
        if attempt > 0 {
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        let writing = async { end(line.connection(pool).await?, &group).await };
        let writing = tokio::time::timeout(GROUP_WITHIN, writing).await;
        written = writing.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        let Err(error) = &written else { break };
        tracing::debug!(%error, "ends of keyed writes wait for the database");
        *line = Line::default();
    }
    if let Err(error) = &written {
        let many = group.len();
        tracing::error!(%error, many, "ends of keyed writes are lost: their outcomes are unknown");
    }
    for Sealed { ended, failed, .. } in group {
        writes.forget(ended.id, ended.owner);
        writes.tell(ended.id);
        let Some(reply) = ended.reply else { continue };
        let said = match (failed, &written) {
            (Some(failed), _) => Err(failed),
            (None, Ok(())) => Ok(()),
            (None, Err(_)) => Err(WritesError::Unavailable),
        };
        // Whoever no longer waits does not want to know.
        let _heard = reply.send(said).is_ok();
    }
}

/// Most end with their own lease and an answer: one statement, which commits.
async fn end(connection: &mut PgConnection, group: &[Sealed]) -> sqlx::Result<()> {
    let answers: Vec<Answered<'_>> = group.iter().filter_map(Sealed::answered).collect();
    let kept: HashSet<WriteId> = match answers.is_empty() {
        true => HashSet::new(),
        false => store::answer(connection, &answers).await?.into_iter().collect(),
    };
    let is_kept = |one: &&Sealed| one.answered().is_some() && kept.contains(&one.ended.id);
    let rest: Vec<&Sealed> = group.iter().filter(|one| !is_kept(one)).collect();
    if rest.is_empty() { Ok(()) } else { end_of_records(connection, &rest).await }
}

/// Any other end, against the record as it is.
async fn end_of_records(connection: &mut PgConnection, group: &[&Sealed]) -> sqlx::Result<()> {
    let ids: BTreeSet<WriteId> = group.iter().map(|one| one.ended.id).collect();
    let ids: Vec<WriteId> = ids.into_iter().collect();
    let mut tx = connection.begin().await?;
    let (locked, now_ms) = store::lock(&mut tx, &ids).await?;
    let mut records: BTreeMap<WriteId, Record> =
        locked.into_iter().map(|row| (row.id, row.record)).collect();
    let (mut changed, mut gone) = (HashSet::new(), Vec::new());
    for Sealed { ended, outcome, .. } in group {
        let Some(record) = records.get(&ended.id) else { continue };
        let fence = ended.fence.unwrap_or(record.fence);
        match model::finish(record, ended.owner, fence, outcome.clone(), now_ms) {
            Finished::Is(record) => {
                changed.insert(ended.id);
                records.insert(ended.id, record);
            }
            Finished::Gone => {
                changed.remove(&ended.id);
                records.remove(&ended.id);
                gone.push(ended.id);
            }
            Finished::Fenced => {}
        }
    }
    let rows = records.into_iter().filter(|(id, _)| changed.contains(id));
    let rows: Vec<Row> = rows.map(|(id, record)| Row { id, record }).collect();
    if !rows.is_empty() {
        store::update(&mut tx, &rows).await?;
    }
    if !gone.is_empty() {
        store::remove(&mut tx, &gone).await?;
    }
    tx.commit().await
}

pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
