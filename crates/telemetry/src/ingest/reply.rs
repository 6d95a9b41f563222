//! What a sender is answered, in the encoding it spoke (OTLP/HTTP, "Response").

use serde_json::json;

use crate::counter::OtlpSignal;
use crate::otlp::protobuf::Writer;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Encoding {
    /// The encoding that a `Content-Type` names; none for any other. A browser cannot send either
    /// to another site without asking first, which nobody here answers.
    #[must_use]
    pub fn of(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/x-protobuf") {
            Some(Self::Protobuf)
        } else if kind.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    /// The `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u32>,
}

/// Codes of `google.rpc.Code` that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RpcCode {
    InvalidArgument = 3,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// A refusal that has nothing to do with what was sent, as `google.rpc.Status` in the encoding of
/// the request, or in JSON where it has none of ours.
#[must_use]
pub fn refusal(content_type: &str, status: u16, message: &str) -> Reply {
    let code = match status {
        401 => RpcCode::Unauthenticated,
        403 | 421 => RpcCode::PermissionDenied,
        404 => RpcCode::NotFound,
        405 => RpcCode::Unimplemented,
        503 => RpcCode::Unavailable,
        _ => RpcCode::InvalidArgument,
    };
    refused(Encoding::of(content_type).unwrap_or(Encoding::Json), status, code, message)
}

/// `Export…ServiceResponse`: all taken, or how many were not and why.
pub(crate) fn taken(
    encoding: Encoding,
    signal: OtlpSignal,
    rejected: u64,
    why: Option<&'static str>,
) -> Reply {
    let (status, content_type, retry_after) = (200, encoding.content_type(), None);
    let partial = rejected > 0 || why.is_some();
    let body = match encoding {
        Encoding::Protobuf => {
            let mut writer = Writer::default();
            if partial {
                writer.message(1, |partial| {
                    partial.varint(1, rejected);
                    partial.text(2, why.unwrap_or_default());
                });
            }
            writer.into_bytes()
        }
        Encoding::Json if partial => {
            let key = match signal {
                OtlpSignal::Traces => "rejectedSpans",
                OtlpSignal::Metrics => "rejectedDataPoints",
                OtlpSignal::Logs => "rejectedLogRecords",
            };
            // 64-bit numbers are text in protobuf's JSON.
            let partial = json!({ key: rejected.to_string(), "errorMessage": why });
            json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
        Encoding::Json => b"{}".to_vec(),
    };
    Reply { status, content_type, body, retry_after }
}

/// `google.rpc.Status`.
pub(crate) fn refused(encoding: Encoding, status: u16, code: RpcCode, message: &str) -> Reply {
    let body = match encoding {
        Encoding::Protobuf => {
            let mut writer = Writer::default();
            writer.varint(1, code as u64);
            writer.text(2, message);
            writer.into_bytes()
        }
        Encoding::Json => json!({ "code": code as u64, "message": message }).to_string().into(),
    };
    let retry_after = (code == RpcCode::Unavailable).then_some(5);
    Reply { status, content_type: encoding.content_type(), body, retry_after }
}
