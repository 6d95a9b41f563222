//! What the origin does with a request, said in one header or set for a path.
//!
//! Items are joined by `;`, an item is `key` or `key=value`:
//!
//! | Item | Meaning |
//! |---|---|
//! | `status=503` | status of the answer (200) |
//! | `body=1048576` | bytes of the answer's body, `expected_body(id, n)` (64) |
//! | `chunked`, `chunked=1000` | chunked, in chunks of so many bytes (16384) |
//! | `trailers` | chunked, with a trailer field `x-trailer: ID` |
//! | `until-close` | neither length nor chunks: the body ends with the connection |
//! | `header=Name:value` | one more field, percent-decoded; may be repeated |
//! | `delay=200` | milliseconds before the answer |
//! | `slow=10/s` | body bytes a second |
//! | `stall-after=100` | after so many body bytes nothing more, until the peer gives up |
//! | `cut-after=100` | after so many body bytes an orderly end (FIN) |
//! | `reset-after=100` | after so many body bytes a reset (RST) |
//! | `reset` | reset once the request is read, no byte of an answer |
//! | `never` | reads the request and never answers |
//! | `close` | `Connection: close`, and closes |
//! | `no-keepalive` | closes after the answer without having said so |
//! | `garbage` | bytes that are no HTTP, then closes |
//! | `raw=HTTP/1.1%20204...` | these very bytes (percent-decoded) for an answer |
//! | `early-response` | answers after the head, and reads the body afterwards |
//! | `100-continue`, `no-continue` | sends 100 always, never (else: when it was expected) |
//! | `interim=103` | an interim answer first; may be repeated |
//! | `echo` | the answer's body is the request's, sent on as it comes |
//! | `sse`, `sse=5:100` | an event stream: so many events (3), one each so many ms (50) |
//! | `ws-echo` | WebSocket: echoes each message |
//! | `upgrade-echo` | 101, then echoes bytes |

use std::time::Duration;

/// What kind of answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A status, fields and the body of the id.
    Normal,
    /// The request's own body, streamed back.
    Echo,
    /// None, ever.
    Never,
    /// A reset as soon as the request is read.
    Reset,
    /// These very bytes, then a close.
    Raw(Vec<u8>),
    /// Server-sent events.
    Sse {
        /// How many.
        events: u32,
        /// Time between two.
        every: Duration,
    },
    /// A WebSocket that echoes messages.
    WebSocketEcho,
    /// An upgrade to raw bytes that are echoed.
    UpgradeEcho,
}

/// How the answer's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`.
    Length,
    /// Chunks of this many bytes, with a trailer field or without.
    Chunked {
        /// Bytes a chunk.
        size: usize,
        /// Whether `x-trailer` follows.
        trailers: bool,
    },
    /// Until the connection ends.
    Close,
}

/// How a body ends before its time, after so many of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// FIN.
    Fin(u64),
    /// RST.
    Reset(u64),
    /// Nothing more comes.
    Stall(u64),
}

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// Kept.
    Keep,
    /// Announced and closed.
    Close,
    /// Closed without a word.
    CloseSilently,
}

/// When `100 Continue` is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContinuePolicy {
    /// When the request expects it.
    WhenExpected,
    /// To every request with a body.
    Always,
    /// Never.
    Never,
}

/// One request's script; the module text lists its notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What is answered.
    pub answer: Answer,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub body: u64,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the body ends early.
    pub cut: Option<Cut>,
    /// Body bytes a second; as fast as it goes when `None`.
    pub pace: Option<u64>,
    /// Time before the answer.
    pub delay: Duration,
    /// What becomes of the connection.
    pub keep_alive: KeepAlive,
    /// Interim answers sent first.
    pub interim: Vec<u16>,
    /// When `100 Continue` is sent.
    pub continue_policy: ContinuePolicy,
    /// Whether the answer goes out before the request's body is read.
    pub early: bool,
    /// Further fields of the answer.
    pub headers: Vec<(String, String)>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            answer: Answer::Normal,
            status: 200,
            body: 64,
            framing: Framing::Length,
            cut: None,
            pace: None,
            delay: Duration::ZERO,
            keep_alive: KeepAlive::Keep,
            interim: Vec::new(),
            continue_policy: ContinuePolicy::WhenExpected,
            early: false,
            headers: Vec::new(),
        }
    }
}

