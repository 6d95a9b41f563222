//! A running console over made-up data, and a client that shows every byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_base::{Clock, ManualClock};
use plimsoll_console::{
    CachedRow, ConsoleOptions, Listening, LoadRow, MemoryRow, NodeInfo, Notice, NoticeLevel,
    Readiness, RouteRow, Source, UpstreamRow, serve,
};
use plimsoll_telemetry::ingest::Ingest;
use plimsoll_telemetry::{Gauge, Metrics, MetricsOptions, Platform, Sample};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Text that would break out of a page, a script or a table that did not escape it.
pub(crate) const HOSTILE: &str = "=<script>alert(\"1\")</script>'&,";

/// When the figures' clock starts: 2026-11-22 08:10:00 UTC.
pub(crate) const NOW_UNIX_MS: u64 = 1_795_335_000_000;

pub(crate) struct Made {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) readiness: Mutex<Readiness>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) memory: Mutex<Option<MemoryRow>>,
}

impl Source for Made {
    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn routes(&self) -> Vec<RouteRow> {
        ["getOrder", "quiet"]
            .map(|operation| RouteRow {
                service: "shop".into(),
                operation: operation.into(),
                method: "GET".into(),
                template: format!("/{operation}/{{id}}"),
                security: "token: orders:read".into(),
                limits: vec!["per-caller: 600 / 60 s".into()],
                cost: 1,
                body_bytes_max: Some(1 << 20),
                total_timeout_ms: Some(30_000),
            })
            .into()
    }

    fn upstreams(&self) -> Vec<UpstreamRow> {
        vec![UpstreamRow {
            service: "shop".into(),
            release: "default".into(),
            url: "http://10.0.0.1:3000".into(),
            ejected_for_ms: Some(7_001),
            consecutive_failures: 5,
            ..UpstreamRow::default()
        }]
    }

    fn cached(&self) -> Option<Vec<CachedRow>> {
        let row = CachedRow {
            operation: "getOrder".into(),
            hits: 90,
            collapsed: 5,
            misses: 5,
            entries: 2,
            bytes: 2_048,
            ..CachedRow::default()
        };
        Some(vec![row])
    }

    fn readiness(&self) -> Readiness {
        self.readiness.lock().unwrap().clone()
    }

    fn ingest(&self) -> Option<Arc<Ingest>> {
        Some(Arc::clone(&self.ingest))
    }

    fn memory(&self) -> Option<MemoryRow> {
        self.memory.lock().unwrap().clone()
    }

    fn notices(&self) -> Vec<Notice> {
        vec![
            Notice { title: HOSTILE.into(), ..Notice::default() },
            Notice {
                level: NoticeLevel::Warning,
                title: "No issuer is configured.".into(),
                why: "Nothing is verified.".into(),
                next: "Add an [[auth.issuer]].".into(),
            },
        ]
    }

    fn identity(&self) -> NodeInfo {
        NodeInfo {
            version: "0.1.0".into(),
            manifest_hash: "abcdef0123456789".into(),
            data_dir: "/data".into(),
            listeners: vec![Listening {
                address: "127.0.0.1:8080".into(),
                speaks: "HTTP/1.1".into(),
            }],
            connections_max: 100,
            ..NodeInfo::default()
        }
    }

    fn loads(&self) -> Vec<LoadRow> {
        vec![LoadRow {
            name: "Keys of limit per-caller".into(),
            unit: "keys".into(),
            value: 10,
            max: 10,
            at_bound: "Raise keys_max.".into(),
        }]
    }
}

pub(crate) struct Scene {
    pub(crate) made: Arc<Made>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) port: u16,
    stop: oneshot::Sender<()>,
    served: JoinSet<std::io::Result<()>>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap_or_default()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Scene {
    pub(crate) async fn start() -> Self {
        Self::start_with("127.0.0.1", |options| options).await
    }

    pub(crate) async fn start_with(
        bind: &str,
        change: impl FnOnce(ConsoleOptions) -> ConsoleOptions,
    ) -> Self {
        let metrics = Metrics::new(MetricsOptions::default());
        let ready = Readiness { ready: true, ..Readiness::default() };
        let clock = Arc::new(ManualClock::at_unix_ms(NOW_UNIX_MS));
        let shared = Arc::<ManualClock>::clone(&clock);
        let ingest = Arc::new(Ingest::new(Arc::clone(&metrics), shared));
        let memory = Mutex::new(None);
        let made = Arc::new(Made { metrics, readiness: Mutex::new(ready), ingest, memory });
        let listener = TcpListener::bind((bind, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let options = change(ConsoleOptions::new(Arc::<ManualClock>::clone(&clock)));
        let (stop, stopped) = oneshot::channel();
        let source = Arc::<Made>::clone(&made);
        let mut served = JoinSet::new();
        served.spawn(serve(listener, source, options, async {
            stopped.await.unwrap_or_default();
        }));
        Self { made, clock, port, stop, served }
    }

    /// A second in which operations were answered: getOrder well, one beyond the contract badly.
    pub(crate) fn second(&self) {
        let release = Arc::from("default");
        let good = Arc::from("getOrder");
        let stray = Arc::from(HOSTILE);
        let sample = Sample {
            operation: &good,
            service: "shop",
            release: &release,
            platform: Platform::Ios,
            app_version: "3.1.0",
            device_model: HOSTILE,
            status: 200,
            latency: Duration::from_millis(42),
            bytes_in: 0,
            bytes_out: 100,
            bytes_saved: 0,
        };
        for _ in 0..9 {
            self.made.metrics.shard(0).record(&sample);
        }
        self.made.metrics.shard(0).record(&Sample { operation: &stray, status: 500, ..sample });
        self.made.metrics.set(Gauge::ConnectionsOpen, 90);
        self.clock.advance(Duration::from_secs(1));
        self.made.metrics.tick(self.clock.now());
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// Sends a whole request and reads to the end of the connection.
    pub(crate) async fn raw(&self, request: &str) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::read(&bytes)
    }

    pub(crate) async fn ask(&self, method: &str, target: &str, host: &str) -> Answer {
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        self.raw(&request).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "127.0.0.1").await
    }

    /// Ends the console and waits until it has ended.
    pub(crate) async fn stop(mut self) {
        self.stop.send(()).unwrap_or_default();
        self.served.join_next().await.unwrap().unwrap().unwrap();
    }
}
