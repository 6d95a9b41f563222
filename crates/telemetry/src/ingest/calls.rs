//! What operations ask of their database, over the last 15 minutes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::Nanos;
use serde::Serialize;

use crate::counter::CallBound;
use crate::histogram::{BUCKETS, Layout};
use crate::ingest::database::Operation;
use crate::ingest::statement::is_sure;
use crate::label::OTHER;

/// How far figures reach back; the oldest part of it goes three minutes at a time.
pub const CALLS_WINDOW: Duration = Duration::from_secs(15 * 60);
const PARTS: u64 = 5;
/// Operations told apart in three minutes; the rest count as `other`.
pub const OPERATIONS_MAX: usize = 256;
/// Statements of one operation told apart in three minutes; the rest count as `other`.
pub const STATEMENTS_PER_OPERATION_MAX: usize = 48;
/// Statements of all operations told apart in three minutes.
pub const STATEMENTS_MAX: usize = 4_096;
/// Statements whose first repetition is remembered.
const REPETITIONS_REMEMBERED_MAX: usize = 4_096;
/// Different numbers of repetitions told apart; a further one counts as the nearest.
const NUMBERS_MAX: usize = 64;
/// Statements of an operation that the figures hold.
const SLOWEST_SHOWN: usize = 10;

/// So many times the same statement within one request is a repetition (N+1).
pub const REPEATS_LEAST: u64 = 5;
/// Such a share of an operation's requests has to repeat it before it is named.
pub const REPEATS_SHARE_LEAST: f64 = 0.1;
/// And so many requests.
pub const REPEATS_REQUESTS_LEAST: u64 = 3;

/// Counts by a small number, only those that occur.
#[derive(Clone, Debug, Default)]
struct Numbers(Vec<(u64, u64)>);

impl Numbers {
    fn add(&mut self, number: u64, many: u64) {
        let at = match self.0.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(at) => at,
            Err(at) if self.0.len() < NUMBERS_MAX => {
                self.0.insert(at, (number, 0));
                at
            }
            Err(at) => at.min(self.0.len() - 1),
        };
        self.0[at].1 += many;
    }

    fn merge(&mut self, other: &Numbers) {
        for (number, many) in &other.0 {
            self.add(*number, *many);
        }
    }

    /// Nearest rank.
    fn quantile(&self, q: f64) -> Option<u64> {
        let total: u64 = self.0.iter().map(|(_, many)| many).sum();
        let rank = ((q * total as f64).ceil() as u64).max(1);
        let mut below = 0;
        self.0.iter().find_map(|(number, many)| {
            below += many;
            (below >= rank).then_some(*number)
        })
    }
}

/// One statement of one operation.
#[derive(Clone, Debug, Default)]
struct Statement {
    calls: u64,
    total_ns: u64,
    /// Requests that made it at all.
    requests: u64,
    /// Requests that made it often.
    repeating: u64,
    /// How often, in those.
    repeats: Numbers,
    /// Calls by bucket of their time.
    buckets: Vec<(u8, u64)>,
}

impl Statement {
    fn merge(&mut self, other: &Statement) {
        self.calls += other.calls;
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.requests += other.requests;
        self.repeating += other.repeating;
        self.repeats.merge(&other.repeats);
        for (bucket, many) in &other.buckets {
            self.bucket(*bucket, *many);
        }
    }

    fn bucket(&mut self, bucket: u8, many: u64) {
        match self.buckets.iter_mut().find(|(known, _)| *known == bucket) {
            Some((_, count)) => *count += many,
            None => self.buckets.push((bucket, many)),
        }
    }

    fn quantile(&self, layout: &Layout, q: f64) -> f64 {
        let mut counts = [0; BUCKETS];
        for (bucket, many) in &self.buckets {
            counts[usize::from(*bucket)] = *many;
        }
        layout.quantile(&counts, q).unwrap_or(0.0)
    }
}

#[derive(Clone, Debug, Default)]
struct OfOperation {
    requests: u64,
    calls: u64,
    statements: HashMap<Arc<str>, Statement>,
}

/// Three minutes.
#[derive(Debug)]
struct Part {
    number: u64,
    statements: usize,
    operations: HashMap<Operation, OfOperation>,
}

