//! The board over made-up evidence in a real ledger, for working on its pages and for looking at
//! them in a browser: `cargo run -p plimsoll-console --example board -- [WEEK] [PORT] [GATES]`
//!
//! Every gate that is shipped is there, or those of a file like `gates.toml`. What is due is mostly
//! green; of the rest some is amber, some red because of what was seen, some without evidence; what
//! no document, report or measurement answers is not built.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::{Clock as _, ManualClock, SystemClock};
use plimsoll_console::{
    BoardRow, ConsoleOptions, MemoryRow, NodeInfo, Notice, PlanRoom, Readiness, Rooms, RoomsCell,
    RouteRow, Source, UpstreamRow, Verified, serve,
};
use plimsoll_ledger::{Actor, ActorKind, Evidence, EvidenceKind, How, Ledger, ROOM, Sealer};
use plimsoll_manifest::env::Secret;
use plimsoll_plan::{Condition, Date, Gate, Gates, PlanFacts, Risk, RiskArea};
use plimsoll_protection::{Keyring, KeyringOptions};
use plimsoll_store::{OWNER_ROLE, RUNTIME_ROLE, Store, StoreOptions};
use plimsoll_telemetry::{Metrics, MetricsOptions};
use plimsoll_testkit::database::Database;
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::sync::watch;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// The evidence begins so long ago.
const PAST: Duration = Duration::from_secs(91 * 24 * 3_600);
const WEEK: u32 = 5;

/// Measured kinds that this board answers.
const MEASURED: [&str; 20] = [
    "contracts.published",
    "contracts.versions",
    "drills.journeys",
    "edge.admission",
    "edge.authentication",
    "edge.breakers",
    "edge.cache",
    "edge.compression",
    "edge.drain",
    "edge.limits",
    "edge.problems",
    "edge.service-levels",
    "identity.revocation",
    "ledger.verified",
    "snapshot.epoch",
    "store.restored",
    "telemetry.database",
    "telemetry.read",
    "writes.idempotency",
    "writes.retries",
];

/// Evidence that will be added, so long ago.
struct Past {
    ago: Duration,
    evidence: Evidence,
}

struct Demo {
    metrics: Arc<Metrics>,
    board: BoardRow,
}

impl Source for Demo {
    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn routes(&self) -> Vec<RouteRow> {
        Vec::new()
    }

    fn upstreams(&self) -> Vec<UpstreamRow> {
        Vec::new()
    }

    fn readiness(&self) -> Readiness {
        Readiness { ready: true, ..Readiness::default() }
    }

    fn notices(&self) -> Vec<Notice> {
        Vec::new()
    }

    fn identity(&self) -> NodeInfo {
        NodeInfo::default()
    }

    fn memory(&self) -> Option<MemoryRow> {
        Some(MemoryRow { board: Some(self.board.clone()), ..MemoryRow::default() })
    }
}

/// Whether the board answers a gate at all.
fn answers(gate: &Gate) -> bool {
    gate.how != How::Measured || MEASURED.contains(&gate.evidence.as_str())
}

/// The same number for the same name each time, below `below`.
fn draw(name: &str, below: u64) -> u64 {
    let mixed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (mixed >> 33) % below
}

/// Facts with which all gates of a kind hold, or all but the last condition of one.
fn facts(gates: &Gates, gate: &Gate, good: bool) -> Map<String, Value> {
    let mut facts = Map::new();
    let of_kind = gates.iter().filter(|other| other.evidence == gate.evidence);
    for condition in of_kind.flat_map(|one| one.require.iter().chain(&one.better)) {
        let value = match condition {
            Condition { is: Some(is), .. } => is.clone(),
            Condition { at_least: Some(least), .. } if gate.how != How::Declared => {
                (least + 15).into()
            }
            Condition { at_least: Some(least), at_most: None, .. } => (*least).into(),
            Condition { at_most: Some(most), .. } => (*most).into(),
            _ => Value::Null,
        };
        facts.insert(condition.fact.clone(), value);
    }
    if let Some(broken) = gate.require.last().filter(|_| !good) {
        let value = match broken {
            Condition { is: Some(Value::Bool(is)), .. } => (!is).into(),
            Condition { at_least: Some(least), .. } => (least - 1).into(),
            Condition { at_most: Some(most), .. } => (most + 1).into(),
            _ => Value::from("draft"),
        };
        facts.insert(broken.fact.clone(), value);
        for name in broken.otherwise.split('{').filter_map(|rest| rest.split_once('}')) {
            facts.entry(name.0).or_insert_with(|| match (name.0, gate.how) {
                ("state", _) => "draft".into(),
                ("first_fault", _) => "line 4: `owner` is empty".into(),
                (first, How::Imported) if first.starts_with("first") => "CVE-2026-1234".into(),
                (first, _) if first.starts_with("first") => "POST /v1/orders".into(),
                _ => 14.into(),
            });
        }
    }
    let says = match gate.how {
        How::Measured => "16 operations were asked, and each answered as it has to.",
        How::Imported => "The report of last night has no finding.",
        How::Declared => "Agreed, with an owner and a date.",
    };
    facts.insert("says".into(), says.into());
    facts
}

