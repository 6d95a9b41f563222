//! A client that sends exactly the bytes it is given and reads answers without forgiving anything.

mod response;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use plimsoll_base::{Clock as _, Deadline, SystemClock};

pub use response::{ClientError, RawResponse, Wire};

use crate::wire::{self, BodyEnd, CHUNK_LINE_MAX, HEAD_BYTES_MAX, Headers};

/// One connection.
#[derive(Debug)]
pub struct RawClient<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
    clock: SystemClock,
    patience: Duration,
    deadline: Deadline,
    body_bytes_max: usize,
}

impl RawClient {
    /// Connects within 5 s. The patience for an answer is 10 s until it is set.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(addr: SocketAddr) -> Result<Self, ClientError> {
        let stream = TcpStream::connect_timeout(&addr, Duration::from_secs(5))
            .map_err(|source| ClientError::Io { doing: "connect", source })?;
        // Pieces that a test sends apart must leave apart.
        stream.set_nodelay(true).map_err(|source| ClientError::Io { doing: "connect", source })?;
        Ok(Self::over(stream))
    }

    /// Ends the sending half (FIN).
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn finish_sending(&self) -> Result<(), ClientError> {
        self.stream
            .shutdown(std::net::Shutdown::Write)
            .map_err(|source| ClientError::Io { doing: "shutdown", source })
    }
}

impl<S: Wire> RawClient<S> {
    /// Over a stream that is connected already.
    pub fn over(stream: S) -> Self {
        let clock = SystemClock::new();
        let patience = Duration::from_secs(10);
        let deadline = Deadline::after(clock.now(), patience);
        Self { stream, buffer: Vec::new(), clock, patience, deadline, body_bytes_max: 64 << 20 }
    }

