//! Prints what one `Shard::record` costs, for the record: not a test, since machines differ.
//! `cargo run --release -p plimsoll-telemetry --example record_cost`

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::{Clock, SystemClock};
use plimsoll_telemetry::{Metrics, MetricsOptions, Platform, Sample};

const ROUNDS: u64 = 2_000_000;

fn main() -> std::io::Result<()> {
    let clock = SystemClock::new();
    let metrics = Metrics::new(MetricsOptions::default());
    let shard = metrics.shard(0);
    let release: Arc<str> = "default".into();
    let operations: Vec<Arc<str>> = (0..40).map(|n| format!("operation{n}").into()).collect();
    let versions: Vec<String> = (0..8).map(|n| format!("3.{n}.0")).collect();
    let models: Vec<String> = (0..50).map(|n| format!("iPhone{n},2")).collect();
    let out = &mut std::io::stdout();
    for (series, operations, versions, models) in [
        ("1 + 1", &operations[..1], &versions[..1], &models[..1]),
        ("320 + 2,000", &operations[..], &versions[..], &models[..]),
    ] {
        let mut spread = 0u64;
        let start = clock.now();
        for n in 0..ROUNDS {
            // A cheap generator, so that neighbours in memory are not visited in order.
            spread = spread.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n | 1);
            let pick = |len: usize, shift: u32| (spread >> shift) as usize % len;
            shard.record(&Sample {
                operation: &operations[pick(operations.len(), 20)],
                service: "shop",
                release: &release,
                platform: Platform::Ios,
                app_version: &versions[pick(versions.len(), 32)],
                device_model: &models[pick(models.len(), 40)],
                status: 200,
                latency: Duration::from_nanos(spread >> 38),
                bytes_in: 0,
                bytes_out: 1_024,
                bytes_saved: 0,
            });
        }
        let each = clock.now().since(start).as_nanos() / u128::from(ROUNDS);
        writeln!(out, "{series:>12} series: {each} ns a request")?;
    }
    let before = clock.now();
    metrics.tick(clock.now());
    writeln!(out, "tick: {:?}", clock.now().since(before))?;
    let before = clock.now();
    let bytes = metrics.render_prometheus().len();
    writeln!(out, "scrape: {:?} for {bytes} bytes", clock.now().since(before))
}
