//! How long the simulated apps take to start, as an app's OpenTelemetry metrics would say it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::device::Device;
use crate::otlp::{self, Sender};
use crate::store::WallClock;

/// How often the apps send.
const SEND_EVERY: Duration = Duration::from_secs(2);
/// Upper ends of the histogram's buckets. Unit: seconds.
const BOUNDS: [f64; 10] = [0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0];

/// Platform and version of the app, and the phone's model.
type Key = (&'static str, &'static str, &'static str);

#[derive(Clone, Copy, Debug, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len() + 1],
    sum: f64,
}

/// Starts that were not sent yet. At most one entry for each phone and version there is.
#[derive(Debug, Default)]
pub(super) struct Starts(Mutex<BTreeMap<Key, Histogram>>);

impl Starts {
    /// Counts a cold start.
    pub(super) fn add(&self, device: &Device, took: Duration) {
        let key = (device.platform, device.version, device.model);
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = all.entry(key).or_default();
        histogram.buckets[bucket] += 1;
        histogram.sum += seconds;
    }

    /// What was counted since the last time, as one message; `None` where nothing was.
    fn take(&self, from_ms: u64, to_ms: u64) -> Option<Value> {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut apps: BTreeMap<(&str, &str), Vec<Value>> = BTreeMap::new();
        for ((platform, version, model), histogram) in all {
            let counts: Vec<String> = histogram.buckets.iter().map(u64::to_string).collect();
            apps.entry((platform, version)).or_default().push(json!({
                "startTimeUnixNano": format!("{from_ms}000000"),
                "timeUnixNano": format!("{to_ms}000000"),
                "count": histogram.buckets.iter().sum::<u64>().to_string(),
                "sum": histogram.sum,
                "bucketCounts": counts,
                "explicitBounds": BOUNDS,
                "attributes": [attribute("device.model.identifier", model)],
            }));
        }
        let apps: Vec<Value> = apps
            .into_iter()
            .map(|((platform, version), points)| {
                json!({
                    "resource": { "attributes": [
                        attribute("service.name", &format!("tea-{platform}")),
                        attribute("service.version", version),
                        attribute("os.name", platform),
                    ] },
                    "scopeMetrics": [{
                        "scope": { "name": super::USER_AGENT },
                        "metrics": [{
                            "name": "app.start.cold",
                            "description": "From the tap to the first screen",
                            "unit": "s",
                            // Delta: each message counts what came since the one before.
                            "histogram": { "aggregationTemporality": 1, "dataPoints": points },
                        }],
                    }],
                })
            })
            .collect();
        (!apps.is_empty()).then(|| json!({ "resourceMetrics": apps }))
    }

    /// Sends now and then, until it is dropped.
    pub(super) async fn send(&self, to: otlp::Url, unix_ms: WallClock) {
        let mut sender = Sender::to(to);
        let mut since = unix_ms();
        loop {
            tokio::time::sleep(SEND_EVERY).await;
            let now = unix_ms();
            if let Some(message) = self.take(since, now) {
                // A message that does not arrive is a phone that lost its network.
                drop(sender.post("metrics", &message).await);
            }
            since = now;
        }
    }
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_counted_by_model_and_version_and_sent_once() {
        let mut dice = fastrand::Rng::with_seed(3);
        let (device, starts) = (super::super::device::pick(&mut dice), Starts::default());
        for ms in [240, 600, 20_000] {
            starts.add(&device, Duration::from_millis(ms));
        }
        let message = starts.take(1, 2).unwrap();
        let metric = &message["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
        assert_eq!(metric["name"], "app.start.cold");
        let point = &metric["histogram"]["dataPoints"][0];
        let counts = ["1", "0", "1", "0", "0", "0", "0", "0", "0", "0", "1"];
        assert_eq!((&point["count"], &point["bucketCounts"]), (&json!("3"), &json!(counts)));
        assert_eq!(point["attributes"][0]["value"]["stringValue"], device.model);
        assert_eq!(starts.take(2, 3), None);
    }
}
