//! OpenTelemetry, put together: manifest, environment, the caller of receivers, what arrives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll_base::SharedClock;
use plimsoll_console::{IngestToken, TOKEN_BYTES_LEAST};
use plimsoll_edge::Config;
use plimsoll_manifest::env::{secret, var};
use plimsoll_manifest::{HttpUrl, Manifest, OtlpCompression};
use plimsoll_outbound::{
    FetchOptions, Outbound, OutboundError, OutboundOptions, Phase, Post as OutboundPost,
};
use plimsoll_telemetry::Metrics;
use plimsoll_telemetry::ingest::Ingest;
use plimsoll_telemetry::otlp::{
    Export, Exporter, FLUSH_MAX, FromEnvironment, FromManifest, Post, PostError, Posted, Resource,
    Sender, Settings, SettingsError, SpanNames, TracingOptions,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::exit::Failure;

/// Bytes of a receiver's answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Everything of OpenTelemetry that runs.
pub(crate) struct Telemetry {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) ingest_token: Option<IngestToken>,
    metrics: Arc<Metrics>,
    names: Arc<Mutex<Arc<SpanNames>>>,
    environment: FromEnvironment,
    /// Fixed at the start, as the exporter is: another endpoint needs a restart.
    exports: bool,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Telemetry {
    /// Starts the exporter on the control runtime, on which it is called; without an endpoint it
    /// only joins traces. `node` is the id by which `plimsoll nodes` knows this process.
    pub(crate) fn start(
        config: &Config,
        metrics: &Arc<Metrics>,
        clock: &SharedClock,
        node: uuid::Uuid,
    ) -> Result<Self, Failure> {
        let manifest = config.manifest();
        let environment = environment()?;
        let mut settings = settings(manifest, &environment)
            .map_err(|error| Failure::faults(vec![error.to_string()]))?;
        if settings.endpoint.as_deref().is_some_and(|endpoint| is_own(manifest, endpoint)) {
            tracing::warn!("the OTLP endpoint is this node's own /otlp; nothing is exported");
            settings.endpoint = None;
        }
        let exports = settings.endpoint.is_some();
        let ingest = Arc::new(Ingest::new(Arc::clone(metrics), Arc::clone(clock)));
        let names: Arc<Mutex<Arc<SpanNames>>> = Arc::default();
        let (stop, stopped) = watch::channel(false);
        let exporter = Exporter {
            metrics: Arc::clone(metrics),
            ingest: Some(Arc::clone(&ingest)),
            export: export(manifest, settings, node)?,
            clock: Arc::clone(clock),
            names: Arc::clone(&names),
        };
        let task = tokio::runtime::Handle::current().spawn(exporter.run(stopped));
        let telemetry = Self {
            ingest,
            ingest_token: ingest_token()?,
            metrics: Arc::clone(metrics),
            names,
            environment,
            exports,
            stop,
            task: Mutex::new(Some(task)),
        };
        telemetry.apply(config);
        Ok(telemetry)
    }

    /// Puts what a reload may change into force: names of routes, sampling, what spans say.
    pub(crate) fn apply(&self, config: &Config) {
        let manifest = config.manifest();
        let otlp = &manifest.telemetry.otlp;
        let slow = otlp.slow_threshold.unwrap_or(manifest.telemetry.objective_latency);
        match settings(manifest, &self.environment) {
            Ok(settings) => self.metrics.set_tracing(TracingOptions {
                sample_ratio: settings.sample_ratio,
                slow_threshold: slow.0,
                export: self.exports,
                client_address: otlp.client_address,
            }),
            Err(error) => tracing::warn!(%error, "sampling stays as it was"),
        }
        let names = Arc::new(span_names(config));
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// Sends what is left, within a bound.
    pub(crate) async fn stop(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(task) = task else { return };
        if tokio::time::timeout(FLUSH_MAX + Duration::from_secs(1), task).await.is_err() {
            tracing::warn!("the exporter did not end in time");
        }
    }
}

/// Whether an endpoint leads back here, as it does where the variables meant for the backend stand
/// in the edge's environment, too.
fn is_own(manifest: &Manifest, endpoint: &str) -> bool {
    let Ok(url) = endpoint.parse::<HttpUrl>() else { return false };
    let port = format!(":{}/otlp", manifest.ops.listen.0.port());
    url.is_loopback() && endpoint.ends_with(&port)
}

fn environment() -> Result<FromEnvironment, Failure> {
    let of = |name: &str| var(name).map_err(Failure::failed);
    let headers = secret("OTEL_EXPORTER_OTLP_HEADERS").map_err(Failure::failed)?;
    Ok(FromEnvironment {
        endpoint: of("OTEL_EXPORTER_OTLP_ENDPOINT")?,
        headers: headers.map(|headers| headers.expose().to_owned()),
        protocol: of("OTEL_EXPORTER_OTLP_PROTOCOL")?,
        service_name: of("OTEL_SERVICE_NAME")?,
        resource_attributes: of("OTEL_RESOURCE_ATTRIBUTES")?,
        sampler: of("OTEL_TRACES_SAMPLER")?,
        sampler_arg: of("OTEL_TRACES_SAMPLER_ARG")?,
    })
}

fn settings(manifest: &Manifest, environment: &FromEnvironment) -> Result<Settings, SettingsError> {
    let telemetry = &manifest.telemetry;
    let from = FromManifest {
        service_name: telemetry.service_name.clone(),
        endpoint: telemetry.otlp.endpoint.as_ref().map(|url| url.as_str().to_owned()),
        sample_ratio: telemetry.otlp.sample_ratio,
    };
    Settings::new(&from, environment)
}

fn ingest_token() -> Result<Option<IngestToken>, Failure> {
    let Some(given) = secret("PLIMSOLL_INGEST_TOKEN").map_err(Failure::failed)? else {
        return Ok(None);
    };
    let token = IngestToken::new(given.expose()).ok_or_else(|| {
        Failure::faults(vec![format!(
            "PLIMSOLL_INGEST_TOKEN is shorter than {TOKEN_BYTES_LEAST} bytes; make one with \
             `openssl rand -hex 32`"
        )])
    })?;
    Ok(Some(token))
}

fn export(
    manifest: &Manifest,
    settings: Settings,
    node: uuid::Uuid,
) -> Result<Option<Export>, Failure> {
    let Some(endpoint) = settings.endpoint else { return Ok(None) };
    let otlp = &manifest.telemetry.otlp;
    Ok(Some(Export {
        endpoint,
        headers: settings.headers,
        gzip: otlp.compression == OtlpCompression::Gzip,
        timeout: otlp.timeout.0,
        metrics_interval: otlp.metrics_interval.0,
        resource: resource(settings.resource, node),
        sender: sender()?,
    }))
}

/// What only the running process knows of itself.
fn resource(configured: Resource, node: uuid::Uuid) -> Resource {
    let resource = configured
        .with("service.version", env!("CARGO_PKG_VERSION"))
        .with("service.instance.id", node.to_string());
    if resource.get("host.name").is_some() {
        return resource;
    }
    // Where the kernel does not say, nothing is said.
    match std::fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(host) if !host.trim().is_empty() => resource.with("host.name", host.trim()),
        _ => resource,
    }
}

fn sender() -> Result<Arc<Sender>, Failure> {
    let outbound = Outbound::new(OutboundOptions::default()).map_err(Failure::failed)?;
    Ok(Arc::new(move |post: Post| {
        let outbound = outbound.clone();
        Box::pin(async move {
            let options = FetchOptions {
                deadline: post.deadline,
                bytes_max: ANSWER_BYTES_MAX,
                // A collector stands beside the edge or in its network as a rule.
                allow_private: true,
                accept: "application/x-protobuf, application/json",
            };
            let sent = OutboundPost {
                content_type: "application/x-protobuf",
                content_encoding: post.gzip.then_some("gzip"),
                headers: post.headers.expose().to_vec(),
                body: post.body.into(),
            };
            let answer = outbound.post(&post.url, &sent, options).await;
            let answer = answer.map_err(|error| PostError {
                unsent: nothing_was_sent(&error),
                reason: error.to_string(),
            })?;
            Ok(Posted {
                status: answer.status.as_u16(),
                retry_after: answer.retry_after,
                body: answer.body.to_vec(),
            })
        })
    }))
}

fn nothing_was_sent(error: &OutboundError) -> bool {
    match error {
        OutboundError::Connect { .. } | OutboundError::Resolve { .. } => true,
        OutboundError::Deadline { phase, .. } => {
            matches!(phase, Phase::Queue | Phase::Resolve | Phase::Connect | Phase::Handshake)
        }
        _ => false,
    }
}

fn span_names(config: &Config) -> SpanNames {
    let mut routes: HashMap<String, HashMap<String, String>> = HashMap::new();
    for operation in config.router().operations() {
        let of_service = routes.entry(operation.service_name.to_string()).or_default();
        of_service.insert(operation.id.to_string(), operation.template.to_string());
    }
    let mut upstreams = HashMap::new();
    for service in &config.manifest().services {
        let release = service.active_release();
        if let Some([only]) = release.as_ref().map(|release| release.urls.as_slice()) {
            let at = (only.host().trim_matches(['[', ']']).to_owned(), only.port());
            upstreams.insert(service.name.to_string(), at);
        }
    }
    SpanNames { routes, upstreams }
}
