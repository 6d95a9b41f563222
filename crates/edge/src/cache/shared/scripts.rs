//! What Redis runs, whole and with nothing in between, and what it answers.
//!
//! One hash is the head: the log's epoch, when it was born, the number of its last event, and for
//! each node when it last asked and what it had heard then. It is one key so that an eviction takes
//! all of it or nothing. The log is a stream whose ids are the numbers, and in which each event has
//! a tag that no other ever has. All times are Redis' own.
//!
//! A replica that takes over, or a file that was written up to a second ago, brings back a log that
//! lacks its last events, and new ones take their numbers. Nobody could tell by the numbers, so
//! each call says the tag of the last event that its node knows: where another stands in its place,
//! or none, what nodes know is of no log that there is, and another epoch begins. So it does where
//! the head is gone, or the events are.

use plimsoll_store::{RedisError, RedisScript};

use super::positions::Position;

/// Makes the head where there is none that goes on what the node knows. Arguments: the epoch that
/// it would have; how long the keys live on when nobody asks, milliseconds; the epoch that the node
/// follows, the last number that it knows of it, and that event's tag; the node.
///
/// An event that is no longer kept, because so many came after it, proves nothing either way: its
/// node alone begins anew. The first write is none that a full Redis refuses, and after it a script
/// is refused no other: a log of a bounded size must not end because answers take all there is.
const BEGIN: &str = r"
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local head = redis.call('HMGET', KEYS[1], 'epoch', 'number')
local epoch, number = head[1], head[2]
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local whole = epoch and (last and last[1] or '0-0') == number .. '-0'
if whole and epoch == ARGV[3] and ARGV[4] ~= '0' then
  local id = ARGV[4] .. '-0'
  local known = redis.call('XRANGE', KEYS[2], id, id)[1]
  local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
  if known then
    whole = known[2][2] == ARGV[5]
  else
    whole = first and tonumber(ARGV[4]) < tonumber(string.match(first[1], '^%d+'))
  end
end
if not whole then
  epoch, number, last = ARGV[1], '0', nil
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'born', string.format('%.0f', now), 'number', '0')
end
local tag = last and last[2][2] or ''
";

/// Says what the node had heard, which was ARGV[7] of the epoch that it follows, and answers what
/// stands behind it, ARGV[8] events at most, each with its number and its tag.
const HEAR: &str = r"
local answer = {epoch, number, tag}
if epoch == ARGV[3] then
  redis.call('HSET', KEYS[1], 'node:' .. ARGV[6], string.format('%.0f:', now) .. ARGV[7])
  local behind = '(' .. ARGV[7] .. '-0'
  for _, event in ipairs(redis.call('XRANGE', KEYS[2], behind, '+', 'COUNT', ARGV[8])) do
    answer[#answer + 1] = event[1]
    answer[#answer + 1] = event[2][2]
    answer[#answer + 1] = event[2][4]
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return answer";

/// Adds the events behind ARGV[10], with tags that begin with that, and answers up to which number
/// every other node has heard that asked within ARGV[7] milliseconds; nothing where the log is
/// younger than that, since nodes that do not know of it may still believe what they heard before
/// it. Nodes that did not ask for ARGV[8] are forgotten. ARGV[9]: events that are kept, about.
const TELL: &str = r"
number = tonumber(number)
for i = 11, #ARGV do
  number = number + 1
  tag = ARGV[10] .. '.' .. i
  local id = string.format('%.0f-0', number)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[9], id, 'tag', tag, 'event', ARGV[i])
end
local all = redis.call('HGETALL', KEYS[1])
local heard, born = number, now
for i = 1, #all, 2 do
  if all[i] == 'born' then
    born = tonumber(all[i + 1])
  elseif string.sub(all[i], 1, 5) == 'node:' and string.sub(all[i], 6) ~= ARGV[6] then
    local asked, upto = string.match(all[i + 1], '^(%d+):(%d+)$')
    local ago = now - tonumber(asked)
    if ago < tonumber(ARGV[7]) then
      heard = math.min(heard, tonumber(upto))
    elseif ago > tonumber(ARGV[8]) then
      redis.call('HDEL', KEYS[1], all[i])
    end
  end
end
number = string.format('%.0f', number)
redis.call('HSET', KEYS[1], 'number', number)
local known = now - born >= tonumber(ARGV[7])
return {epoch, number, tag, known and string.format('%.0f', heard) or ''}";

/// The node ARGV[1] is waited for no longer.
const LEAVE: &str = r"
redis.call('HDEL', KEYS[1], 'node:' .. ARGV[1])
return {}";

/// Stores the answer ARGV[2] as the variant ARGV[1], for ARGV[3] milliseconds; where there are
/// ARGV[4] others already, they go.
const STORE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local many = redis.call('HLEN', KEYS[1])
if many >= tonumber(ARGV[4]) and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:', now) .. ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return {}";

/// Answers the time, and what is stored under each key, ARGV[1] bytes at most: the number of the
/// key and the answer, in turn.
const FETCH: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer, left = {string.format('%.0f', now)}, tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  for _, value in ipairs(redis.call('HVALS', key)) do
    left = left - #value
    if left >= 0 then
      answer[#answer + 1] = tostring(i)
      answer[#answer + 1] = value
    end
  end
end
return answer";

/// All of them.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) hear: RedisScript,
    pub(super) tell: RedisScript,
    pub(super) leave: RedisScript,
    pub(super) store: RedisScript,
    pub(super) fetch: RedisScript,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            hear: RedisScript::new(&[BEGIN, HEAR].concat()),
            tell: RedisScript::new(&[BEGIN, TELL].concat()),
            leave: RedisScript::new(LEAVE),
            store: RedisScript::new(STORE),
            fetch: RedisScript::new(FETCH),
        }
    }
}

/// Why the log could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("Redis holds under our keys what no node wrote")]
    Answer,
    #[error("another log has begun")]
    Moved,
}

