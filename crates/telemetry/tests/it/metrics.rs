//! The console's figures, and what many cores at once do to the counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plimsoll_base::{Clock, ManualClock};
use plimsoll_telemetry::{
    Counter, Gauge, HISTORY, Metrics, MetricsOptions, Overview, Platform, Sample,
};

use crate::strict;

fn base<'a>(operation: &'a Arc<str>, release: &'a Arc<str>) -> Sample<'a> {
    Sample {
        operation,
        service: "shop",
        release,
        platform: Platform::Android,
        app_version: "1.0",
        device_model: "Pixel 8",
        status: 200,
        latency: Duration::from_millis(10),
        bytes_in: 0,
        bytes_out: 500,
        bytes_saved: 0,
    }
}

/// A process of one core whose seconds pass by hand.
struct Scene {
    clock: ManualClock,
    metrics: Arc<Metrics>,
}

impl Scene {
    fn new() -> Self {
        let clock = ManualClock::at_unix_ms(0);
        let metrics = Metrics::new(MetricsOptions::default());
        metrics.tick(clock.now());
        Self { clock, metrics }
    }

    fn second_with(&self, samples: &[(Sample<'_>, usize)]) {
        for (sample, times) in samples {
            for _ in 0..*times {
                self.metrics.shard(0).record(sample);
            }
        }
        self.clock.advance(Duration::from_secs(1));
        self.metrics.tick(self.clock.now());
    }

    fn last(&self, seconds: u64) -> Overview {
        self.metrics.overview(Duration::from_secs(seconds))
    }
}

#[test]
fn figures_are_those_of_the_window() {
    let scene = Scene::new();
    let (get, pay, release) = (Arc::from("getOrder"), Arc::from("pay"), Arc::from("default"));
    let fast = base(&get, &release);
    let slow = Sample { latency: Duration::from_millis(900), ..fast };
    let failed = Sample { status: 502, platform: Platform::Ios, ..base(&pay, &release) };
    scene.second_with(&[(fast, 1_000)]);
    for _ in 0..10 {
        scene.second_with(&[(fast, 90), (slow, 10), (failed, 5)]);
    }
    let view = scene.last(10);
    assert_eq!(view.window_seconds, 10.0);
    assert_eq!(view.total.requests, 1_050);
    assert_eq!(view.total.requests_per_second, 105.0);
    let [order, paid] = view.by_operation.as_slice() else { panic!("{:?}", view.by_operation) };
    assert_eq!((&*order.operation, order.figures.requests), ("getOrder", 1_000));
    assert_eq!(order.figures.within_objective_share, Some(0.9));
    assert!((order.figures.p50_seconds.unwrap() - 0.010).abs() < 0.002);
    assert!((order.figures.p95_seconds.unwrap() - 0.9).abs() < 0.1);
    assert_eq!((paid.figures.error_share, paid.figures.requests), (1.0, 50));
    assert_eq!(order.figures.bytes_out_per_second, 50_000.0);
    let platforms: Vec<_> =
        view.by_platform.iter().map(|row| (row.platform, row.figures.requests)).collect();
    assert_eq!(platforms, [(Platform::Ios, 50), (Platform::Android, 1_000)]);
    assert_eq!(view.by_device_model[0].figures.requests, 1_050);
    assert_eq!(scene.last(11).total.requests, 2_050);
}

#[test]
fn a_late_tick_makes_a_longer_second_and_no_wrong_rate() {
    let scene = Scene::new();
    let (operation, release) = (Arc::from("a"), Arc::from("default"));
    scene.clock.advance(Duration::from_secs(3));
    scene.second_with(&[(base(&operation, &release), 400)]);
    let view = scene.last(1);
    assert_eq!((view.window_seconds, view.total.requests_per_second), (4.0, 100.0));
    scene.metrics.tick(scene.clock.now());
    assert_eq!(scene.last(1).total.requests, 400, "a tick at the same instant is none");
}

#[test]
fn ticks_that_are_not_quite_a_second_apart_make_no_longer_window() {
    let scene = Scene::new();
    let (operation, release) = (Arc::from("a"), Arc::from("default"));
    for n in 0..100 {
        scene.metrics.shard(0).record(&base(&operation, &release));
        scene.clock.advance(Duration::from_micros(if n % 3 == 0 { 1_000_900 } else { 999_400 }));
        scene.metrics.tick(scene.clock.now());
    }
    let view = scene.last(60);
    assert_eq!((view.total.requests, view.window_seconds.round()), (60, 60.0));
}

#[test]
fn the_history_is_five_minutes_of_seconds() {
    let scene = Scene::new();
    let (operation, release) = (Arc::from("a"), Arc::from("default"));
    for n in 0..400 {
        scene.metrics.set(Gauge::ConnectionsOpen, n);
        scene.second_with(&[(base(&operation, &release), usize::try_from(n).unwrap())]);
    }
    let view = scene.last(60);
    assert_eq!(view.history.len() as u64, HISTORY.as_secs());
    let (first, last) = (view.history[0], view.history[299]);
    assert_eq!((first.age_seconds, first.requests_per_second), (299.0, 100.0));
    assert_eq!((last.age_seconds, last.requests_per_second), (0.0, 399.0));
    assert_eq!((last.connections_open, view.connections_open), (399, 399));
    assert!(last.p95_seconds.is_some() && last.errors_per_second == 0.0);
}

#[test]
fn rendering_between_ticks_takes_nothing_from_the_console() {
    let scene = Scene::new();
    let (operation, release) = (Arc::from("a"), Arc::from("default"));
    scene.metrics.shard(0).record(&base(&operation, &release));
    assert!(scene.metrics.render_prometheus().contains("operation=\"a\""));
    scene.second_with(&[]);
    assert_eq!(scene.last(1).total.requests, 1);
}

#[test]
fn a_crowd_of_names_is_bounded_and_still_counted() {
    let scene = Scene::new();
    let release = Arc::from("default");
    for n in 0..1_000 {
        let (operation, model) = (Arc::from(format!("op{n}")), format!("m{n}"));
        let sample = Sample { device_model: &model, ..base(&operation, &release) };
        scene.metrics.shard(0).record(&sample);
    }
    scene.second_with(&[]);
    let view = scene.last(1);
    assert_eq!(view.by_operation.len(), 257);
    assert_eq!(view.by_device_model.len(), 129);
    let sum = |figures: u64, row: u64| figures + row;
    let operations = view.by_operation.iter().map(|row| row.figures.requests).fold(0, sum);
    let models = view.by_device_model.iter().map(|row| row.figures.requests).fold(0, sum);
    assert_eq!((operations, models), (1_000, 1_000));
}

#[test]
fn nothing_is_lost_between_cores_ticks_and_scrapes() {
    const EACH: u64 = 20_000;
    let cores = 4;
    let metrics = Metrics::new(MetricsOptions { cores, series_max: 300, ..Default::default() });
    let done = AtomicBool::new(false);
    let clock = ManualClock::at_unix_ms(0);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|core| {
                let shard = metrics.shard(core);
                scope.spawn(move || {
                    let release = Arc::from("default");
                    let operation = Arc::from(format!("op{}", core % 2));
                    for n in 0..EACH {
                        let version = (n % 200).to_string();
                        let sample = base(&operation, &release);
                        shard.record(&Sample { app_version: &version, ..sample });
                        shard.count(Counter::LimitRefused { policy: "p" });
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                clock.advance(Duration::from_secs(1));
                metrics.tick(clock.now());
                strict::read(&metrics.render_prometheus()).unwrap();
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap();
    });
    let families = strict::read(&metrics.render_prometheus()).unwrap();
    let all = |name: &str| families[name].samples.iter().map(|(_, _, value)| value).sum::<f64>();
    let expected = (EACH * cores as u64) as f64;
    assert_eq!(all("plimsoll_requests_total"), expected);
    assert_eq!(all("plimsoll_device_requests_total"), expected);
    assert_eq!(all("plimsoll_limit_refused_total"), expected);
    assert!(all("plimsoll_metric_series") <= 300.0);
}
