//! What the console shows: rates, errors and quantiles over a window, and the last five minutes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::Nanos;
use serde::Serialize;

use crate::histogram::Layout;
use crate::ring::{Aggregate, OperationName, Ring, SECONDS_MAX};
use crate::sample::Platform;

/// How far [`Overview::history`] reaches back.
pub const HISTORY: Duration = Duration::from_secs(SECONDS_MAX as u64);

/// What stands for the service of a request that none is known of.
pub const NO_SERVICE: &str = "none";

/// Figures over a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Requests answered in the window.
    pub requests: u64,
    /// Requests answered a second, mean over the window.
    pub requests_per_second: f64,
    /// Server errors (5xx) among the answers, 0 to 1.
    pub error_share: f64,
    /// Client errors (4xx) among the answers, 0 to 1.
    pub client_error_share: f64,
    /// Answers within the objective and without a server error, 0 to 1; none without requests.
    pub within_objective_share: Option<f64>,
    /// Median latency in seconds; none without requests.
    pub p50_seconds: Option<f64>,
    /// 95th percentile of latency in seconds; none without requests.
    pub p95_seconds: Option<f64>,
    /// 99th percentile of latency in seconds; none without requests.
    pub p99_seconds: Option<f64>,
    /// Bytes of request bodies received a second.
    pub bytes_in_per_second: f64,
    /// Bytes of answer bodies sent a second.
    pub bytes_out_per_second: f64,
    /// Bytes of answer bodies a second that the edge did not have to send for compressing them.
    pub bytes_saved_per_second: f64,
}

/// An operation's figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperationFigures {
    /// The service.
    pub service: Arc<str>,
    /// The operation.
    pub operation: Arc<str>,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A platform's figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlatformFigures {
    /// The platform.
    pub platform: Platform,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A device model's figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceModelFigures {
    /// The model, `unknown` or `other`.
    pub device_model: Arc<str>,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// One second of the history.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Second {
    /// Seconds between the end of this second and the last tick.
    pub age_seconds: f64,
    /// Requests answered a second.
    pub requests_per_second: f64,
    /// Server errors (5xx) a second.
    pub errors_per_second: f64,
    /// Median latency in seconds; none without requests.
    pub p50_seconds: Option<f64>,
    /// 95th percentile of latency in seconds; none without requests.
    pub p95_seconds: Option<f64>,
    /// 99th percentile of latency in seconds; none without requests.
    pub p99_seconds: Option<f64>,
    /// Clients' connections open at its end.
    pub connections_open: u64,
    /// Requests in flight at its end.
    pub requests_in_flight: u64,
}

/// The figures of a window that ended at the last tick.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// When the figures were taken, on the monotonic clock; none before the first tick.
    #[serde(skip)]
    pub ticked_at: Option<Nanos>,
    /// Seconds the figures cover: the window asked for, or less while the process is young.
    pub window_seconds: f64,
    /// The latency objective in seconds.
    pub objective_seconds: f64,
    /// Everything.
    pub total: Figures,
    /// What went to a service: without what the edge answered or refused before it knew of one.
    #[serde(skip)]
    pub routed: Figures,
    /// By operation, ordered by service and operation.
    pub by_operation: Vec<OperationFigures>,
    /// By platform, in the order of [`Platform::ALL`], those with requests.
    pub by_platform: Vec<PlatformFigures>,
    /// By device model, ordered by name.
    pub by_device_model: Vec<DeviceModelFigures>,
    /// Second by second, oldest first, five minutes at most.
    pub history: Vec<Second>,
    /// Clients' connections open now.
    pub connections_open: u64,
    /// Requests in flight now.
    pub requests_in_flight: u64,
    /// Label sets the request families hold.
    pub series: usize,
    /// The bound on label sets.
    pub series_max: usize,
    /// Requests counted under `other` since the start.
    pub series_folded: u64,
    /// Lines of the access log dropped since the start.
    pub access_log_dropped: u64,
}

