use super::*;
use crate::metrics::MetricsOptions;
use crate::sample::Platform;
use crate::trace::TraceContext;
use std::sync::Mutex;
use std::sync::mpsc::Sender;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes nothing until it is let go, then fails.
struct Stuck(Receiver<()>);

impl Write for Stuck {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        self.0.recv().map_err(io::Error::other)?;
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn start(output: Box<dyn Write + Send>, queue: usize) -> (AccessLog, AccessLogStop) {
    let metrics = Metrics::new(MetricsOptions::default());
    AccessLog::start(AccessLogOptions {
        format: AccessFormat::Json,
        output,
        metrics,
        queue_chunks_max: queue,
    })
    .unwrap()
}

fn write(writer: &mut AccessWriter, path: &str) {
    writer.write(&AccessEntry {
        time_unix_ms: 0,
        request_id: "r",
        trace_id: TraceContext::new(1, 1, false).trace_id(),
        method: "GET",
        path,
        protocol: "HTTP/1.1",
        service: "",
        operation: "",
        release: "",
        status: 404,
        problem: Some("PLM-EDGE-0001"),
        latency_us: 1,
        upstream_latency_us: None,
        bytes_in: 0,
        bytes_out: 0,
        client_ip: [127, 0, 0, 1].into(),
        platform: Platform::Unknown,
        app_version: "",
        caller: None,
    });
}

fn stuck(queue: usize) -> (AccessLog, AccessLogStop, Sender<()>) {
    #[expect(clippy::disallowed_methods, reason = "a test's own signal")]
    let (go, wait) = std::sync::mpsc::channel();
    let (log, stop) = start(Box::new(Stuck(wait)), queue);
    (log, stop, go)
}

#[test]
fn every_line_of_every_core_is_written_by_the_time_it_stops() {
    let memory = Memory::default();
    let (log, stop) = start(Box::new(memory.clone()), 64);
    let cores: Vec<_> = (0..3)
        .map(|core| {
            let mut writer = log.writer();
            std::thread::spawn(move || {
                for n in 0..2_000 {
                    write(&mut writer, &format!("/{core}/{n}"));
                }
            })
        })
        .collect();
    for core in cores {
        core.join().unwrap();
    }
    stop.stop(Duration::from_secs(10)).unwrap();
    let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
    let dropped = log.metrics.counted(Counter::AccessLogDropped);
    assert_eq!(text.lines().count() as u64 + dropped, 6_000);
    assert_eq!(dropped, 0, "the queue is longer than what was written");
    for line in text.lines() {
        let _: serde_json::Value = serde_json::from_str(line).unwrap();
    }
    assert_eq!(log.metrics.gauge(Gauge::AccessLogQueued), 0);
}

#[test]
fn a_stuck_output_costs_lines_and_never_time() {
    let (log, stop, go) = stuck(2);
    let mut writer = log.writer();
    for _ in 0..10 {
        write(&mut writer, "/");
        writer.flush();
    }
    // Two wait, one may be in the writer's hands.
    let dropped = log.metrics.counted(Counter::AccessLogDropped);
    assert!((7..=8).contains(&dropped), "{dropped}");
    assert!(stop.stop(Duration::from_millis(20)).is_err());
    drop(go);
}

#[test]
fn lines_that_could_not_be_written_are_counted() {
    let (log, stop, go) = stuck(4);
    let mut writer = log.writer();
    write(&mut writer, "/");
    write(&mut writer, "/");
    drop(writer);
    go.send(()).unwrap();
    stop.stop(Duration::from_secs(10)).unwrap();
    assert_eq!(log.metrics.counted(Counter::AccessLogDropped), 2);
    let mut late = log.writer();
    write(&mut late, "/");
    late.flush();
    assert_eq!(log.metrics.counted(Counter::AccessLogDropped), 3, "nobody writes any more");
}

#[test]
fn buffers_go_when_full_or_due() {
    let (log, stop) = start(Box::new(Memory::default()), 64);
    let mut writer = log.writer();
    write(&mut writer, "/");
    writer.flush_if_due(Nanos(99_000_000));
    assert_eq!(writer.lines, 1);
    writer.flush_if_due(Nanos(100_000_000));
    assert_eq!(writer.lines, 0);
    let long = format!("/{}", "x".repeat(2_000));
    let lines = (0..100).take_while(|_| {
        write(&mut writer, &long);
        writer.lines > 0
    });
    let lines = lines.count();
    assert!((10..=17).contains(&lines), "{lines} lines of 2 kB fill 32 KiB");
    assert!(writer.bytes.capacity() <= ACCESS_CHUNK_BYTES_MAX + LINE_BYTES_SLACK);
    stop.stop(Duration::from_secs(10)).unwrap();
}

#[test]
fn off_is_off() {
    let metrics = Metrics::new(MetricsOptions::default());
    let options = AccessLogOptions::to_stdout(AccessFormat::Off, metrics);
    let (log, stop) = AccessLog::start(options).unwrap();
    let mut writer = log.writer();
    write(&mut writer, "/");
    assert!(!writer.is_on() && writer.bytes.capacity() == 0);
    stop.stop(Duration::ZERO).unwrap();
}
