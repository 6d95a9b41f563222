//! CORS (Fetch standard §3.2): which pages elsewhere may call, and how browsers are told.
//!
//! An origin is compared exactly. A page that is not allowed is not refused: its request is
//! answered like any other, and the browser keeps the answer from it. Only its preflight is
//! refused, which carries nothing that the service would want. What a service itself says of CORS
//! is replaced, because two words on it are none to a browser.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use plimsoll_http_kit::{Code, Problem};
use plimsoll_manifest::CorsSection;

use crate::config::Config;
use crate::router::Methods;
use crate::steps::route::{READ_METHODS, Route};

/// What a service may have said; the edge's word stands for it.
const ANSWER_FIELDS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

const ANY: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("origin");
const VARY_PREFLIGHT: HeaderValue =
    HeaderValue::from_static("access-control-request-method, access-control-request-headers");

/// `[cors]` as answers need it.
#[derive(Debug)]
pub(crate) struct Cors {
    /// `None`: every one.
    origins: Option<Vec<Box<[u8]>>>,
    /// `None`: those of the path.
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    credentials: bool,
    max_age: HeaderValue,
}

impl Cors {
    pub(crate) fn new(section: &CorsSection) -> Self {
        let listed = |names: Vec<&str>| {
            HeaderValue::from_str(&names.join(", ")).ok().filter(|list| !list.is_empty())
        };
        let any = section.origins.iter().any(|origin| origin.is_any());
        let origins = section.origins.iter().map(|origin| origin.as_str().as_bytes().into());
        let methods = section.methods.as_ref();
        Self {
            origins: (!any).then(|| origins.collect()),
            methods: methods.and_then(|m| listed(m.iter().map(|m| m.as_str()).collect())),
            headers: listed(section.headers.iter().map(|name| name.as_str()).collect()),
            expose: listed(section.expose.iter().map(|name| name.as_str()).collect()),
            credentials: section.credentials && !any,
            max_age: HeaderValue::from(section.max_age.0.as_secs()),
        }
    }

    /// What `Access-Control-Allow-Origin` says to a page from there; `None` where it is not
    /// allowed.
    fn allowed(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let Some(named) = &self.origins else { return Some(ANY) };
        let origin = origin?;
        named.iter().any(|one| **one == *origin.as_bytes()).then(|| origin.clone())
    }

    /// Takes away what a service says of it.
    pub(crate) fn strip(headers: &mut HeaderMap) {
        for name in &ANSWER_FIELDS {
            headers.remove(name);
        }
    }

    /// Says on an answer whether the page that asked may read it.
    pub(crate) fn write(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        // An answer that depends on who asks must not be kept for another (RFC 9110 §12.5.5),
        // also where it says nothing.
        if self.origins.is_some() {
            headers.append(header::VARY, VARY_ORIGIN);
        }
        let (Some(_), Some(allowed)) = (origin, self.allowed(origin)) else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        if let Some(expose) = &self.expose {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }

    /// What the answer to a preflight says beside that.
    fn write_preflight(&self, methods: Option<HeaderValue>, headers: &mut HeaderMap) {
        if let Some(methods) = self.methods.clone().or(methods) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        if let Some(names) = &self.headers {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        headers.append(header::VARY, VARY_PREFLIGHT);
    }
}

/// The origin that a request names, where it is one.
pub(crate) fn origin(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(header::ORIGIN).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.clone())
}

/// Whether a request is a preflight that the edge answers (Fetch §3.2.2).
pub(crate) fn is_preflight(config: &Config, origin: Option<&HeaderValue>, head: &Parts) -> bool {
    config.cors.is_some() && origin.is_some() && wanted(head).is_some()
}

/// The method that a preflight asks for.
fn wanted(head: &Parts) -> Option<&HeaderValue> {
    let wanted = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    (head.method == Method::OPTIONS).then_some(wanted)
}

/// The answer to a preflight, where `[cors]` is set and the request is one (Fetch §3.2.2): before
/// anything is asked of its sender, because a browser sends no credentials with it.
pub(crate) fn preflight(
    config: &Config,
    origin: Option<&HeaderValue>,
    route: Route<'_>,
    head: &Parts,
) -> Result<Option<Preflight>, Problem> {
    let (Some(cors), Some(_), Some(wanted)) = (&config.cors, origin, wanted(head)) else {
        return Ok(None);
    };
    if cors.allowed(origin).is_none() {
        return Err(Problem::new(Code::OriginNotAllowed));
    }
    let named = config.router.methods_at(head.uri.path());
    let open = route.service().is_some_and(|s| config.router.takes_any(s, head.uri.path()));
    let methods = match (route, Method::from_bytes(wanted.as_bytes())) {
        (Route::Document(_) | Route::Own(_), _) => Some(READ_METHODS),
        (_, Ok(_)) if open => Some(wanted.clone()),
        _ => (named != Methods::default()).then(|| named.allowed().header_value()),
    };
    Ok(Some(Preflight(methods)))
}

/// A preflight that is allowed, with the methods of its path.
pub(crate) struct Preflight(Option<HeaderValue>);

impl Preflight {
    pub(crate) fn answer(self, config: &Config) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if let Some(cors) = &config.cors {
            cors.write_preflight(self.0, response.headers_mut());
        }
        response
    }
}
