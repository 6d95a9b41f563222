//! From a core's buffer to the output.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use plimsoll_base::Nanos;

use super::{AccessEntry, AccessFormat, format};
use crate::counter::{Counter, Gauge};
use crate::metrics::Metrics;

/// A core's buffer goes to the writer when it holds this many bytes.
pub const ACCESS_CHUNK_BYTES_MAX: usize = 32 * 1024;
/// Buffers that may wait for the writer: 8 MiB.
pub const ACCESS_QUEUE_CHUNKS_MAX: usize = 256;
/// A line is handed to the writer no later than this, if its owner asks as often.
pub const ACCESS_FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Room for the line that goes over the edge of a chunk: a path and a few names.
const LINE_BYTES_SLACK: usize = 8 * 1024;

/// What an access log is made of.
pub struct AccessLogOptions {
    /// How lines are written.
    pub format: AccessFormat,
    /// Where they go.
    pub output: Box<dyn Write + Send>,
    /// Where dropped lines are counted.
    pub metrics: Arc<Metrics>,
    /// Buffers that may wait for the writer; [`ACCESS_QUEUE_CHUNKS_MAX`] is a good bound.
    pub queue_chunks_max: usize,
}

impl AccessLogOptions {
    /// A log to standard output.
    #[must_use]
    pub fn to_stdout(format: AccessFormat, metrics: Arc<Metrics>) -> Self {
        let output = Box::new(io::stdout());
        Self { format, output, metrics, queue_chunks_max: ACCESS_QUEUE_CHUNKS_MAX }
    }
}

impl fmt::Debug for AccessLogOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLogOptions")
            .field("format", &self.format)
            .field("queue_chunks_max", &self.queue_chunks_max)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    lines: u64,
}

#[derive(Debug)]
enum Message {
    Chunk(Chunk),
    /// Nothing that was sent before it is lost.
    Stop,
}

/// The access log. Each core takes a [`AccessWriter`] from it.
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: AccessFormat,
    metrics: Arc<Metrics>,
    /// None when the log is off.
    queue: Option<SyncSender<Message>>,
}

/// Ends the access log.
#[derive(Debug)]
#[must_use = "stop it, or the last lines may be lost"]
pub struct AccessLogStop {
    running: Option<(SyncSender<Message>, JoinHandle<()>, Receiver<()>)>,
}

/// The output did not take the last lines in time.
#[derive(Debug, thiserror::Error)]
#[error("the access log's output took nothing for {0:?}; its last lines are lost")]
pub struct StillWriting(Duration);

impl AccessLog {
    /// Starts the writer's thread, unless the log is off.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn start(options: AccessLogOptions) -> io::Result<(Self, AccessLogStop)> {
        let AccessLogOptions { format, output, metrics, queue_chunks_max } = options;
        if format == AccessFormat::Off {
            let log = Self { format, metrics, queue: None };
            return Ok((log, AccessLogStop { running: None }));
        }
        let (queue, chunks) = sync_channel(queue_chunks_max.max(1));
        let (ended, end) = sync_channel(1);
        let mut sink = Sink { output, metrics: Arc::clone(&metrics), failing: false };
        let thread = std::thread::Builder::new().name("access-log".into()).spawn(move || {
            sink.run(&chunks);
            // Nobody may be waiting any more.
            ended.try_send(()).unwrap_or_default();
        })?;
        let log = Self { format, metrics, queue: Some(queue.clone()) };
        Ok((log, AccessLogStop { running: Some((queue, thread, end)) }))
    }

    /// A buffer for one core.
    #[must_use]
    pub fn writer(&self) -> AccessWriter {
        let bytes = if self.queue.is_some() { fresh() } else { Vec::new() };
        AccessWriter { log: self.clone(), bytes, lines: 0, flushed: Nanos(0) }
    }
}

