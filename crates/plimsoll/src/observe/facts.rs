//! What a look saw, put together.

use plimsoll_ledger::EVIDENCE_TEXT_BYTES_MAX;
use serde_json::{Map, Value};
use uuid::Uuid;

/// The fact that says which node looked.
pub(super) const NODE: &str = "node";

/// What was seen, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    facts: Map<String, Value>,
    nature: Nature,
}

/// What kind of sight it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Something is so or is not.
    #[default]
    Found,
    /// Figures of the last minutes, which are never quite the same.
    Live,
    /// There was nothing to be seen, such as figures of a time without requests.
    Idle,
}

impl Seen {
    /// With the sentence that a green gate shows.
    pub(crate) fn saying(says: impl AsRef<str>) -> Self {
        Self::default().text("says", says)
    }

    /// A number; what no ledger's number holds is the largest that one does.
    pub(crate) fn count<N: TryInto<i64>>(mut self, name: &str, count: N) -> Self {
        self.facts.insert(name.to_owned(), count.try_into().unwrap_or(i64::MAX).into());
        self
    }

    pub(crate) fn flag(mut self, name: &str, is: bool) -> Self {
        self.facts.insert(name.to_owned(), is.into());
        self
    }

    /// Cut where it is longer than the ledger takes.
    pub(crate) fn text(mut self, name: &str, text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        let text = text.get(..text.floor_char_boundary(EVIDENCE_TEXT_BYTES_MAX)).unwrap_or("");
        self.facts.insert(name.to_owned(), text.into());
        self
    }

    /// The first of several, where there is one.
    pub(crate) fn first<T: AsRef<str>>(self, name: &str, several: &[T]) -> Self {
        match several.first() {
            Some(first) => self.text(name, first),
            None => self,
        }
    }

    pub(crate) fn live(self) -> Self {
        Self { nature: Nature::Live, ..self }
    }

    pub(crate) fn idle(self) -> Self {
        Self { nature: Nature::Idle, ..self }
    }

    pub(super) fn nature(&self) -> Nature {
        self.nature
    }

    /// With the node that looked.
    pub(super) fn facts(self, node: Uuid) -> Map<String, Value> {
        self.text(NODE, node.to_string()).facts
    }
}

/// `1 operation`, `2 operations`.
pub(crate) fn many(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}
