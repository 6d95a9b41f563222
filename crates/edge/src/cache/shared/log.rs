//! The log of writes: telling the others, hearing of theirs.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plimsoll_base::Nanos;
use plimsoll_telemetry::{CacheTold, Counter, Shard};
use tokio::sync::{oneshot, watch};

use super::super::key::{Mark, Writer};
use super::super::stamps::{Ordinal, Stamped};
use super::lease::{APART, LEASE, RETRY_AFTER};
use super::positions::Position;
use super::scripts::{Behind, LogError, Told};
use super::wire::Event;
use super::{CacheSharing, Shared, text};
use crate::core::Phase;

/// How long a write waits until every other node has heard of it, at most: longer than the lease of
/// a node that went away.
const TELL_WAIT_MAX: Duration = Duration::from_secs(3);
/// How often it is looked whether all have heard, while somebody waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long the log is waited for before it is asked again, so that the lease goes on.
const LISTEN_MAX: Duration = Duration::from_millis(200);
/// Writes that are untold, at most; beyond, all others are told to drop everything.
const UNTOLD_MAX: usize = 4_096;
/// Events in one call: Redis does nothing else meanwhile.
const EVENTS_PER_CALL_MAX: usize = 512;
/// Events that the log keeps, about. A node that missed more drops everything.
const LOG_EVENTS_MAX: usize = 16_384;
/// A node that did not ask for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// How long the log outlives the last node.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What others were not told yet.
#[derive(Debug, Default)]
pub(super) struct Untold {
    events: VecDeque<(Vec<u8>, Ordinal)>,
    /// Requests that wait until all is told and heard: no more than there are under way.
    waiting: Vec<oneshot::Sender<()>>,
}

/// A write that is being told.
#[derive(Debug)]
#[must_use = "its answer waits until others have heard of it"]
pub(crate) struct Telling(Option<oneshot::Receiver<()>>);

impl Telling {
    /// Ends when no other node uses what was before the write, unless it is cut off without knowing
    /// it; and in any case within [`TELL_WAIT_MAX`] and what is `left` of the request's time.
    pub(crate) async fn done(self, shard: &Shard, left: Duration) {
        let outcome = match self.0 {
            None => CacheTold::Alone,
            Some(told) => match tokio::time::timeout(left.min(TELL_WAIT_MAX), told).await {
                Ok(Ok(())) => CacheTold::Told,
                Ok(Err(_)) | Err(_) => CacheTold::Late,
            },
        };
        shard.count(Counter::CacheTold(outcome));
    }
}

/// A write that was told, and up to where it has to be heard; `None`: it has to be told first.
struct Waiting {
    done: oneshot::Sender<()>,
    told: Option<Position>,
}

impl Waiting {
    fn is_over(&self, now: &Told) -> bool {
        let (Some(told), Some(heard)) = (self.told, now.heard) else { return false };
        // Where another log began, whoever follows it dropped everything.
        told.epoch != now.last.epoch || told.number <= heard
    }
}

/// What stood behind what was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// This node begins to follow the log.
    Anew,
    /// Events, perhaps not all of them.
    Events,
    Nothing,
}

impl Shared {
    /// Stamps a write here and tells the others.
    pub(crate) fn write(&self, marks: Vec<Mark>, writer: Option<Writer>) -> (Stamped, Telling) {
        let alone = self.lease.is_nobodys(self.clock.now());
        let (done, told) = oneshot::channel();
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let mut positions = self.positions();
        let stamped = self.stamps.write(marks.iter().copied(), writer);
        positions.stamped(stamped.ordinal);
        let event = Event::Write { marks, writer }.to_bytes();
        untold.events.push_back((event, stamped.ordinal));
        if untold.events.len() > UNTOLD_MAX {
            let all: Vec<Ordinal> = untold.events.drain(..).map(|(_, own)| own).collect();
            let first = positions.merge(&all);
            untold.events.extend(first.map(|own| (Event::Everything.to_bytes(), own)));
        }
        if !alone {
            untold.waiting.push(done);
        }
        drop((positions, untold));
        self.wake.notify_one();
        (stamped, Telling((!alone).then_some(told)))
    }

