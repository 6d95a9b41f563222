//! Limits that several nodes share: each decides alone, by what it knows, and tells the others.
//!
//! A node's *allowance* for a key is what was left when it last heard of the others. Nothing waits
//! for Redis: what a key used up is told every [`ROUND_EVERY`], and what others used up comes back
//! in the same answer. While Redis is gone each node goes on by its own count.
//!
//! **The bound.** `n` nodes together let through at most `n - 1` times a burst and what is earned
//! between two rounds more than one node would, however long it goes on, and of each burst only
//! what a node admits between two rounds. What was let through too much is owed: the key waits
//! until it is paid, so the rate over time is that of the limit. Two rounds are 50 ms and the time
//! to Redis apart; where more than [`KEYS_PER_ROUND_MAX`] keys used something, those whose turn
//! comes later wait for more rounds.
//!
//! Nor is a request refused that would fit beside what all nodes let through, but for one round:
//! within it units are paid in the order in which they are told.
//!
//! One node counts exactly as if there was no Redis while its calls are answered or not made. Where
//! Redis did one and the answer was lost, nobody can tell: what was told in it is told again, and
//! counts once more, as if another node had used it, for each answer lost.
//!
//! A key's counter in Redis holds the units used by all, which tells whether anybody else used any,
//! and until when they are paid, by Redis' own clock. It goes soon after nothing is owed any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::{Nanos, SharedClock};
use plimsoll_store::{Redis, RedisError, RedisScript};

use super::Limits;
use super::policy::State;
use super::store::{Place, Spending};

/// How often other nodes are told.
pub const ROUND_EVERY: Duration = Duration::from_millis(50);
/// How often Redis is asked when nothing was used up, so that its loss shows.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// The pause after a failure.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Keys in one call: Redis does nothing else meanwhile.
const KEYS_PER_CALL_MAX: usize = 256;
/// Keys told in one round; the others keep what they used for the next ones, in turn. So a flood of
/// addresses fills neither Redis nor the time between two rounds.
const KEYS_PER_ROUND_MAX: usize = 4_096;
/// Counters that are remembered, at most. Of one that is not, everything is taken for others'.
const SEEN_MAX: usize = 1 << 20;
/// A counter is remembered this much longer than anything is owed on it, in nanoseconds.
const SEEN_MARGIN: u64 = 10_000_000_000;
/// And Redis keeps it so much longer, in milliseconds: by what an answer may take longer than it is
/// remembered, so that a counter which is remembered is never a new one of the same name.
const KEPT_MARGIN_MS: u64 = 15_000;
/// By how much rounding to microseconds may make more of what is owed, in nanoseconds.
const ROUNDED: u64 = 2_000;

/// Adds to each counter and answers, for each, all units and what is owed. For each key: units, how
/// long ago the first of them was used, what they cost, what the node's own count owes; times are
/// in microseconds. Last, how long a counter is kept once it is paid, in milliseconds. A unit is
/// paid behind what others used before it, and counts from its use.
const ADD: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = {}
for i, key in ipairs(KEYS) do
  local had = redis.call('HMGET', key, 'units', 'paid')
  local at = i * 4 - 3
  local units = (tonumber(had[1]) or 0) + ARGV[at]
  local paid = math.max(tonumber(had[2]) or 0, now - ARGV[at + 1]) + ARGV[at + 2]
  paid = math.max(paid, now + ARGV[at + 3])
  redis.call('HSET', key, 'units', string.format('%.0f', units), 'paid', string.format('%.0f', paid))
  redis.call('PEXPIRE', key, math.max(math.ceil((paid - now) / 1000), 0) + ARGV[#ARGV])
  answer[i * 2 - 1] = units
  answer[i * 2] = math.max(paid - now, 0)
end
return answer";

/// Says that nodes with this key are here, and answers how many different keys there are.
const HEARTBEAT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - 10000))
redis.call('PEXPIRE', KEYS[1], 60000)
return {redis.call('ZCARD', KEYS[1])}";

/// Where sharing stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// No Redis is named: each node counts for itself.
    #[default]
    Off,
    /// Redis was not reached yet.
    Starting,
    /// What is used up here is known elsewhere.
    Shared {
        /// Other nodes use this Redis with another key-encrypting key: theirs is not counted here.
        apart: bool,
    },
    /// Redis is gone: each node counts for itself.
    Lost {
        /// Why.
        why: String,
    },
}

/// What a key used up here since other nodes were last told.
pub(super) struct Spent {
    state: Arc<State>,
    key: u64,
    spending: Spending,
    /// When that was read, and what the key owed here then, in nanoseconds.
    now: u64,
    owed: u64,
}

/// A counter as it was last heard of.
#[derive(Clone, Copy, Debug)]
struct Seen {
    units: u64,
    until: u64,
}

/// What all nodes together used up of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Total {
    units: u64,
    /// Nanoseconds.
    owed: u64,
}

/// The counters of all nodes, and what is known of them here.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<(u64, u64), Seen>);

impl Limits {
    /// What was used up since others were last told, of `keys_max` keys at most. The limits take
    /// turns in being the first, and so do the parts of each.
    pub(super) fn spent(&self, now: Nanos, keys_max: usize, turn: usize) -> Vec<Spent> {
        let mut spent = Vec::new();
        let many = self.policies.len().max(1);
        let (later, earlier) = self.policies.split_at(turn % many);
        for policy in earlier.iter().chain(later) {
            let (state, left) = (&policy.state, keys_max - spent.len());
            state.store.take_spent(left, turn / many, |key, spending, tat| {
                let (state, owed) = (Arc::clone(state), tat.saturating_sub(now.0));
                spent.push(Spent { state, key, spending, now: now.0, owed });
            });
        }
        spent
    }
}