impl Script {
    /// Reads the notation.
    ///
    /// # Errors
    /// The item that is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        for item in text.split(';').map(str::trim).filter(|item| !item.is_empty()) {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            script.take(key, value).ok_or_else(|| format!("script item {item:?}"))?;
        }
        Ok(script)
    }

    fn take(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "status" => self.status = value.parse().ok().filter(|s| (200..1000).contains(s))?,
            "body" => self.body = value.parse().ok()?,
            "delay" => self.delay = Duration::from_millis(value.parse().ok()?),
            "slow" => self.pace = value.trim_end_matches("/s").parse().ok().filter(|n| *n > 0),
            "chunked" => {
                let size = if value.is_empty() { 16_384 } else { value.parse().ok()? };
                self.framing = Framing::Chunked { size, trailers: false };
            }
            "trailers" => self.framing = Framing::Chunked { size: 16_384, trailers: true },
            "until-close" => {
                self.framing = Framing::Close;
                self.keep_alive = KeepAlive::Close;
            }
            "header" => {
                let (name, value) = value.split_once(':')?;
                self.headers.push((percent(name)?, percent(value)?));
            }
            "stall-after" => self.cut = Some(Cut::Stall(value.parse().ok()?)),
            "cut-after" => self.cut = Some(Cut::Fin(value.parse().ok()?)),
            "reset-after" => self.cut = Some(Cut::Reset(value.parse().ok()?)),
            "interim" => self.interim.push(value.parse().ok().filter(|s| (100..200).contains(s))?),
            _ => return self.take_word(key, value),
        }
        (key != "slow" || self.pace.is_some()).then_some(())
    }

    fn take_word(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "reset" => self.answer = Answer::Reset,
            "never" => self.answer = Answer::Never,
            "close" => self.keep_alive = KeepAlive::Close,
            "no-keepalive" => self.keep_alive = KeepAlive::CloseSilently,
            "garbage" => {
                self.answer = Answer::Raw(b"\x16\x03\x01garbage\0\r\n\r\nnot http".to_vec());
            }
            "raw" => self.answer = Answer::Raw(percent(value)?.chars().map(|c| c as u8).collect()),
            "early-response" => self.early = true,
            "100-continue" => self.continue_policy = ContinuePolicy::Always,
            "no-continue" => self.continue_policy = ContinuePolicy::Never,
            "echo" => self.answer = Answer::Echo,
            "sse" => {
                let (events, every) = value.split_once(':').unwrap_or((value, "50"));
                let events = if events.is_empty() { 3 } else { events.parse().ok()? };
                let every = Duration::from_millis(every.parse().ok()?);
                self.answer = Answer::Sse { events, every };
            }
            "ws-echo" => self.answer = Answer::WebSocketEcho,
            "upgrade-echo" => self.answer = Answer::UpgradeEcho,
            _ => return None,
        }
        Some(())
    }
}

/// Percent-decoding to Latin-1, so that any byte can be said in a header.
fn percent(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let hex = [bytes.next()?, bytes.next()?];
            let hex = std::str::from_utf8(&hex).ok()?;
            out.push(char::from(u8::from_str_radix(hex, 16).ok()?));
        } else {
            out.push(char::from(byte));
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notation_reads() {
        let script = Script::parse("delay=200; status=503;body=10;chunked=3;close").unwrap();
        assert_eq!(script.delay, Duration::from_millis(200));
        assert_eq!((script.status, script.body), (503, 10));
        assert_eq!(script.framing, Framing::Chunked { size: 3, trailers: false });
        assert_eq!(script.keep_alive, KeepAlive::Close);
        assert_eq!(Script::parse("").unwrap(), Script::default());
        let script = Script::parse("sse=2:9;header=X-A:b%3Bc;slow=10/s;interim=103").unwrap();
        assert_eq!(script.headers, [("X-A".to_owned(), "b;c".to_owned())]);
        assert_eq!(script.answer, Answer::Sse { events: 2, every: Duration::from_millis(9) });
        assert_eq!((script.pace, script.interim), (Some(10), vec![103]));
        assert_eq!(Script::parse("raw=a%0d%ff").unwrap().answer, Answer::Raw(b"a\r\xff".to_vec()));
    }

    #[test]
    fn a_typing_error_is_named() {
        for bad in ["dealy=1", "status=abc", "status=99", "slow=0/s", "body", "header=x", "raw=%2"]
        {
            let error = Script::parse(bad).unwrap_err();
            assert!(error.contains(bad), "{bad}: {error}");
        }
    }
}
