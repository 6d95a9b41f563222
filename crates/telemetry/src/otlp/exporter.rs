//! Collects what the cores kept, and sends spans and figures to an OTLP receiver. It runs on the
//! control runtime, holds at most one request of each kind under way, and never makes a request of
//! a client wait: what does not fit is dropped and counted.

use std::collections::VecDeque;
use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use futures_util::future::BoxFuture;
use plimsoll_base::{Nanos, SharedClock};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::counter::{Counter, OtlpSignal, SpanDrop};
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::otlp::keep::KeptSpan;
use crate::otlp::metrics::Times;
use crate::otlp::protobuf::{Reader, each};
use crate::otlp::resource::Resource;
use crate::otlp::settings::Headers;
use crate::otlp::traces::{self, SpanNames};

/// How often the cores' buffers are emptied.
const COLLECT_EVERY: Duration = Duration::from_millis(250);
/// Requests that wait to be sent; one more is dropped and counted.
pub const QUEUE_REQUESTS_MAX: usize = 8_192;
/// Requests in one batch: some 600 bytes each, two spans.
pub const BATCH_REQUESTS_MAX: usize = 512;
/// Bytes of one batch before compression; a batch that comes out larger is halved.
pub const BATCH_BYTES_MAX: usize = 1 << 20;
/// A batch that is not full is sent after this.
const BATCH_AGE_MAX: Duration = Duration::from_secs(2);
/// Times a batch is sent, the first one included.
const ATTEMPTS_MAX: u32 = 5;
/// The first pause between two attempts; each further one is twice as long.
const BACK_OFF: Duration = Duration::from_secs(1);
/// The longest pause, a receiver's own `Retry-After` included.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// What is left at the end gets this long.
pub const FLUSH_MAX: Duration = Duration::from_secs(3);

/// A request to a receiver.
#[derive(Clone, Debug)]
pub struct Post {
    /// Where to.
    pub url: String,
    /// What the environment says it carries.
    pub headers: Headers,
    /// The body, compressed where `gzip` says so.
    pub body: Vec<u8>,
    /// Whether it is compressed.
    pub gzip: bool,
    /// Total time.
    pub deadline: Duration,
}

/// A receiver's answer.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The status.
    pub status: u16,
    /// `Retry-After` in seconds, as far as it was one.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct PostError {
    /// Nothing was sent, so that sending again cannot send twice.
    pub unsent: bool,
    /// Why, without a secret.
    pub reason: String,
}

/// Sends. The composition root gives it, because calls out belong to another crate.
pub type Sender = dyn Fn(Post) -> BoxFuture<'static, Result<Posted, PostError>> + Send + Sync;

/// Where spans and figures go.
#[derive(Clone)]
pub struct Export {
    /// The base URL, without `/v1/traces`.
    pub endpoint: String,
    /// What every request carries.
    pub headers: Headers,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// Total time of one request.
    pub timeout: Duration,
    /// How often figures are sent.
    pub metrics_interval: Duration,
    /// Who speaks.
    pub resource: Resource,
    /// Who sends.
    pub sender: Arc<Sender>,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Everything between the cores and a receiver.
#[derive(Debug)]
pub struct Exporter {
    /// Where spans and figures come from.
    pub metrics: Arc<Metrics>,
    /// Who has to know which trace is which operation.
    pub ingest: Option<Arc<Ingest>>,
    /// Where they go; none where spans are only joined.
    pub export: Option<Export>,
    /// Where time comes from.
    pub clock: SharedClock,
    /// What the configuration says of operations and services.
    pub names: Arc<Mutex<Arc<SpanNames>>>,
}

/// What became of a batch.
enum Outcome {
    /// Taken; so many of it were rejected.
    Taken {
        rejected: u64,
    },
    Refused(String),
}

impl Exporter {
    /// Runs until `stop` turns true, then sends what is left within [`FLUSH_MAX`].
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        self.metrics.set_join(self.ingest.is_some());
        let (times, mut stop_metrics) = (Started::now(&self.clock), stop.clone());
        let spans = self.spans(&mut stop);
        let figures = self.figures(&mut stop_metrics, times);
        tokio::join!(spans, figures);
    }

