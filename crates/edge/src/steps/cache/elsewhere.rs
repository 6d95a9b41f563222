//! A read that found nothing here, and looks among what other nodes stored.

use std::sync::Arc;

use http::request::Parts;
use plimsoll_http_kit::caching::status::Forward;
use plimsoll_http_kit::hygiene::RequestFacts;
use plimsoll_telemetry::Counter;

use super::read::{Read, Role, Sought};
use super::{Looked, Turn, refresh};
use crate::config::Config;
use crate::conn::ConnContext;
use crate::exchange::Exchange;
use crate::steps::route::Route;

/// Looks for an answer that another node stored. What is found is this node's from then on.
pub(crate) async fn look_elsewhere(
    context: &Arc<ConnContext>,
    config: &Config,
    exchange: &Exchange,
    route: Route<'_>,
    facts: &RequestFacts,
    head: &mut Parts,
    turn: Turn,
) -> Looked {
    let Turn::Read(mut read) = turn else { return Looked::Onward(turn) };
    if !read.fetch(context).await {
        return Looked::Onward(Turn::Read(read));
    }
    match read.seek(context) {
        Sought::Answer(passed) => {
            read.tell_followers();
            Looked::Answered(passed)
        }
        Sought::AnswerAndRefresh(passed) => {
            read.tell_followers();
            refresh::begin(context, config, exchange, route, facts, head, read);
            Looked::Answered(passed)
        }
        Sought::Nothing => {
            // What the service is asked about may be another answer now.
            read.prepare_alone(head);
            Looked::Onward(Turn::Read(read))
        }
    }
}

impl Read {
    /// Whether other nodes may have what this one has not. Whoever waits for another's answer, or
    /// wants the service's own word, does not look.
    pub(super) fn seeks_elsewhere(&self) -> bool {
        let reached = self.held.shared.as_ref().is_some_and(|(shared, _)| shared.is_reached());
        let wanted = self.control.no_store || self.why == Forward::Request;
        reached && !wanted && !self.waits() && self.held.habits.is_worth_waiting(self.habit)
    }

    /// Takes over what others stored later than what is stored here. True where there was any.
    async fn fetch(&mut self, context: &ConnContext) -> bool {
        let Some((shared, _)) = &self.held.shared else { return false };
        let keys: smallvec::SmallVec<[_; 2]> = self.keys().collect();
        let (outcome, found) = shared.look(&keys, &self.tally()).await;
        context.core.shard.count(Counter::SharedCache(outcome));
        let mut any = false;
        for (key, entry) in found {
            let older = self
                .stored
                .as_ref()
                .is_some_and(|stored| stored.entry.kept.asked.unix_ms >= entry.kept.asked.unix_ms);
            // What other requests select they look for themselves.
            let kept = &entry.kept;
            if !older && kept.selection.matches(&self.request, &kept.head) {
                any |= self.held.store.take_over(key, &entry);
            }
        }
        any
    }

    /// The answer that others wait for is stored.
    fn tell_followers(&mut self) {
        if let Role::Leads(leader) = std::mem::replace(&mut self.role, Role::Alone) {
            leader.stored();
        }
    }
}
