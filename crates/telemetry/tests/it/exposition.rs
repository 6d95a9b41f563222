//! `/metrics` holds every figure, in a format a strict reader takes.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::Nanos;
use plimsoll_telemetry::{
    AuthOutcome, CacheResult, Counter, Gauge, Metrics, MetricsOptions, Platform, Sample,
    UpstreamErrorKind, names,
};
use proptest::prelude::*;

use crate::strict;

fn sample<'a>(operation: &'a Arc<str>, release: &'a Arc<str>, ms: u64) -> Sample<'a> {
    Sample {
        operation,
        service: "shop",
        release,
        platform: Platform::Ios,
        app_version: "3.1.0",
        device_model: "iPhone15,2",
        status: 200,
        latency: Duration::from_millis(ms),
        bytes_in: 10,
        bytes_out: 1_000,
        bytes_saved: 0,
    }
}

#[test]
fn every_name_is_exposed_with_its_type_and_meaning() {
    let metrics = Metrics::new(MetricsOptions::default());
    let families = strict::read(&metrics.render_prometheus()).unwrap();
    for name in names::ALL {
        if name.name.starts_with("process_") && !cfg!(target_os = "linux") {
            continue;
        }
        let family = &families[name.name];
        assert_eq!((family.kind.as_str(), family.help.as_str()), (name.kind.as_str(), name.help));
    }
    assert_eq!(families.len(), names::ALL.len());
}

#[test]
fn requests_are_counted_over_all_shards() {
    let metrics = Metrics::new(MetricsOptions { cores: 2, ..MetricsOptions::default() });
    let (operation, release) = (Arc::from("getOrder"), Arc::from("default"));
    let base = sample(&operation, &release, 300);
    for (core, latency, status) in [
        (0, Duration::from_millis(300), 200),
        (1, Duration::from_millis(300) + Duration::from_nanos(1), 200),
        (0, Duration::from_millis(4), 503),
        (1, Duration::from_secs(120), 404),
        (7, Duration::ZERO, 999),
    ] {
        metrics.shard(core).record(&Sample { latency, status, ..base });
    }
    let families = strict::read(&metrics.render_prometheus()).unwrap();
    let requests = &families["plimsoll_requests_total"];
    for (class, count) in [("2xx", 2.0), ("4xx", 1.0), ("5xx", 2.0)] {
        assert_eq!(requests.value("", &[("status_class", class)]), count, "{class}");
    }
    assert_eq!(requests.samples.len(), 3, "classes that never occurred have no line");
    let within = &families["plimsoll_requests_within_objective_total"];
    assert_eq!(within.value("", &[]), 1.0, "a fast server error is not within the objective");
    let duration = &families["plimsoll_request_duration_seconds"];
    for (le, count) in [("0.005", 2.0), ("0.2", 2.0), ("0.3", 3.0), ("0.5", 4.0), ("+Inf", 5.0)] {
        assert_eq!(duration.value("_bucket", &[("le", le)]), count, "{le}");
    }
    assert!((duration.value("_sum", &[]) - 120.604).abs() < 1e-6);
    assert_eq!(families["plimsoll_request_body_bytes_total"].value("", &[]), 50.0);
    assert_eq!(families["plimsoll_response_body_bytes_total"].value("", &[]), 5_000.0);
    let devices = &families["plimsoll_device_request_duration_seconds"];
    assert_eq!(devices.value("_count", &[("device_model", "iPhone15,2")]), 5.0);
    let few = devices.samples.iter().filter(|(suffix, _, _)| suffix == "_bucket");
    let of_one = few.filter(|(_, labels, _)| {
        labels.iter().any(|(name, value)| name == "device_model" && value == "iPhone15,2")
    });
    let bounds: Vec<&str> = of_one
        .filter_map(|(_, labels, _)| labels.iter().find(|(name, _)| name == "le"))
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(bounds, ["0.05", "0.1", "0.2", "0.3", "0.5", "1", "2", "5", "+Inf"]);
    let labels: Vec<&str> = requests.samples[0].1.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(labels, names::REQUESTS.labels);
}

#[test]
fn counters_and_gauges_are_summed_over_shards() {
    let metrics = Metrics::new(MetricsOptions { cores: 2, ..MetricsOptions::default() });
    for core in 0..2 {
        let shard = metrics.shard(core);
        shard.count(Counter::ConnectionAccepted);
        shard.count(Counter::TokenCache(CacheResult::Hit));
        shard.count(Counter::LimitRefused { policy: "per-caller" });
        let (service, kind) = ("shop", UpstreamErrorKind::FirstByteTimeout);
        shard.count(Counter::UpstreamError { service, kind });
        shard.gauge_add(Gauge::ConnectionsOpen, 3);
    }
    metrics.shard(0).gauge_add(Gauge::ConnectionsOpen, -1);
    metrics.set(Gauge::Ready, 1);
    metrics.count_many(Counter::Auth(AuthOutcome::Missing), 4);
    let families = strict::read(&metrics.render_prometheus()).unwrap();
    let value = |name: &str, labels: &[(&str, &str)]| families[name].value("", labels);
    assert_eq!(value("plimsoll_connections_accepted_total", &[]), 2.0);
    assert_eq!(value("plimsoll_token_cache_lookups_total", &[("result", "hit")]), 2.0);
    assert_eq!(value("plimsoll_token_cache_lookups_total", &[("result", "miss")]), 0.0);
    assert_eq!(value("plimsoll_limit_refused_total", &[("policy", "per-caller")]), 2.0);
    let kind = [("service", "shop"), ("kind", "first_byte_timeout")];
    assert_eq!(value("plimsoll_upstream_errors_total", &kind), 2.0);
    assert_eq!(value("plimsoll_connections_open", &[]), 5.0);
    assert_eq!(value("plimsoll_ready", &[]), 1.0);
    assert_eq!(value("plimsoll_auth_total", &[("outcome", "missing")]), 4.0);
    assert_eq!(metrics.counted(Counter::LimitRefused { policy: "per-caller" }), 2);
}

