//! A call with any method and fields, whose answer is handed over as it came.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};
use http_body_util::Full;

use crate::error::OutboundError;
use crate::exchange::AGENT;
use crate::target::Target;

/// What is sent.
#[derive(Clone, Default)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The fields, in their order; a name may be there more than once. `Host`, `User-Agent` and
    /// `Accept` are added where they are missing. They may hold secrets: no error and no `Debug`
    /// shows a value.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Bytes,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("headers", &headers)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// What one call may do.
#[derive(Clone, Copy, Debug)]
pub struct CallOptions {
    /// Total time, from asking for a place among the calls to the last byte of the body.
    pub deadline: Duration,
    /// Largest body taken, bytes.
    pub bytes_max: usize,
    /// Lets the call go to loopback and private networks, and there (only there) without TLS.
    /// Link-local, multicast and metadata addresses stay refused.
    pub allow_private: bool,
}

/// An answer as it came: a redirect is not followed, and a compressed body is not read.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The version of HTTP.
    pub version: Version,
    /// The status, whatever it is.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Call {
    pub(crate) fn request(&self, target: &Target) -> Result<Request<Full<Bytes>>, OutboundError> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target.uri.clone();
        let headers = request.headers_mut();
        for (index, (name, value)) in (1..).zip(&self.headers) {
            let name = HeaderName::from_bytes(name.as_bytes()).ok();
            // Framing is the connection's own: two words on it would be two messages.
            let name = name.filter(|name| ![CONTENT_LENGTH, TRANSFER_ENCODING].contains(name));
            let value = HeaderValue::from_str(value).ok();
            let (name, mut value) = name.zip(value).ok_or(OutboundError::Header { index })?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        let usual = [
            (HOST, target.host_header.clone()),
            (USER_AGENT, AGENT),
            (ACCEPT, HeaderValue::from_static("*/*")),
        ];
        for (name, value) in usual {
            headers.entry(name).or_insert(value);
        }
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        Ok(request)
    }
}
