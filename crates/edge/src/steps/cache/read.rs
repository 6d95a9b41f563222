//! A read on its way past the store.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, header};
use plimsoll_base::Nanos;
use plimsoll_http_kit::caching::status::{CacheStatus, Forward};
use plimsoll_http_kit::caching::storing::{Rules, Terms};
use plimsoll_http_kit::caching::{RequestControl, conditional};
use plimsoll_telemetry::{CacheOutcome, Counter};

use super::serve;
use crate::cache::{
    self, Asked, Cache, Demand, Entry, Follower, Found, Habit, Held, Identity, Joined, Key, Leader,
    Mark, Ordinal, Partition, Use,
};
use crate::conn::ConnContext;
use crate::exchange::Exchange;
use crate::router::Operation;
use crate::steps::forward::Passed;

/// By which a client says how late its own last write was: what a write's answer carried.
pub(super) const PLIMSOLL_FRESH: HeaderName = HeaderName::from_static("plimsoll-fresh");

/// What `Cache-Status` says of stale answers.
const TAKEN: Option<&str> = Some("client-takes-stale");
const REVALIDATING: Option<&str> = Some("while-revalidating");

/// A read that the store may answer, and whose answer it may keep.
pub(crate) struct Read {
    pub(super) held: Arc<Held>,
    pub(super) rules: Rules,
    pub(super) entry_bytes_max: usize,
    pub(super) identity: Identity,
    demand: Demand,
    pub(super) control: RequestControl,
    /// The fields as the client sent them.
    pub(super) request: HeaderMap,
    pub(super) is_head: bool,
    host: Box<str>,
    target: Mark,
    shared: Key,
    own: Option<Key>,
    name: Arc<str>,
    operation: Option<Arc<Operation>>,
    pub(super) habit: Habit,
    pub(super) asked: Asked,
    /// What is stored already and cannot be used without asking.
    pub(super) stored: Option<Stored>,
    pub(super) why: Forward,
    pub(super) role: Role,
}

/// A stored answer that the service is asked about.
pub(super) struct Stored {
    pub(super) entry: Arc<Entry>,
    pub(super) key: Key,
    /// It may stand in if the service fails.
    pub(super) if_error: bool,
    /// The service can say that it still holds.
    pub(super) is_asked_about: bool,
}

/// What this request is among those of its key.
pub(super) enum Role {
    Alone,
    Leads(Leader),
    Follows(Follower),
}

/// What the store says.
pub(super) enum Sought {
    /// The answer.
    Answer(Passed),
    /// The answer, stale, and that a newer one should be fetched.
    AnswerAndRefresh(Passed),
    /// The service has to be asked.
    Nothing,
}

impl Read {
    pub(super) fn new(
        context: &ConnContext,
        cache: &Cache,
        exchange: &Exchange,
        operation: Option<&Arc<Operation>>,
        rules: Rules,
        host: &str,
        head: &Parts,
    ) -> Self {
        let held = Arc::clone(&cache.held);
        let headers = &head.headers;
        let verified = exchange.subject().map(|verified| &**verified);
        let identity = Identity::of(&held.keys, &cache.key_fields, verified, headers);
        let place = cache::place(exchange, host);
        let control = match headers.contains_key(header::CACHE_CONTROL) {
            true => RequestControl::of(headers),
            false => RequestControl::default(),
        };
        let is_head = head.method == Method::HEAD;
        let mut request = headers.clone();
        if is_head {
            // It means nothing there (RFC 9110 §14.2).
            request.remove(header::RANGE);
        }
        let since_unix_ms = told(context, headers);
        // Perhaps they wrote elsewhere, and do not say when.
        let unseen = || since_unix_ms.is_none() && !held.knows_all_writes(&context.core.clock);
        let since = match identity.writer() {
            None => Ordinal::default(),
            Some(_) if unseen() => Ordinal::NEVER,
            Some(writer) => held.stamps.written(writer),
        };
        Self {
            demand: Demand { since, since_unix_ms },
            target: held.keys.target(host, place.target),
            shared: held.keys.key(&place, Partition::Shared),
            own: identity.own().map(|own| held.keys.key(&place, own)),
            habit: held.habits.of(exchange.operation()),
            asked: asked(context, &held),
            entry_bytes_max: cache.entry_bytes_max,
            request,
            is_head,
            host: host.into(),
            name: Arc::clone(exchange.operation()),
            operation: operation.cloned(),
            stored: None,
            why: Forward::UriMiss,
            role: Role::Alone,
            held,
            rules,
            identity,
            control,
        }
    }