/// The parts of an overview that come from the ring.
pub(crate) struct FromRing {
    pub(crate) window_seconds: f64,
    pub(crate) total: Figures,
    pub(crate) routed: Figures,
    pub(crate) by_operation: Vec<OperationFigures>,
    pub(crate) by_platform: Vec<PlatformFigures>,
    pub(crate) by_device_model: Vec<DeviceModelFigures>,
    pub(crate) history: Vec<Second>,
}

pub(crate) fn from_ring(ring: &Ring, layout: &Layout, window: Duration) -> FromRing {
    let mut covered = Duration::ZERO;
    let (mut total, mut routed) = (Aggregate::default(), Aggregate::default());
    let mut operations: BTreeMap<&OperationName, Aggregate> = BTreeMap::new();
    let mut platforms: BTreeMap<Platform, Aggregate> = BTreeMap::new();
    let mut models: BTreeMap<&Arc<str>, Aggregate> = BTreeMap::new();
    for slice in ring.within(window) {
        covered += slice.elapsed;
        total.add_packed(&slice.total);
        for (name, packed) in &slice.operations {
            operations.entry(name).or_default().add_packed(packed);
            if *name.0 != *NO_SERVICE {
                routed.add_packed(packed);
            }
        }
        for (platform, packed) in &slice.platforms {
            platforms.entry(*platform).or_default().add_packed(packed);
        }
        for (model, packed) in &slice.device_models {
            models.entry(model).or_default().add_packed(packed);
        }
    }
    let seconds = covered.as_secs_f64();
    let figures = |sum: &Aggregate| figures(sum, layout, seconds);
    FromRing {
        window_seconds: seconds,
        total: figures(&total),
        routed: figures(&routed),
        by_operation: operations
            .iter()
            .map(|((service, operation), sum)| OperationFigures {
                service: Arc::clone(service),
                operation: Arc::clone(operation),
                figures: figures(sum),
            })
            .collect(),
        by_platform: platforms
            .iter()
            .map(|(platform, sum)| PlatformFigures { platform: *platform, figures: figures(sum) })
            .collect(),
        by_device_model: models
            .iter()
            .map(|(model, sum)| DeviceModelFigures {
                device_model: Arc::clone(model),
                figures: figures(sum),
            })
            .collect(),
        history: history(ring, layout),
    }
}

fn history(ring: &Ring, layout: &Layout) -> Vec<Second> {
    let mut age = Duration::ZERO;
    let mut seconds: Vec<Second> = ring
        .all()
        .rev()
        .map(|slice| {
            let mut sum = Aggregate::default();
            sum.add_packed(&slice.total);
            let second = figures(&sum, layout, slice.elapsed.as_secs_f64());
            let age_seconds = age.as_secs_f64();
            age += slice.elapsed;
            Second {
                age_seconds,
                requests_per_second: second.requests_per_second,
                errors_per_second: second.requests_per_second * second.error_share,
                p50_seconds: second.p50_seconds,
                p95_seconds: second.p95_seconds,
                p99_seconds: second.p99_seconds,
                connections_open: slice.load.connections_open,
                requests_in_flight: slice.load.requests_in_flight,
            }
        })
        .collect();
    seconds.reverse();
    seconds
}

fn figures(sum: &Aggregate, layout: &Layout, seconds: f64) -> Figures {
    let requests = sum.requests();
    let per_second = |count: u64| {
        if seconds > 0.0 { ratio(count, 1) / seconds } else { 0.0 }
    };
    Figures {
        requests,
        requests_per_second: per_second(requests),
        error_share: ratio(sum.classes[4], requests),
        client_error_share: ratio(sum.classes[3], requests),
        within_objective_share: (requests > 0).then(|| ratio(sum.within_objective, requests)),
        p50_seconds: layout.quantile(&sum.buckets, 0.5),
        p95_seconds: layout.quantile(&sum.buckets, 0.95),
        p99_seconds: layout.quantile(&sum.buckets, 0.99),
        bytes_in_per_second: per_second(sum.bytes_in),
        bytes_out_per_second: per_second(sum.bytes_out),
        bytes_saved_per_second: per_second(sum.bytes_saved),
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
