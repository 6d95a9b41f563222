//! What outlives the process: stops, the ledger, the epoch, revocations.

use std::collections::HashMap;
use std::time::Duration;

use plimsoll_console::Rooms;
use plimsoll_identity::{REVOCATION_KEPT_MIN, Revoke, RevokedName, revoke};
use plimsoll_ledger::{Actor, Filter, Listed, PAGE_ENTRIES_MAX};
use plimsoll_snapshot::{NodeRow, RevocationKeys, nodes};
use serde_json::Value;
use uuid::Uuid;

use super::Observer;
use super::facts::{Seen, many};

/// Stops that count.
const STOPS_WITHIN_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// A verification that is older says nothing of today: it is made every hour.
const VERIFIED_WITHIN_MS: u64 = 2 * 60 * 60 * 1_000;

/// A node that has not applied the epoch in force for longer than this is behind.
const BEHIND_AFTER: Duration = Duration::from_secs(1);
/// A node that said nothing for so long is gone, not behind, milliseconds.
const GONE_AFTER_MS: u64 = 10 * 60 * 1_000;
/// How far the clocks of node and database may be apart, milliseconds.
const CLOCKS_APART_MS: u64 = 5_000;

/// A revocation is tried this often at most: each stays in the ledger.
const REVOKED_EVERY: Duration = Duration::from_secs(60 * 60);
const OBEYED_WITHIN_MAX: Duration = Duration::from_secs(5);
const OBEYED_LOOK: Duration = Duration::from_millis(5);

/// The stops of the last 30 days. Of each node its newest counts, so that a cut is made good by
/// stopping well.
pub(super) async fn drain(rooms: &Rooms) -> Result<Seen, String> {
    let from = rooms.clock.unix_ms().saturating_sub(STOPS_WITHIN_MS);
    let mut newest: HashMap<String, u64> = HashMap::new();
    let mut stops = 0_usize;
    for listed in stopped_since(rooms, from).await? {
        // Versions before this one did not say.
        let Some(cut) = listed.entry.detail.get("requests_cut").and_then(Value::as_u64) else {
            continue;
        };
        stops += 1;
        newest.entry(listed.entry.subject).or_insert(cut);
    }
    let cut: u64 = newest.values().sum();
    let says = match (stops, cut) {
        (0, _) => "no node was stopped in 30 days".to_owned(),
        (_, 0) => {
            format!("{} in 30 days; the newest of each node cut no request", many(stops, "stop"))
        }
        _ => format!(
            "{} in 30 days; the newest of each node cut {cut} requests",
            many(stops, "stop")
        ),
    };
    Ok(Seen::saying(says).count("stops", stops).count("cut", cut))
}

/// Newest first.
async fn stopped_since(rooms: &Rooms, from_unix_ms: u64) -> Result<Vec<Listed>, String> {
    let filter = Filter {
        action: Some("plimsoll.stop".to_owned()),
        from_unix_ms: Some(from_unix_ms),
        ..Filter::default()
    };
    let connection = rooms.store.pool().acquire().await;
    let mut connection = connection.map_err(|error| error.to_string())?;
    let page = rooms.ledger.tail(&mut connection, &filter, PAGE_ENTRIES_MAX).await;
    Ok(page.map_err(|error| error.to_string())?.entries)
}

/// The last verification of the whole ledger, by the hour or by a command.
pub(super) fn verified(observer: &Observer, rooms: &Rooms) -> Option<Seen> {
    let verified = observer.node.memory.verified()?;
    if rooms.clock.unix_ms().saturating_sub(verified.at_unix_ms) > VERIFIED_WITHIN_MS {
        return None;
    }
    let entries = usize::try_from(verified.entries).unwrap_or(usize::MAX);
    let says = match verified.faults_found {
        0 => format!("{} verified, every link and checkpoint holds", many(entries, "sealed entry")),
        faults => format!("{} verified, {faults} faults", many(entries, "sealed entry")),
    };
    let seen = Seen::saying(says.replace("entrys", "entries"))
        .count("entries", verified.entries)
        .count("faults", verified.faults_found)
        .first("first_fault", &verified.faults);
    Some(seen)
}

