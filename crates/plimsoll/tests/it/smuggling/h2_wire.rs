//! HTTP/2 by hand (RFC 9113, RFC 7541): a well-meaning client library refuses to send what these
//! cases are about. Fields go out as literals without indexing; of answers only the status is read.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

type Field = (Vec<u8>, Vec<u8>);

/// Kind, flags, stream and payload.
type Frame = (u8, u8, u32, Vec<u8>);

/// What became of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Answered with this status and this many body bytes.
    Answered(u16, usize),
    /// Reset by the edge, with this error code.
    Reset(u32),
    /// The connection was closed: GOAWAY or an end.
    Closed,
}

/// A connection with prior knowledge.
pub(crate) struct Connection {
    stream: TcpStream,
}

impl Connection {
    pub(crate) fn open(addr: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.set_nodelay(true)?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let mut connection = Self { stream };
        connection.frame(SETTINGS, 0, 0, &[])?;
        Ok(connection)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?.to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame)
    }

    /// Sends a request whole.
    pub(crate) fn send(
        &mut self,
        stream: u32,
        fields: &[Field],
        data: Option<&[u8]>,
        trailers: &[Field],
    ) -> io::Result<()> {
        let ends = |last: bool| if last { END_STREAM } else { 0 };
        let bare = data.is_none() && trailers.is_empty();
        self.frame(HEADERS, END_HEADERS | ends(bare), stream, &block(fields))?;
        if let Some(data) = data {
            self.frame(DATA, ends(trailers.is_empty()), stream, data)?;
        }
        if !trailers.is_empty() {
            self.frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(trailers))?;
        }
        Ok(())
    }

    /// Reads until the stream's fate is known.
    pub(crate) fn fate(&mut self, wanted: u32) -> io::Result<Fate> {
        let (mut status, mut body) = (None, 0);
        loop {
            let Some((kind, flags, stream, payload)) = self.read_frame()? else {
                return Ok(Fate::Closed);
            };
            match kind {
                SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[])?,
                PING if flags & ACK == 0 => self.frame(PING, ACK, 0, &payload)?,
                GOAWAY if word(&payload, 0) < wanted || word(&payload, 4) != 0 => {
                    return Ok(Fate::Closed);
                }
                RST_STREAM if stream == wanted && status.is_none() => {
                    return Ok(Fate::Reset(word(&payload, 0)));
                }
                HEADERS if stream == wanted && status.is_none() => {
                    status = Some(status_of(&payload)?);
                }
                DATA if stream == wanted => body += payload.len(),
                _ => {}
            }
            let over = kind == RST_STREAM || flags & END_STREAM != 0;
            if let (Some(status), true) = (status, over && stream == wanted) {
                return Ok(Fate::Answered(status, body));
            }
        }
    }

    fn read_frame(&mut self) -> io::Result<Option<Frame>> {
        let mut head = [0; 9];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(e) => return Err(e),
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload)?;
        Ok(Some((head[3], head[4], word(&head, 5) & 0x7fff_ffff, payload)))
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

/// A field block: literals without indexing, new names, no Huffman coding.
fn block(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            length(text.len(), &mut out);
            out.extend_from_slice(text);
        }
    }
    out
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn length(n: usize, out: &mut Vec<u8>) {
    match u8::try_from(n) {
        Ok(n @ ..127) => out.push(n),
        _ => {
            out.push(127);
            let mut rest = n - 127;
            while rest >= 128 {
                out.push(u8::try_from(rest & 127).unwrap_or(0) | 128);
                rest >>= 7;
            }
            out.push(u8::try_from(rest).unwrap_or(0));
        }
    }
}

/// The status of an answer's field block: its first field, an entry of the static table or a
/// literal with a static name (RFC 7541 appendix A, entries 8 to 14).
fn status_of(block: &[u8]) -> io::Result<u16> {
    // Changes of the dynamic table's size may come first.
    let block = &block[block.iter().position(|b| b & 0xe0 != 0x20).unwrap_or(0)..];
    match block {
        [first @ 0x88..=0x8e, ..] => {
            Ok([200, 204, 206, 304, 400, 404, 500][usize::from(first - 0x88)])
        }
        [0x48 | 0x08 | 0x18, length, rest @ ..] => {
            let text = rest.get(..usize::from(length & 127)).unwrap_or(rest);
            let text = if length & 128 == 0 { text.to_vec() } else { huffman_digits(text) };
            let status = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
            status.ok_or_else(|| io::Error::other(format!("status {text:?}")))
        }
        _ => Err(io::Error::other(format!("no status at the start of {block:02x?}"))),
    }
}

/// Three digits in the Huffman code of RFC 7541 appendix B: `0` to `2` have five bits, the others
/// six.
fn huffman_digits(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = bytes.iter().flat_map(|b| (0..8).rev().map(move |n| b >> n & 1)).collect();
    let (mut at, mut out) = (0, Vec::new());
    let number = |bits: &[u8]| bits.iter().fold(0_u8, |sum, bit| sum << 1 | bit);
    while out.len() < 3 && at + 5 <= bits.len() {
        let five = number(&bits[at..at + 5]);
        if five < 3 {
            out.push(b'0' + five);
            at += 5;
        } else if at + 6 <= bits.len() {
            out.push(b'3' + number(&bits[at..at + 6]).wrapping_sub(0b01_1001));
            at += 6;
        } else {
            break;
        }
    }
    out
}

#[test]
fn the_hand_made_coding_is_right() {
    let mut out = Vec::new();
    length(1337 + 96, &mut out); // RFC 7541 C.1.2 with a prefix of seven bits.
    assert_eq!(out, [127, 0b1001_1010, 0b0000_1010]);
    assert_eq!(status_of(&[0x3f, 0x88]).unwrap_or(0), 200);
    assert_eq!(status_of(&[0x8c]).unwrap(), 400);
    assert_eq!(status_of(b"\x48\x03501").unwrap(), 501);
    assert_eq!(status_of(&[0x48, 0x82, 0x64, 0x02]).unwrap(), 302); // RFC 7541 C.6.1
}