    /// Under which its answer may be stored.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        [Some(self.shared), self.own].into_iter().flatten()
    }

    /// What the store has for this request.
    pub(super) fn seek(&mut self, context: &ConnContext) -> Sought {
        let now = context.core.clock.now();
        for key in self.keys() {
            if !self.held.store.is_used() {
                break;
            }
            let entry = match self.held.store.find(key, &self.request, self.identity) {
                Found::Entry(entry) => entry,
                Found::Others if self.stored.is_none() => {
                    self.why = Forward::VaryMiss;
                    continue;
                }
                Found::Others | Found::Nothing => continue,
            };
            match entry.judge(&self.control, &self.demand, &self.held.stamps, now) {
                Use::Fresh => return Sought::Answer(self.hit(context, &entry, None)),
                Use::Taken => return Sought::Answer(self.hit(context, &entry, TAKEN)),
                Use::WhileRevalidating => {
                    let passed = self.hit(context, &entry, REVALIDATING);
                    self.keep(entry, key, true);
                    return Sought::AnswerAndRefresh(passed);
                }
                Use::Ask { wanted, if_error } => {
                    self.why = if wanted { Forward::Request } else { Forward::Stale };
                    self.keep(entry, key, if_error);
                }
            }
        }
        Sought::Nothing
    }

    fn keep(&mut self, entry: Arc<Entry>, key: Key, if_error: bool) {
        self.stored = Some(Stored { entry, key, if_error, is_asked_about: false });
    }

    fn hit(&self, context: &ConnContext, entry: &Entry, stale: Option<&'static str>) -> Passed {
        let now = context.core.clock.now();
        let outcome = if stale.is_some() { CacheOutcome::Stale } else { CacheOutcome::Hit };
        self.count(context, entry, outcome);
        let status = CacheStatus::Hit { ttl: entry.ttl(now), detail: stale };
        serve::entry(entry, &self.request, self.is_head, now, status)
    }

    pub(super) fn count(&self, context: &ConnContext, entry: &Entry, outcome: CacheOutcome) {
        entry.kept.tally.count(outcome);
        context.core.shard.count(Counter::Cache(outcome));
    }

    pub(super) fn only_if_cached(&self) -> bool {
        self.control.only_if_cached
    }

    /// Makes the request one about what is stored, and joins others that ask the same.
    pub(super) fn prepare(&mut self, head: &mut Parts) {
        self.prepare_alone(head);
        let is_plain = !conditional::is_conditional(&self.request)
            && !self.request.contains_key(header::RANGE);
        let wanted = self.control.no_store || self.why == Forward::Request;
        if is_plain && !self.is_head && !wanted && self.held.habits.is_worth_waiting(self.habit) {
            self.join();
        }
    }

    /// Makes the request one about what is stored.
    pub(super) fn prepare_alone(&mut self, head: &mut Parts) {
        if let Some(stored) = &mut self.stored {
            let part = stored.entry.kept.range.is_some();
            if !part && head.headers.contains_key(header::IF_RANGE) {
                // A part only of what it has; the service is asked about what is stored, so it may
                // answer with a part of something newer.
                head.headers.remove(header::RANGE);
            }
            stored.is_asked_about = !part
                && conditional::ask_whether_it_holds(&mut head.headers, &stored.entry.kept.head);
        }
    }

    /// Nobody waits for what was answered to somebody else: a subject has a key of its own, and
    /// somebody unverified goes alone.
    fn join(&mut self) {
        let key = match self.identity {
            Identity::Nobody => Some(self.shared),
            Identity::Verified { .. } => self.own,
            Identity::Unverified { .. } => None,
        };
        let Some(key) = key else { return };
        self.role = match self.held.flights.join(key, self.asked, &self.needs()) {
            Joined::Leads(leader) => Role::Leads(leader),
            Joined::Follows(follower) => Role::Follows(follower),
            Joined::Alone => Role::Alone,
        };
    }

    /// From when on an answer must have been asked for to be worth waiting for.
    fn needs(&self) -> Demand {
        let since = self.demand.since.max(self.held.stamps.invalidated(self.target));
        Demand { since, ..self.demand }
    }

    /// Becomes the one request that fetches a newer answer than what is stored. False where one is
    /// under way. Nobody waits for it, so that it does not matter who asked.
    pub(super) fn lead(&mut self) -> bool {
        let Some(stored) = &self.stored else { return false };
        match self.held.refreshes.join(stored.key, self.asked, &Demand::default()) {
            Joined::Leads(leader) => self.role = Role::Leads(leader),
            Joined::Follows(_) | Joined::Alone => return false,
        }
        true
    }

    pub(super) fn waits(&self) -> bool {
        matches!(self.role, Role::Follows(_))
    }

    pub(super) async fn wait(&mut self, context: &ConnContext, within: Duration) -> Option<Passed> {
        let Role::Follows(follower) = &mut self.role else { return None };
        let waited = tokio::time::timeout(within, follower.wait()).await;
        self.role = Role::Alone;
        self.asked = asked(context, &self.held);
        if waited != Ok(true) {
            return None;
        }
        let now = context.core.clock.now();
        for key in [self.own, Some(self.shared)].into_iter().flatten() {
            let Found::Entry(entry) = self.held.store.find(key, &self.request, self.identity)
            else {
                continue;
            };
            match entry.judge(&self.control, &self.demand, &self.held.stamps, now) {
                Use::Fresh => return Some(self.collapsed(context, &entry, now)),
                // Whoever led has seen to a newer one.
                Use::WhileRevalidating => return Some(self.hit(context, &entry, REVALIDATING)),
                Use::Taken => return Some(self.hit(context, &entry, TAKEN)),
                Use::Ask { .. } => {}
            }
        }
        None
    }

    /// Answers with what another request was answered.
    fn collapsed(&self, context: &ConnContext, entry: &Entry, now: Nanos) -> Passed {
        self.count(context, entry, CacheOutcome::Collapsed);
        let status = CacheStatus::Forwarded {
            why: self.why,
            status: None,
            stored: false,
            collapsed: true,
            unstored: None,
        };
        serve::entry(entry, &self.request, self.is_head, now, status)
    }

    /// Where an answer on these terms is stored. `None` where nobody could be given it.
    pub(super) fn key(&self, terms: &Terms) -> Option<Key> {
        match self.identity.partition(terms.audience)? {
            Partition::Shared => Some(self.shared),
            Partition::Subject(_) => self.own,
        }
    }

    /// What an answer becomes invalid with: its target, and the groups that it and its operation
    /// name.
    pub(super) fn marks(&self, head: &HeaderMap) -> smallvec::SmallVec<[Mark; 2]> {
        use plimsoll_http_kit::caching::groups::{CACHE_GROUPS, read};
        let declared = self.operation.iter().flat_map(|operation| &operation.cache.groups);
        let said = read(head, &CACHE_GROUPS);
        let groups = declared.chain(&said).map(|group| self.held.keys.group(&self.host, group));
        [self.target].into_iter().chain(groups).collect()
    }

    pub(super) fn tally(&self) -> Arc<cache::Tally> {
        self.held.tallies.of(&self.name)
    }
}

pub(super) fn asked(context: &ConnContext, held: &Held) -> Asked {
    Asked { ordinal: held.stamps.now(), unix_ms: context.core.clock.unix_ms(), own: None }
}

/// What the client says of its own last write. One in the future counts as now.
fn told(context: &ConnContext, headers: &HeaderMap) -> Option<u64> {
    let said: u64 = headers.get(PLIMSOLL_FRESH)?.to_str().ok()?.trim().parse().ok()?;
    Some(said.min(context.core.clock.unix_ms()))
}
