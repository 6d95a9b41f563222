//! This process as one node: the edge with what the ops listener shows of it.

mod restart;
mod source;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll_base::{Nanos, SharedClock};
use plimsoll_console::{ConsoleOptions, LocalSocket, Notice, ServicesSocket};
use plimsoll_edge::{ConfigInput, Drained, Edge};
use plimsoll_manifest::Manifest;
use plimsoll_telemetry::Metrics;
use tokio::sync::watch;

pub(crate) use restart::development_exposed;
pub(crate) use source::weaknesses;

use crate::memory::Memory;
use crate::telemetry::Telemetry;

/// The node. See the module's page.
pub(crate) struct Node {
    pub(crate) edge: Arc<Edge>,
    pub(crate) facts: Facts,
    pub(crate) memory: Memory,
    pub(crate) telemetry: Telemetry,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: SharedClock,
    draining: AtomicBool,
    /// Why the last change of the manifest was refused; empty when it was taken.
    refused: Mutex<Vec<String>>,
    /// The manifest that the process was started with.
    begun_with: Manifest,
    /// What the smoke tests after the start did not like.
    smoked: Mutex<Vec<Notice>>,
}

/// What does not change while the process runs.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) listeners: Vec<SocketAddr>,
    pub(crate) ops: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) manifest_path: Option<PathBuf>,
    pub(crate) started_unix_ms: u64,
}

impl Node {
    pub(crate) fn new(
        edge: Arc<Edge>,
        metrics: Arc<Metrics>,
        clock: &SharedClock,
        facts: Facts,
        memory: Memory,
        telemetry: Telemetry,
    ) -> Self {
        let begun_with = edge.config().manifest().clone();
        Self {
            begun_with,
            edge,
            facts,
            memory,
            telemetry,
            metrics,
            clock: Arc::clone(clock),
            draining: AtomicBool::new(false),
            refused: Mutex::new(Vec::new()),
            smoked: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.facts.data_dir
    }

    /// Ends a second of figures.
    pub(crate) fn tick(&self, now: Nanos) {
        self.edge.observe();
        self.memory.observe(&self.metrics, now);
        self.metrics.tick(now);
    }

    pub(crate) async fn reload(&self, input: &ConfigInput) {
        if let Some(fault) = restart::development_exposed(&input.manifest, &self.facts.listeners) {
            return self.reload_refused(&[fault]);
        }
        let before = serde_json::to_value(self.edge.config().manifest());
        match self.edge.reload(input).await {
            Ok(()) => {
                self.remember(&[]);
                if let (Ok(before), Ok(after)) = (before, serde_json::to_value(&input.manifest)) {
                    self.memory.manifest_changed(&before, &after, &input.hash);
                }
                self.telemetry.apply(&self.edge.config());
                match self.waits_for_restart().as_slice() {
                    [] => tracing::info!(hash = %input.hash, "manifest reloaded"),
                    keys => tracing::warn!(
                        hash = %input.hash, keys = keys.join(", "),
                        "manifest reloaded, but for keys that need a restart"
                    ),
                }
            }
            Err(error) => {
                tracing::error!(%error, "manifest refused; the one before goes on");
                self.remember(&[error.to_string()]);
            }
        }
    }

    pub(crate) fn reload_refused(&self, faults: &[String]) {
        self.edge.reload_refused();
        for fault in faults {
            tracing::error!("{fault}");
        }
        tracing::error!(faults = faults.len(), "manifest refused; the one before goes on");
        self.remember(faults);
    }

    /// The keys that were changed since the start and are not in force before the next one.
    pub(super) fn waits_for_restart(&self) -> Vec<&'static str> {
        restart::needed(&self.begun_with, self.edge.config().manifest())
    }

    fn remember(&self, faults: &[String]) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = faults.to_vec();
    }

    /// A smoke test that failed or was not run; the console says so until the next start.
    pub(crate) fn smoked(&self, notice: Notice) {
        self.smoked.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
    }

    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn drain_deadline(&self) -> Duration {
        self.edge.config().manifest().edge.drain_deadline.0
    }

    pub(crate) async fn drain(&self, deadline: Duration, patient: bool) -> Drained {
        self.edge.drain(deadline, patient).await
    }

    fn console_options(&self) -> ConsoleOptions {
        ConsoleOptions {
            rooms: self.memory.rooms(),
            ingest_token: self.telemetry.ingest_token.clone(),
            ..ConsoleOptions::new(Arc::clone(&self.clock))
        }
    }

    /// Serves the command line on `ops.sock` until `stopped`.
    pub(crate) async fn serve_local(
        self: Arc<Self>,
        socket: LocalSocket,
        mut stopped: watch::Receiver<bool>,
    ) {
        let options = self.console_options();
        let stop = async move {
            let _told_or_gone = stopped.wait_for(|stopped| *stopped).await.is_ok();
        };
        plimsoll_console::serve_local(socket, self, options, stop).await;
    }

    /// Serves the built-in services on `services.sock` until `stopped`.
    pub(crate) async fn serve_services(
        self: Arc<Self>,
        socket: ServicesSocket,
        mut stopped: watch::Receiver<bool>,
    ) {
        let clock = Arc::clone(&self.clock);
        let stop = async move {
            let _told_or_gone = stopped.wait_for(|stopped| *stopped).await.is_ok();
        };
        plimsoll_console::serve_services(socket, self, clock, stop).await;
    }

    /// Serves console, metrics and health until `stopped`.
    pub(crate) async fn serve_ops(
        self: Arc<Self>,
        listener: TcpListener,
        with_console: bool,
        mut stopped: watch::Receiver<bool>,
    ) {
        let options = ConsoleOptions { pages: with_console, ..self.console_options() };
        let served = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => {
                let stopped = async {
                    // A sender that is gone means stop, too.
                    let _told_or_gone = stopped.wait_for(|stopped| *stopped).await.is_ok();
                };
                plimsoll_console::serve(listener, self, options, stopped).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::error!(%error, "the ops listener failed; traffic goes on without it");
        }
    }
}
