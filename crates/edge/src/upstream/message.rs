//! A request before it is sent, and again when it comes back: unsent, or because it may be sent
//! once more.

use http::request::Parts;
use http::{Method, Request};

use super::pool::Pooled;
use crate::body::InboundBody;

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
    /// What was handed over last may be sent again although it may have been executed.
    pub(super) was_repeatable: bool,
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
            was_repeatable: false,
            reached,
            reached_before: false,
        }
    }

    /// Says that the service may be trusted to have it twice, whatever its method.
    pub(crate) fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = idempotent;
        self
    }

    /// The service may have had something of it.
    pub(crate) fn is_reached(&self) -> bool {
        *self.reached
    }

    /// The request; none is left. From now on its bytes may go out.
    pub(crate) fn request(&mut self) -> Option<Request<InboundBody>> {
        self.was_repeatable = self.is_repeatable();
        let body = self.body.take()?;
        self.again = if self.was_repeatable { body.again() } else { None };
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
        let Some(body) = self.again.take() else { return false };
        let Some(request) = connection.sent() else { return false };
        (*self.head, _) = request.into_parts();
        self.body = Some(body);
        true
    }

    /// Whether it may be sent again although it may have been executed.
    pub(super) fn is_repeatable(&self) -> bool {
        let safe = matches!(self.head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        (safe || self.idempotent) && self.body.as_ref().is_some_and(|body| body.again().is_some())
    }
}