impl AccessLogStop {
    /// Writes what is queued and ends the thread. Writers that are still alive lose what they
    /// flush from now on, counted; drop them first.
    ///
    /// # Errors
    /// When the output does not take the rest within `deadline`.
    pub fn stop(self, deadline: Duration) -> Result<(), StillWriting> {
        let Some((queue, thread, end)) = self.running else {
            return Ok(());
        };
        // A full queue is emptied by the writer, or its output hangs and the deadline ends this.
        let mut message = Message::Stop;
        let pause = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        while let Err(TrySendError::Full(back)) = queue.try_send(message) {
            if waited >= deadline {
                return Err(StillWriting(deadline));
            }
            message = back;
            std::thread::sleep(pause);
            waited += pause;
        }
        match end.recv_timeout(deadline.saturating_sub(waited)) {
            Err(RecvTimeoutError::Timeout) => Err(StillWriting(deadline)),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                // It has ended, or a panic has ended it; either way nothing is left to write.
                drop(thread.join());
                Ok(())
            }
        }
    }
}

/// One core's end of the access log. Dropping it flushes.
#[derive(Debug)]
pub struct AccessWriter {
    log: AccessLog,
    bytes: Vec<u8>,
    lines: u64,
    flushed: Nanos,
}

impl AccessWriter {
    /// Whether lines are written at all, so that a caller need not gather what nobody reads.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.log.queue.is_some()
    }

    /// Writes one line into the buffer; hands the buffer on when it is full. Never waits.
    pub fn write(&mut self, entry: &AccessEntry<'_>) {
        match self.log.format {
            AccessFormat::Json => format::json(entry, &mut self.bytes),
            AccessFormat::Human => format::human(entry, &mut self.bytes),
            AccessFormat::Off => return,
        }
        self.lines += 1;
        if self.bytes.len() >= ACCESS_CHUNK_BYTES_MAX {
            self.flush();
        }
    }

    /// Hands the buffer on when [`ACCESS_FLUSH_EVERY`] has passed since it last was.
    pub fn flush_if_due(&mut self, now: Nanos) {
        if now.since(self.flushed) >= ACCESS_FLUSH_EVERY {
            self.flush();
            self.flushed = now;
        }
    }

    /// Hands the buffer on. Where the queue is full its lines are dropped and counted.
    pub fn flush(&mut self) {
        let Some(queue) = &self.log.queue else { return };
        if self.lines == 0 {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        let bytes = std::mem::replace(&mut self.bytes, fresh());
        match queue.try_send(Message::Chunk(Chunk { bytes, lines })) {
            Ok(()) => self.log.metrics.gauge_add(Gauge::AccessLogQueued, 1),
            Err(error) => {
                self.log.metrics.count_many(Counter::AccessLogDropped, lines);
                if let TrySendError::Full(Message::Chunk(chunk)) = error {
                    self.bytes = chunk.bytes;
                    self.bytes.clear();
                }
            }
        }
    }
}

impl Drop for AccessWriter {
    fn drop(&mut self) {
        self.flush();
    }
}

fn fresh() -> Vec<u8> {
    Vec::with_capacity(ACCESS_CHUNK_BYTES_MAX + LINE_BYTES_SLACK)
}

struct Sink {
    output: Box<dyn Write + Send>,
    metrics: Arc<Metrics>,
    failing: bool,
}

impl Sink {
    fn run(&mut self, queue: &Receiver<Message>) {
        while let Ok(Message::Chunk(chunk)) = queue.recv() {
            self.metrics.gauge_add(Gauge::AccessLogQueued, -1);
            let written = self.output.write_all(&chunk.bytes).and_then(|()| self.output.flush());
            match written {
                Ok(()) => self.failing = false,
                Err(error) => {
                    self.metrics.count_many(Counter::AccessLogDropped, chunk.lines);
                    // Once a failure, not once a chunk: a full disk must not fill the other log.
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(%error, "the access log cannot be written; lines are lost");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
