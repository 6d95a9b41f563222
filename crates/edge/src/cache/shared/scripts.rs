//! What Redis runs, whole and with nothing in between, and what it answers.
//!
//! One hash is the head: the log's epoch, when it was born, the number of its last event, and for
//! each node when it last asked and what it had heard then. It is one key so that an eviction takes
//! all of it or nothing; where it is gone another epoch begins. The log is a stream whose ids are
//! the numbers. All times are Redis' own.

use plimsoll_store::{RedisError, RedisScript};

use super::positions::Position;

/// Makes the head where there is none: its arguments begin with the epoch that it would have.
const BEGIN: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  epoch = ARGV[1]
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'born', string.format('%.0f', now), 'number', '0')
end
";

/// Says what the node ARGV[2] had heard, which was ARGV[4] of the epoch ARGV[3], and answers
/// ARGV[5] events behind it at most. ARGV[6]: how long the keys live on when
/// nobody asks, milliseconds.
const HEAR: &str = r"
local answer = {epoch, redis.call('HGET', KEYS[1], 'number')}
if epoch == ARGV[3] then
  redis.call('HSET', KEYS[1], 'node:' .. ARGV[2], string.format('%.0f:', now) .. ARGV[4])
  local behind = '(' .. ARGV[4] .. '-0'
  for _, event in ipairs(redis.call('XRANGE', KEYS[2], behind, '+', 'COUNT', ARGV[5])) do
    answer[#answer + 1] = event[1]
    answer[#answer + 1] = event[2][2]
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
return answer";

/// Adds the events behind ARGV[4], and answers up to which number every node has heard that asked
/// within ARGV[2] milliseconds; nothing where the log is younger than that, since nodes that do not
/// know of it may still believe what they heard before it. Nodes that did not ask for ARGV[3] are
/// forgotten. ARGV[4]: events that are kept, about.
const TELL: &str = r"
local number = tonumber(redis.call('HGET', KEYS[1], 'number'))
for i = 5, #ARGV do
  number = number + 1
  local id = string.format('%.0f-0', number)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], id, 'event', ARGV[i])
end
local all = redis.call('HGETALL', KEYS[1])
local heard, born = number, now
for i = 1, #all, 2 do
  if all[i] == 'born' then
    born = tonumber(all[i + 1])
  elseif string.sub(all[i], 1, 5) == 'node:' then
    local asked, upto = string.match(all[i + 1], '^(%d+):(%d+)$')
    local ago = now - tonumber(asked)
    if ago < tonumber(ARGV[2]) then
      heard = math.min(heard, tonumber(upto))
    elseif ago > tonumber(ARGV[3]) then
      redis.call('HDEL', KEYS[1], all[i])
    end
  end
end
number = string.format('%.0f', number)
redis.call('HSET', KEYS[1], 'number', number)
local known = now - born >= tonumber(ARGV[2])
return {epoch, number, known and string.format('%.0f', heard) or ''}";

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
    /// The next ones, with their numbers.
    pub(super) events: Vec<(u64, &'a [u8])>,
}

/// What was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// The last event.
    pub(super) last: Position,
    /// Up to where every node has heard that may believe to know everything.
    pub(super) heard: Option<u64>,
}

fn number(text: &[u8]) -> Result<u64, LogError> {
    let text = std::str::from_utf8(text).map_err(|_| LogError::Answer)?;
    text.parse().map_err(|_| LogError::Answer)
}

impl<'a> Behind<'a> {
    pub(super) fn of(answer: &'a [Vec<u8>]) -> Result<Self, LogError> {
        let [epoch, last, events @ ..] = answer else { return Err(LogError::Answer) };
        let last = Position { epoch: number(epoch)?, number: number(last)? };
        let event = |pair: &'a [Vec<u8>]| {
            let id = pair[0].strip_suffix(b"-0").ok_or(LogError::Answer)?;
            Ok((number(id)?, &pair[1][..]))
        };
        let events = events.chunks_exact(2).map(event).collect::<Result<_, LogError>>()?;
        Ok(Self { last, events })
    }
}

impl Told {
    pub(super) fn of(answer: &[Vec<u8>]) -> Result<Self, LogError> {
        let [epoch, last, heard] = answer else { return Err(LogError::Answer) };
        let last = Position { epoch: number(epoch)?, number: number(last)? };
        let heard = if heard.is_empty() { None } else { Some(number(heard)?) };
        Ok(Self { last, heard })
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
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    #[test]
    fn what_redis_answers_is_read_or_refused() {
        let answer = texts(&["7", "3", "2-0", "a", "3-0", "b"]);
        let behind = Behind::of(&answer).unwrap();
        assert_eq!(behind.last, Position { epoch: 7, number: 3 });
        assert_eq!(behind.events, [(2, &b"a"[..]), (3, &b"b"[..])]);
        for wrong in [&["7"][..], &["x", "3"], &["7", "3", "2-1", "a"], &["7", "3", "-0", "a"]] {
            assert!(Behind::of(&texts(wrong)).is_err(), "{wrong:?}");
        }
        assert_eq!(Told::of(&texts(&["7", "3", "2"])).unwrap().heard, Some(2));
        assert_eq!(Told::of(&texts(&["7", "3", ""])).unwrap().heard, None);
        assert!(Told::of(&texts(&["7", "3"])).is_err());
        let answer = texts(&["1500", "1", "1000:abc", "2", "999", "0", "1:x"]);
        let read: Vec<_> = fetched(&answer).collect();
        assert_eq!(read, [(0, std::time::Duration::from_millis(500), &b"abc"[..])]);
        assert_eq!(fetched(&[]).count(), 0);
    }
}
