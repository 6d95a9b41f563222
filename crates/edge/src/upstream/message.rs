//! A request before it is sent, and again when it comes back: unsent, or because it may be sent
//! once more.

use std::time::Duration;

use http::request::Parts;
use http::{Method, Request};

use super::pool::Pooled;
use crate::body::InboundBody;

/// A write that is sent once goes over a connection that rested no longer than this: services close
/// idle ones after two seconds and more, and what is on its way just then may be executed or not.
const RESTED_MAX: Duration = Duration::from_secs(1);

/// What is to be known of a request that was sent and not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// Nothing: it cannot be sent again.
    None,
    /// Its head, because it may be sent twice.
    Head,
    /// Its head, and whether anything of it was sent at all, because it may be sent once.
    Once,
}

/// A request before it is sent, and again when it came back unsent. It stays where its head was
/// read to, so that no future holds a second one.
pub(crate) struct Message<'h> {
    head: &'h mut Parts,
    /// `None` once the request was handed over.
    pub(super) body: Option<InboundBody>,
    /// A second copy of a body that was handed over and may be wanted again.
    again: Option<InboundBody>,
    /// Sending it twice does what sending it once does, whatever its method.
    idempotent: bool,
    /// It is a write with a key, whose body is held.
    keyed: bool,
    /// What was handed over last may be sent again although it may have been executed.
    pub(super) was_repeatable: bool,
    /// How often it was tried to be sent.
    pub(super) tries: u32,
    /// The service may have had something of it; and whether that was so before the last try.
    reached: &'h mut bool,
    reached_before: bool,
}

impl<'h> Message<'h> {
    pub(crate) fn new(head: &'h mut Parts, body: InboundBody, reached: &'h mut bool) -> Self {
        Self {
            head,
            body: Some(body),
            again: None,
            idempotent: false,
            keyed: false,
            was_repeatable: false,
            tries: 0,
            reached,
            reached_before: false,
        }
    }

    /// Says that the service may be trusted to have it twice, whatever its method.
    pub(crate) fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = idempotent;
        self
    }

    /// Says that it is a write with a key, whose body is held.
    pub(crate) fn keyed(mut self, keyed: bool) -> Self {
        self.keyed = keyed;
        self
    }

    /// Says how often it was tried before, which counts.
    pub(crate) fn after(mut self, tries: u32) -> Self {
        self.tries = tries;
        self
    }

    /// How often it was tried to be sent.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// The service may have had something of it.
    pub(crate) fn is_reached(&self) -> bool {
        *self.reached
    }

    /// The request; none is left. From now on its bytes may go out.
    pub(crate) fn request(&mut self) -> Option<Request<InboundBody>> {
        let care = self.care();
        self.was_repeatable = care == Care::Head;
        let body = self.body.take()?;
        self.again = if care == Care::None { None } else { body.again() };
        let mut request = Request::new(body);
        self.reached_before = std::mem::replace(self.reached, true);
        *request.method_mut() = std::mem::take(&mut self.head.method);
        *request.uri_mut() = std::mem::take(&mut self.head.uri);
        *request.headers_mut() = std::mem::take(&mut self.head.headers);
        Some(request)
    }

    /// Takes back what provably was not sent. True where there is something.
    pub(super) fn take_back_unsent(&mut self, request: Option<Request<InboundBody>>) -> bool {
        let taken = self.take_back(request);
        if taken {
            *self.reached = self.reached_before;
        }
        taken
    }

    /// Takes the request back. True where there is one.
    fn take_back(&mut self, request: Option<Request<InboundBody>>) -> bool {
        let Some(request) = request else { return false };
        let (head, body) = request.into_parts();
        *self.head = head;
        self.body = Some(body);
        true
    }

    /// Takes back what was sent over `connection` and may be sent again. True where it may.
    pub(super) fn take_back_sent(&mut self, connection: &Pooled) -> bool {
        self.was_repeatable && self.take_anew(connection)
    }

    /// Takes back what hyper began to send over `connection`, and of which no byte was sent (RFC
    /// 9112 §9.3.1: a means to detect that it was never applied). True where that is known.
    pub(super) fn take_back_unwritten(&mut self, connection: &Pooled) -> bool {
        let taken = connection.wrote_nothing() && self.take_anew(connection);
        if taken {
            *self.reached = self.reached_before;
        }
        taken
    }

    fn take_anew(&mut self, connection: &Pooled) -> bool {
        let Some(body) = self.again.take() else { return false };
        let Some(request) = connection.sent() else { return false };
        (*self.head, _) = request.into_parts();
        self.body = Some(body.begin_anew());
        true
    }

    /// Whether it may be sent again although it may have been executed.
    pub(super) fn is_repeatable(&self) -> bool {
        let safe = matches!(self.head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        (safe || self.idempotent) && self.body.as_ref().is_some_and(|body| body.again().is_some())
    }

    /// How much has to be known of it once it is sent.
    pub(super) fn care(&self) -> Care {
        match self.keyed {
            _ if self.is_repeatable() => Care::Head,
            true => Care::Once,
            false => Care::None,
        }
    }

    /// How long a connection may have rested that it goes over.
    pub(super) fn rested_max(&self) -> Duration {
        if self.care() == Care::Once { RESTED_MAX } else { Duration::MAX }
    }
}
