//! HTTP/1.1 message syntax (RFC 9112), read strictly. Origin and client both use it; what the edge
//! uses is other code, and must stay so.

/// The longest head that either side reads, in bytes.
pub(crate) const HEAD_BYTES_MAX: usize = 256 * 1024;
/// The longest chunk-size line, in bytes.
pub(crate) const CHUNK_LINE_MAX: usize = 4096;

/// Header fields in the order and spelling they came in. Values are bytes as Latin-1, so that
/// nothing is lost and a test can still compare text.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first value of `name`, compared without regard to case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Every value of `name`, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .collect()
    }

    /// Every field as it came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Whether a comma-separated list field holds `token`, compared without regard to case.
    #[must_use]
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .iter()
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }

    pub(crate) fn push(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// No body.
    None,
    /// After this many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// When the connection ends (answers only).
    Close,
}

/// Where the head in `bytes` ends (after CRLF CRLF), if it does.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}

/// The start line and the fields of a head that ends with CRLF CRLF.
///
/// # Errors
/// The first rule of RFC 9112 that the head breaks, in words.
pub(crate) fn parse_head(head: &[u8]) -> Result<(String, Headers), String> {
    let body = head.strip_suffix(b"\r\n\r\n").ok_or("head does not end with CRLF CRLF")?;
    let mut lines = Vec::new();
    let mut rest = body;
    while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    if let Some(bad) = lines.iter().flat_map(|l| l.iter()).find(|b| matches!(b, b'\r' | b'\n' | 0))
    {
        return Err(format!("bare control byte {bad:#04x} in the head"));
    }
    let start = lines.first().copied().filter(|l| !l.is_empty()).ok_or("empty start line")?;
    let mut headers = Headers::default();
    for line in &lines[1..] {
        let (name, value) = parse_field(line)?;
        headers.push(name, value);
    }
    Ok((latin1(start), headers))
}

/// One field line without its CRLF.
pub(crate) fn parse_field(line: &[u8]) -> Result<(String, String), String> {
    let shown = || latin1(&line[..line.len().min(120)]);
    let colon = memchr::memchr(b':', line).ok_or_else(|| format!("no colon in {:?}", shown()))?;
    let name = &line[..colon];
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(format!("field name is no token (or the line is folded): {:?}", shown()));
    }
    let value = line[colon + 1..].trim_ascii();
    if let Some(bad) = value.iter().find(|b| (**b < 0x20 && **b != b'\t') || **b == 0x7f) {
        return Err(format!("control byte {bad:#04x} in the value of {}", latin1(name)));
    }
    Ok((latin1(name), latin1(value)))
}

/// What `Content-Length` and `Transfer-Encoding` say together; `None` where neither stands.
///
/// # Errors
/// Both at once, several values, a value that is no plain number, any coding but `chunked`.
pub(crate) fn declared_end(headers: &Headers) -> Result<Option<BodyEnd>, String> {
    let lengths = headers.all("content-length");
    let codings = headers.all("transfer-encoding");
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(None),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(BodyEnd::Chunked)),
        ([], [coding]) => Err(format!("transfer-encoding is {coding:?}, not chunked")),
        ([length], []) => {
            let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
            digits
                .then(|| length.parse().ok().map(BodyEnd::Length))
                .flatten()
                .map(Some)
                .ok_or_else(|| format!("content-length {length:?} is no number"))
        }
        ([], _) => Err("several transfer-encoding fields".into()),
        (_, []) => Err("several content-length fields".into()),
        _ => Err("content-length and transfer-encoding together".into()),
    }
}

/// The size in a chunk-size line (without CRLF); chunk extensions are let through.
///
/// # Errors
/// No hexadecimal number of 1 to 15 digits at the start.
pub(crate) fn chunk_size(line: &[u8]) -> Result<u64, String> {
    let size = line.split(|b| *b == b';').next().unwrap_or(line);
    let text = latin1(size);
    let text = if size.len() < line.len() { text.trim_end() } else { text.as_str() };
    let hex = (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
        .ok_or_else(|| format!("chunk size line {:?}", latin1(&line[..line.len().min(60)])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_head_reads() {
        let (start, headers) =
            parse_head(b"GET / HTTP/1.1\r\nHost: a\r\nX:  b c \r\nx: d\r\n\r\n").unwrap();
        assert_eq!(start, "GET / HTTP/1.1");
        assert_eq!(headers.all("X"), ["b c", "d"]);
        assert_eq!(declared_end(&headers), Ok(None));
    }

    #[test]
    fn what_a_lenient_parser_would_swallow_is_refused() {
        for head in [
            &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
            b"GET / HTTP/1.1\r\n: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
            b"\r\nGET / HTTP/1.1\r\n\r\n",
        ] {
            assert!(parse_head(head).is_err(), "{}", latin1(head));
        }
    }

    #[test]
    fn framing_has_one_meaning_or_none() {
        let end = |fields: &[(&str, &str)]| {
            let mut headers = Headers::default();
            for (name, value) in fields {
                headers.push((*name).into(), (*value).into());
            }
            declared_end(&headers)
        };
        assert_eq!(end(&[("Content-Length", "7")]), Ok(Some(BodyEnd::Length(7))));
        assert_eq!(end(&[("transfer-encoding", "Chunked")]), Ok(Some(BodyEnd::Chunked)));
        for bad in [
            &[("content-length", "7"), ("content-length", "7")][..],
            &[("content-length", "+7")],
            &[("content-length", "7, 7")],
            &[("content-length", "")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "chunked"), ("content-length", "7")],
        ] {
            assert!(end(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn chunk_sizes_are_plain_hex() {
        assert_eq!(chunk_size(b"1aF"), Ok(0x1af));
        assert_eq!(chunk_size(b"5 ;x=y"), Ok(5));
        for bad in [&b""[..], b"0x5", b"-1", b"5 ", b" 5", b"+5", b"1000000000000000"] {
            assert!(chunk_size(bad).is_err(), "{}", latin1(bad));
        }
    }
}