impl Spent {
    /// It could not be told, and is told with the next.
    fn keep(&self) {
        let mut shard = self.state.store.lock(self.key);
        if shard.tat(self.key).is_some() {
            shard.note_spent(self.key, Place::Own, self.spending);
        }
    }

    /// As the script takes it: units, and in microseconds age, cost, and what is owed here.
    fn told(&self) -> [u64; 4] {
        let Spending { units, since } = self.spending;
        let age = self.now.saturating_sub(since) / 1_000;
        let cost = self.state.gcra.cost(units).div_ceil(1_000);
        [units.into(), age, cost, self.owed.div_ceil(1_000)]
    }
}

impl Known {
    /// Takes in what all nodes used up, this one's `spent` included.
    pub(super) fn hear(&mut self, spent: &Spent, total: Total, now: u64) {
        let name = (spent.state.shared_id, spent.key);
        let own = u64::from(spent.spending.units);
        // One that was to be forgotten may be gone from Redis, too, and begun anew.
        let before = self.0.get(&name).filter(|seen| seen.until > now).map(|seen| seen.units);
        // A counter that shrank is a new one: Redis lost the old.
        let others = match before.and_then(|before| total.units.checked_sub(before + own)) {
            Some(others) => Some(others),
            None if total.units == own => Some(0),
            // What others used is paid.
            None if total.owed <= spent.owed + ROUNDED => Some(0),
            None => None,
        };
        if others != Some(0) {
            let mut shard = spent.state.store.lock(spent.key);
            let tat = shard.tat(spent.key).unwrap_or(0).max(now);
            let owed = now.saturating_add(total.owed);
            let owed = match others {
                Some(units) => {
                    let units = u32::try_from(units).unwrap_or(u32::MAX);
                    tat.saturating_add(spent.state.gcra.cost(units)).min(owed)
                }
                None => owed,
            };
            shard.raise(spent.key, owed);
        }
        let until = now.saturating_add(total.owed).saturating_add(SEEN_MARGIN);
        if self.0.len() < SEEN_MAX || self.0.contains_key(&name) {
            self.0.insert(name, Seen { units: total.units, until });
        }
    }

    fn forget(&mut self, now: u64) {
        self.0.retain(|_, seen| seen.until > now);
    }
}

/// Tells other nodes and hears of them, over Redis.
pub(crate) struct Reconciler {
    redis: Redis,
    clock: SharedClock,
    add: RedisScript,
    heartbeat: RedisScript,
    /// Names the key of the hashes, and says nothing of it. Nodes with another would count other
    /// callers under the same numbers.
    namespace: String,
    known: Known,
    beaten: Option<Nanos>,
    apart: bool,
    rounds: usize,
}

impl Reconciler {
    pub(crate) fn new(redis: Redis, clock: SharedClock, namespace: String) -> Self {
        Self {
            redis,
            clock,
            add: RedisScript::new(ADD),
            heartbeat: RedisScript::new(HEARTBEAT),
            namespace,
            known: Known::default(),
            beaten: None,
            apart: false,
            rounds: 0,
        }
    }

    /// Does one round, with the pause before the next.
    pub(crate) async fn round(&mut self, limits: &Limits) -> (Sharing, Duration) {
        match self.tell(limits).await {
            Ok(()) => (Sharing::Shared { apart: self.apart }, ROUND_EVERY),
            Err(error) => {
                self.beaten = None;
                (Sharing::Lost { why: error.to_string() }, RETRY_AFTER)
            }
        }
    }

    async fn tell(&mut self, limits: &Limits) -> Result<(), RedisError> {
        let now = self.clock.now();
        if self.beaten.is_none_or(|at| now.since(at) >= HEARTBEAT_EVERY) {
            let key = ["plimsoll:{limits}:nodes".to_owned()];
            let keys = self
                .redis
                .run(&self.heartbeat, &key, std::slice::from_ref(&self.namespace))
                .await?;
            self.apart = keys.first().is_some_and(|different| *different > 1);
            self.known.forget(now.0);
            self.beaten = Some(now);
        }
        self.rounds = self.rounds.wrapping_add(1);
        let spent = limits.spent(now, KEYS_PER_ROUND_MAX, self.rounds);
        for (told, call) in spent.chunks(KEYS_PER_CALL_MAX).enumerate() {
            if let Err(error) = self.call(call).await {
                // Where only the answer was lost this is told twice: better than not at all.
                spent[told * KEYS_PER_CALL_MAX..].iter().for_each(Spent::keep);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn call(&mut self, call: &[Spent]) -> Result<(), RedisError> {
        let mut keys = Vec::with_capacity(call.len());
        let mut arguments = Vec::with_capacity(call.len() * 4 + 1);
        for spent in call {
            let (limit, key) = (spent.state.shared_id, spent.key);
            keys.push(format!("plimsoll:{{limits}}:{}:{limit:016x}:{key:016x}", self.namespace));
            arguments.extend(spent.told().map(|figure| figure.to_string()));
        }
        arguments.push(KEPT_MARGIN_MS.to_string());
        let answer = self.redis.run(&self.add, &keys, &arguments).await?;
        let now = self.clock.now().0;
        for (spent, total) in call.iter().zip(answer.chunks_exact(2)) {
            let number = |at: usize| u64::try_from(total[at]).unwrap_or(0);
            let total = Total { units: number(0), owed: number(1).saturating_mul(1_000) };
            self.known.hear(spent, total, now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
