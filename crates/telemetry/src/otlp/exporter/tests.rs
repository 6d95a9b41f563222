use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_base::ManualClock;

use super::*;
use crate::metrics::MetricsOptions;
use crate::names;
use crate::otlp::metrics::otlp_name;
use crate::otlp::protobuf::Writer;
use crate::otlp::{SpanRecord, TracingOptions, UpstreamCall};
use crate::sample::{Platform, Sample};
use crate::trace::TraceContext;

type Answers = Arc<dyn Fn(usize) -> Result<Posted, PostError> + Send + Sync>;

struct Scene {
    metrics: Arc<Metrics>,
    posts: Arc<Mutex<Vec<Post>>>,
    exporter: Exporter,
}

fn answer(status: u16) -> Result<Posted, PostError> {
    Ok(Posted { status, retry_after: Some(Duration::ZERO), body: Vec::new() })
}

/// An exporter whose receiver answers the n-th request as `answers` says.
fn scene(answers: Answers) -> Scene {
    let metrics = Metrics::new(MetricsOptions::default());
    metrics.set_tracing(TracingOptions {
        sample_ratio: 1.0,
        export: true,
        ..TracingOptions::default()
    });
    let posts: Arc<Mutex<Vec<Post>>> = Arc::default();
    let (kept, asked) = (Arc::clone(&posts), AtomicUsize::new(0));
    let sender: Arc<Sender> = Arc::new(move |post| {
        kept.lock().unwrap().push(post);
        let answer = answers(asked.fetch_add(1, Ordering::SeqCst));
        Box::pin(async move { answer })
    });
    let exporter = Exporter {
        metrics: Arc::clone(&metrics),
        ingest: None,
        export: Some(Export {
            endpoint: "http://127.0.0.1:4318".into(),
            headers: Headers::default(),
            gzip: false,
            timeout: Duration::from_secs(1),
            metrics_interval: Duration::from_secs(3_600),
            resource: Resource::default().with("service.name", "edge"),
            sender,
        }),
        clock: Arc::new(ManualClock::at_unix_ms(1_000)),
        names: Arc::default(),
    };
    Scene { metrics, posts, exporter }
}

impl Scene {
    fn keep(&self, requests: u64, upstream: bool) {
        let (operation, service): (Arc<str>, Arc<str>) = ("getOrder".into(), "shop".into());
        for n in 0..requests {
            self.metrics.shard(0).keep(&SpanRecord {
                trace: TraceContext::new(u128::from(n) + 1, n + 1, true),
                parent: None,
                span_random: n + 100,
                started_unix_ms: 1_000,
                latency: Duration::from_millis(5),
                upstream: upstream.then_some(UpstreamCall { after: Duration::ZERO, took: None }),
                method: "GET",
                path: "/orders/17",
                scheme: "http",
                protocol: "1.1",
                operation: &operation,
                service: &service,
                release: &service,
                status: 200,
                problem: None,
                cut: false,
                platform: Platform::Ios,
                app_version: "3.1.0",
                device_model: "",
                client_address: [127, 0, 0, 1].into(),
            });
        }
    }

    /// Runs the exporter as if the process stopped at once: what is left is flushed.
    fn run(self) -> (Arc<Metrics>, Vec<Post>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (stop, stopped) = watch::channel(false);
        stop.send_replace(true);
        runtime.block_on(self.exporter.run(stopped));
        let posts = self.posts.lock().unwrap().clone();
        (self.metrics, posts)
    }
}

fn exported(metrics: &Metrics) -> u64 {
    metrics.counted(Counter::SpansExported)
}

#[test]
fn spans_go_out_in_batches_and_are_counted() {
    let scene = scene(Arc::new(|_| answer(200)));
    scene.keep(700, true);
    let (metrics, posts) = scene.run();
    let traces: Vec<_> = posts.iter().filter(|post| post.url.ends_with("/v1/traces")).collect();
    assert_eq!((traces.len(), exported(&metrics)), (2, 1_400));
    assert!(posts.iter().any(|post| post.url == "http://127.0.0.1:4318/v1/metrics"));
}

#[test]
fn a_full_buffer_drops_and_counts() {
    let scene = scene(Arc::new(|_| answer(200)));
    scene.keep(2_000, false);
    let (metrics, _) = scene.run();
    let dropped = metrics.counted(Counter::SpansDropped(SpanDrop::BufferFull));
    assert_eq!(exported(&metrics) + dropped, 2_000);
    assert!(dropped > 900, "{dropped}");
}

#[test]
fn only_what_may_be_sent_again_is() {
    for (status, attempts) in [(503, 2), (429, 2), (400, 1), (500, 1), (401, 1)] {
        let tried = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tried);
        let scene = scene(Arc::new(move |_| {
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            answer(if first { status } else { 200 })
        }));
        scene.keep(3, false);
        // Figures are sent, too; here only spans are of interest.
        let Scene { metrics, exporter, .. } = scene;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut kept = Vec::new();
        metrics.take_kept(&mut kept);
        runtime.block_on(exporter.send_spans(kept, &AtomicU64::new(0)));
        assert_eq!(tried.load(Ordering::SeqCst), attempts, "{status}");
        let failed = metrics.counted(Counter::ExportFailed(OtlpSignal::Traces));
        let dropped = metrics.counted(Counter::SpansDropped(SpanDrop::ExportFailed));
        let expected = if attempts == 2 { (1, 3, 0) } else { (1, 0, 3) };
        assert_eq!((failed, exported(&metrics), dropped), expected, "{status}");
    }
}

