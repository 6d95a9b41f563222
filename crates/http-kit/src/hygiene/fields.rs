//! The header fields that the edge reads, found in one pass: to look each of them up would cost
//! more than all else that is done with most of them.

use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::names::{self, Kind};

/// The lines of one field.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines<'h> {
    first: Option<&'h HeaderValue>,
    count: u8,
}

impl<'h> Lines<'h> {
    /// The first line.
    #[must_use]
    pub fn first(self) -> Option<&'h HeaderValue> {
        self.first
    }

    /// The line, where there is exactly one.
    #[must_use]
    pub fn only(self) -> Option<&'h HeaderValue> {
        if self.count == 1 { self.first } else { None }
    }

    /// How many there are; 255 stands for any more, too.
    #[must_use]
    pub fn count(self) -> u8 {
        self.count
    }

    #[inline]
    fn add(&mut self, value: &'h HeaderValue) {
        self.first = self.first.or(Some(value));
        self.count = self.count.saturating_add(1);
    }
}

/// What one pass over a request's header section found.
#[derive(Clone, Debug, Default)]
pub struct Fields<'h> {
    /// `Host`.
    pub host: Lines<'h>,
    /// `Authorization`.
    pub authorization: Lines<'h>,
    /// `Plimsoll-Client`.
    pub plimsoll_client: Lines<'h>,
    /// `Plimsoll-Installation`.
    pub plimsoll_installation: Lines<'h>,
    /// `Sec-CH-UA-Platform`.
    pub sec_ch_ua_platform: Lines<'h>,
    /// `User-Agent`.
    pub user_agent: Lines<'h>,
    /// `X-Request-Id`.
    pub x_request_id: Lines<'h>,
    /// `Request-Id`.
    pub request_id: Lines<'h>,
    /// `traceparent`.
    pub traceparent: Lines<'h>,
    /// `tracestate`.
    pub tracestate: Lines<'h>,
    /// `Accept-Encoding`.
    pub accept_encoding: Lines<'h>,
    /// `If-Match`.
    pub if_match: Lines<'h>,
    /// `If-None-Match`.
    pub if_none_match: Lines<'h>,
    pub(super) content_length: Lines<'h>,
    pub(super) transfer_encoding: Lines<'h>,
    pub(super) connection: Lines<'h>,
    pub(super) upgrade: Lines<'h>,
    pub(super) te: Lines<'h>,
    pub(super) expect: Lines<'h>,
    /// What a service must not get.
    pub(super) doomed: SmallVec<[&'h HeaderName; 8]>,
    /// Lines, and their bytes with 4 a line for `: ` and CR LF.
    pub(super) count: usize,
    pub(super) bytes: usize,
}

impl<'h> Fields<'h> {
    /// Looks over a request's header section.
    #[must_use]
    pub fn of(headers: &'h HeaderMap) -> Self {
        let mut fields = Self { count: headers.len(), ..Self::default() };
        for (name, value) in headers {
            let text = name.as_str();
            fields.bytes = fields.bytes.saturating_add(text.len() + value.len() + 4);
            match names::classify(text) {
                Kind::Plain => fields.note_plain(text, value),
                Kind::Host => fields.host.add(value),
                Kind::ContentLength => fields.content_length.add(value),
                Kind::Authorization => fields.authorization.add(value),
                kind => {
                    fields.doomed.push(name);
                    match kind {
                        Kind::TransferEncoding => fields.transfer_encoding.add(value),
                        Kind::Connection => fields.connection.add(value),
                        Kind::Upgrade => fields.upgrade.add(value),
                        Kind::Te => fields.te.add(value),
                        Kind::Expect => fields.expect.add(value),
                        Kind::Own if text == "plimsoll-client" => fields.plimsoll_client.add(value),
                        Kind::Own if text == "plimsoll-installation" => {
                            fields.plimsoll_installation.add(value);
                        }
                        _ => {}
                    }
                }
            }
        }
        fields
    }

    #[inline]
    fn note_plain(&mut self, name: &str, value: &'h HeaderValue) {
        let lines = match name.as_bytes().first() {
            Some(b'a') if name == "accept-encoding" => &mut self.accept_encoding,
            Some(b'i') => match name {
                "if-match" => &mut self.if_match,
                "if-none-match" => &mut self.if_none_match,
                _ => return,
            },
            Some(b'r') if name == "request-id" => &mut self.request_id,
            Some(b's') if name == "sec-ch-ua-platform" => &mut self.sec_ch_ua_platform,
            Some(b't') => match name {
                "traceparent" => &mut self.traceparent,
                "tracestate" => &mut self.tracestate,
                _ => return,
            },
            Some(b'u') if name == "user-agent" => &mut self.user_agent,
            Some(b'x') if name == "x-request-id" => &mut self.x_request_id,
            _ => return,
        };
        lines.add(value);
    }
}

/// What one pass over the header section of a service's answer found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseFacts {
    /// Lines of `Transfer-Encoding`.
    pub transfer_encodings: u8,
    /// Lines of `Content-Length`.
    pub content_lengths: u8,
    /// Fields of one connection are among them: [`super::strip_response`] has something to do.
    pub is_for_this_connection: bool,
    /// It is a stream of events (`Content-Type: text/event-stream`).
    pub is_event_stream: bool,
    /// A field without which it cannot say that it may be stored is there: `Cache-Control`, the
    /// targeted ones (RFC 9213), `Expires` or `Last-Modified`.
    pub says_of_storing: bool,
}

impl ResponseFacts {
    /// Looks over an answer's header section.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut facts = Self::default();
        let mut is_typed = false;
        for (name, value) in headers {
            let name = name.as_str();
            match name.as_bytes().first() {
                Some(b'c') if name == "content-length" => {
                    facts.content_lengths = facts.content_lengths.saturating_add(1);
                }
                Some(b'c') if name == "content-type" => {
                    facts.is_event_stream |= !is_typed && is_event_stream(value);
                    is_typed = true;
                }
                Some(b't') if name == "transfer-encoding" => {
                    facts.transfer_encodings = facts.transfer_encodings.saturating_add(1);
                    facts.is_for_this_connection = true;
                }
                Some(b'e') => facts.says_of_storing |= name == "expires",
                Some(b'l') => facts.says_of_storing |= name == "last-modified",
                Some(b'c' | b'h' | b'k' | b'p' | b't' | b'u') => {
                    facts.is_for_this_connection |= super::strip::is_hop_by_hop(name);
                    facts.says_of_storing |= name.ends_with("cache-control");
                }
                _ => {}
            }
        }
        facts
    }
}

fn is_event_stream(media_type: &HeaderValue) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    let start = media_type.as_bytes().get(..EVENTS.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(EVENTS))
}
