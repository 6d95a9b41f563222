//! The bytes of an answer, kept while they pass on their way to the client. Nothing is stored of an
//! answer that broke off, is too large, or ends with trailers.

use std::sync::Arc;

use crate::cache::{Entry, Held, Kept, Key, Leader};

/// Memory is taken at once for this much of an answer that says its length, bytes; the rest as it
/// comes.
const AT_ONCE_BYTES_MAX: usize = 64 * 1024;

/// See the module's page.
pub(crate) struct Tee {
    pending: Option<Pending>,
}

struct Pending {
    held: Arc<Held>,
    key: Key,
    kept: Kept,
    bytes_max: usize,
    body: Vec<u8>,
    /// Whoever waits for this answer.
    leader: Option<Leader>,
}

impl Tee {
    pub(super) fn new(
        held: Arc<Held>,
        key: Key,
        kept: Kept,
        bytes_max: usize,
        length: Option<u64>,
        leader: Option<Leader>,
    ) -> Self {
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let body = Vec::with_capacity(length.min(bytes_max).min(AT_ONCE_BYTES_MAX));
        Self { pending: Some(Pending { held, key, kept, bytes_max, body, leader }) }
    }

    /// The next bytes.
    pub(crate) fn push(&mut self, data: &[u8]) {
        let Some(pending) = &mut self.pending else { return };
        if data.len() > pending.bytes_max - pending.body.len() {
            self.pending = None;
            return;
        }
        pending.body.extend_from_slice(data);
    }

    /// It is not to be stored after all.
    pub(crate) fn abandon(&mut self) {
        self.pending = None;
    }

    /// It is whole.
    pub(crate) fn finish(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        let Pending { held, key, kept, body, leader, .. } = pending;
        let mut body = body;
        body.shrink_to_fit();
        held.keep(key, &Arc::new(Entry::new(kept, body.into())));
        if let Some(leader) = leader {
            leader.stored();
        }
    }
}
