//! What a connection's last request said of its client: an app says the same each time.

use http::{HeaderMap, HeaderValue};

use super::{ClientContext, ClientRules};
use crate::hygiene::Fields;

/// The longest field that is remembered, in bytes.
const REMEMBERED_BYTES_MAX: usize = 512;

/// The last context of one connection, and the very fields it was read from.
#[derive(Default)]
pub struct ClientMemo {
    said: Vec<u8>,
    agent: Vec<u8>,
    context: Option<ClientContext>,
}

impl ClientMemo {
    fn is_of(&self, said: &[u8], agent: &[u8]) -> bool {
        self.said == said && self.agent == agent
    }

    fn keep(&mut self, said: &[u8], agent: &[u8], context: &ClientContext) {
        // Copies: a reference would keep the buffer that the request was read into.
        for (kept, new) in [(&mut self.said, said), (&mut self.agent, agent)] {
            kept.clear();
            kept.extend_from_slice(new);
        }
        self.context = Some(context.clone());
    }
}

impl ClientRules {
    /// As [`Self::read`], without reading again what the same connection said before. Where more
    /// than `Plimsoll-Client` in one line and `User-Agent` counts, nothing is remembered.
    #[must_use]
    pub fn read_again(
        &self,
        headers: &HeaderMap,
        fields: &Fields<'_>,
        memo: &mut ClientMemo,
    ) -> ClientContext {
        let only_these = !self.any
            && fields.plimsoll_client.count() <= 1
            && fields.user_agent.count() <= 1
            && fields.sec_ch_ua_platform.count() == 0;
        let said = fields.plimsoll_client.first().map_or(&[][..], HeaderValue::as_bytes);
        let agent = fields.user_agent.first().map_or(&[][..], HeaderValue::as_bytes);
        if !only_these || said.len().max(agent.len()) > REMEMBERED_BYTES_MAX {
            return self.read(headers, fields);
        }
        match &memo.context {
            Some(context) if memo.is_of(said, agent) => context.clone(),
            _ => {
                let context = self.read(headers, fields);
                memo.keep(said, agent, &context);
                context
            }
        }
    }
}

impl std::fmt::Debug for ClientMemo {
    /// An installation id may stand in the fields; it follows a person around.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientMemo").field("context", &self.context).finish_non_exhaustive()
    }
}
