//! From spans to database calls for each operation.
//!
//! Spans of a trace arrive in any order and in several requests, so they wait until the trace has
//! been quiet for a while. Then every database call is counted under the server span it happened
//! in, and that under its operation: the edge's own where the trace passed through this edge, else
//! the route that the server span names.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::Nanos;

use crate::counter::CallBound;
use crate::ingest::calls::Calls;
use crate::ingest::model::{Span, What};
use crate::otlp::keep::KeptSpan;

/// Traces that wait to be put together; beyond it the quietest are put together early.
pub const TRACES_OPEN_MAX: usize = 4_096;
/// Spans of all of them; beyond it likewise.
pub const SPANS_OPEN_MAX: usize = 200_000;
/// Spans of one trace; a call beyond it is counted as folded and not kept.
pub const SPANS_OF_TRACE_MAX: usize = 2_048;
/// A trace is put together when nothing came for it for so long: an SDK sends what it has every
/// five seconds, and may cut a trace in two there …
pub const TRACE_QUIET: Duration = Duration::from_secs(10);
/// … or when its first span came so long ago.
pub const TRACE_AGE_MAX: Duration = Duration::from_secs(60);
/// Requests of the edge that are remembered by their trace.
pub const REQUESTS_REMEMBERED_MAX: usize = 32_768;
/// How long they are.
pub const REQUEST_REMEMBERED: Duration = Duration::from_secs(180);
/// Requests of one trace that are told apart.
const REQUESTS_OF_TRACE_MAX: usize = 16;
/// Steps from a call up to its server span: deeper trees are no trees.
const DEPTH_MAX: usize = 64;

type TraceId = [u8; 16];

/// What a request belongs to: service and operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Operation {
    pub(crate) service: Arc<str>,
    pub(crate) operation: Arc<str>,
}

/// What stands for an operation nobody named.
const NAMELESS: &str = "(no route)";

#[derive(Debug)]
struct Open {
    first: Nanos,
    last: Nanos,
    spans: Vec<Span>,
}

#[derive(Debug)]
struct Remembered {
    at: Nanos,
    /// The id of the span that the service was told as its parent, and the operation.
    requests: Vec<(u64, Operation)>,
}

/// Traces under way, and the edge's own requests by trace.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    open: HashMap<TraceId, Open>,
    spans: usize,
    remembered: HashMap<TraceId, Remembered>,
    order: VecDeque<TraceId>,
}

impl Traces {
    /// Remembers which operation the edge's own requests were.
    pub(crate) fn remember(&mut self, kept: &[KeptSpan], now: Nanos) {
        for span in kept {
            let trace = span.trace.trace_id().bytes();
            let parent = u64::from_be_bytes(span.trace.span_id());
            let operation = Operation {
                service: Arc::clone(&span.service),
                operation: Arc::clone(&span.operation),
            };
            let order = &mut self.order;
            let remembered = self.remembered.entry(trace).or_insert_with(|| {
                order.push_back(trace);
                Remembered { at: now, requests: Vec::new() }
            });
            if remembered.requests.len() < REQUESTS_OF_TRACE_MAX {
                remembered.requests.push((parent, operation));
            }
        }
        while let Some(oldest) = self.order.front() {
            let at = self.remembered.get(oldest).map(|remembered| remembered.at);
            let old = at.is_none_or(|at| now.since(at) > REQUEST_REMEMBERED);
            if !old && self.remembered.len() <= REQUESTS_REMEMBERED_MAX {
                break;
            }
            let oldest = *oldest;
            self.remembered.remove(&oldest);
            self.order.pop_front();
        }
    }

    /// Takes the spans of a request.
    pub(crate) fn push(&mut self, spans: Vec<Span>, now: Nanos, calls: &mut Calls) {
        for span in spans {
            let opens = !self.open.contains_key(&span.trace);
            if self.spans >= SPANS_OPEN_MAX || opens && self.open.len() >= TRACES_OPEN_MAX {
                calls.folded(CallBound::Traces, 0);
                self.settle_quietest(calls);
            }
            let open = self.open.entry(span.trace).or_insert_with(|| Open {
                first: now,
                last: now,
                spans: Vec::new(),
            });
            open.last = now;
            if open.spans.len() < SPANS_OF_TRACE_MAX {
                open.spans.push(span);
                self.spans += 1;
            } else if matches!(span.what, What::Call { .. }) {
                calls.folded(CallBound::SpansOfTrace, 1);
            }
        }
    }

