//! What one page shows, gathered once: the page, the JSON and the CSV are three ways to write it.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_base::SharedClock;
use plimsoll_telemetry::ingest::IngestOverview;
use plimsoll_telemetry::{DeviceModelFigures, Figures, PlatformFigures, Second};
use serde::Serialize;

use crate::model::{
    CachedRow, LedgerRow, LoadRow, MemoryRow, NodeInfo, Notice, NoticeLevel, Readiness, RouteRow,
    Source, UpstreamRow,
};

/// Windows that can be asked for, in seconds.
pub(crate) const WINDOWS: [u64; 3] = [10, 60, 300];

/// Operations on the page; the rest stand in the CSV and the JSON.
pub(crate) const OPERATIONS_SHOWN_MAX: usize = 200;
/// Device models on the page.
pub(crate) const MODELS_SHOWN_MAX: usize = 12;

/// How operations are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sort {
    /// As the contracts have them, then what else was seen, by name.
    #[default]
    Contract,
    /// Most requests first.
    Requests,
    /// Largest error share first.
    Errors,
    /// Slowest 95th percentile first.
    P95,
    /// Slowest 99th percentile first.
    P99,
}

impl Sort {
    pub(crate) const ALL: [(Sort, &'static str); 5] = [
        (Sort::Contract, "contract"),
        (Sort::Requests, "requests"),
        (Sort::Errors, "errors"),
        (Sort::P95, "p95"),
        (Sort::P99, "p99"),
    ];

    pub(crate) fn name(self) -> &'static str {
        Sort::ALL.iter().find(|(sort, _)| *sort == self).map_or("contract", |(_, name)| name)
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(crate) window: u64,
    pub(crate) sort: Sort,
}

impl Default for Asked {
    fn default() -> Self {
        Self { window: 60, sort: Sort::Contract }
    }
}

/// An operation: its route, its figures, or both.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OperationRow {
    pub(crate) service: String,
    pub(crate) operation: String,
    /// Method and path template, where a contract names it.
    pub(crate) route: Option<String>,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// One page's worth.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct View {
    /// When it was gathered, in milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) unix_ms: u64,
    /// How old the figures are; none before the first second has passed.
    pub(crate) age_seconds: Option<f64>,
    /// The window asked for.
    pub(crate) window_asked_seconds: u64,
    /// What the figures cover: less while the process is young.
    pub(crate) window_seconds: f64,
    pub(crate) sort: Sort,
    pub(crate) objective_seconds: f64,
    pub(crate) node: NodeInfo,
    pub(crate) readiness: Readiness,
    /// The most important first.
    pub(crate) notices: Vec<Notice>,
    pub(crate) loads: Vec<LoadRow>,
    pub(crate) total: Figures,
    pub(crate) operations: Vec<OperationRow>,
    pub(crate) platforms: Vec<PlatformFigures>,
    pub(crate) device_models: Vec<DeviceModelFigures>,
    pub(crate) upstreams: Vec<UpstreamRow>,
    pub(crate) routes: Vec<RouteRow>,
    /// What the response cache did; none where it is switched off.
    pub(crate) cached: Option<Vec<CachedRow>>,
    /// What outlives the process.
    pub(crate) memory: Option<MemoryRow>,
    pub(crate) history: Vec<Second>,
    /// Database calls and cold starts, from the spans and figures sent to `/otlp`.
    pub(crate) ingest: IngestOverview,
}

impl View {
    pub(crate) fn gather(source: &dyn Source, clock: &SharedClock, asked: Asked) -> Self {
        let overview = source.metrics().overview(Duration::from_secs(asked.window));
        let node = source.identity();
        let connections_max = node.connections_max;
        let mut loads = vec![
            LoadRow {
                name: "Connections open".into(),
                unit: "connections".into(),
                value: overview.connections_open,
                max: connections_max,
                at_bound: "Beyond it new connections are closed; raise edge.connections_max or \
                           add a node."
                    .into(),
            },
            LoadRow {
                name: "Metric series".into(),
                unit: "label sets".into(),
                value: overview.series as u64,
                max: overview.series_max as u64,
                at_bound: "Near it new app versions and device models count as other; raise \
                           telemetry.series_max."
                    .into(),
            },
        ];
        loads.extend(source.loads());
        let memory = source.memory();
        let mut notices = source.notices();
        notices.extend(memory.as_ref().and_then(|memory| broken_ledger(&memory.ledger)));
        notices.extend(own_notices(overview.series_folded, overview.access_log_dropped));
        notices.sort_by_key(|notice| notice.level);
        let mut device_models = overview.by_device_model;
        device_models.sort_by_key(|row| Reverse(row.figures.requests));
        let routes = source.routes();
        let figures = overview
            .by_operation
            .into_iter()
            .map(|row| ((row.service.to_string(), row.operation.to_string()), row.figures));
        let mut operations = operations(&routes, figures.collect());
        sort(&mut operations, asked.sort);
        Self {
            unix_ms: clock.unix_ms(),
            age_seconds: overview.ticked_at.map(|at| clock.now().since(at).as_secs_f64()),
            window_asked_seconds: asked.window,
            window_seconds: overview.window_seconds,
            sort: asked.sort,
            objective_seconds: overview.objective_seconds,
            node,
            readiness: source.readiness(),
            notices,
            loads,
            total: overview.total,
            operations,
            platforms: overview.by_platform,
            device_models,
            upstreams: source.upstreams(),
            routes,
            cached: source.cached(),
            memory,
            history: overview.history,
            ingest: source.ingest().map(|ingest| ingest.overview()).unwrap_or_default(),
        }
    }

