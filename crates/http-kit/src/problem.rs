//! Problem details (RFC 9457): the one form of every answer that Plimsoll itself makes.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use smallvec::SmallVec;

use crate::codes::Code;
use crate::request_id::Id;

/// The media type of a problem (RFC 9457 §6.1).
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A refusal or failure on its way to becoming an answer.
///
/// It is one pointer wide, so that it can be the error of functions on the hot path. What it says
/// goes to the outside: it never holds a cause, an address of the inside or a credential.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    code: Code,
    detail: Cow<'static, str>,
    instance: Option<Id>,
    extensions: SmallVec<[(&'static str, Extension); 2]>,
    headers: SmallVec<[(HeaderName, HeaderValue); 4]>,
}

/// The value of an extension member (RFC 9457 §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// A JSON string.
    Text(Cow<'static, str>),
    /// A JSON number.
    Number(u64),
    /// A JSON array of strings.
    List(Vec<String>),
}

impl From<u64> for Extension {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&'static str> for Extension {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Extension {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<Vec<String>> for Extension {
    fn from(list: Vec<String>) -> Self {
        Self::List(list)
    }
}

impl Problem {
    /// A problem with the code's own detail.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self(Box::new(Parts {
            code,
            detail: Cow::Borrowed(code.detail()),
            instance: None,
            extensions: SmallVec::new(),
            headers: SmallVec::new(),
        }))
    }

    /// Says what is wrong with this very request, in place of the code's own words.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// Adds an extension member. `name` is three or more letters, digits, `_` or `-`, a letter
    /// first, and none of the members that every problem has.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Extension>) -> Self {
        self.0.extensions.push((name, value.into()));
        self
    }

    /// Adds a header field to the answer, such as `Allow`, `Retry-After` or `WWW-Authenticate`.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Names the request: the `instance` member.
    #[must_use]
    pub fn with_instance(mut self, id: Id) -> Self {
        self.0.instance = Some(id);
        self
    }

    /// `Retry-After` in whole seconds, as a header field and as `retry_after_seconds`.
    #[must_use]
    pub fn with_retry_after(self, seconds: u64) -> Self {
        self.with_header(http::header::RETRY_AFTER, HeaderValue::from(seconds))
            .with("retry_after_seconds", seconds)
    }

    /// The problem's code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.code.status()
    }

    /// What the answer says about this very request.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        let parts = &*self.0;
        let mut out = Vec::with_capacity(384);
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(parts.code.type_uri().as_bytes());
        out.extend_from_slice(b"\",\"title\":");
        write_string(&mut out, parts.code.title());
        out.extend_from_slice(b",\"status\":");
        write_number(&mut out, u64::from(parts.code.status().as_u16()));
        out.extend_from_slice(b",\"detail\":");
        write_string(&mut out, &parts.detail);
        if let Some(id) = &parts.instance {
            out.extend_from_slice(b",\"instance\":\"");
            id.write_uri(&mut out);
            out.push(b'"');
        }
        out.extend_from_slice(b",\"code\":\"");
        out.extend_from_slice(parts.code.as_str().as_bytes());
        out.push(b'"');
        for (name, value) in &parts.extensions {
            out.push(b',');
            write_string(&mut out, name);
            out.push(b':');
            write_extension(&mut out, value);
        }
        out.push(b'}');
        Bytes::from(out)
    }

    /// The answer: status, the problem's own fields, `Content-Type`, `Cache-Control: no-store`
    /// and the document. Whether the connection closes is the caller's to do
    /// ([`Code::closes_connection`]).
    #[must_use]
    pub fn into_response(self) -> Response<Full<Bytes>> {
        let body = self.to_json();
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        headers.insert(CACHE_CONTROL, NO_STORE);
        for (name, value) in self.0.headers {
            headers.append(name, value);
        }
        response
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

fn write_extension(out: &mut Vec<u8>, value: &Extension) {
    match value {
        Extension::Text(text) => write_string(out, text),
        Extension::Number(number) => write_number(out, *number),
        Extension::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_string(out, item);
            }
            out.push(b']');
        }
    }
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A JSON string (RFC 8259 §7). By hand because a problem under overload is answered many
/// thousand times a second and its texts are nearly always free of anything to escape.
fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1f | 0x7f => {
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_base::RequestId;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn document(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.to_json()).unwrap()
    }

    #[test]
    fn a_problem_has_its_members_in_order() {
        let id = Id::from(RequestId::new(1_000, 0));
        let problem = Problem::new(Code::RateLimited)
            .with_instance(id)
            .with("violated-policies", vec!["per-caller".to_owned(), "a\"b".to_owned()])
            .with_retry_after(7);
        assert_eq!(
            document(&problem),
            json!({
                "type": "https://plimsoll.dev/errors/PLM-EDGE-0301",
                "title": "Rate limit exceeded",
                "status": 429,
                "detail": "A rate limit is used up; wait as long as Retry-After says.",
                "instance": format!("urn:uuid:{id}"),
                "code": "PLM-EDGE-0301",
                "violated-policies": ["per-caller", "a\"b"],
                "retry_after_seconds": 7,
            })
        );
        let text = String::from_utf8(problem.to_json().to_vec()).unwrap();
        let order = ["type", "title", "status", "detail", "instance", "code", "violated-policies"];
        let places: Vec<_> =
            order.iter().map(|name| text.find(&format!("\"{name}\":")).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn the_answer_carries_type_status_and_is_never_stored() {
        let response = Problem::new(Code::MethodNotAllowed)
            .with_header(http::header::ALLOW, HeaderValue::from_static("GET, HEAD"))
            .into_response();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["allow"], "GET, HEAD");
    }

    #[test]
    fn several_challenges_are_several_fields() {
        let challenge = |text| (http::header::WWW_AUTHENTICATE, HeaderValue::from_static(text));
        let (name, first) = challenge("Bearer");
        let (_, second) = challenge("DPoP");
        let response = Problem::new(Code::TokenMissing)
            .with_header(name.clone(), first)
            .with_header(name.clone(), second)
            .into_response();
        assert_eq!(response.headers().get_all(name).iter().count(), 2);
    }

    #[test]
    fn a_problem_is_one_pointer() {
        assert_eq!(size_of::<Problem>(), size_of::<usize>());
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_a_json_parser(
            detail in any::<String>(),
            items in prop::collection::vec(any::<String>(), 0..4),
        ) {
            let problem = Problem::new(Code::Internal)
                .with_detail(detail.clone())
                .with("items", items.clone());
            let read = document(&problem);
            prop_assert_eq!(&read["detail"], &json!(detail));
            prop_assert_eq!(&read["items"], &json!(items));
        }
    }
}
