//! The observers: what the running node sees of itself, kept as evidence for the readiness gates.
//!
//! Every `[plan] look_every` each [`Look`] is made anew, within a deadline. What it saw is written
//! to the ledger where there is none yet, where a gate would be judged otherwise by it, or where
//! what stands there grows old ([`keep`]). While the database is away nothing is lost: it is looked
//! again. A look changes nothing for clients and takes nothing from their limits.

mod contracts;
mod documents;
mod edge;
mod facts;
mod keep;
mod kinds;
mod looks;
mod manifest;
mod memory;
mod telemetry;
mod writes;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::Nanos;
use plimsoll_console::{NodeAnswer, Rooms};
use plimsoll_ledger::{Actor, Evidence, EvidenceKind, Recorded};
use plimsoll_plan::Gates;
use tokio::sync::watch;

use crate::node::Node;
use facts::{Nature, Seen};
use keep::{Bearer, worth_keeping};
pub(crate) use kinds::built;
use looks::Look;

/// The first look comes no later than this after the start.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(15);

/// How long one look may take, and how long what was seen may take to be written.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// How many looks figures that are live reach back.
const LOOKS_BACK: u32 = 5;

/// And no further than this, and no less.
const WINDOW_MAX: Duration = Duration::from_secs(300);
const WINDOW_MIN: Duration = Duration::from_secs(5);

/// Looks until the node stops.
pub(crate) async fn run(node: Arc<Node>, mut stopped: watch::Receiver<bool>) {
    let gates = match Gates::shipped() {
        Ok(gates) => gates,
        Err(error) => return tracing::error!(%error, "readiness is not observed"),
    };
    let mut observer = Observer { node, gates, failing: HashMap::new(), revoked_at: None };
    tracing::debug!(kinds = built().len(), "readiness is observed");
    let mut wait = observer.look_every().min(FIRST_LOOK_MAX);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = tokio::time::sleep(wait) => {}
        }
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = observer.round() => {}
        }
        wait = observer.look_every();
    }
}

/// What a look saw.
struct Sight {
    evidence: Evidence,
    nature: Nature,
    /// Whether it is worth an entry where there is none of its kind.
    first: bool,
}

/// What looks need, and remember.
struct Observer {
    node: Arc<Node>,
    gates: Gates,
    /// By what failed, how.
    failing: HashMap<&'static str, String>,
    /// When a revocation was last tried.
    revoked_at: Option<Nanos>,
}

impl Observer {
    fn look_every(&self) -> Duration {
        self.node.edge.config().manifest().plan.look_every.0
    }

    /// How far live figures reach back: some looks, so that what stopped shows as stopped.
    fn window(&self) -> Duration {
        (self.look_every() * LOOKS_BACK).clamp(WINDOW_MIN, WINDOW_MAX)
    }

    /// Looks at everything once and keeps what is worth it.
    async fn round(&mut self) {
        let rooms = self.node.memory.rooms();
        // Evidence needs the ledger; the console says that there is none.
        let Some(rooms) = rooms.get() else { return };
        let mut sights = self.documents().await;
        for look in Look::ALL {
            let kind = look.kind();
            match tokio::time::timeout(LOOK_MAX, look.make(self, rooms)).await {
                Ok(Ok(found)) => {
                    self.works(kind.kind);
                    sights.extend(found.map(|seen| self.sight(kind, seen)));
                }
                Ok(Err(why)) => self.fails(kind.kind, why),
                Err(_) => self.fails(kind.kind, format!("it took longer than {LOOK_MAX:?}")),
            }
        }
        match tokio::time::timeout(LOOK_MAX, self.keep(rooms, sights)).await {
            Ok(Ok(())) => self.works("ledger"),
            Ok(Err(why)) => self.fails("ledger", why),
            Err(_) => self.fails("ledger", format!("it took longer than {LOOK_MAX:?}")),
        }
    }

    fn sight(&self, kind: EvidenceKind, seen: Seen) -> Sight {
        let nature = seen.nature();
        let facts = seen.facts(self.node.memory.node_id());
        let evidence = Evidence { kind: kind.kind.to_owned(), how: kind.how, facts };
        Sight { evidence, nature, first: true }
    }

    async fn documents(&mut self) -> Vec<Sight> {
        match tokio::time::timeout(LOOK_MAX, documents::documents(self)).await {
            Ok(Ok(said)) => {
                self.works("plan");
                let sight = |evidence| Sight { evidence, nature: Nature::Found, first: said.there };
                return said.evidence.into_iter().map(sight).collect();
            }
            Ok(Err(why)) => self.fails("plan", why),
            Err(_) => self.fails("plan", format!("it took longer than {LOOK_MAX:?}")),
        }
        Vec::new()
    }

    async fn keep(&self, rooms: &Rooms, sights: Vec<Sight>) -> Result<(), String> {
        let pool = rooms.store.pool();
        let mut connection = pool.acquire().await.map_err(|error| error.to_string())?;
        let kinds: Vec<String> = sights.iter().map(|sight| sight.evidence.kind.clone()).collect();
        let newest = rooms.ledger.newest_evidence(&mut connection, &kinds).await;
        let newest = newest.map_err(|error| error.to_string())?;
        for Sight { evidence, nature, first } in sights {
            let recorded = newest.iter().find(|recorded| recorded.evidence.kind == evidence.kind);
            if recorded.is_none() && !first {
                continue;
            }
            let bearer = self.bearer(recorded);
            let now = rooms.clock.unix_ms();
            if worth_keeping(&self.gates, &evidence, nature, recorded, bearer, now) {
                let added = rooms.ledger.add_evidence(&mut connection, Actor::System, evidence);
                added.await.map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// Who brought the evidence that stands there.
    fn bearer(&self, recorded: Option<&Recorded>) -> Bearer {
        let node = recorded.and_then(|recorded| recorded.evidence.facts.get(facts::NODE)?.as_str());
        let own = self.node.memory.node_id().to_string();
        match node {
            Some(node) if node != own => {
                let nodes = self.node.memory.shown().nodes;
                let lives = |other: &NodeAnswer| other.id == node && other.state != "silent";
                if nodes.iter().any(lives) { Bearer::Another } else { Bearer::Nobody }
            }
            _ => Bearer::Nobody,
        }
    }

    /// One line for each change of what fails.
    fn fails(&mut self, what: &'static str, why: String) {
        if self.failing.get(what) != Some(&why) {
            tracing::warn!(what, why, "readiness cannot be observed; it is looked again");
            self.failing.insert(what, why);
        }
    }

    fn works(&mut self, what: &'static str) {
        if self.failing.remove(what).is_some() {
            tracing::info!(what, "readiness is observed again");
        }
    }
}