/// The parts of the window, oldest first, and what met a bound.
#[derive(Debug)]
pub(crate) struct Calls {
    parts: VecDeque<Part>,
    layout: Layout,
    first_repeated: HashMap<(Operation, Arc<str>), u64>,
    now: Nanos,
    unix_ms: u64,
    folded: Vec<(CallBound, u64)>,
    began: Option<Nanos>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            parts: VecDeque::new(),
            layout: Layout::new(Duration::from_millis(100)),
            first_repeated: HashMap::new(),
            now: Nanos::default(),
            unix_ms: 0,
            folded: Vec::new(),
            began: None,
        }
    }
}

fn part_number(now: Nanos) -> u64 {
    now.0 / (crate::histogram::nanos(CALLS_WINDOW) / PARTS)
}

impl Calls {
    /// Says what time it is, and forgets what lies outside the window.
    pub(crate) fn at(&mut self, now: Nanos, unix_ms: u64) {
        (self.now, self.unix_ms) = (now, unix_ms);
        self.began.get_or_insert(now);
        let oldest = part_number(now).saturating_sub(PARTS - 1);
        while self.parts.front().is_some_and(|part| part.number < oldest) {
            self.parts.pop_front();
        }
    }

    /// Remembers that a bound was met.
    pub(crate) fn folded(&mut self, bound: CallBound, calls: u64) {
        match self.folded.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, count)) => *count += calls,
            None => self.folded.push((bound, calls)),
        }
    }

    pub(crate) fn take_folded(&mut self) -> Vec<(CallBound, u64)> {
        std::mem::take(&mut self.folded)
    }

    /// Counts one request: each statement with the times of its calls.
    pub(crate) fn request(
        &mut self,
        operation: &Operation,
        statements: HashMap<&Arc<str>, Vec<u64>>,
    ) {
        let number = part_number(self.now);
        if self.parts.back().is_none_or(|part| part.number != number) {
            let operations = HashMap::new();
            self.parts.push_back(Part { number, statements: 0, operations });
        }
        let Some(part) = self.parts.back_mut() else { return };
        let calls: u64 = statements.values().map(|times| times.len() as u64).sum();
        let mut folded = Vec::new();
        let room =
            part.operations.len() < OPERATIONS_MAX || part.operations.contains_key(operation);
        let key = if room {
            operation.clone()
        } else {
            folded.push((CallBound::Operations, calls));
            Operation { service: OTHER.into(), operation: OTHER.into() }
        };
        let of = part.operations.entry(key).or_default();
        of.requests += 1;
        of.calls += calls;
        for (text, times) in statements {
            let known = of.statements.contains_key(text);
            let full = part.statements >= STATEMENTS_MAX
                || of.statements.len() >= STATEMENTS_PER_OPERATION_MAX;
            let key = if known || !full {
                part.statements += usize::from(!known);
                Arc::clone(text)
            } else {
                folded.push((CallBound::Statements, times.len() as u64));
                OTHER.into()
            };
            let named = *key != *OTHER && is_sure(&key);
            let repeats = times.len() as u64;
            let statement = of.statements.entry(key).or_default();
            statement.requests += 1;
            statement.calls += repeats;
            for ns in times {
                statement.total_ns = statement.total_ns.saturating_add(ns);
                let bucket = self.layout.bucket(ns);
                statement.bucket(u8::try_from(bucket).unwrap_or(u8::MAX), 1);
            }
            if named && repeats >= REPEATS_LEAST {
                statement.repeating += 1;
                statement.repeats.add(repeats, 1);
                let key = (operation.clone(), Arc::clone(text));
                if self.first_repeated.len() < REPETITIONS_REMEMBERED_MAX
                    || self.first_repeated.contains_key(&key)
                {
                    self.first_repeated.entry(key).or_insert(self.unix_ms);
                }
            }
        }
        for (bound, calls) in folded {
            self.folded(bound, calls);
        }
    }

    /// The figures of the window, most time in the database first.
    pub(crate) fn figures(&self) -> (f64, Vec<OperationCalls>) {
        let mut all: BTreeMap<&Operation, OfOperation> = BTreeMap::new();
        for part in &self.parts {
            for (operation, of) in &part.operations {
                let sum = all.entry(operation).or_default();
                sum.requests += of.requests;
                sum.calls += of.calls;
                for (text, statement) in &of.statements {
                    sum.statements.entry(Arc::clone(text)).or_default().merge(statement);
                }
            }
        }
        let mut rows: Vec<OperationCalls> =
            all.into_iter().map(|(operation, of)| self.row(operation, &of)).collect();
        rows.sort_by(|a, b| {
            let key = |row: &OperationCalls| (row.repeated.is_empty(), -row.total_seconds);
            let (a, b) = (key(a), key(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        let covered = self.began.map_or(Duration::ZERO, |began| self.now.since(began));
        (covered.min(CALLS_WINDOW).as_secs_f64(), rows)
    }

    fn row(&self, operation: &Operation, of: &OfOperation) -> OperationCalls {
        let seconds = |ns: u64| ns as f64 / 1e9;
        let share = |part: u64| part as f64 / of.requests.max(1) as f64;
        let mut statements: Vec<(&Arc<str>, &Statement)> = of.statements.iter().collect();
        statements.sort_by(|a, b| b.1.total_ns.cmp(&a.1.total_ns).then(a.0.cmp(b.0)));
        let mut repeated: Vec<RepeatedStatement> = statements
            .iter()
            .filter(|(_, one)| {
                one.repeating >= REPEATS_REQUESTS_LEAST
                    && share(one.repeating) >= REPEATS_SHARE_LEAST
            })
            .map(|(text, one)| RepeatedStatement {
                statement: Arc::clone(text),
                median_calls: one.repeats.quantile(0.5).unwrap_or(0),
                p95_calls: one.repeats.quantile(0.95).unwrap_or(0),
                request_share: share(one.repeating),
                first_seen_unix_ms: self
                    .first_repeated
                    .get(&(operation.clone(), Arc::clone(text)))
                    .copied()
                    .unwrap_or(self.unix_ms),
            })
            .collect();
        repeated.sort_by_key(|one| std::cmp::Reverse(one.median_calls));
        OperationCalls {
            service: Arc::clone(&operation.service),
            operation: Arc::clone(&operation.operation),
            requests: of.requests,
            calls: of.calls,
            calls_per_request: of.calls as f64 / of.requests.max(1) as f64,
            total_seconds: seconds(
                of.statements.values().fold(0, |sum, one| sum.saturating_add(one.total_ns)),
            ),
            repeated,
            statements_seen: statements.len(),
            slowest: statements
                .iter()
                .take(SLOWEST_SHOWN)
                .map(|(text, one)| StatementFigures {
                    statement: Arc::clone(text),
                    calls: one.calls,
                    requests: one.requests,
                    p50_seconds: one.quantile(&self.layout, 0.5),
                    p95_seconds: one.quantile(&self.layout, 0.95),
                    total_seconds: seconds(one.total_ns),
                })
                .collect(),
        }
    }
}

/// What an operation asks of its database.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperationCalls {
    /// The service, as the manifest has it, or as the sender names itself where the request did not
    /// pass through this edge.
    pub service: Arc<str>,
    /// The operation, or the route where the request did not pass through this edge.
    pub operation: Arc<str>,
    /// Requests whose spans arrived.
    pub requests: u64,
    /// Database calls in them.
    pub calls: u64,
    /// Database calls a request.
    pub calls_per_request: f64,
    /// Time in the database, all calls together, in seconds.
    pub total_seconds: f64,
    /// Statements made over and over within one request (N+1), most often first.
    pub repeated: Vec<RepeatedStatement>,
    /// Different statements.
    pub statements_seen: usize,
    /// The statements that took the most time, ten at most.
    pub slowest: Vec<StatementFigures>,
}

/// A statement made over and over within one request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RepeatedStatement {
    /// The statement, without literals.
    pub statement: Arc<str>,
    /// How often in a request that repeats it, median.
    pub median_calls: u64,
    /// How often in a request that repeats it, 95th percentile.
    pub p95_calls: u64,
    /// Share of the operation's requests that repeat it, 0 to 1.
    pub request_share: f64,
    /// When it was first seen, in milliseconds since 1970-01-01T00:00:00Z.
    pub first_seen_unix_ms: u64,
}

/// A statement and its time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatementFigures {
    /// The statement, without literals.
    pub statement: Arc<str>,
    /// Calls.
    pub calls: u64,
    /// Requests that made it.
    pub requests: u64,
    /// Median time in seconds.
    pub p50_seconds: f64,
    /// 95th percentile of the time in seconds.
    pub p95_seconds: f64,
    /// All calls together, in seconds.
    pub total_seconds: f64,
}
