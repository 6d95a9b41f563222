use plimsoll_base::{Clock as _, ManualClock};
use proptest::prelude::*;

use super::*;
use crate::ingest::calls::OperationCalls;
use crate::otlp::keep::KeptSpan;
use crate::trace::TraceContext;

fn span(id: u64, parent: u64, what: What) -> Span {
    Span { trace: [7; 16], id, parent, service: "shop".into(), what }
}

fn call(id: u64, parent: u64, statement: &str) -> Span {
    span(id, parent, What::Call { statement: statement.into(), ns: 1_000_000 })
}

fn server(id: u64, parent: u64, route: &str) -> Span {
    span(id, parent, What::Server(Some(route.into())))
}

/// A request of the edge in the same trace, which told the service `span` as its parent.
fn request(span: u64, operation: &str) -> KeptSpan {
    let trace = u128::from_be_bytes([7; 16]);
    KeptSpan {
        trace: TraceContext::new(trace, span, true),
        operation: operation.into(),
        service: "shop".into(),
        detail: None,
    }
}

fn figures(batches: Vec<Vec<Span>>, requests: &[KeptSpan]) -> Vec<OperationCalls> {
    let clock = ManualClock::at_unix_ms(0);
    let (mut traces, mut calls) = (Traces::default(), Calls::default());
    calls.at(clock.now(), 0);
    for batch in batches {
        traces.push(batch, clock.now(), &mut calls);
        clock.advance(Duration::from_millis(100));
    }
    traces.remember(requests, clock.now());
    clock.advance(TRACE_QUIET);
    calls.at(clock.now(), clock.unix_ms());
    traces.settle(clock.now(), &mut calls);
    assert_eq!((traces.waiting(), traces.spans), (0, 0));
    calls.figures().1
}

fn told(rows: &[OperationCalls]) -> Vec<(String, u64, u64)> {
    let mut told: Vec<_> =
        rows.iter().map(|row| (row.operation.to_string(), row.requests, row.calls)).collect();
    told.sort();
    told
}

#[test]
fn a_call_counts_under_the_nearest_server_span() {
    let spans = vec![
        server(1, 0, "GET /a"),
        span(2, 1, What::Step),
        call(3, 2, "SELECT ?"),
        server(4, 2, "GET /b"),
        call(5, 4, "SELECT ?"),
        call(6, 5, "a driver's part of it"),
    ];
    let rows = told(&figures(vec![spans], &[]));
    assert_eq!(rows, [("GET /a".into(), 1, 1), ("GET /b".into(), 1, 1)]);
}

#[test]
fn the_edges_own_operation_comes_first_by_span_then_by_trace() {
    let spans = vec![server(1, 90, "GET /a"), call(2, 1, "SELECT ?")];
    let both = [request(90, "listOrders"), request(91, "getOrder")];
    assert_eq!(told(&figures(vec![spans], &both)), [("listOrders".into(), 1, 1)]);
    // No server span at all: the only operation of the trace, else none.
    let alone = || vec![vec![call(2, 1, "SELECT ?")]];
    assert_eq!(told(&figures(alone(), &both[..1])), [("listOrders".into(), 1, 1)]);
    assert_eq!(told(&figures(alone(), &both)), [(NAMELESS.into(), 1, 1)]);
}

#[test]
fn a_batch_sent_twice_counts_once() {
    let spans = || vec![server(1, 0, "GET /a"), call(2, 1, "SELECT ?")];
    assert_eq!(told(&figures(vec![spans(), spans()], &[])), [("GET /a".into(), 1, 1)]);
}

/// A call as its span says it, with a statement or without.
fn said(id: u64, system: &str, text: Option<&str>, operation: Option<&str>) -> Span {
    use crate::ingest::statement::{Said, normalise};
    call(id, 1, &normalise(Said { system, text, operation, collection: None }))
}

#[test]
fn statements_that_were_not_understood_are_no_repetition() {
    let trace = |of: &dyn Fn(u64) -> Span| {
        let mut spans = vec![server(1, 0, "GET /a")];
        spans.extend((2..8).map(of));
        spans
    };
    let named = |of: &dyn Fn(u64) -> Span| {
        let clock = ManualClock::at_unix_ms(0);
        let (mut traces, mut calls) = (Traces::default(), Calls::default());
        calls.at(clock.now(), 0);
        for request in 1..=3u8 {
            let mut spans = trace(of);
            spans.iter_mut().for_each(|span| span.trace = [request; 16]);
            traces.push(spans, clock.now(), &mut calls);
        }
        traces.settle(clock.now().plus(TRACE_QUIET), &mut calls);
        calls.figures().1[0].repeated.len()
    };
    // Six different statements whose literals could not be told from the rest, or none at all.
    let unread = |id| said(id, "postgresql", Some(&format!("SELECT a{id} 'b\\' '")), None);
    assert_eq!(named(&unread), 0);
    assert_eq!(named(&|id| said(id, "postgresql", None, Some("SELECT"))), 0);
    assert_eq!(named(&|id| said(id, "", None, None)), 0);
    // The same one, and a command of what is no SQL.
    assert_eq!(named(&|id| said(id, "postgresql", Some("SELECT a FROM b"), None)), 1);
    assert_eq!(named(&|id| said(id, "redis", Some("GET a"), None)), 1);
}

