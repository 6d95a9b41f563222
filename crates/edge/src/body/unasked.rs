//! The body of a request before anybody asks for it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body as _;
use hyper::body::Incoming;

use super::Held;

/// How much of a refused request's body is read, bytes, and how often it is looked at, so that the
/// connection can carry the next request. More costs more than a new connection.
const READ_OFF_BYTES_MAX: usize = 64 * 1024;
const READ_OFF_LOOKS_MAX: usize = 8;

/// A request's body that nobody has asked for yet.
pub(crate) struct Unasked {
    incoming: Option<Incoming>,
    /// It was read, and is kept.
    held: Option<Arc<Held>>,
    /// The client sends it only once it is told to (`Expect: 100-continue`).
    waits: bool,
}

impl Unasked {
    pub(crate) fn new(incoming: Incoming, headers: &HeaderMap) -> Self {
        let waits = !incoming.is_end_stream() && headers.contains_key(header::EXPECT);
        Self { incoming: Some(incoming), held: None, waits }
    }

    /// Nothing to send.
    pub(crate) fn none() -> Self {
        Self { incoming: None, held: None, waits: false }
    }

    /// What was read before anything is sent.
    pub(crate) fn of_held(held: &Arc<Held>) -> Self {
        Self { incoming: None, held: Some(Arc::clone(held)), waits: false }
    }

    /// The body, held.
    pub(crate) fn held(&self) -> Option<&Arc<Held>> {
        self.held.as_ref()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.incoming.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    /// The body, for whoever passes it on.
    pub(crate) fn take(&mut self) -> Option<Incoming> {
        self.incoming.take()
    }

    /// Once the answer is decided: true when the next request can follow on the connection although
    /// nobody took this body, because there is none, or it was small and here already.
    pub(crate) async fn settle(&mut self) -> bool {
        let Some(incoming) = &mut self.incoming else { return true };
        let mut left = READ_OFF_BYTES_MAX;
        for _ in 0..READ_OFF_LOOKS_MAX {
            if incoming.is_end_stream() {
                return true;
            }
            if self.waits {
                // To ask for it would be to tell the client to send it.
                return false;
            }
            match poll_fn(|cx| Poll::Ready(Pin::new(&mut *incoming).poll_frame(cx))).await {
                Poll::Pending => tokio::task::yield_now().await,
                Poll::Ready(None) => return true,
                Poll::Ready(Some(Err(_broken))) => return false,
                Poll::Ready(Some(Ok(frame))) => {
                    match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                        Some(rest) => left = rest,
                        None => return false,
                    }
                }
            }
        }
        false
    }
}