    /// Requests in flight at the last tick.
    pub(crate) fn in_flight(&self) -> u64 {
        self.history.last().map_or(0, |second| second.requests_in_flight)
    }

    pub(crate) fn asked(&self) -> Asked {
        Asked { window: self.window_asked_seconds, sort: self.sort }
    }
}

/// Every route's operation, with or without traffic, so that rows do not come and go; then what was
/// seen beyond the contracts.
fn operations(
    routes: &[RouteRow],
    mut figures: BTreeMap<(String, String), Figures>,
) -> Vec<OperationRow> {
    let mut rows = Vec::new();
    for route in routes.iter().filter(|route| !route.operation.is_empty()) {
        let name = (route.service.clone(), route.operation.clone());
        rows.push(OperationRow {
            figures: figures.remove(&name).unwrap_or_default(),
            service: name.0,
            operation: name.1,
            route: Some(format!("{} {}", route.method, route.template)),
        });
    }
    rows.extend(figures.into_iter().map(|((service, operation), figures)| OperationRow {
        service,
        operation,
        route: None,
        figures,
    }));
    rows
}

fn sort(rows: &mut [OperationRow], by: Sort) {
    let slower = |of: fn(&Figures) -> Option<f64>| {
        move |a: &OperationRow, b: &OperationRow| {
            let (a, b) = (of(&a.figures).unwrap_or(-1.0), of(&b.figures).unwrap_or(-1.0));
            b.total_cmp(&a)
        }
    };
    match by {
        Sort::Contract => {}
        Sort::Requests => rows.sort_by_key(|row| Reverse(row.figures.requests)),
        Sort::Errors => rows.sort_by(|a, b| -> Ordering {
            b.figures.error_share.total_cmp(&a.figures.error_share)
        }),
        Sort::P95 => rows.sort_by(slower(|figures| figures.p95_seconds)),
        Sort::P99 => rows.sort_by(slower(|figures| figures.p99_seconds)),
    }
}

/// What the console itself knows to be worth saying.
fn own_notices(folded: u64, dropped: u64) -> impl Iterator<Item = Notice> {
    let folded = (folded > 0).then(|| Notice {
        level: NoticeLevel::Warning,
        title: "Figures are folded into other".into(),
        why: format!(
            "{folded} requests since the start carried an app version or device model beyond the \
             bound on metric series."
        ),
        next: "Look for a client that invents values, or raise telemetry.series_max.".into(),
    });
    let dropped = (dropped > 0).then(|| Notice {
        level: NoticeLevel::Warning,
        title: "Access log lines were dropped".into(),
        why: format!("{dropped} lines since the start: the output took them too slowly or failed."),
        next: "Give standard output a faster reader, or set telemetry.access_log = \"off\".".into(),
    });
    folded.into_iter().chain(dropped)
}

/// What is sealed is not what was sealed: for whoever looks at the page, whatever they look for.
fn broken_ledger(ledger: &LedgerRow) -> Option<Notice> {
    let verified = ledger.verified.as_ref().filter(|verified| !verified.whole)?;
    let fault = verified.faults.first().map_or("no fault is named", |fault| fault);
    Some(Notice {
        level: NoticeLevel::Critical,
        title: "The ledger is not whole".into(),
        why: format!("The last verification found: {fault}."),
        next: "Run plimsoll ledger verify, keep the database as it is, and follow the runbook \
               PlimsollLedgerBroken."
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(operation: &str) -> RouteRow {
        RouteRow {
            service: "shop".into(),
            operation: operation.into(),
            method: "GET".into(),
            template: "/a".into(),
            ..RouteRow::default()
        }
    }

    fn figures(requests: u64, p95: f64) -> Figures {
        Figures { requests, p95_seconds: Some(p95), ..Figures::default() }
    }

    fn rows(by: Sort) -> Vec<String> {
        let name = |operation: &str| ("shop".to_owned(), operation.to_owned());
        let seen = BTreeMap::from([
            (name("b"), figures(5, 0.1)),
            (name("stray"), figures(9, 0.05)),
            (name("a"), figures(1, 0.3)),
        ]);
        let mut rows = operations(&[route("b"), route("quiet"), route(""), route("a")], seen);
        sort(&mut rows, by);
        rows.into_iter().map(|row| row.operation).collect()
    }

    #[test]
    fn every_route_has_a_row_and_strays_come_last() {
        assert_eq!(rows(Sort::Contract), ["b", "quiet", "a", "stray"]);
    }

    #[test]
    fn rows_sort_by_what_was_asked() {
        assert_eq!(rows(Sort::Requests), ["stray", "b", "a", "quiet"]);
        assert_eq!(rows(Sort::P95), ["a", "b", "stray", "quiet"]);
    }
}
