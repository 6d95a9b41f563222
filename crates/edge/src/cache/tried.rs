//! Whether the running cache does what it is there for, tried with answers of nobody's: under a
//! host that no client asks for, and taken out again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use plimsoll_base::Nanos;
use plimsoll_http_kit::caching::RequestControl;
use plimsoll_http_kit::caching::storing::{Audience, Terms};
use plimsoll_http_kit::caching::vary::Selection;

use super::entry::{Asked, Demand, Entry, Kept, Use};
use super::identity::Identity;
use super::key::{Key, Mark, Partition, Place};
use super::store::Found;
use super::tally::Tally;
use super::{Cache, Held};
use crate::config::Config;
use crate::rehearse;
use crate::router::Operation;

const HOST: &str = "rehearsal.invalid";
const NAME: &str = "rehearsal";
const FRESH: Duration = Duration::from_secs(60);

/// What the cache did, and what it does when it is tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheTried {
    /// Requests answered without the service, or with its word that what is stored holds, since the
    /// start.
    pub cached: u64,
    /// The longest that any answer held may be used, seconds.
    pub ttl_s_max: u64,
    /// Writes tried: each operation that writes, and a caller's own.
    pub writes: usize,
    /// Those after which what was stored before was used all the same.
    pub stale: Vec<String>,
    /// Answers for one caller that reached another.
    pub crossed: usize,
}

impl CacheTried {
    pub(crate) fn of(config: &Config, cache: &Cache, now: Nanos) -> Self {
        let held = &cache.held;
        let figures = held.tallies.figures();
        let spared = figures.iter().map(|f| f.hits + f.stale + f.revalidated + f.collapsed);
        // Before anything of ours is stored.
        let ttl_s_max = held.store.longest().as_secs();
        let mut stale = Vec::new();
        let mut writes = 1;
        if !held.is_fresh_for_its_writer(now) {
            stale.push("a caller's own write".to_owned());
        }
        let operations = config.router.operations().iter();
        for operation in operations.filter(|operation| !operation.method.is_safe()) {
            writes += 1;
            if !held.is_emptied_by(operation, now) {
                stale.push(format!("{} {}", operation.method, operation.template));
            }
        }
        Self { cached: spared.sum(), ttl_s_max, writes, stale, crossed: held.crossed(now) }
    }
}

impl Held {
    fn place(target: &str) -> Place<'_> {
        let (tenant, service, release) = (NAME, NAME, NAME);
        Place { tenant, service, release, secure: false, host: HOST, target }
    }

    /// Stores an answer of nobody's.
    fn put(&self, key: Key, audience: Audience, marks: Vec<Mark>, now: Nanos) -> Arc<Entry> {
        let zero = Duration::ZERO;
        let terms = Terms {
            audience,
            age: zero,
            fresh: FRESH,
            strict: false,
            revalidates: false,
            while_revalidating: zero,
            if_error: zero,
            omitted: Default::default(),
        };
        let asked = Asked { ordinal: self.stamps.now(), unix_ms: 0, own: None };
        let kept = Kept {
            status: StatusCode::OK,
            head: HeaderMap::new(),
            selection: Selection::default(),
            range: None,
            terms,
            asked,
            came: now,
            marks: marks.into(),
            tally: Arc::new(Tally::new(NAME.into())),
        };
        let entry = Arc::new(Entry::new(kept, Bytes::from_static(b"rehearsal")));
        self.store.insert(key, &entry);
        entry
    }

    /// Whether `identity` is answered from what is stored under `key`.
    fn answers(&self, key: Key, identity: Identity, demand: &Demand, now: Nanos) -> bool {
        match self.store.find(key, &HeaderMap::new(), identity) {
            Found::Entry(entry) => {
                entry.judge(&RequestControl::default(), demand, &self.stamps, now) == Use::Fresh
            }
            Found::Nothing | Found::Others => false,
        }
    }

    fn is_emptied_by(&self, operation: &Operation, now: Nanos) -> bool {
        let Some(target) = rehearse::target(operation) else { return true };
        let key = self.keys.key(&Self::place(&target), Partition::Shared);
        let marks = || {
            let groups = operation.cache.invalidates.iter();
            let groups = groups.map(|group| self.keys.group(HOST, group));
            [self.keys.target(HOST, &target)].into_iter().chain(groups).collect::<Vec<_>>()
        };
        // One entry for each thing that should make it invalid.
        marks().into_iter().all(|mark| {
            let entry = self.put(key, Audience::Anyone, vec![mark], now);
            let before = self.answers(key, Identity::Nobody, &Demand::default(), now);
            self.stamps.write(marks(), None);
            let after = self.answers(key, Identity::Nobody, &Demand::default(), now);
            self.store.remove(key, &entry);
            before && !after
        })
    }

    fn is_fresh_for_its_writer(&self, now: Nanos) -> bool {
        let key = self.keys.key(&Self::place("/"), Partition::Shared);
        let entry = self.put(key, Audience::Anyone, Vec::new(), now);
        let writer = self.keys.writer([NAME.as_bytes()].into_iter());
        self.stamps.write([], Some(writer));
        let demand = Demand { since: self.stamps.written(writer), since_unix_ms: None };
        let stale = self.answers(key, Identity::Nobody, &demand, now);
        let others = self.answers(key, Identity::Nobody, &Demand::default(), now);
        self.store.remove(key, &entry);
        others && !stale
    }

    /// How many callers are answered with what is not theirs.
    fn crossed(&self, now: Nanos) -> usize {
        let writer = |name: &str| self.keys.writer([NAME, name].map(str::as_bytes).into_iter());
        let subject = |name: &str| Identity::Verified {
            subject: self.keys.subject([NAME, name].map(str::as_bytes).into_iter()),
            writer: writer(name),
        };
        let shown = Identity::Unverified { bearer: None, writer: writer("shown") };
        let all = [Identity::Nobody, subject("one"), subject("other"), shown];
        let place = Self::place("/");
        let shared = self.keys.key(&place, Partition::Shared);
        let own = |identity: Identity| identity.own().map(|own| self.keys.key(&place, own));
        let mut crossed = 0;
        for owner in &all[..2] {
            let audience = match owner {
                Identity::Nobody => Audience::Anonymous,
                _ => Audience::Subject,
            };
            let key = own(*owner).unwrap_or(shared);
            let entry = self.put(key, audience, Vec::new(), now);
            crossed += all
                .iter()
                .filter(|asking| *asking != owner)
                .filter(|asking| {
                    [Some(shared), own(**asking)]
                        .into_iter()
                        .flatten()
                        .any(|key| self.answers(key, **asking, &Demand::default(), now))
                })
                .count();
            self.store.remove(key, &entry);
        }
        crossed
    }
}
