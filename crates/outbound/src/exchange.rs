//! One request and its answer on one fresh connection.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName,
    HeaderValue, RETRY_AFTER, USER_AGENT,
};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::call::Answered;
use crate::error::{OutboundError, Phase};
use crate::outbound::{FetchOptions, Fetched, Post, Progress};
use crate::target::Target;

const ANSWER_HEADERS_MAX: usize = 64;
const ANSWER_HEAD_BYTES_MAX: usize = 32 * 1024;
pub(crate) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("plimsoll/", env!("CARGO_PKG_VERSION")));

/// What is done with an answer.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// Largest body taken, bytes.
    pub(crate) bytes_max: usize,
    /// Only what was asked for is taken: no redirect, no compressed body.
    pub(crate) plain: bool,
}

/// Sends a request on `io` and reads the whole answer.
pub(crate) async fn ask<Io>(
    io: Io,
    target: &Target,
    request: Request<Full<Bytes>>,
    rules: Rules,
    progress: &Progress,
) -> Result<Answered, OutboundError>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send,
{
    progress.enter(Phase::Answer);
    let (sender, connection) = Builder::new()
        .max_headers(ANSWER_HEADERS_MAX)
        .max_buf_size(ANSWER_HEAD_BYTES_MAX)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|source| broken(target, source))?;
    let mut connection = pin!(connection);
    let mut exchange = pin!(exchange(sender, request, target, rules, progress));
    // The connection is driven here and not in a task of its own: dropping this future ends both.
    // Its own fault also reaches the exchange, which tells it better, so it is not reported twice.
    let mut connection_open = true;
    loop {
        tokio::select! {
            result = &mut exchange => return result,
            _ended = &mut connection, if connection_open => connection_open = false,
        }
    }
}

async fn exchange(
    mut sender: SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    target: &Target,
    rules: Rules,
    progress: &Progress,
) -> Result<Answered, OutboundError> {
    let answer = sender.send_request(request).await.map_err(|source| broken(target, source))?;
    progress.enter(Phase::Body);
    let (status, version) = (answer.status(), answer.version());
    if rules.plain && status.is_redirection() {
        return Err(OutboundError::Redirect { host: target.label.clone(), status });
    }
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if rules.plain && !answer.headers().get_all(CONTENT_ENCODING).iter().all(plain) {
        return Err(OutboundError::Encoded { host: target.label.clone() });
    }
    let headers = answer.headers().clone();
    let body = read(answer, target, rules.bytes_max).await?;
    Ok(Answered { version, status, headers, body })
}

/// What a caller of [`Outbound::fetch`](crate::Outbound::fetch) learns of an answer.
pub(crate) fn fetched(answer: Answered) -> Fetched {
    let text = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let content_type = text(CONTENT_TYPE).map(str::to_owned);
    let retry_after = text(RETRY_AFTER).and_then(|said| said.trim().parse().ok());
    let retry_after = retry_after.map(Duration::from_secs);
    Fetched { status: answer.status, content_type, body: answer.body, retry_after }
}

/// A GET, or a POST where there is one.
pub(crate) fn request(
    target: &Target,
    post: Option<&Post>,
    options: &FetchOptions,
) -> Result<Request<Full<Bytes>>, OutboundError> {
    let body = post.map(|post| post.body.clone()).unwrap_or_default();
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = if post.is_some() { Method::POST } else { Method::GET };
    *request.uri_mut() = target.uri.clone();
    let headers = request.headers_mut();
    if let Some(post) = post {
        for (index, (name, value)) in (1..).zip(&post.headers) {
            let name = HeaderName::from_bytes(name.as_bytes()).ok();
            let value = HeaderValue::from_str(value).ok();
            let (name, mut value) = name.zip(value).ok_or(OutboundError::Header { index })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(post.content_type));
        if let Some(coding) = post.content_encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
    }
    headers.insert(HOST, target.host_header.clone());
    headers.insert(USER_AGENT, AGENT);
    headers.insert(ACCEPT, HeaderValue::from_static(options.accept));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

async fn read(
    answer: Response<Incoming>,
    target: &Target,
    bytes_max: usize,
) -> Result<Bytes, OutboundError> {
    let too_large = || OutboundError::TooLarge { host: target.label.clone(), bytes_max };
    let mut body = answer.into_body();
    let said = body.size_hint().lower();
    if usize::try_from(said).map_or(true, |said| said > bytes_max) {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| broken(target, source))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.len() > bytes_max - bytes.len() {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

fn broken(target: &Target, source: hyper::Error) -> OutboundError {
    OutboundError::Http { host: target.label.clone(), source }
}
