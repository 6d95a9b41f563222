//! A stored answer, and whether it may be used for a request now.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use plimsoll_base::Nanos;
use plimsoll_http_kit::caching::RequestControl;
use plimsoll_http_kit::caching::storing::{Audience, Terms};
use plimsoll_http_kit::caching::vary::Selection;
use smallvec::SmallVec;

use super::key::Mark;
use super::stamps::{Ordinal, Stamps};
use super::tally::Tally;

/// How far the wall clocks of two nodes may lie apart. A token that another node gave is obeyed as
/// if it had been given so much later.
pub(super) const CLOCKS_APART_MAX: Duration = Duration::from_secs(2);

/// When an answer was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) ordinal: Ordinal,
    pub(crate) unix_ms: u64,
    /// It is a write's own answer, which that write does not make old.
    pub(crate) own: Option<Ordinal>,
}

impl Asked {
    /// Whether what happened at `event` was before it.
    fn is_after(self, event: Ordinal) -> bool {
        event <= self.ordinal || self.own == Some(event)
    }
}

/// From when on an answer must have been asked for to be shown to this caller.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Demand {
    /// Their last write here.
    pub(crate) since: Ordinal,
    /// Their last write anywhere, as they say, milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) since_unix_ms: Option<u64>,
}

impl Demand {
    pub(crate) fn is_met_by(&self, asked: Asked) -> bool {
        let apart = u64::try_from(CLOCKS_APART_MAX.as_millis()).unwrap_or(u64::MAX);
        asked.is_after(self.since)
            && self.since_unix_ms.is_none_or(|since| asked.unix_ms > since.saturating_add(apart))
    }
}

/// What is kept of an answer beside its bytes.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) status: StatusCode,
    pub(crate) head: HeaderMap,
    pub(crate) selection: Selection,
    /// The range that was asked for, where it is a part.
    pub(crate) range: Option<HeaderValue>,
    pub(crate) terms: Terms,
    pub(crate) asked: Asked,
    /// When its head came.
    pub(crate) came: Nanos,
    /// What it becomes invalid with.
    pub(crate) marks: SmallVec<[Mark; 2]>,
    pub(crate) tally: Arc<Tally>,
}

/// A stored answer.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kept: Kept,
    pub(crate) body: Bytes,
    bytes: usize,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.kept.tally.release(self.bytes);
    }
}

/// Bytes an entry takes beside its fields and its body, about.
const ENTRY_BYTES: usize = 512;
/// The same for a field.
const FIELD_BYTES: usize = 32;

/// What a request may make of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It is the answer.
    Fresh,
    /// It is stale, and the client takes it so.
    Taken,
    /// It is the answer while a newer one is fetched.
    WhileRevalidating,
    /// The service has to be asked first.
    Ask {
        /// The client wanted that; else the entry is stale.
        wanted: bool,
        /// It may stand in if the service fails.
        if_error: bool,
    },
}

impl Entry {
    pub(crate) fn new(kept: Kept, body: Bytes) -> Self {
        let bytes = bytes(&kept, &body);
        kept.tally.hold(bytes);
        Self { kept, body, bytes }
    }

    pub(crate) fn audience(&self) -> Audience {
        self.kept.terms.audience
    }

    /// How old it is.
    pub(crate) fn age(&self, now: Nanos) -> Duration {
        self.kept.terms.age.saturating_add(now.since(self.kept.came))
    }

    /// Seconds it is still fresh; below zero once it is stale.
    pub(crate) fn ttl(&self, now: Nanos) -> i64 {
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        seconds(self.kept.terms.fresh).saturating_sub(seconds(self.age(now)))
    }

    /// Whether nothing has invalidated it.
    pub(crate) fn is_valid(&self, stamps: &Stamps) -> bool {
        self.kept.marks.iter().all(|mark| self.kept.asked.is_after(stamps.invalidated(*mark)))
    }