    /// Puts together the traces that have been quiet for long enough.
    pub(crate) fn settle(&mut self, now: Nanos, calls: &mut Calls) {
        let due = |open: &Open| {
            now.since(open.last) >= TRACE_QUIET || now.since(open.first) >= TRACE_AGE_MAX
        };
        let due: Vec<TraceId> =
            self.open.iter().filter(|(_, open)| due(open)).map(|(trace, _)| *trace).collect();
        for trace in due {
            self.settle_one(trace, calls);
        }
    }

    /// Makes room: the quarter that has been quiet for longest.
    fn settle_quietest(&mut self, calls: &mut Calls) {
        let mut by_last: Vec<(Nanos, TraceId)> =
            self.open.iter().map(|(trace, open)| (open.last, *trace)).collect();
        by_last.sort_unstable();
        for (_, trace) in by_last.iter().take(by_last.len().div_ceil(4)) {
            self.settle_one(*trace, calls);
        }
    }

    fn settle_one(&mut self, trace: TraceId, calls: &mut Calls) {
        let Some(open) = self.open.remove(&trace) else { return };
        self.spans -= open.spans.len();
        let requests = self.remembered.get(&trace).map(|remembered| &*remembered.requests);
        put_together(open.spans, requests.unwrap_or_default(), calls);
    }

    /// Traces that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.open.len()
    }
}

/// Which server span a call happened in; none where no server span is known.
type InServer = Option<u64>;

fn put_together(mut spans: Vec<Span>, requests: &[(u64, Operation)], calls: &mut Calls) {
    // A sender that had no answer sends its batch again.
    let mut seen = HashSet::new();
    spans.retain(|span| seen.insert(span.id));
    let by_id: HashMap<u64, &Span> = spans.iter().map(|span| (span.id, span)).collect();
    let servers: Vec<&Span> =
        spans.iter().filter(|span| matches!(span.what, What::Server(_))).collect();
    let mut grouped: HashMap<InServer, HashMap<&Arc<str>, Vec<u64>>> = HashMap::new();
    let mut homeless: Option<&Span> = None;
    for span in &spans {
        let What::Call { statement, ns } = &span.what else { continue };
        let Some(server) = server_of(span, &by_id, &servers) else { continue };
        if server.is_none() {
            homeless.get_or_insert(span);
        }
        grouped.entry(server).or_default().entry(statement).or_default().push(*ns);
    }
    for server in servers {
        let What::Server(route) = &server.what else { continue };
        let operation = operation_of(server, route.as_ref(), requests);
        calls.request(&operation, grouped.remove(&Some(server.id)).unwrap_or_default());
    }
    if let (Some(span), Some(rest)) = (homeless, grouped.remove(&None)) {
        calls.request(&operation_of(span, None, requests), rest);
    }
}

/// The server span a call happened in. The outer `None`: the call is a part of another one, as a
/// driver's below a mapper's, and counts with that.
fn server_of(call: &Span, by_id: &HashMap<u64, &Span>, servers: &[&Span]) -> Option<InServer> {
    let mut parent = call.parent;
    for _ in 0..DEPTH_MAX {
        match by_id.get(&parent) {
            Some(span) => match span.what {
                What::Server(_) => return Some(Some(span.id)),
                What::Call { .. } => return None,
                What::Step => parent = span.parent,
            },
            None => break,
        }
    }
    // A step between is missing. Where there is only one place it can have been, it was there.
    match servers {
        [only] => Some(Some(only.id)),
        _ => Some(None),
    }
}

/// The edge's own word counts first: the request that this span names as its parent, else the only
/// operation its trace has. Then the route.
fn operation_of(span: &Span, route: Option<&Arc<str>>, requests: &[(u64, Operation)]) -> Operation {
    if let Some((_, operation)) = requests.iter().find(|(id, _)| *id == span.parent) {
        return operation.clone();
    }
    let mut rest = requests.iter().map(|(_, operation)| operation);
    if let Some(first) = rest.next()
        && rest.all(|other| other == first)
        && route.is_none()
    {
        return first.clone();
    }
    let operation = route.map_or_else(|| NAMELESS.into(), Arc::clone);
    Operation { service: Arc::clone(&span.service), operation }
}

#[cfg(test)]
mod tests;
