//! A timer that is moved lazily: its deadline may be pushed back again and again without the
//! runtime's timer being touched. That one fires early, looks at the clock and goes back to sleep.
//!
//! To arm and disarm a timer of the runtime costs about a thousand instructions, to be asked
//! whether it still stands about thirty. So what has to be limited in time for every request keeps
//! its timer from one request to the next.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use plimsoll_base::{Nanos, SharedClock};
use tokio::task::coop::has_budget_remaining;
use tokio::time::Sleep;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct LazyTimer {
    armed: Option<Armed>,
}

#[derive(Debug)]
struct Armed {
    sleep: Pin<Box<Sleep>>,
    at: Nanos,
    /// Whom it wakes; `None` where that is not sure.
    wakes: Option<Waker>,
}

impl Armed {
    /// Whether it has yet to fire and will wake whoever asks now.
    fn stands(&self, cx: &Context<'_>) -> bool {
        !self.sleep.is_elapsed()
            && self.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A task that has used up its share of the core is put off without being noted down.
        let noted = has_budget_remaining();
        let polled = self.sleep.as_mut().poll(cx);
        match &mut self.wakes {
            Some(waker) if noted => waker.clone_from(cx.waker()),
            wakes => *wakes = noted.then(|| cx.waker().clone()),
        }
        polled
    }
}

impl LazyTimer {
    /// Whether it will wake whoever asks now, sooner or later: nothing has to be done.
    pub(crate) fn stands(&self, cx: &Context<'_>) -> bool {
        self.armed.as_ref().is_some_and(|armed| armed.stands(cx))
    }

    /// True once `deadline` has passed; otherwise the task will be woken at it or before.
    pub(crate) fn expired(
        &mut self,
        deadline: Nanos,
        clock: &SharedClock,
        cx: &mut Context<'_>,
    ) -> bool {
        if self.armed.as_ref().is_some_and(|armed| armed.at <= deadline && armed.stands(cx)) {
            return false;
        }
        loop {
            // Armed for a later deadline (keep-alive, and now a head has begun) it would sleep
            // over this one.
            self.armed.take_if(|armed| armed.at > deadline);
            let armed = self.armed.get_or_insert_with(|| Armed {
                sleep: Box::pin(tokio::time::sleep(deadline.since(clock.now()))),
                at: deadline,
                wakes: None,
            });
            if armed.poll(cx).is_pending() {
                return false;
            }
            self.armed = None;
            if clock.now() >= deadline {
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use plimsoll_base::SystemClock;

    use super::*;

    async fn fires(timer: &mut LazyTimer, deadline: Nanos, clock: &SharedClock) -> bool {
        let fired = poll_fn(|cx| match timer.expired(deadline, clock, cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        tokio::time::timeout(Duration::from_secs(5), fired).await.is_ok()
    }

    #[tokio::test]
    async fn whoever_asks_last_is_woken() {
        let clock = SystemClock::shared();
        let mut timer = LazyTimer::default();
        let deadline = clock.now().plus(Duration::from_millis(30));
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(!timer.expired(deadline, &clock, &mut nobody));
        assert!(fires(&mut timer, deadline.plus(Duration::from_millis(20)), &clock).await);
        assert!(clock.now() >= deadline.plus(Duration::from_millis(20)));
    }

    #[tokio::test]
    async fn an_earlier_deadline_is_not_slept_over() {
        let clock = SystemClock::shared();
        let mut timer = LazyTimer::default();
        let mut nobody = Context::from_waker(Waker::noop());
        let late = clock.now().plus(Duration::from_secs(60));
        assert!(!timer.expired(late, &clock, &mut nobody));
        let soon = clock.now().plus(Duration::from_millis(10));
        assert!(fires(&mut timer, soon, &clock).await);
    }

    /// The runtime puts such a task off without noting it down at the timer.
    #[tokio::test]
    async fn a_task_that_has_used_up_its_share_is_woken_all_the_same() {
        let clock = SystemClock::shared();
        let mut timer = LazyTimer::default();
        let deadline = clock.now().plus(Duration::from_millis(30));
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1_000);
        (0..1_000).for_each(|number| sender.try_send(number).unwrap());
        let fired = poll_fn(|cx| {
            while has_budget_remaining() && receiver.poll_recv(cx).is_ready() {}
            match timer.expired(deadline, &clock, cx) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        assert!(tokio::time::timeout(Duration::from_secs(5), fired).await.is_ok());
    }
}