/// What stands behind what was heard.
#[derive(Debug)]
pub(super) struct Behind<'a> {
    /// The last event.
    pub(super) last: Position,
    /// Its tag; empty where there is none yet.
    pub(super) tag: &'a [u8],
    /// The next ones.
    pub(super) events: Vec<Next<'a>>,
}

/// An event in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next<'a> {
    pub(super) number: u64,
    /// What no other event has, in this log or in another.
    pub(super) tag: &'a [u8],
    pub(super) event: &'a [u8],
}

/// What was told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The last event.
    pub(super) last: Position,
    /// Its tag.
    pub(super) tag: Vec<u8>,
    /// Up to where every node has heard that may believe to know everything.
    pub(super) heard: Option<u64>,
}

fn number(text: &[u8]) -> Result<u64, LogError> {
    let text = std::str::from_utf8(text).map_err(|_| LogError::Answer)?;
    text.parse().map_err(|_| LogError::Answer)
}

impl<'a> Behind<'a> {
    pub(super) fn of(answer: &'a [Vec<u8>]) -> Result<Self, LogError> {
        let [epoch, last, tag, events @ ..] = answer else { return Err(LogError::Answer) };
        let last = Position { epoch: number(epoch)?, number: number(last)? };
        let event = |next: &'a [Vec<u8>]| {
            let id = next[0].strip_suffix(b"-0").ok_or(LogError::Answer)?;
            Ok(Next { number: number(id)?, tag: &next[1], event: &next[2] })
        };
        let events = events.chunks_exact(3).map(event).collect::<Result<_, LogError>>()?;
        Ok(Self { last, tag, events })
    }
}

impl Told {
    pub(super) fn of(answer: &[Vec<u8>]) -> Result<Self, LogError> {
        let [epoch, last, tag, heard] = answer else { return Err(LogError::Answer) };
        let last = Position { epoch: number(epoch)?, number: number(last)? };
        let heard = if heard.is_empty() { None } else { Some(number(heard)?) };
        Ok(Self { last, tag: tag.clone(), heard })
    }
}

/// What [`FETCH`] answers of one key: its place, how long the answer has stood there, and the
/// answer. What cannot be read is left out.
pub(super) fn fetched(
    answer: &[Vec<u8>],
) -> impl Iterator<Item = (usize, std::time::Duration, &[u8])> {
    let (now, held) = answer
        .split_first()
        .map_or((0, answer), |(now, held)| (number(now).unwrap_or_default(), held));
    held.chunks_exact(2).filter_map(move |pair| {
        let place = usize::try_from(number(&pair[0]).ok()?.checked_sub(1)?).ok()?;
        let colon = pair[1].iter().position(|byte| *byte == b':')?;
        let (stored, sealed) = (number(&pair[1][..colon]).ok()?, &pair[1][colon + 1..]);
        let stood = std::time::Duration::from_millis(now.saturating_sub(stored));
        Some((place, stood, sealed))
    })
}

#[cfg(test)]
mod tests;