    /// How long one whole answer (or one send) may take from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The stream underneath.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// When the connection is gone, or the peer does not read within the patience.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), ClientError> {
        self.stream
            .set_patience(self.patience)
            .and_then(|()| self.stream.write_all(bytes.as_ref()))
            .and_then(|()| self.stream.flush())
            .map_err(|source| self.failed("send", source))
    }

    /// Sends a request with these fields (`Host` is added when they lack it) and reads the answer.
    ///
    /// # Errors
    /// As [`send`](Self::send) and [`read_response_to`](Self::read_response_to).
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Result<RawResponse, ClientError> {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        let has = |name: &str| fields.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !has("host") {
            head.push_str("host: localhost\r\n");
        }
        if !body.is_empty() && !has("content-length") && !has("transfer-encoding") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.send(bytes)?;
        self.read_response_to(method)
    }

    /// [`request`](Self::request) for `GET` without a body.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn get(
        &mut self,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Result<RawResponse, ClientError> {
        self.request("GET", target, fields, b"")
    }

    /// Reads one answer to a request that was not `HEAD`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn read_response(&mut self) -> Result<RawResponse, ClientError> {
        self.read_response_to("GET")
    }

    /// Reads one answer to a request with this method.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn read_response_to(&mut self, method: &str) -> Result<RawResponse, ClientError> {
        let mut response = self.read_head_to(method)?;
        let (mut body, max) = (Vec::new(), self.body_bytes_max);
        self.read_body(&mut response, &mut |piece| {
            body.extend_from_slice(piece);
            body.len() <= max
        })?;
        response.body = body;
        Ok(response)
    }

    /// Reads a head (and the interim ones before it) and leaves the body to
    /// [`read_body`](Self::read_body). The patience starts anew.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn read_head_to(&mut self, method: &str) -> Result<RawResponse, ClientError> {
        self.deadline = Deadline::after(self.clock.now(), self.patience);
        let mut interim = Vec::new();
        loop {
            let mut response = self.read_one_head(method)?;
            if (100..200).contains(&response.status) && response.status != 101 {
                interim.push((response.status, response.headers));
                continue;
            }
            response.interim = interim;
            return Ok(response);
        }
    }

    fn read_one_head(&mut self, method: &str) -> Result<RawResponse, ClientError> {
        let end = loop {
            if let Some(end) = wire::head_end(&self.buffer) {
                break end;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(ClientError::Malformed("head too long".into()));
            }
            self.fill("answer head")?;
        };
        let raw_head: Vec<u8> = self.buffer.drain(..end).collect();
        let (start, headers) = wire::parse_head(&raw_head).map_err(ClientError::Malformed)?;
        let (status, reason) = response::status_line(&start)?;
        let bare = method == "HEAD" || matches!(status, 100..200 | 204 | 304);
        let declared = wire::declared_end(&headers).map_err(ClientError::Malformed)?;
        if matches!(status, 100..200 | 204) && declared.is_some() {
            return Err(ClientError::Malformed(format!("body framing in a {status}")));
        }
        let connected = method == "CONNECT" && (200..300).contains(&status);
        let end = match declared {
            _ if bare || connected => BodyEnd::None,
            Some(end) => end,
            None => BodyEnd::Close,
        };
        Ok(RawResponse {
            status,
            reason,
            headers,
            interim: Vec::new(),
            raw_head,
            body: Vec::new(),
            trailers: Headers::default(),
            end,
        })
    }

    /// Hands the body of `response` to `sink`, piece by piece, until it is complete or `sink` says
    /// `false`. Trailers are put into `response`.
    ///
    /// # Errors
    /// See [`ClientError`]; `Malformed` where `sink` had enough.
    pub fn read_body(
        &mut self,
        response: &mut RawResponse,
        sink: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), ClientError> {
        match response.end {
            BodyEnd::None => Ok(()),
            BodyEnd::Length(length) => self.read_counted(length, sink),
            BodyEnd::Close => loop {
                match self.fill("body until close") {
                    Ok(()) => {}
                    Err(ClientError::Ended { .. }) => {
                        let last = std::mem::take(&mut self.buffer);
                        return enough(sink(&last));
                    }
                    Err(other) => return Err(other),
                }
                let piece = std::mem::take(&mut self.buffer);
                enough(sink(&piece))?;
            },
            BodyEnd::Chunked => loop {
                let line = self.line("chunk size")?;
                let size = wire::chunk_size(&line).map_err(ClientError::Malformed)?;
                if size == 0 {
                    break self.read_trailers(response);
                }
                self.read_counted(size, sink)?;
                if !self.line("end of chunk")?.is_empty() {
                    return Err(ClientError::Malformed("no CRLF after a chunk".into()));
                }
            },
        }
    }

    fn read_trailers(&mut self, response: &mut RawResponse) -> Result<(), ClientError> {
        loop {
            let line = self.line("trailers")?;
            if line.is_empty() {
                return Ok(());
            }
            let (name, value) = wire::parse_field(&line).map_err(ClientError::Malformed)?;
            response.trailers.push(name, value);
        }
    }

    fn read_counted(
        &mut self,
        mut left: u64,
        sink: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), ClientError> {
        while left > 0 {
            if self.buffer.is_empty() {
                self.fill("body")?;
            }
            let n = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let on = sink(&self.buffer[..n]);
            self.buffer.drain(..n);
            left -= n as u64;
            enough(on)?;
        }
        Ok(())
    }

    fn line(&mut self, doing: &'static str) -> Result<Vec<u8>, ClientError> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer) {
                let line: Vec<u8> = self.buffer.drain(..=at).collect();
                return match line.strip_suffix(b"\r\n") {
                    Some(line) if !line.contains(&b'\r') => Ok(line.to_vec()),
                    _ => Err(ClientError::Malformed(format!("{doing}: bare CR or LF"))),
                };
            }
            if self.buffer.len() > CHUNK_LINE_MAX {
                return Err(ClientError::Malformed(format!("{doing}: line too long")));
            }
            self.fill(doing)?;
        }
    }

    /// The next `n` bytes as they come (upgraded connections).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn read_exact_bytes(&mut self, n: usize) -> Result<Vec<u8>, ClientError> {
        self.deadline = Deadline::after(self.clock.now(), self.patience);
        while self.buffer.len() < n {
            self.fill("bytes")?;
        }
        Ok(self.buffer.drain(..n).collect())
    }

    /// Bytes that were read and belong to no answer yet.
    #[must_use]
    pub fn leftover(&self) -> &[u8] {
        &self.buffer
    }

    /// Proves that nothing comes for `quiet`: no trailing byte, no end.
    ///
    /// # Errors
    /// `Malformed` with what came, `Ended` when the peer ended the connection.
    pub fn expect_quiet(&mut self, quiet: Duration) -> Result<(), ClientError> {
        self.deadline = Deadline::after(self.clock.now(), quiet);
        let fault = if self.buffer.is_empty() { self.fill("quiet").err() } else { None };
        match fault {
            Some(ClientError::Timeout { .. }) => Ok(()),
            Some(other) => Err(other),
            None => Err(ClientError::Malformed(format!("unasked bytes: {:?}", self.so_far()))),
        }
    }

    /// Proves that the peer ends the connection within `within`, with nothing said before.
    ///
    /// # Errors
    /// `Malformed` with what came, `Timeout` when the connection stays open.
    pub fn expect_closed(&mut self, within: Duration) -> Result<(), ClientError> {
        self.deadline = Deadline::after(self.clock.now(), within);
        let fault = if self.buffer.is_empty() { self.fill("end").err() } else { None };
        match fault {
            Some(error) if error.is_silent_end() => Ok(()),
            Some(other) => Err(other),
            None => Err(ClientError::Malformed(format!("unasked bytes: {:?}", self.so_far()))),
        }
    }

    fn fill(&mut self, doing: &'static str) -> Result<(), ClientError> {
        let left = self.deadline.left(self.clock.now());
        if left.is_zero() {
            return Err(ClientError::Timeout { doing, so_far: self.so_far() });
        }
        let old = self.buffer.len();
        self.buffer.resize(old + 64 * 1024, 0);
        let read = self
            .stream
            .set_patience(left.max(Duration::from_millis(1)))
            .and_then(|()| self.stream.read(&mut self.buffer[old..]));
        self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(ClientError::Ended { doing, so_far: self.so_far() }),
            Ok(_) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.fill(doing),
            Err(source) => Err(self.failed(doing, source)),
        }
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> ClientError {
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::Timeout { doing, so_far: self.so_far() }
            }
            _ => ClientError::Io { doing, source },
        }
    }

    fn so_far(&self) -> String {
        wire::latin1(&self.buffer[..self.buffer.len().min(200)])
    }
}

fn enough(on: bool) -> Result<(), ClientError> {
    if on { Ok(()) } else { Err(ClientError::Malformed("body longer than wanted".into())) }
}
