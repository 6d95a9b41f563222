//! Whether the running edge compresses, tried on an answer of nobody's.

use std::io::{self, Read as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version, header};
use http_body::Body as _;
use plimsoll_http_kit::hygiene::Fields;

use super::{Plan, decide, read};
use crate::body::AnswerBody;
use crate::config::Config;
use crate::conn::ConnContext;
use crate::exchange::Exchange;
use crate::steps::route::Route;

/// What phones and browsers together send.
const ACCEPT: HeaderValue = HeaderValue::from_static("gzip, br, zstd");

/// What is answered: as much JSON as a page of a list has, bytes.
const ANSWER_BYTES: usize = 32 * 1024;

/// What trying every operation came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompressionTried {
    /// Operations tried, and services whose paths no contract names.
    pub asked: usize,
    /// Those among them that answered as it was, or what was not what it was, by name.
    pub plain: Vec<String>,
    /// Operations for which the manifest says `compression = "off"`: not tried.
    pub left: usize,
}

impl CompressionTried {
    /// A large JSON answer of each operation, for a client that takes every coding.
    pub(crate) fn of(config: &Config, context: &Arc<ConnContext>) -> Self {
        let mut tried = Self::default();
        for operation in config.router.operations() {
            if operation.compression == Some(false) {
                tried.left += 1;
                continue;
            }
            let name = || format!("{} {}", operation.method, operation.template);
            tried.note(name, goes_smaller(config, context, Route::Operation(operation)));
        }
        for (service, routed) in (0u16..).zip(config.router.services()) {
            if routed.pass_unknown {
                let name = || format!("the paths of `{}`", routed.name);
                tried.note(name, goes_smaller(config, context, Route::Unknown { service }));
            }
        }
        tried
    }

    fn note(&mut self, name: impl FnOnce() -> String, smaller: bool) {
        self.asked += 1;
        if !smaller {
            self.plain.push(name());
        }
    }
}

/// Whether an answer of this route goes out compressed, and comes back as it was.
fn goes_smaller(config: &Config, context: &Arc<ConnContext>, route: Route<'_>) -> bool {
    let Some(head) = head() else { return false };
    let mut exchange = Exchange::begin(context, &head);
    read(config, &mut exchange, route, &head.headers, &Fields::of(&head.headers));
    let answer = answer();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, answer.len().into());
    let Some(plan) = decide(config, &exchange, StatusCode::OK, &mut headers, None) else {
        return false;
    };
    let body = AnswerBody::Own(Some(answer.clone()), None);
    let Ok(sent) = whole(Plan::carry_out(Some(plan), Version::HTTP_11, body)) else {
        return false;
    };
    sent.len() < answer.len()
        && decoded(headers.get(header::CONTENT_ENCODING), &sent).is_ok_and(|read| read == answer)
}

fn head() -> Option<Parts> {
    let request = Request::get("/").header(header::ACCEPT_ENCODING, ACCEPT).body(()).ok()?;
    Some(request.into_parts().0)
}

fn answer() -> Bytes {
    let mut text = String::with_capacity(ANSWER_BYTES + 64);
    while text.len() < ANSWER_BYTES {
        text.push_str(&format!("{{\"id\":{},\"status\":\"paid\"}},", text.len()));
    }
    text.into()
}

/// Everything that a body gives. It never waits, because all of it is there.
fn whole(mut body: AnswerBody) -> io::Result<Vec<u8>> {
    let (mut all, mut cx) = (Vec::new(), Context::from_waker(Waker::noop()));
    for _turn in 0..ANSWER_BYTES {
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Pending => {}
            Poll::Ready(None) => return Ok(all),
            Poll::Ready(Some(frame)) => all.extend(frame?.into_data().unwrap_or_default()),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn decoded(coding: Option<&HeaderValue>, sent: &[u8]) -> io::Result<Vec<u8>> {
    let most = ANSWER_BYTES as u64 * 2;
    let mut all = Vec::new();
    match coding.map(HeaderValue::as_bytes) {
        Some(b"br") => brotli::Decompressor::new(sent, 4096).take(most).read_to_end(&mut all)?,
        Some(b"zstd") => zstd::stream::Decoder::new(sent)?.take(most).read_to_end(&mut all)?,
        Some(b"gzip") => flate2::read::GzDecoder::new(sent).take(most).read_to_end(&mut all)?,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    Ok(all)
}