#[test]
fn label_values_beyond_a_counters_bound_become_other() {
    let metrics = Metrics::new(MetricsOptions::default());
    for n in 0..2_000 {
        metrics.count(Counter::Problem { code: &format!("c{n}") });
    }
    let families = strict::read(&metrics.render_prometheus()).unwrap();
    let problems = &families["plimsoll_problems_total"];
    assert_eq!(problems.samples.len(), 513);
    assert_eq!(problems.value("", &[("code", "other")]), 2_000.0 - 512.0);
}

#[test]
fn the_order_depends_on_the_labels_alone() {
    let page = |order: &[&str]| {
        let metrics = Metrics::new(MetricsOptions::default());
        let release = Arc::from("default");
        for name in order {
            let operation = Arc::from(*name);
            metrics.shard(0).record(&sample(&operation, &release, 1));
            metrics.count(Counter::LimitRefused { policy: name });
        }
        let page = metrics.render_prometheus();
        page.lines().filter(|line| !line.contains("process_")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(page(&["b", "a", "c"]), page(&["c", "b", "a"]));
}

#[test]
fn the_bound_on_series_holds_and_says_so() {
    let options = MetricsOptions { cores: 2, series_max: 160, ..MetricsOptions::default() };
    let metrics = Metrics::new(options);
    let (operation, release) = (Arc::from("getOrder"), Arc::from("default"));
    for n in 0..2_000u64 {
        let (version, model) = (format!("1.{n}"), format!("Model {n}"));
        let base = sample(&operation, &release, 1);
        let shard = metrics.shard(usize::from(n % 2 == 0));
        shard.record(&Sample { app_version: &version, device_model: &model, ..base });
        if n % 100 == 0 {
            metrics.tick(Nanos(n * 10_000_000));
        }
    }
    let families = strict::read(&metrics.render_prometheus()).unwrap();
    let held = families["plimsoll_metric_series"].value("", &[]);
    assert!(held <= 160.0, "{held}");
    assert!(families["plimsoll_metric_series_folded_total"].value("", &[]) > 1_800.0);
    let requests = &families["plimsoll_requests_total"];
    let sum: f64 = requests.samples.iter().map(|(_, _, value)| value).sum();
    assert_eq!(sum, 2_000.0, "what is folded is still counted");
    let other = requests.value("", &[("operation", "getOrder"), ("app_version", "other")]);
    assert!(other > 1_800.0);
    let devices = &families["plimsoll_device_requests_total"];
    let sum: f64 = devices.samples.iter().map(|(_, _, value)| value).sum();
    assert_eq!(sum, 2_000.0);
}

#[test]
fn series_that_were_idle_for_an_hour_are_forgotten() {
    let metrics = Metrics::new(MetricsOptions::default());
    let (operation, release) = (Arc::from("getOrder"), Arc::from("default"));
    let shard = metrics.shard(0);
    let old = sample(&operation, &release, 1);
    shard.record(&old);
    let mut second = 0;
    let mut pass = |seconds: u64, busy: &Sample<'_>| {
        for _ in 0..seconds {
            second += 1;
            shard.record(busy);
            metrics.tick(Nanos(second * 1_000_000_000));
        }
    };
    let busy = Sample { app_version: "3.2.0", device_model: "iPhone16,1", ..old };
    pass(3_500, &busy);
    let versions = |page: &str| {
        let families = strict::read(page).unwrap();
        let of = |(_, labels, value): &(String, strict::Labels, f64)| (labels[4].1.clone(), *value);
        families["plimsoll_requests_total"].samples.iter().map(of).collect::<Vec<_>>()
    };
    let page = metrics.render_prometheus();
    assert_eq!(versions(&page), [("3.1.0".into(), 1.0), ("3.2.0".into(), 3_500.0)]);
    pass(300, &busy);
    let page = metrics.render_prometheus();
    assert_eq!(versions(&page), [("3.2.0".into(), 3_800.0)]);
    let back = Sample { platform: Platform::Android, ..old };
    pass(3, &back);
    let page = metrics.render_prometheus();
    assert_eq!(versions(&page), [("3.2.0".into(), 3_800.0), ("3.1.0".into(), 3.0)]);
}

proptest! {
    #[test]
    fn any_label_value_keeps_the_format(
        service in any::<String>(), operation in any::<String>(), version in any::<String>(),
        model in any::<String>(), status: u16, nanos: u64, policy in any::<String>(),
    ) {
        let metrics = Metrics::new(MetricsOptions::default());
        let (operation, release) = (Arc::from(operation), Arc::from("r\"\\\n"));
        metrics.shard(0).record(&Sample {
            service: &service, app_version: &version, device_model: &model, status,
            latency: Duration::from_nanos(nanos), ..sample(&operation, &release, 1)
        });
        metrics.count(Counter::LimitRefused { policy: &policy });
        let families = strict::read(&metrics.render_prometheus()).map_err(TestCaseError::fail)?;
        let labels = [("service", service.as_str()), ("release", "r\"\\\n")];
        let count = families["plimsoll_request_duration_seconds"].value("_count", &labels);
        prop_assert_eq!(count, 1.0);
    }
}
