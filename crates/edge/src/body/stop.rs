//! What becomes of an answer that has no end of its own when the process has to stop.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::watch;

use crate::core::Phase;

/// What is done with an answer under way shortly before the drain deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtStop {
    /// It is waited for until the deadline: to end it early would be to pass half of it for whole.
    Waited,
    /// It ends in order: events are whole each for itself, half a one is none to its client (HTML
    /// standard, "interpreting an event stream"), and clients ask anew.
    Ended,
    /// It is broken off, as clients of gRPC expect where a server goes.
    Cut,
}

/// The wait for that moment.
pub(super) struct Stop {
    moment: Pin<Box<dyn Future<Output = ()> + Send>>,
    cut: bool,
}

impl Stop {
    pub(super) fn new(
        at_stop: AtStop,
        phase: impl FnOnce() -> watch::Receiver<Phase>,
    ) -> Option<Self> {
        if at_stop == AtStop::Waited {
            return None;
        }
        let mut phase = phase();
        let moment = Box::pin(async move {
            // A sender that is gone means stop, too.
            let _ending_or_gone = phase.wait_for(|phase| *phase >= Phase::Ending).await.is_ok();
        });
        Some(Self { moment, cut: at_stop == AtStop::Cut })
    }

    /// Ready when the answer has to end: with an error where it is broken off.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Error>> {
        ready!(self.moment.as_mut().poll(cx));
        Poll::Ready(self.cut.then(|| io::ErrorKind::ConnectionAborted.into()))
    }
}