#[test]
fn a_circle_of_parents_ends() {
    let spans = vec![span(1, 2, What::Step), span(2, 1, What::Step), call(3, 1, "SELECT ?")];
    assert_eq!(told(&figures(vec![spans], &[])), [(NAMELESS.into(), 1, 1)]);
}

#[test]
fn every_table_keeps_its_bound() {
    let clock = ManualClock::at_unix_ms(0);
    let (mut traces, mut calls) = (Traces::default(), Calls::default());
    calls.at(clock.now(), 0);
    for id in 0..(TRACES_OPEN_MAX as u128 * 3) {
        let mut one = call(1, 0, "SELECT ?");
        one.trace = (id + 1).to_be_bytes();
        traces.push(vec![one], clock.now(), &mut calls);
        assert!(traces.open.len() <= TRACES_OPEN_MAX);
    }
    traces.settle(clock.now().plus(TRACE_QUIET), &mut calls);
    let many = (0..SPANS_OF_TRACE_MAX as u64 * 2).map(|id| call(id + 1, 0, "SELECT ?"));
    traces.push(many.collect(), clock.now(), &mut calls);
    let folded = calls.take_folded();
    assert!(folded.iter().any(|(bound, n)| *bound == CallBound::SpansOfTrace && *n > 2_000));
    let requests: Vec<KeptSpan> = (1..=REQUESTS_REMEMBERED_MAX as u128 + 10)
        .map(|id| KeptSpan { trace: TraceContext::new(id, 1, true), ..request(1, "a") })
        .collect();
    traces.remember(&requests, clock.now());
    assert_eq!(traces.remembered.len(), REQUESTS_REMEMBERED_MAX);
    clock.advance(REQUEST_REMEMBERED + Duration::from_secs(1));
    traces.remember(&[], clock.now());
    assert!(traces.remembered.is_empty() && traces.order.is_empty());
    for operation in 0..2_000 {
        let operation =
            Operation { service: "shop".into(), operation: format!("GET /{operation}").into() };
        let statement: Arc<str> = format!("SELECT {}", operation.operation).into();
        calls.request(&operation, HashMap::from([(&statement, vec![1; 9])]));
    }
    let (_, rows) = calls.figures();
    assert_eq!(rows.len(), crate::ingest::OPERATIONS_MAX + 1);
    assert!(rows.iter().any(|row| &*row.operation == "other" && row.requests == 1_745));
}

#[test]
fn open_traces_that_grow_keep_the_bound_on_spans() {
    let clock = ManualClock::at_unix_ms(0);
    let (mut traces, mut calls) = (Traces::default(), Calls::default());
    calls.at(clock.now(), 0);
    let open = SPANS_OPEN_MAX / 1_000;
    for round in 0..SPANS_OF_TRACE_MAX as u64 {
        for trace in 1..=open as u128 {
            let mut one = call(round + 1, 0, "SELECT ?");
            one.trace = trace.to_be_bytes();
            traces.push(vec![one], clock.now(), &mut calls);
            assert!(traces.spans <= SPANS_OPEN_MAX, "{}", traces.spans);
        }
    }
    let folded = calls.take_folded();
    assert!(folded.iter().any(|(bound, _)| *bound == CallBound::Traces), "{folded:?}");
}

proptest! {
    /// Spans may come in any order and in several requests.
    #[test]
    fn order_and_batches_change_nothing(
        shuffled in Just((0..12usize).collect::<Vec<_>>()).prop_shuffle(),
        cut in 0usize..12,
    ) {
        let mut spans = vec![server(1, 90, "GET /a"), span(2, 1, What::Step)];
        spans.extend((3..11).map(|id| call(id, 2, "SELECT ?")));
        spans.extend([server(11, 2, "GET /b"), call(12, 11, "SELECT ? FROM b")]);
        let whole = figures(vec![spans.clone()], &[request(90, "listOrders")]);
        let mixed: Vec<Span> = shuffled.iter().map(|at| spans[*at].clone()).collect();
        let (first, second) = mixed.split_at(cut);
        let parts = figures(vec![first.to_vec(), second.to_vec()], &[request(90, "listOrders")]);
        prop_assert_eq!(told(&whole), told(&parts));
        prop_assert_eq!(told(&whole), [("GET /b".to_owned(), 1, 1), ("listOrders".into(), 1, 8)]);
    }
}
