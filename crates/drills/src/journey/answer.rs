//! An answer, and its body as whoever asks for it wants it.

use std::sync::OnceLock;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use plimsoll_outbound::Answered;
use serde_json::Value as Json;

/// An answer with the URL that was asked and the time it took.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) answered: Answered,
    pub(super) url: String,
    pub(super) took: Duration,
    json: OnceLock<Result<Json, String>>,
}

impl Answer {
    pub(super) fn new(answered: Answered, url: String, took: Duration) -> Self {
        Self { answered, url, took, json: OnceLock::new() }
    }

    fn field(&self, name: &http::HeaderName) -> &str {
        let value = self.answered.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text, by the charset that it says (RFC 9110 §8.3.2).
    pub(super) fn text(&self) -> Result<String, String> {
        let coding = self.field(&CONTENT_ENCODING);
        if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
            return Err(format!(
                "the body is encoded ({coding}), which is not read: send no Accept-Encoding"
            ));
        }
        let body = &self.answered.body;
        let said = charset(self.field(&CONTENT_TYPE));
        match said.as_deref() {
            None | Some("utf-8" | "utf8" | "us-ascii") => String::from_utf8(body.to_vec())
                .map_err(|_| "the body is not UTF-8 text".to_owned()),
            // Its 256 characters are the first of Unicode.
            Some("iso-8859-1" | "latin1") => Ok(body.iter().copied().map(char::from).collect()),
            Some(other) => Err(format!("the body is in `{other}`; UTF-8 and ISO-8859-1 are read")),
        }
    }

    pub(super) fn json(&self) -> Result<&Json, String> {
        let read = || {
            let text = self.text()?;
            serde_json::from_str(&text).map_err(|error| format!("the body is no JSON: {error}"))
        };
        self.json.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

fn charset(content_type: &str) -> Option<String> {
    let parameters = content_type.split(';').skip(1);
    let named = parameters.filter_map(|one| one.split_once('='));
    let mut said = named.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    said.next().map(|(_, value)| value.trim().trim_matches('"').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(content_type: &str, coding: &str, body: &'static [u8]) -> Answer {
        let mut headers = http::HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        let answered = Answered {
            version: http::Version::HTTP_11,
            status: http::StatusCode::OK,
            headers,
            body: body.into(),
        };
        Answer::new(answered, String::new(), Duration::ZERO)
    }

    #[test]
    fn a_body_is_read_as_it_says_it_is_written() {
        let text = |kind, coding, body| answer(kind, coding, body).text();
        assert_eq!(text("text/plain", "identity", b"\xc3\xa9"), Ok("é".to_owned()));
        assert_eq!(text("text/plain; Charset=\"ISO-8859-1\"", "", b"\xe9"), Ok("é".to_owned()));
        assert!(text("text/plain", "", b"\xe9").unwrap_err().contains("not UTF-8"));
        assert!(text("text/plain; charset=koi8-r", "", b"").unwrap_err().contains("koi8-r"));
        assert!(text("text/plain", "gzip", b"").unwrap_err().contains("Accept-Encoding"));
        assert!(answer("a/b", "", b"{").json().unwrap_err().contains("no JSON"));
        assert_eq!(answer("a/b", "", b"[1]").json(), Ok(&serde_json::json!([1])));
    }
}
