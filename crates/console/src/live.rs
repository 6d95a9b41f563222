//! The page, second by second, as server-sent events (HTML Living Standard §9.2).

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::http::{Console, Given, asked};
use crate::page;
use crate::problem::{OpsCode, Problem};
use crate::view::Asked;

/// How often a live page gets figures.
const EVERY: Duration = Duration::from_secs(1);
/// How long a browser waits before it comes back.
const RETRY: Duration = Duration::from_secs(2);

/// Bounds live pages, and draws each form of the page once a second however many look at it.
#[derive(Debug)]
pub(crate) struct Hub {
    places: Arc<Semaphore>,
    /// By what was asked for: a few windows times a few orders. The key says which second.
    drawn: Mutex<HashMap<Asked, (u64, Arc<str>)>>,
}

impl Hub {
    pub(crate) fn new(live_max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(live_max)), drawn: Mutex::default() }
    }

    fn draw(&self, console: &Console, asked: Asked) -> Arc<str> {
        let second = console.clock.now().0 / 1_000_000_000;
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, text)) = drawn.get(&asked)
            && *at == second
        {
            return Arc::clone(text);
        }
        let text: Arc<str> = page::view(&console.view(asked)).into_string().into();
        drawn.insert(asked, (second, Arc::clone(&text)));
        text
    }
}

pub(crate) async fn live(
    State(console): State<Console>,
    given: Given,
) -> Result<Response, Problem> {
    let (asked, _) = asked(given)?;
    let place = Arc::clone(&console.hub.places).try_acquire_owned().map_err(|_| {
        Problem::new(
            OpsCode::LiveBusy,
            "As many live pages are open as this listener serves; close one, or reload by hand.",
        )
    })?;
    Ok(Sse::new(events(console, asked, place)).into_response())
}

struct Live {
    console: Console,
    asked: Asked,
    every: Interval,
    first: bool,
    _place: OwnedSemaphorePermit,
}

fn events(
    console: Console,
    asked: Asked,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let live = Live { console, asked, every, first: true, _place: place };
    stream::unfold(live, |mut live| async move {
        tokio::select! {
            _ = live.every.tick() => {}
            _ = live.console.stopped.wait_for(|stopped| *stopped) => return None,
        }
        let event =
            Event::default().event("view").data(live.console.hub.draw(&live.console, live.asked));
        let event = if std::mem::take(&mut live.first) { event.retry(RETRY) } else { event };
        Some((Ok(event), live))
    })
}
