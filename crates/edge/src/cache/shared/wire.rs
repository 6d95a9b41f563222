//! What nodes tell each other, as bytes: events in the log, and stored answers. Each form has a
//! number, and one that is not known here is not guessed at: of an event that cannot be read
//! everything is dropped, and an answer that cannot be read is none.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use plimsoll_http_kit::caching::storing::{Audience, Terms};
use plimsoll_http_kit::caching::vary::Selection;
use smallvec::SmallVec;

use super::super::entry::{Asked, Entry, Kept};
use super::super::key::{Mark, Writer};
use super::positions::Position;

/// The form of an event.
const EVENT: u8 = 1;
/// The form of an answer.
const ANSWER: u8 = 1;
/// What one event makes invalid; a write with more makes everything invalid.
const MARKS_MAX: usize = 256;

/// What happened on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A write.
    Write {
        /// What it made invalid.
        marks: Vec<Mark>,
        /// Who wrote.
        writer: Option<Writer>,
    },
    /// More than can be said: whatever was asked for before is invalid.
    Everything,
}

impl Event {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![EVENT];
        match self {
            Self::Write { marks, writer } if marks.len() <= MARKS_MAX => {
                bytes.push(if writer.is_some() { 2 } else { 1 });
                writer.iter().for_each(|writer| bytes.extend(writer.0.to_le_bytes()));
                marks.iter().for_each(|mark| bytes.extend(mark.0.to_le_bytes()));
            }
            Self::Write { .. } | Self::Everything => bytes.push(0),
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let read = || {
            let mut reader = Reader(bytes);
            (reader.u8()? == EVENT).then_some(())?;
            let writer = match reader.u8()? {
                1 => None,
                2 => Some(Writer(reader.u64()?)),
                _ => return None,
            };
            (reader.0.len() % 8 == 0 && reader.0.len() <= MARKS_MAX * 8).then_some(())?;
            let marks = std::iter::from_fn(|| reader.u64().map(Mark)).collect();
            Some(Self::Write { marks, writer })
        };
        read().unwrap_or(Self::Everything)
    }
}

/// A stored answer on its way to another node, or from one.
#[derive(Debug)]
pub(super) struct Answer {
    /// When it was asked for, in the log.
    pub(super) position: Position,
    /// The same by the wall clock of its node, milliseconds since 1970-01-01T00:00:00Z.
    pub(super) asked_unix_ms: u64,
    /// When it was told, by the same clock.
    pub(super) told_unix_ms: u64,
    /// The terms, of which the age is that when it was told.
    pub(super) terms: Terms,
    pub(super) status: StatusCode,
    pub(super) head: HeaderMap,
    pub(super) selection: Selection,
    pub(super) marks: SmallVec<[Mark; 2]>,
    pub(super) body: Bytes,
}

/// Everything of `entry` but what belongs to its node alone.
pub(super) fn answer(
    entry: &Entry,
    age: Duration,
    position: Position,
    told_unix_ms: u64,
) -> Vec<u8> {
    let Kept { status, head, selection, terms, asked, marks, .. } = &entry.kept;
    let mut out = Vec::with_capacity(entry.bytes());
    out.push(ANSWER);
    for number in [position.epoch, position.number, asked.unix_ms, told_unix_ms] {
        out.extend(number.to_le_bytes());
    }
    out.push(match terms.audience {
        Audience::Anyone => 0,
        Audience::Anonymous => 1,
        Audience::Subject => 2,
    });
    out.push(u8::from(terms.strict) | u8::from(terms.revalidates) << 1);
    for span in [age, terms.fresh, terms.while_revalidating, terms.if_error] {
        out.extend(u64::try_from(span.as_millis()).unwrap_or(u64::MAX).to_le_bytes());
    }
    out.extend(status.as_u16().to_le_bytes());
    put_length(&mut out, head.len());
    for (name, value) in head {
        put_bytes(&mut out, name.as_str().as_bytes());
        put_bytes(&mut out, value.as_bytes());
    }
    put_length(&mut out, selection.fields().len());
    for (name, value) in selection.fields() {
        put_bytes(&mut out, name.as_str().as_bytes());
        out.push(u8::from(value.is_some()));
        put_bytes(&mut out, value.unwrap_or_default());
    }
    put_length(&mut out, marks.len());
    marks.iter().for_each(|mark| out.extend(mark.0.to_le_bytes()));
    put_bytes(&mut out, &entry.body);
    out
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

impl Answer {
    /// `None` where it is not of this form, to the last byte.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        (reader.u8()? == ANSWER).then_some(())?;
        let position = Position { epoch: reader.u64()?, number: reader.u64()? };
        let (asked_unix_ms, told_unix_ms) = (reader.u64()?, reader.u64()?);
        let audience = match reader.u8()? {
            0 => Audience::Anyone,
            1 => Audience::Anonymous,
            2 => Audience::Subject,
            _ => return None,
        };
        let flags = reader.u8()?;
        (flags < 4).then_some(())?;
        let mut span = || reader.u64().map(Duration::from_millis);
        let (age, fresh) = (span()?, span()?);
        let (while_revalidating, if_error) = (span()?, span()?);
        let terms = Terms {
            audience,
            age,
            fresh,
            strict: flags & 1 != 0,
            revalidates: flags & 2 != 0,
            while_revalidating,
            if_error,
            omitted: SmallVec::new(),
        };
        let status = StatusCode::from_u16(reader.u16()?).ok()?;
        let head = reader.head()?;
        let selection = reader.selection()?;
        let many = reader.length()?;
        let mut marks = SmallVec::new();
        for _ in 0..many {
            marks.push(Mark(reader.u64()?));
        }
        let body = Bytes::copy_from_slice(reader.bytes()?);
        reader.0.is_empty().then_some(())?;
        let answer = Self {
            position,
            asked_unix_ms,
            told_unix_ms,
            terms,
            status,
            head,
            selection,
            marks,
            body,
        };
        Some(answer)
    }

    /// As it is kept here: `asked` for then, and `age` old now.
    pub(super) fn kept(
        self,
        asked: Asked,
        age: Duration,
        now: plimsoll_base::Nanos,
        tally: std::sync::Arc<super::super::Tally>,
    ) -> Entry {
        let terms = Terms { age, ..self.terms };
        let (status, head, selection) = (self.status, self.head, self.selection);
        let (range, came, marks) = (None, now, self.marks);
        let kept = Kept { status, head, selection, range, terms, asked, came, marks, tally };
        Entry::new(kept, self.body)
    }
}

/// What is left to read.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, many: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(many)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn length(&mut self) -> Option<usize> {
        let length = self.take(4)?.try_into().ok().map(u32::from_le_bytes)?;
        usize::try_from(length).ok()
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    fn head(&mut self) -> Option<HeaderMap> {
        let mut head = HeaderMap::new();
        for _ in 0..self.length()? {
            let name = HeaderName::from_bytes(self.bytes()?).ok()?;
            head.try_append(name, HeaderValue::from_bytes(self.bytes()?).ok()?).ok()?;
        }
        Some(head)
    }

    fn selection(&mut self) -> Option<Selection> {
        let mut fields = Vec::new();
        for _ in 0..self.length()? {
            let name = HeaderName::from_bytes(self.bytes()?).ok()?;
            let is_some = self.u8()? == 1;
            let value = self.bytes()?.to_vec();
            fields.push((name, is_some.then_some(value)));
        }
        Selection::from_fields(fields)
    }
}

#[cfg(test)]
mod tests;