#[test]
fn a_partial_success_counts_what_was_refused() {
    let scene = scene(Arc::new(|_| {
        let mut body = Writer::default();
        body.message(1, |partial| partial.varint(1, 2));
        Ok(Posted { status: 200, retry_after: None, body: body.into_bytes() })
    }));
    scene.keep(3, false);
    let (metrics, _) = scene.run();
    let refused = metrics.counted(Counter::SpansDropped(SpanDrop::Refused));
    assert_eq!((exported(&metrics), refused), (1, 2));
}

#[test]
fn a_receiver_that_never_answers_does_not_hold_the_end() {
    let mut scene = scene(Arc::new(|_| answer(200)));
    let never: Arc<Sender> = Arc::new(|_| Box::pin(std::future::pending()));
    if let Some(export) = &mut scene.exporter.export {
        export.sender = never;
    }
    // A batch and some more: what is under way is lost, too, and counted.
    scene.keep(700, false);
    let metrics = Arc::clone(&scene.metrics);
    let (_, posts) = scene.run();
    assert!(posts.is_empty() && exported(&metrics) == 0);
    assert_eq!(metrics.counted(Counter::SpansDropped(SpanDrop::Shutdown)), 700);
}

/// Every exemplar of a metric: trace id, span id, seconds.
fn exemplars(posts: &[Post], name: &str) -> Vec<(Vec<u8>, Vec<u8>, f64)> {
    let mut found = Vec::new();
    for post in posts.iter().filter(|post| post.url.ends_with("/v1/metrics")) {
        let mut metric = |metric: &[u8]| {
            let mut is = false;
            each(metric, 1, |said| {
                is = said == name.as_bytes();
                Ok(())
            })?;
            if !is {
                return Ok(());
            }
            each(metric, 9, |data| {
                each(data, 1, |point| {
                    each(point, 8, |exemplar| {
                        let mut one = (Vec::new(), Vec::new(), 0.0);
                        let mut reader = Reader::new(exemplar);
                        while let Some((field, value)) = reader.next()? {
                            match field {
                                3 => one.2 = value.double()?,
                                4 => one.1 = value.bytes()?.to_vec(),
                                5 => one.0 = value.bytes()?.to_vec(),
                                _ => {}
                            }
                        }
                        found.push(one);
                        Ok(())
                    })
                })
            })
        };
        each(&post.body, 1, |resource| each(resource, 2, |scope| each(scope, 2, &mut metric)))
            .unwrap();
    }
    found
}

#[test]
fn latency_series_carry_one_kept_request_each_as_an_exemplar() {
    let scene = scene(Arc::new(|_| answer(200)));
    let (operation, release): (Arc<str>, Arc<str>) = ("getOrder".into(), "shop".into());
    for version in ["3.1.0", "3.2.0"] {
        scene.metrics.shard(0).record(&Sample {
            operation: &operation,
            service: "shop",
            release: &release,
            platform: Platform::Ios,
            app_version: version,
            device_model: "",
            status: 200,
            latency: Duration::from_millis(5),
            bytes_in: 0,
            bytes_out: 0,
            bytes_saved: 0,
        });
    }
    // All of them with version 3.1.0, and all as slow: the first one stays.
    scene.keep(40, false);
    let (_, posts) = scene.run();
    for name in ["plimsoll.request.duration", "plimsoll.device.request.duration"] {
        let trace = TraceContext::new(1, 1, true).trace_id().bytes().to_vec();
        let expected = [(trace, 100u64.to_be_bytes().to_vec(), 0.005)];
        assert_eq!(exemplars(&posts, name), expected, "{name}");
    }
}

#[test]
fn every_figure_of_metrics_is_exported() {
    let scene = scene(Arc::new(|_| answer(200)));
    let (metrics, posts) = scene.run();
    let exposed = metrics.render_prometheus();
    let mut sent = BTreeSet::new();
    for post in posts.iter().filter(|post| post.url.ends_with("/v1/metrics")) {
        each(&post.body, 1, |resource| {
            each(resource, 2, |scope| {
                each(scope, 2, |metric| {
                    each(metric, 1, |name| {
                        sent.insert(String::from_utf8_lossy(name).into_owned());
                        Ok(())
                    })
                })
            })
        })
        .unwrap();
    }
    for name in names::ALL {
        let has_lines = exposed.lines().any(|line| {
            let rest = line.strip_prefix(name.name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{', '_']) && !line.starts_with('#'))
        });
        assert!(!has_lines || sent.contains(&otlp_name(name)), "{}", name.name);
    }
    let distinct: BTreeSet<_> = names::ALL.iter().map(|name| otlp_name(name)).collect();
    assert_eq!(distinct.len(), names::ALL.len(), "two metrics would be one");
    assert_eq!(otlp_name(&names::DURATION), "plimsoll.request.duration");
}