/// What was seen of a gate over the weeks, by when it is due.
fn past(gates: &Gates, gate: &Gate, week: u32, now_unix_ms: u64) -> Vec<Past> {
    let chance = draw(&gate.evidence, 100);
    let due = u32::from(gate.weeks[1]);
    // Green, then amber, then broken; what is left has none.
    let (green, amber, broken) = match due {
        due if due < week => (74, 86, 94),
        due if due < week + 3 => (40, 48, 62),
        _ => (9, 11, 14),
    };
    let fresh = gate.freshness();
    let (ago, good) = match chance {
        chance if chance < green => (fresh / 3, true),
        chance if chance < amber => (fresh * 9 / 10, true),
        chance if chance < broken => (fresh / 4, false),
        _ => return Vec::new(),
    };
    let ago = ago.min(DAY * 20);
    let at = |ago: Duration, good: bool| {
        let mut facts = facts(gates, gate, good);
        if gate.how == How::Declared {
            let ms = u64::try_from(ago.as_millis()).unwrap_or_default();
            facts.insert("dated".into(), Date::of_unix_ms(now_unix_ms - ms).to_string().into());
        }
        let evidence = Evidence { kind: gate.evidence.clone(), how: gate.how, facts };
        Past { ago, evidence }
    };
    let first = HOUR * u32::try_from(draw(&gate.evidence, 160)).unwrap_or_default();
    vec![at(ago + DAY * 9 + first, false), at(ago + DAY * 4, true), at(ago, good)]
}

fn risks(gates: &Gates) -> Vec<Risk> {
    let of = |words: &[&str]| {
        let found = gates.iter().filter(|gate| words.iter().any(|word| gate.id.contains(word)));
        found.take(4).map(|gate| gate.id.clone()).collect()
    };
    let risk = |id: &str, title: &str, area, words: &[&str]| Risk {
        id: id.into(),
        title: title.into(),
        area,
        gates: of(words),
    };
    vec![
        risk("twice", "A payment is taken twice", RiskArea::Reliability, &["idempot", "journeys"]),
        risk("slow", "The feed is slow at peak", RiskArea::Reliability, &["limit", "cache"]),
        risk("open", "An operation is open to all", RiskArea::Security, &["auth", "scan"]),
        risk("stolen", "A stolen phone stays signed in", RiskArea::Security, &["revo", "token"]),
        risk(
            "lost",
            "Orders are lost with the disk",
            RiskArea::Data,
            &["restor", "backup", "ledg"],
        ),
        risk("leak", "Addresses leak through a log", RiskArea::Data, &["pii", "retention"]),
        risk("stuck", "A bad release cannot be taken back", RiskArea::Cadence, &["roll", "deploy"]),
    ]
}

