//! Smoke tests after the start: the journeys with `smoke = true`, run once when the node is ready.
//!
//! What came of it stands in the log, on the console, and in the ledger as evidence.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_console::{Notice, NoticeLevel, Source as _};
use plimsoll_drills::journey::Ran;
use plimsoll_ledger::{Actor, Evidence};
use plimsoll_manifest::Journey;
use tokio::sync::watch;

use crate::journeys::{Outcome, Ready, own_base, runner};
use crate::node::Node;

/// How often it is looked whether the node is ready, and how often at most.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOKS_MAX: u32 = 120;

/// How long the evidence may take to be written.
const TELL_MAX: Duration = Duration::from_secs(10);

/// What is run, and where its files are.
pub(crate) struct Smoke {
    journeys: Vec<Journey>,
    base_dir: PathBuf,
    /// All that must not fail are among them.
    whole: bool,
}

impl Smoke {
    /// None where no journey says `smoke = true`.
    pub(crate) fn of(input: &plimsoll_edge::ConfigInput) -> Option<Self> {
        let journeys = input.manifest.journeys.iter().filter(|one| one.smoke);
        let journeys: Vec<Journey> = journeys.cloned().collect();
        let mut must = input.manifest.journeys.iter().filter(|one| one.must_not_fail).peekable();
        let whole = must.peek().is_some() && must.all(|one| one.smoke && one.base.is_none());
        (!journeys.is_empty()).then(|| Self { journeys, base_dir: input.base.clone(), whole })
    }

    /// Runs them once, unless the node stops before.
    pub(crate) async fn run(self, node: Arc<Node>, mut stopped: watch::Receiver<bool>) {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = self.when_ready(&node) => {}
        }
    }

    async fn when_ready(self, node: &Node) {
        for _ in 0..LOOKS_MAX {
            if node.readiness().ready && node.memory.rooms().get().is_some() {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let mut outcome = Outcome::default();
        for declared in &self.journeys {
            match self.one(declared, node, &mut outcome).await {
                Ok(ran) => tell_log(&ran),
                Err(why) => {
                    tracing::error!(journey = %declared.name, why, "a smoke test was not run");
                    node.smoked(not_run(declared, &why));
                }
            }
        }
        outcome.failed().for_each(|ran| node.smoked(failed_notice(ran)));
        // What was not run is no evidence of anything.
        if outcome.all().len() < self.journeys.len() {
            return;
        }
        let told = tokio::time::timeout(TELL_MAX, tell(node, &outcome, self.whole)).await;
        let why = match told {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(_) => format!("it took longer than {TELL_MAX:?}"),
        };
        tracing::warn!(why, "the smoke tests stand in no evidence");
    }

    async fn one(
        &self,
        declared: &Journey,
        node: &Node,
        outcome: &mut Outcome,
    ) -> Result<Ran, String> {
        let ready = Ready::declared(declared, &self.base_dir).map_err(|why| why.to_string())?;
        let own = || node.facts.listeners.first().copied().map(own_base);
        let base = match &declared.base {
            Some(base) => base.to_string(),
            None => own().ok_or("the edge has no listener")?,
        };
        let runner = runner(&base, false, &node.clock)?;
        Ok(outcome.run(ready, &runner).await)
    }
}

fn tell_log(ran: &Ran) {
    let (journey, took_ms) = (ran.name.as_str(), ran.took_ms);
    match ran.first_failed() {
        None => tracing::info!(journey, took_ms, steps = ran.steps.len(), "smoke test passed"),
        Some((step, failed)) => tracing::error!(
            journey,
            took_ms,
            step = %format_args!("{} {}", step.method, step.url),
            line = failed.line,
            what = failed.what,
            expected = failed.expected,
            came = failed.came,
            "smoke test failed"
        ),
    }
}

fn failed_notice(ran: &Ran) -> Notice {
    let why = match ran.first_failed() {
        Some((step, failed)) => format!(
            "{} {}, line {}: {}; {}{}.",
            step.method,
            step.url,
            failed.line,
            failed.what,
            failed.expected.as_ref().map(|one| format!("expected {one}, ")).unwrap_or_default(),
            failed.came
        ),
        None => String::new(),
    };
    Notice {
        level: NoticeLevel::Critical,
        title: format!("The smoke test `{}` failed after the start", ran.name),
        why,
        next: format!("Mend it, then run `plimsoll journey run {}`.", ran.name),
    }
}

fn not_run(declared: &Journey, why: &str) -> Notice {
    Notice {
        level: NoticeLevel::Critical,
        title: format!("The smoke test `{}` was not run", declared.name),
        why: why.to_owned(),
        next: format!("Mend it, then run `plimsoll journey run {}`.", declared.name),
    }
}

async fn tell(node: &Node, outcome: &Outcome, whole: bool) -> Result<(), String> {
    let cell = node.memory.rooms();
    let rooms = cell.get().ok_or("the database was not reached")?;
    let report = outcome.report()?;
    let evidence: Evidence =
        report.evidence(rooms.clock.unix_ms()).map_err(|error| error.to_string())?;
    let mut connection = rooms.store.pool().acquire().await.map_err(|error| error.to_string())?;
    let added = rooms.ledger.add_evidence(&mut connection, Actor::System, evidence).await;
    added.map_err(|error| error.to_string())?;
    // What was not asked is not said to pass.
    if !whole {
        return Ok(());
    }
    let mut facts = outcome.must_not_fail();
    let says = format!(
        "{} journeys were run after the start, {} failed",
        facts["journeys"], facts["failed"]
    );
    facts.insert("says".to_owned(), says.into());
    let evidence = Evidence::measured("drills.journeys", facts);
    let added = rooms.ledger.add_evidence(&mut connection, Actor::System, evidence).await;
    added.map(drop).map_err(|error| error.to_string())
}