    /// Tells until the edge stops, and then what is left.
    pub(super) async fn tell(&self, mut phase: watch::Receiver<Phase>) {
        let mut waiting: Vec<Waiting> = Vec::new();
        loop {
            let stopped = *phase.borrow() == Phase::Stopped;
            let (events, own) = self.untold(&mut waiting);
            if events.is_empty() && waiting.is_empty() {
                if stopped {
                    return;
                }
                // Phases are few: one more look at them costs nothing.
                let changed = async { phase.changed().await.is_ok() };
                tokio::select! {
                    () = self.wake.notified() => {}
                    _any = changed => {}
                }
                continue;
            }
            let was_last = events.is_empty();
            let told = self.call(&events, &own, &mut waiting).await;
            let pause = match &told {
                Ok(_) if waiting.is_empty() => Duration::ZERO,
                Ok(_) => LOOK_EVERY,
                Err(_) => RETRY_AFTER,
            };
            if let Err(error) = &told {
                self.keep(events, own);
                self.lose(error);
            }
            self.release(&mut waiting, told.as_ref().ok());
            if stopped && (was_last || told.is_err()) {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Whoever waits for what everybody has heard now, or for what nobody can hear, goes on.
    fn release(&self, waiting: &mut Vec<Waiting>, now: Option<&Told>) {
        let at = self.clock.now();
        let alone = now.is_none() && self.lease.is_nobodys(at);
        let now = now.filter(|_| self.lease.are_known(at));
        let is_over = |one: &mut Waiting| alone || now.is_some_and(|now| one.is_over(now));
        for over in waiting.extract_if(.., is_over) {
            // A client that left waits for nothing.
            over.done.send(()).ok();
        }
    }

    /// The next events, and whoever waits once there are no more.
    fn untold(&self, waiting: &mut Vec<Waiting>) -> (Vec<Vec<u8>>, Vec<Ordinal>) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let many = untold.events.len().min(EVENTS_PER_CALL_MAX);
        let next = untold.events.drain(..many).unzip();
        if untold.events.is_empty() {
            waiting.extend(untold.waiting.drain(..).map(|done| Waiting { done, told: None }));
        }
        next
    }

    /// They could not be told, and are told with the next.
    fn keep(&self, events: Vec<Vec<u8>>, own: Vec<Ordinal>) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events.into_iter().zip(own).rev() {
            untold.events.push_front(event);
        }
    }

    async fn call(
        &self,
        events: &[Vec<u8>],
        own: &[Ordinal],
        waiting: &mut [Waiting],
    ) -> Result<Told, LogError> {
        let (mut arguments, _heard) = self.known();
        let telling = self.tellings.fetch_add(1, Ordering::Relaxed);
        arguments.extend([
            text((LEASE + APART).as_millis()),
            text(FORGOTTEN_AFTER.as_millis()),
            text(LOG_EVENTS_MAX),
            format!("{:x}.{telling:x}", self.begins).into_bytes(),
        ]);
        arguments.extend_from_slice(events);
        let answer = self.log.run(&self.scripts.tell, &self.log_keys(), &arguments).await?;
        let now = Told::of(&answer)?;
        if !events.is_empty() && !self.positions().told(own, now.last, &now.tag) {
            // Another log than the one that is followed here: they are told once more when this
            // node has joined it.
            return Err(LogError::Moved);
        }
        self.lease.found(self.clock.now());
        waiting.iter_mut().filter(|one| one.told.is_none()).for_each(|one| {
            one.told = Some(now.last);
        });
        Ok(now)
    }

    /// Follows the log until the edge stops.
    pub(super) async fn hear(&self, mut phase: watch::Receiver<Phase>) {
        while *phase.borrow() != Phase::Stopped {
            let outcome = self.ask().await;
            let pause = match &outcome {
                Ok(()) => Duration::ZERO,
                Err(_) => RETRY_AFTER,
            };
            match outcome {
                Ok(()) => self.note(match self.lease.is_held(self.clock.now()) {
                    true => CacheSharing::Shared,
                    false => CacheSharing::Starting,
                }),
                Err(error) => self.lose(&error),
            }
            let stopped = phase.wait_for(|phase| *phase == Phase::Stopped);
            let _stopped_or_time = tokio::time::timeout(pause, stopped).await.is_ok();
        }
    }

    /// The node is not waited for any longer.
    pub(super) async fn leave(&self) {
        // Where that cannot be said, others wait until its lease has ended.
        let (keys, node) = (self.log_keys(), [self.node.clone()]);
        drop(self.log.run(&self.scripts.leave, &keys, &node).await);
    }

    /// What every call begins with: the log that this node would begin, and what it knows of the
    /// one that it follows; and up to where it has heard that.
    fn known(&self) -> (Vec<Vec<u8>>, Position) {
        let positions = self.positions();
        let heard = positions.last().unwrap_or_default();
        let (number, tag) = positions.known();
        let (kept, node) = (text(KEPT_FOR.as_millis()), self.node.clone());
        let known = [text(heard.epoch), text(number), tag.to_vec()];
        (([self.epoch(), kept].into_iter().chain(known).chain([node])).collect(), heard)
    }

    async fn ask(&self) -> Result<(), LogError> {
        for link in [&self.log, &self.waiting] {
            link.connect().await?;
        }
        let asked = self.clock.now();
        let (mut arguments, heard) = self.known();
        arguments.extend([text(heard.number), text(EVENTS_PER_CALL_MAX)]);
        let answer = self.log.run(&self.scripts.hear, &self.log_keys(), &arguments).await?;
        let behind = Behind::of(&answer)?;
        self.lease.found(self.clock.now());
        let taken = self.take(&behind, asked);
        // Only now: an answer that says up to where this node had heard must not come beside a log
        // that has lost that.
        self.entries.connect().await?;
        if taken != Taken::Nothing {
            // The others should learn at once that it was heard.
            return Ok(());
        }
        let [_, log] = self.log_keys();
        Ok(self.waiting.wait(&log, behind.last.number, LISTEN_MAX).await?)
    }

    /// Takes in what stands behind what was heard, which was asked for at `asked`.
    fn take(&self, behind: &Behind<'_>, asked: Nanos) -> Taken {
        let mut positions = self.positions();
        let heard = positions.last().filter(|heard| heard.epoch == behind.last.epoch);
        let follows = heard.is_some_and(|heard| {
            let first = behind.events.first().map_or(heard.number, |next| next.number - 1);
            let in_turn = behind.events.windows(2).all(|pair| pair[0].number + 1 == pair[1].number);
            let all = !behind.events.is_empty() || behind.last.number == heard.number;
            first == heard.number && in_turn && all
        });
        if !follows {
            // The beginning, another log, or one that is not whole: nothing before can be judged.
            positions.begin(behind.last, behind.tag, self.stamps.drop_everything());
            drop(positions);
            self.lease.joined(self.clock.now());
            return Taken::Anew;
        }
        for next in &behind.events {
            let ordinal = match Event::from_bytes(next.event) {
                Event::Write { marks, writer } => self.stamps.write(marks, writer).ordinal,
                Event::Everything => self.stamps.drop_everything(),
            };
            positions.heard(next.tag, ordinal);
        }
        let is_all = positions.last() == Some(behind.last);
        drop(positions);
        if is_all {
            // Also where events came: a node that always hears of something knows as much.
            self.lease.heard_all(asked);
        }
        if behind.events.is_empty() { Taken::Nothing } else { Taken::Events }
    }

    fn lose(&self, error: &LogError) {
        if matches!(error, LogError::Moved) {
            return;
        }
        self.lease.lost(self.clock.now());
        // Where one is broken all are, and the others would notice only with their next call.
        for link in [&self.log, &self.waiting, &self.entries] {
            link.give_up();
        }
        self.note(CacheSharing::Lost { why: error.to_string() });
    }
}

#[cfg(test)]
mod tests;
