//! The console over made-up figures that move, for working on the page:
//! `cargo run -p plimsoll-console --example demo -- [busy|quiet|trouble] [PORT]`

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::{Clock, Nanos, SystemClock};
use plimsoll_console::{
    ConsoleOptions, Listening, LoadRow, NodeInfo, Notice, NoticeLevel, Readiness, Reason, RouteRow,
    Source, UpstreamRow, serve,
};
use plimsoll_telemetry::{Gauge, Metrics, MetricsOptions, Platform, Sample};

/// Seconds that have passed before the first look.
const PAST: u64 = 300;

/// Method, template, operation, security, requests a second, median in ms, share of errors.
const ROUTES: [(&str, &str, &str, &str, f64, f64, f64); 12] = [
    ("POST", "/v1/sessions", "signIn", "public", 6.0, 48.0, 0.0),
    ("GET", "/v1/feed", "listFeed", "token: feed:read", 210.0, 22.0, 0.0002),
    ("POST", "/v1/posts", "createPost", "token: feed:write", 9.0, 61.0, 0.001),
    ("GET", "/v1/posts/{id}", "getPost", "token: feed:read", 120.0, 9.0, 0.0),
    ("POST", "/v1/posts/{id}/likes", "likePost", "token: feed:write", 38.0, 12.0, 0.0),
    ("DELETE", "/v1/posts/{id}/likes", "unlikePost", "token: feed:write", 2.0, 11.0, 0.0),
    ("POST", "/v1/orders", "createOrder", "token: orders:write", 4.0, 130.0, 0.004),
    ("POST", "/v1/orders/{id}/payment", "payOrder", "token: orders:write", 3.0, 190.0, 0.02),
    ("GET", "/v1/orders/{id}", "getOrder", "token: orders:read", 14.0, 18.0, 0.0),
    ("PUT", "/v1/media/{name}", "putMedia", "token: media:write", 1.2, 420.0, 0.0),
    ("GET", "/v1/media/{name}", "getMedia", "public", 64.0, 4.0, 0.0),
    ("DELETE", "/v1/account", "deleteAccount", "token: account", 0.0, 30.0, 0.0),
];