/// The nodes, and those that have not applied the epoch in force for over a second.
pub(super) async fn epoch(rooms: &Rooms) -> Result<Seen, String> {
    let now = rooms.clock.unix_ms();
    let stopped = stopped_since(rooms, now.saturating_sub(GONE_AFTER_MS)).await?;
    let (epoch, rows) = listed(rooms).await?;
    let there = |rows: &[NodeRow]| -> Vec<Uuid> {
        let there = rows.iter().filter(|row| !is_gone(row, rows, &stopped, now));
        there.map(|row| row.report.id).collect()
    };
    let late = |rows: &[NodeRow]| -> Vec<Uuid> {
        let late = rows.iter().filter(|row| row.epoch < epoch);
        late.map(|row| row.report.id).collect()
    };
    let (nodes, mut behind) = (there(&rows), late(&rows));
    behind.retain(|node| nodes.contains(node));
    if !behind.is_empty() {
        tokio::time::sleep(BEHIND_AFTER).await;
        let still = late(&listed(rooms).await?.1);
        behind.retain(|node| still.contains(node));
    }
    let nodes = nodes.len();
    let says = match behind.len() {
        0 => format!("{}, all at the epoch in force within a second", many(nodes, "node")),
        late => {
            format!("{}, {late} behind the epoch in force for over a second", many(nodes, "node"))
        }
    };
    Ok(Seen::saying(says).count("nodes", nodes).count("behind", behind.len()))
}

async fn listed(rooms: &Rooms) -> Result<(u64, Vec<NodeRow>), String> {
    nodes(rooms.store.pool()).await.map_err(|error| error.to_string())
}

/// Whether a node has ended: it said so, another of its name began after it was last heard of, or
/// nothing was heard of it for long. One that is only cut off is not gone.
fn is_gone(row: &NodeRow, rows: &[NodeRow], stopped: &[Listed], now_unix_ms: u64) -> bool {
    let seen_unix_ms = now_unix_ms.saturating_sub(row.seen_ago_ms);
    let same = |name: &str| name == row.report.name;
    let stopped = stopped.iter().any(|stop| {
        let at_unix_ms = u64::try_from(stop.entry.at_us / 1_000).unwrap_or_default();
        same(&stop.entry.subject) && at_unix_ms + CLOCKS_APART_MS >= seen_unix_ms
    });
    let replaced = rows.iter().any(|other| {
        same(&other.report.name) && other.report.started_unix_ms > seen_unix_ms + CLOCKS_APART_MS
    });
    row.seen_ago_ms > GONE_AFTER_MS || (row.seen_ago_ms > CLOCKS_APART_MS && (stopped || replaced))
}

/// Revokes the id of a token that nobody has, and waits until this edge obeys.
pub(super) async fn revocation(
    observer: &mut Observer,
    rooms: &Rooms,
) -> Result<Option<Seen>, String> {
    let clock = &rooms.clock;
    if observer.revoked_at.is_some_and(|at| clock.now().since(at) < REVOKED_EVERY) {
        return Ok(None);
    }
    let id = format!("plimsoll-readiness-{}", Uuid::now_v7());
    let asked = Revoke {
        name: RevokedName::Jti(id.clone()),
        issuer: None,
        reason: Some("no token: whether a revocation is obeyed is measured".to_owned()),
        kept_seconds: REVOCATION_KEPT_MIN.as_secs(),
    };
    let pool = rooms.store.pool();
    let revoked = revoke(pool, &rooms.ledger, &**clock, Actor::System, &asked).await;
    revoked.map_err(|error| error.to_string())?;
    let committed = clock.now();
    observer.revoked_at = Some(committed);
    let token = RevocationKeys::of_token("", "", Some(&id), None);
    let mut obeyed = false;
    while !obeyed && clock.now().since(committed) < OBEYED_WITHIN_MAX {
        obeyed = observer.node.edge.is_revoked(&token);
        if !obeyed {
            tokio::time::sleep(OBEYED_LOOK).await;
        }
    }
    let ms = clock.now().since(committed).as_millis();
    let says = if obeyed {
        format!("a revocation was obeyed after {ms} ms")
    } else {
        format!("a revocation was not obeyed within {ms} ms")
    };
    Ok(Some(Seen::saying(says).count("ms", ms)))
}