async fn rooms(
    database: &Database,
    root: &std::path::Path,
    week: u32,
    gates: Gates,
) -> std::io::Result<Rooms> {
    let system = SystemClock::shared();
    let now = system.unix_ms();
    let directory = root.join("keys");
    let (signing_key_file, kek_file) = (None, None);
    let options = KeyringOptions { directory, signing_key_file, kek_file, outside_database: false };
    let keyring = Arc::new(Keyring::open(&options).map_err(std::io::Error::other)?);
    fill(database, &keyring, &gates, week, now).await.map_err(std::io::Error::other)?;
    let days = (week - 1) * 7 + 3;
    let start = Date::of_unix_ms(now - u64::from(days) * 86_400_000);
    let facts = PlanFacts { start: Some(start), risks: risks(&gates) };
    let built: Vec<EvidenceKind> = gates
        .iter()
        .filter(|gate| answers(gate))
        .map(|gate| EvidenceKind {
            kind: gate.evidence.clone().leak(),
            room: gate.room.clone().leak(),
            how: gate.how,
        })
        .collect();
    let store = Store::start(StoreOptions {
        data_dir: root.to_owned(),
        database_url: Some(Secret::from(database.url(RUNTIME_ROLE))),
        owner_url: Some(Secret::from(database.url(OWNER_ROLE))),
        postgres_bin: None,
        clock: Arc::clone(&system),
        rooms: vec![ROOM],
        control: Handle::current(),
    });
    let checkpoints = root.join("checkpoints");
    let (pool, keys) = (database.runtime.clone(), Arc::clone(&keyring));
    let sealer = Sealer::signing_in(pool, checkpoints.clone(), keys, Arc::clone(&system));
    Ok(Rooms {
        store: Arc::new(store.await.map_err(std::io::Error::other)?),
        ledger: Ledger::new(Arc::clone(&system), Arc::clone(&keyring)),
        sealer: sealer.door(),
        checkpoints,
        checkpoint_key: keyring.public_key().clone(),
        trusted: Vec::new(),
        verified: Verified::default(),
        plan: PlanRoom {
            gates: Arc::new(gates),
            built: built.into(),
            facts: watch::channel(facts).1,
        },
        clock: system,
    })
}

/// Writes the evidence down, the oldest first, as if time had gone on.
async fn fill(
    database: &Database,
    keyring: &Arc<Keyring>,
    gates: &Gates,
    week: u32,
    now_unix_ms: u64,
) -> Result<(), plimsoll_ledger::LedgerError> {
    let mut kinds = HashSet::new();
    // One gate of a kind speaks for the others.
    let answered = gates.iter().filter(|gate| answers(gate) && kinds.insert(&gate.evidence));
    let mut all: Vec<Past> =
        answered.flat_map(|gate| past(gates, gate, week, now_unix_ms)).collect();
    all.sort_by_key(|past| std::cmp::Reverse(past.ago));
    let begin = u64::try_from(PAST.as_millis()).unwrap_or_default();
    let clock = Arc::new(ManualClock::at_unix_ms(now_unix_ms - begin));
    let ledger = Ledger::new(Arc::<ManualClock>::clone(&clock), Arc::clone(keyring));
    let mut connection = database.runtime.acquire().await?;
    for past in all {
        let ago = u64::try_from(past.ago.as_millis()).unwrap_or_default();
        let at = (now_unix_ms - ago).max(clock.unix_ms());
        clock.advance(Duration::from_millis(at - clock.unix_ms()));
        let actor = match past.evidence.how {
            How::Imported => Actor::Named(ActorKind::Operator, "local:1000"),
            _ => Actor::System,
        };
        ledger.add_evidence(&mut connection, actor, past.evidence).await?;
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let week = arguments.next().and_then(|week| week.parse().ok()).unwrap_or(WEEK).clamp(1, 13);
    let port: u16 = arguments.next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let gates = match arguments.next() {
        Some(file) => Gates::parse(&std::fs::read_to_string(file)?),
        None => Gates::shipped(),
    };
    let gates = gates.map_err(std::io::Error::other)?;
    let root = tempfile::tempdir()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async move {
        let database = Database::new(&[ROOM]).await;
        let rooms = rooms(&database, root.path(), week, gates).await?;
        let board = rooms.board().await.map_err(std::io::Error::other)?;
        let metrics = Metrics::new(MetricsOptions::default());
        let demo = Arc::new(Demo { metrics, board: BoardRow::from(&board) });
        let cell = RoomsCell::default();
        // It was empty a line ago.
        let _filled_before = cell.set(rooms).is_err();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
        let mut options = ConsoleOptions::new(SystemClock::shared());
        options.rooms = cell;
        serve(listener, demo, options, std::future::pending()).await
    })
}