const MODELS: [(&str, Platform, &str); 9] = [
    ("iPhone17,1", Platform::Ios, "3.2.0"),
    ("iPhone15,2", Platform::Ios, "3.2.0"),
    ("iPhone14,5", Platform::Ios, "3.1.0"),
    ("iPhone12,8", Platform::Ios, "2.9.4"),
    ("SM-S918B", Platform::Android, "3.2.0"),
    ("SM-A155F", Platform::Android, "3.1.2"),
    ("Pixel 8 Pro", Platform::Android, "3.2.0"),
    ("M2101K6G", Platform::Android, "3.0.0"),
    ("", Platform::Web, ""),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scene {
    Busy,
    Quiet,
    Trouble,
}

/// A clock that has been running for [`PAST`].
#[derive(Debug)]
struct Ahead(SystemClock);

impl Clock for Ahead {
    fn now(&self) -> Nanos {
        self.0.now().plus(Duration::from_secs(PAST))
    }

    fn unix_ms(&self) -> u64 {
        self.0.unix_ms()
    }
}

struct Demo {
    scene: Scene,
    metrics: Arc<Metrics>,
    started_unix_ms: u64,
}

impl Demo {
    fn second(&self, random: &mut fastrand::Rng, number: u64) {
        if self.scene == Scene::Quiet {
            return;
        }
        let shard = self.metrics.shard(0);
        let release = Arc::from("2026-11-20");
        let swell = 1.0 + 0.25 * (number as f64 / 40.0).sin();
        let hurt = self.scene == Scene::Trouble && number > PAST - 70;
        for (_, _, operation, _, rate, median, errors) in ROUTES {
            let operation = Arc::from(operation);
            let wanted = rate * swell * (0.85 + 0.3 * random.f64());
            let times = wanted as u64 + u64::from(random.f64() < wanted.fract());
            for _ in 0..times {
                let (model, platform, version) = MODELS[random.usize(..MODELS.len())];
                // Log-normal by the sum of uniforms: a body and a tail, as services have.
                let spread: f64 = (0..6).map(|_| random.f64()).sum::<f64>() - 3.0;
                let slow = if hurt { 5.0 } else { 1.0 };
                let ms = median * slow * (0.75 * spread).exp();
                let failed = random.f64() < if hurt { 0.08 } else { errors };
                let refused = random.f64() < 0.004;
                shard.record(&Sample {
                    operation: &operation,
                    service: "shop",
                    release: &release,
                    platform,
                    app_version: version,
                    device_model: model,
                    status: if failed {
                        502
                    } else if refused {
                        429
                    } else {
                        200
                    },
                    latency: Duration::from_secs_f64(ms / 1_000.0),
                    bytes_in: 300,
                    bytes_out: 2_400,
                    bytes_saved: 0,
                });
            }
        }
        let open = if hurt { 18_900 } else { 1_240 };
        self.metrics.set(Gauge::ConnectionsOpen, open + random.u64(..40));
        self.metrics.set(Gauge::RequestsInFlight, if hurt { 900 } else { 14 } + random.u64(..9));
    }
}

impl Source for Demo {
    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn routes(&self) -> Vec<RouteRow> {
        if self.scene == Scene::Quiet {
            return Vec::new();
        }
        let row =
            |(method, template, operation, security, ..): (&str, &str, &str, &str, _, _, _)| {
                let order = operation == "createOrder";
                RouteRow {
                    service: "shop".into(),
                    operation: operation.into(),
                    method: method.into(),
                    template: template.into(),
                    security: security.into(),
                    limits: if security == "public" {
                        vec!["per-ip: 60 / 60 s".into()]
                    } else if order {
                        vec!["per-caller: 600 / 60 s".into(), "orders: 20 / 60 s".into()]
                    } else {
                        vec!["per-caller: 600 / 60 s".into()]
                    },
                    cost: if order { 5 } else { 1 },
                    body_bytes_max: Some(if operation == "putMedia" { 64 << 20 } else { 1 << 20 }),
                    total_timeout_ms: Some(if order { 5_000 } else { 30_000 }),
                }
            };
        let mut rows: Vec<RouteRow> = ROUTES.into_iter().map(row).collect();
        rows.push(RouteRow {
            service: "shop".into(),
            method: "ANY".into(),
            template: "/ws/*".into(),
            security: "token".into(),
            cost: 1,
            ..RouteRow::default()
        });
        rows
    }

    fn upstreams(&self) -> Vec<UpstreamRow> {
        let trouble = self.scene == Scene::Trouble;
        let row = |port: u16, ejected: bool| UpstreamRow {
            service: "shop".into(),
            release: "2026-11-20".into(),
            url: format!("http://10.0.4.17:{port}"),
            ejected_for_ms: ejected.then_some(7_400),
            state: if ejected { "open" } else { "closed" }.into(),
            consecutive_failures: if ejected { 5 } else { 0 },
            failures_total: if trouble { 1_841 } else { 3 },
            connections: 42,
            idle: 30,
        };
        vec![row(3000, false), row(3001, trouble)]
    }

    fn readiness(&self) -> Readiness {
        match self.scene {
            Scene::Trouble => Readiness {
                ready: true,
                draining: true,
                reasons: vec![Reason {
                    code: "draining".into(),
                    why: "SIGTERM was received 4 s ago; 900 requests are in flight.".into(),
                    next: "Wait: the process ends by itself after 30 s at the latest.".into(),
                }],
            },
            _ => Readiness { ready: true, ..Readiness::default() },
        }
    }

    fn notices(&self) -> Vec<Notice> {
        let issuer = Notice {
            level: NoticeLevel::Warning,
            title: "No issuer is configured.".into(),
            why: "Nothing is verified: credentials pass to the backend as they come.".into(),
            next: "Add an [[auth.issuer]] to the manifest.".into(),
        };
        match self.scene {
            Scene::Busy => Vec::new(),
            Scene::Quiet => vec![issuer],
            Scene::Trouble => vec![
                Notice {
                    level: NoticeLevel::Information,
                    title: "A manifest was refused.".into(),
                    why: "The one before goes on: limit `orders` names an unknown operation."
                        .into(),
                    next: "Run plimsoll check.".into(),
                },
                issuer,
                Notice {
                    level: NoticeLevel::Critical,
                    title: "One of two URLs of shop is passed over.".into(),
                    why: "http://10.0.4.17:3001 failed five times in a row.".into(),
                    next: "Look at its log.".into(),
                },
            ],
        }
    }

    fn identity(&self) -> NodeInfo {
        let quiet = self.scene == Scene::Quiet;
        NodeInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            started_unix_ms: self.started_unix_ms,
            manifest_path: (!quiet).then(|| "/etc/plimsoll/plimsoll.toml".into()),
            manifest_hash: "9f2c51d0b7e84a6688f0a1c2d3e4f5061728394a5b6c7d8e9f00112233445566"
                .into(),
            data_dir: "/var/lib/plimsoll".into(),
            listeners: vec![Listening {
                address: "127.0.0.1:8080".into(),
                speaks: "HTTP/1.1, HTTP/2".into(),
            }],
            connections_max: 20_000,
        }
    }

    fn loads(&self) -> Vec<LoadRow> {
        let used = if self.scene == Scene::Trouble { 100_000 } else { 3_112 };
        vec![
            LoadRow {
                name: "Keys of limit per-caller".into(),
                unit: "keys".into(),
                value: used,
                max: 100_000,
                at_bound: "Beyond it new callers share one bucket; raise keys_max.".into(),
            },
            LoadRow {
                name: "Verified tokens".into(),
                unit: "tokens".into(),
                value: 2_841,
                max: 100_000,
                at_bound: "Beyond it tokens are verified again.".into(),
            },
        ]
    }
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let scene = match arguments.next().as_deref() {
        Some("quiet") => Scene::Quiet,
        Some("trouble") => Scene::Trouble,
        _ => Scene::Busy,
    };
    let port: u16 = arguments.next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let started_unix_ms = SystemClock::new().unix_ms() - PAST * 1_000;
    let metrics = Metrics::new(MetricsOptions::default());
    let demo = Arc::new(Demo { scene, metrics, started_unix_ms });
    let mut random = fastrand::Rng::with_seed(7);
    for number in 0..PAST {
        demo.second(&mut random, number);
        demo.metrics.tick(Nanos((number + 1) * 1_000_000_000));
    }
    let clock = Ahead(SystemClock::new());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
        let clock = Arc::new(clock);
        let (ticking, watch) = (Arc::clone(&demo), Arc::clone(&clock));
        let ticker = async move {
            let mut every = tokio::time::interval(Duration::from_secs(1));
            every.tick().await;
            for number in PAST.. {
                every.tick().await;
                ticking.second(&mut random, number);
                ticking.metrics.tick(watch.now());
            }
        };
        let options = ConsoleOptions::new(clock);
        serve(listener, demo, options, ticker).await
    })
}