    async fn spans(&self, stop: &mut watch::Receiver<bool>) {
        let mut waiting: VecDeque<KeptSpan> = VecDeque::new();
        let mut oldest: Option<Instant> = None;
        // Spans taken to be sent whose end is not known yet.
        let under_way = AtomicU64::new(0);
        let mut sending: Option<BoxFuture<'_, ()>> = None;
        let mut tick = interval(COLLECT_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = ended(&mut sending) => sending = None,
                _ = tick.tick() => {
                    self.collect(&mut waiting);
                    if !waiting.is_empty() {
                        oldest.get_or_insert_with(Instant::now);
                    }
                }
            }
            let due = oldest.is_some_and(|oldest| oldest.elapsed() >= BATCH_AGE_MAX);
            if sending.is_none() && (waiting.len() >= BATCH_REQUESTS_MAX || due) {
                let batch = take(&mut waiting);
                oldest = (!waiting.is_empty()).then(Instant::now);
                sending = Some(Box::pin(self.send_spans(batch, &under_way)));
            }
        }
        self.collect(&mut waiting);
        let flush = async {
            if let Some(sending) = sending.take() {
                sending.await;
            }
            while !waiting.is_empty() {
                let batch = take(&mut waiting);
                self.send_spans(batch, &under_way).await;
            }
        };
        if timeout(FLUSH_MAX, flush).await.is_err() {
            let left = traces::count(waiting.make_contiguous());
            let left = left + under_way.load(Ordering::Relaxed);
            self.dropped(SpanDrop::Shutdown, left);
        }
    }

    /// Empties the cores' buffers.
    fn collect(&self, waiting: &mut VecDeque<KeptSpan>) {
        let mut kept = Vec::new();
        self.metrics.take_kept(&mut kept);
        if let Some(ingest) = &self.ingest {
            ingest.requests(&kept);
        }
        if self.export.is_none() {
            return;
        }
        self.metrics.note_exemplars(&kept);
        let room = QUEUE_REQUESTS_MAX.saturating_sub(waiting.len());
        let beyond = kept.split_off(room.min(kept.len()));
        self.dropped(SpanDrop::QueueFull, traces::count(&beyond));
        waiting.extend(kept);
    }

    fn dropped(&self, why: SpanDrop, spans: u64) {
        if spans > 0 {
            self.metrics.count_many(Counter::SpansDropped(why), spans);
        }
    }

    async fn send_spans(&self, batch: Vec<KeptSpan>, under_way: &AtomicU64) {
        let Some(export) = &self.export else { return };
        let names = Arc::clone(&self.names.lock().unwrap_or_else(PoisonError::into_inner));
        under_way.fetch_add(traces::count(&batch), Ordering::Relaxed);
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            let spans = traces::count(&part);
            let body = traces::encode(&export.resource, &names, &part);
            if body.len() > BATCH_BYTES_MAX && part.len() > 1 {
                let mut first = part;
                parts.push(first.split_off(first.len() / 2));
                parts.push(first);
                continue;
            }
            let outcome = self.deliver(export, OtlpSignal::Traces, body).await;
            under_way.fetch_sub(spans, Ordering::Relaxed);
            match outcome {
                Outcome::Taken { rejected } => {
                    let rejected = rejected.min(spans);
                    self.metrics.count_many(Counter::SpansExported, spans - rejected);
                    self.dropped(SpanDrop::Refused, rejected);
                }
                Outcome::Refused(reason) => {
                    self.dropped(SpanDrop::ExportFailed, spans);
                    tracing::warn!(spans, %reason, "spans could not be exported and are dropped");
                }
            }
        }
    }

    async fn figures(&self, stop: &mut watch::Receiver<bool>, started: Started) {
        let Some(export) = &self.export else { return };
        let mut tick = interval(export.metrics_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once, when there is nothing to say.
        tick.tick().await;
        loop {
            let last = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => true,
                _ = tick.tick() => false,
            };
            let sent = self.send_figures(export, started);
            let limit = if last { FLUSH_MAX } else { export.metrics_interval };
            let cut = tokio::select! {
                sent = timeout(limit, sent) => sent.is_err(),
                _ = stop.wait_for(|stop| *stop), if !last => true,
            };
            if last {
                if cut {
                    tracing::warn!("the last figures could not be exported in time");
                }
                return;
            }
        }
    }

    async fn send_figures(&self, export: &Export, started: Started) {
        let body = self.metrics.encode_otlp(&export.resource, started.times(&self.clock));
        match self.deliver(export, OtlpSignal::Metrics, body).await {
            Outcome::Taken { .. } => self.metrics.note_read(self.clock.now()),
            Outcome::Refused(reason) => {
                tracing::warn!(%reason, "figures could not be exported; the next ones hold them, too");
            }
        }
    }

    /// Sends a body, again where the receiver asks for that (OTLP/HTTP, "Retryable Response
    /// Codes") or could not be reached.
    async fn deliver(&self, export: &Export, signal: OtlpSignal, body: Vec<u8>) -> Outcome {
        let url = format!("{}/v1/{}", export.endpoint, signal.label());
        let (body, gzip) = if export.gzip { compress(body) } else { (body, false) };
        let post =
            Post { url, headers: export.headers.clone(), body, gzip, deadline: export.timeout };
        let mut pause = BACK_OFF;
        for attempt in 1..=ATTEMPTS_MAX {
            let (reason, again, after) = match (export.sender)(post.clone()).await {
                Ok(posted) if (200..300).contains(&posted.status) => {
                    return Outcome::Taken { rejected: rejected(&posted.body) };
                }
                Ok(posted) => {
                    let again = matches!(posted.status, 429 | 502 | 503 | 504);
                    (format!("the receiver answered {}", posted.status), again, posted.retry_after)
                }
                Err(error) => (error.reason, error.unsent, None),
            };
            self.metrics.count(Counter::ExportFailed(signal));
            if !again || attempt == ATTEMPTS_MAX {
                return Outcome::Refused(reason);
            }
            tracing::debug!(%reason, attempt, "an export is tried again");
            sleep(after.unwrap_or(pause).min(BACK_OFF_MAX)).await;
            pause = (pause * 2).min(BACK_OFF_MAX);
        }
        Outcome::Refused("no attempt was made".to_owned())
    }
}

