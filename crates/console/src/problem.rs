//! Every error of the ops listener: RFC 9457 with a stable code.

use axum::response::{Html, IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident = $code:literal $status:ident $title:literal;)+) => {
        /// A stable code of an answer of the ops listener. Each has its page in `docs/errors`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum OpsCode { $($(#[$doc])+ $name,)+ }

        impl OpsCode {
            /// Every code.
            pub const ALL: &'static [OpsCode] = &[$(OpsCode::$name),+];

            /// The code, such as `PLM-OPS-0001`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(OpsCode::$name => $code,)+ }
            }

            /// The status of the answer.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(OpsCode::$name => StatusCode::$status,)+ }
            }

            /// The problem's title.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(OpsCode::$name => $title,)+ }
            }
        }
    };
}

codes! {
    /// There is nothing at this path.
    NotFound = "PLM-OPS-0001" NOT_FOUND "Nothing at this path";
    /// Only GET and HEAD are answered.
    MethodNotAllowed = "PLM-OPS-0002" METHOD_NOT_ALLOWED "The ops listener only answers questions";
    /// A parameter has a value that means nothing.
    BadQuery = "PLM-OPS-0003" BAD_REQUEST "A parameter is wrong";
    /// The `Host` names neither loopback nor the bound address.
    WrongHost = "PLM-OPS-0004" MISDIRECTED_REQUEST "This name is not served here";
    /// The listener is bound off loopback.
    HealthOnly = "PLM-OPS-0005" FORBIDDEN "Only health is served off loopback";
    /// The node should get no traffic.
    NotReady = "PLM-OPS-0006" SERVICE_UNAVAILABLE "The node takes no traffic";
    /// Too many live pages are open.
    LiveBusy = "PLM-OPS-0007" SERVICE_UNAVAILABLE "Too many live pages are open";
    /// The database cannot be asked.
    NoDatabase = "PLM-OPS-0008" SERVICE_UNAVAILABLE "The database cannot be asked";
    /// The ingest token is missing or wrong.
    TokenNeeded = "PLM-OPS-0009" UNAUTHORIZED "The ingest token is needed";
    /// The body of an act means nothing.
    BadBody = "PLM-OPS-0010" BAD_REQUEST "The body is wrong";
    /// The id of a team's action was used for another one.
    IdReused = "PLM-OPS-0011" CONFLICT "The id was used for something else";
    /// There is nothing to accept, or not here.
    NotAccepted = "PLM-OPS-0012" CONFLICT "Nothing was accepted";
    /// The body is longer than is taken.
    BodyTooLong = "PLM-OPS-0013" PAYLOAD_TOO_LARGE "The body is too long";
}

/// A problem on its way to becoming an answer.
#[derive(Debug)]
pub(crate) struct Problem {
    code: OpsCode,
    detail: String,
    extensions: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(code: OpsCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), extensions: Map::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.extensions.insert(name.to_owned(), value);
        self
    }
}

impl Problem {
    pub(crate) fn code(&self) -> OpsCode {
        self.code
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The same as a page: for people, where they came by a link or a form.
    pub(crate) fn into_page(self, page: String) -> Response {
        let mut response = (self.code.status(), Html(page)).into_response();
        self.code.add_fields(response.headers_mut());
        response
    }
}

impl OpsCode {
    /// The fields that go with it.
    fn add_fields(self, headers: &mut HeaderMap) {
        match self {
            OpsCode::MethodNotAllowed => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            OpsCode::TokenNeeded => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            OpsCode::LiveBusy | OpsCode::NotReady | OpsCode::NoDatabase => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let code = self.code.as_str();
        let mut body = json!({
            "type": format!("https://plimsoll.dev/errors/{code}"),
            "title": self.code.title(),
            "status": self.code.status().as_u16(),
            "detail": self.detail,
            "code": code,
        });
        if let Value::Object(members) = &mut body {
            members.extend(self.extensions);
        }
        let mut response = (self.code.status(), body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        self.code.add_fields(headers);
        response
    }
}
