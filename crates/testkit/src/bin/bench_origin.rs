//! The upstream of the benchmarks: one thread, epoll, one prepared answer. It does as little as an
//! HTTP/1.1 origin can, so that the processor it shares with the load goes to the load.
//!
//! Flags: `--listen ADDR`, `--body BYTES`. It takes requests without a body only: every CRLF CRLF
//! is a request. Says `listening ADDR` on stdout, then serves until it is killed.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::ExitCode;

use rustix::event::epoll;

const EVENTS_AT_ONCE: usize = 256;
const LISTENER: u64 = u64::MAX;

struct Connection {
    stream: TcpStream,
    /// Bytes of CRLF CRLF seen at the end of what was read.
    matched: usize,
    /// What the kernel did not take yet.
    unsent: Vec<u8>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when stderr is gone.
            writeln!(io::stderr(), "plimsoll-bench-origin: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (mut listen, mut body): (SocketAddr, usize) = (([127, 0, 0, 1], 0).into(), 1024);
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--listen" => listen = value.parse()?,
            "--body" => body = value.parse()?,
            _ => return Err(format!("unknown flag {flag}").into()),
        }
    }
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    writeln!(io::stdout(), "listening {}", listener.local_addr()?)?;
    serve(&listener, &answer(body))?;
    Ok(())
}

/// A JSON text of `body` bytes (16 at least) with its head.
fn answer(body: usize) -> Vec<u8> {
    let filler = body.max(16) - "{'filler':''}".len();
    let json = format!("{{\"filler\":\"{:x<filler$}\"}}", "");
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{json}",
        json.len()
    )
    .into_bytes()
}

fn serve(listener: &TcpListener, answer: &[u8]) -> io::Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let tag = epoll::EventData::new_u64;
    epoll::add(&poll, listener.as_fd(), tag(LISTENER), epoll::EventFlags::IN)?;
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut events = Vec::with_capacity(EVENTS_AT_ONCE);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        for event in &events {
            let (key, flags) = (event.data.u64(), event.flags);
            if key == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let key = u64::try_from(stream.as_raw_fd()).unwrap_or(0);
                    epoll::add(&poll, stream.as_fd(), tag(key), epoll::EventFlags::IN)?;
                    let connection = Connection { stream, matched: 0, unsent: Vec::new() };
                    connections.insert(key, connection);
                }
                continue;
            }
            let Some(connection) = connections.get_mut(&key) else {
                continue;
            };
            let had_unsent = !connection.unsent.is_empty();
            let alive = if flags.contains(epoll::EventFlags::OUT) {
                connection.flush()
            } else {
                connection.take(&mut buffer, answer)
            };
            if !alive {
                // Closing the descriptor takes it out of the poll set.
                connections.remove(&key);
            } else if had_unsent == connection.unsent.is_empty() {
                let wanted = match had_unsent {
                    true => epoll::EventFlags::IN,
                    false => epoll::EventFlags::OUT,
                };
                epoll::modify(&poll, connection.stream.as_fd(), tag(key), wanted)?;
            }
        }
    }
}

impl Connection {
    /// Reads once and answers every request that ended in it; `false` when the peer has gone.
    fn take(&mut self, buffer: &mut [u8], answer: &[u8]) -> bool {
        let n = match self.stream.read(buffer) {
            Ok(0) => return false,
            Ok(n) => n,
            Err(e) => return e.kind() == io::ErrorKind::WouldBlock,
        };
        for _ in 0..self.ends(&buffer[..n]) {
            self.unsent.extend_from_slice(answer);
        }
        self.unsent.is_empty() || self.flush()
    }

    /// Heads that end in `bytes`, with what ended the bytes before them counted in.
    fn ends(&mut self, bytes: &[u8]) -> usize {
        if self.matched == 0 && bytes.ends_with(b"\r\n\r\n") {
            // By far the usual case: whole requests.
            return memchr::memmem::find_iter(bytes, b"\r\n\r\n").count();
        }
        let mut ends = 0;
        for byte in bytes {
            self.matched = match (self.matched, byte) {
                (0 | 2, b'\r') => self.matched + 1,
                (1 | 3, b'\n') => self.matched + 1,
                (_, b'\r') => 1,
                _ => 0,
            };
            if self.matched == 4 {
                ends += 1;
                self.matched = 0;
            }
        }
        ends
    }

    fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(0) => return false,
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(e) => return e.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }
}