/// Waits for what is under way; for ever where nothing is.
async fn ended(sending: &mut Option<BoxFuture<'_, ()>>) {
    match sending {
        Some(sending) => sending.await,
        None => std::future::pending().await,
    }
}

fn take(waiting: &mut VecDeque<KeptSpan>) -> Vec<KeptSpan> {
    let many = waiting.len().min(BATCH_REQUESTS_MAX);
    waiting.drain(..many).collect()
}

/// When counting began, on both clocks.
#[derive(Clone, Copy)]
struct Started {
    unix_ns: u64,
}

impl Started {
    fn now(clock: &SharedClock) -> Self {
        Self { unix_ns: clock.unix_ms().saturating_mul(1_000_000) }
    }

    fn times(self, clock: &SharedClock) -> Times {
        let now: Nanos = clock.now();
        let now_unix_ns = clock.unix_ms().saturating_mul(1_000_000);
        Times { start_unix_ns: self.unix_ns, now_unix_ns, now }
    }
}

/// A body as gzip, or as it is where that fails.
fn compress(body: Vec<u8>) -> (Vec<u8>, bool) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    match encoder.write_all(&body).and_then(|()| encoder.finish()) {
        Ok(compressed) => (compressed, true),
        Err(_) => (body, false),
    }
}

/// `partial_success.rejected_*` of an answer; what cannot be read rejects nothing.
fn rejected(answer: &[u8]) -> u64 {
    let mut rejected = 0;
    let read = each(answer, 1, |partial| {
        let mut reader = Reader::new(partial);
        while let Some((field, value)) = reader.next()? {
            if field == 1 {
                rejected = value.number()?;
            }
        }
        Ok(())
    });
    if read.is_ok() { rejected } else { 0 }
}

#[cfg(test)]
mod tests;