    /// What a request with these directives may make of it.
    pub(crate) fn judge(
        &self,
        control: &RequestControl,
        demand: &Demand,
        stamps: &Stamps,
        now: Nanos,
    ) -> Use {
        if !self.is_valid(stamps) || !demand.is_met_by(self.kept.asked) {
            return Use::Ask { wanted: false, if_error: false };
        }
        let terms = &self.kept.terms;
        let age = self.age(now);
        let stale = age.saturating_sub(terms.fresh);
        let is_fresh = age < terms.fresh;
        let within = |beyond: Duration| !is_fresh && stale <= beyond && !beyond.is_zero();
        let if_error = is_fresh || within(terms.if_error);
        let seconds = Duration::from_secs;
        if control.no_cache
            || control.no_store
            || control.max_age.is_some_and(|max| age > seconds(max) || (max == 0))
            || control.min_fresh.is_some_and(|min| terms.fresh.saturating_sub(age) < seconds(min))
        {
            return Use::Ask { wanted: true, if_error: if_error && !control.no_cache };
        }
        if is_fresh {
            return Use::Fresh;
        }
        let takes = !terms.strict && !terms.revalidates;
        if takes && control.max_stale.is_some_and(|max| stale <= seconds(max)) {
            return Use::Taken;
        }
        if within(terms.while_revalidating) {
            return Use::WhileRevalidating;
        }
        Use::Ask { wanted: false, if_error }
    }

    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn bytes(kept: &Kept, body: &Bytes) -> usize {
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + FIELD_BYTES
    };
    let head: usize = kept.head.iter().map(field).sum();
    ENTRY_BYTES + head + kept.selection.bytes() + body.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn entry(terms: Terms) -> Entry {
        let kept = Kept {
            status: StatusCode::OK,
            head: HeaderMap::new(),
            selection: Selection::default(),
            range: None,
            terms,
            asked: Asked { ordinal: Ordinal::default(), unix_ms: 0, own: None },
            came: Nanos(0),
            marks: SmallVec::new(),
            tally: Arc::new(Tally::new("x".into())),
        };
        Entry::new(kept, Bytes::new())
    }

    fn terms() -> impl Strategy<Value = Terms> {
        (0_u64..9, 0_u64..9, 0_u64..9, 0_u64..9, any::<bool>(), any::<bool>()).prop_map(
            |(age, fresh, revalidating, error, strict, revalidates)| Terms {
                audience: Audience::Anyone,
                age: SECOND * u32::try_from(age).unwrap(),
                fresh: Duration::from_secs(fresh),
                strict,
                revalidates,
                // As they are judged: what is strict is never used stale.
                while_revalidating: Duration::from_secs(if strict { 0 } else { revalidating }),
                if_error: Duration::from_secs(if strict { 0 } else { error }),
                omitted: SmallVec::new(),
            },
        )
    }

    proptest! {
        #[test]
        fn nothing_is_used_beyond_its_terms(
            terms in terms(),
            later in 0_u64..20,
            max_stale in prop::option::of(0_u64..9),
        ) {
            let now = Nanos::default().plus(Duration::from_secs(later));
            let control = RequestControl { max_stale, ..RequestControl::default() };
            let age = terms.age + Duration::from_secs(later);
            let fresh = age < terms.fresh;
            let stale = age.saturating_sub(terms.fresh);
            let held = entry(terms.clone());
            match held.judge(&control, &Demand::default(), &Stamps::default(), now) {
                Use::Fresh => prop_assert!(fresh),
                Use::Taken => {
                    prop_assert!(!fresh && !terms.strict && !terms.revalidates);
                    prop_assert!(stale <= Duration::from_secs(max_stale.unwrap()));
                }
                Use::WhileRevalidating => {
                    prop_assert!(!fresh && !terms.strict && stale <= terms.while_revalidating);
                }
                Use::Ask { wanted, if_error } => {
                    prop_assert!(!fresh && !wanted);
                    prop_assert!(!if_error || (!terms.strict && stale <= terms.if_error));
                }
            }
        }

        /// Whatever else holds: after their own write nobody is shown it without asking.
        #[test]
        fn nothing_older_than_a_write_is_used(terms in terms(), by_mark in any::<bool>()) {
            let stamps = Stamps::default();
            let mut held = entry(terms);
            held.kept.marks.push(Mark(7));
            let writer = super::super::key::Writer(3);
            let stamped = if by_mark {
                stamps.write([Mark(7)], None)
            } else {
                stamps.write([], Some(writer))
            };
            let demand = Demand { since: stamps.written(writer), since_unix_ms: None };
            let control = RequestControl::default();
            let made = held.judge(&control, &demand, &stamps, Nanos(0));
            prop_assert_eq!(made, Use::Ask { wanted: false, if_error: false });
            // But for the write's own answer.
            held.kept.asked.own = Some(stamped.ordinal);
            let own = held.judge(&control, &demand, &stamps, Nanos(0));
            let untouched = held.judge(&control, &Demand::default(), &Stamps::default(), Nanos(0));
            prop_assert_eq!(own, untouched);
        }
    }

    #[test]
    fn a_token_is_obeyed_as_if_clocks_were_as_far_apart_as_they_may_be() {
        let asked = |unix_ms| Asked { ordinal: Ordinal::default(), unix_ms, own: None };
        let demand = Demand { since: Ordinal::default(), since_unix_ms: Some(10_000) };
        assert!(!demand.is_met_by(asked(9_000)) && !demand.is_met_by(asked(12_000)));
        assert!(demand.is_met_by(asked(12_001)));
        let never = Demand { since_unix_ms: Some(u64::MAX), ..demand };
        assert!(!never.is_met_by(asked(u64::MAX)));
    }
}
