//! What is weak about the database, for `plimsoll doctor`: each a sentence with what to do.

use std::path::Path;
use std::time::Duration;

use plimsoll_manifest::env::Secret;
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use crate::connect::SERVER_MAJOR_MIN;
use crate::error::StoreError;
use crate::store::parse;

/// Free space below which we warn, and below which there is danger, in bytes.
const FREE_LOW_BYTES: u64 = 2 << 30;
const FREE_DANGER_BYTES: u64 = 512 << 20;
/// How long all questions together may take.
const WITHIN: Duration = Duration::from_secs(10);

/// How much a fact matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// As it should be.
    Good,
    /// Weaker than it could be.
    Weak,
    /// Data is in danger, or nothing works.
    Bad,
}

/// Who owns and who uses the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Roles {
    /// One role does both.
    Single,
    /// Two roles, on a server that is somebody else's.
    Two,
    /// Two roles, on a server that this process itself runs.
    TwoOfOurs,
}

/// One thing to know about the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// How much it matters.
    pub weight: Weight,
    /// What is so, and what to do where it is not good.
    pub sentence: String,
}

impl Fact {
    pub(crate) fn new(weight: Weight, sentence: impl Into<String>) -> Self {
        Self { weight, sentence: sentence.into() }
    }
}

#[derive(sqlx::FromRow)]
struct Server {
    version: String,
    number: i32,
    superuser: bool,
    fsync: String,
    full_page_writes: String,
    synchronous_commit: String,
    wal_level: String,
    checksums: String,
    slot_keep: String,
    idle_slots: i64,
}

const SERVER: &str = "select current_setting('server_version') as version, \
     current_setting('server_version_num')::int4 as number, \
     (select rolsuper from pg_catalog.pg_roles where rolname = current_user) as superuser, \
     current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes, \
     current_setting('synchronous_commit') as synchronous_commit, \
     current_setting('wal_level') as wal_level, current_setting('data_checksums') as checksums, \
     current_setting('max_slot_wal_keep_size') as slot_keep, \
     (select count(*) from pg_catalog.pg_replication_slots where not active) as idle_slots";

/// What the server says of itself.
pub(crate) async fn of_server(
    options: &sqlx::postgres::PgConnectOptions,
    roles: Roles,
) -> Vec<Fact> {
    let ask = async {
        let mut connection = PgConnection::connect_with(options).await?;
        let server: Server = sqlx::query_as(SERVER).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(server)
    };
    let bad = |text: String| vec![Fact::new(Weight::Bad, text)];
    match timeout(WITHIN, ask).await {
        Ok(Ok(server)) => judge(&server, roles),
        Ok(Err(error)) => bad(format!("The database cannot be asked: {error}.")),
        Err(_) => bad(format!("The database did not answer within {} s.", WITHIN.as_secs())),
    }
}

/// What is so about the database that `DATABASE_URL` names, for a command beside no running server:
/// both roles are tried.
///
/// # Errors
/// When a URL cannot be read.
pub async fn facts_outside(
    database_url: &Secret,
    owner_url: Option<&Secret>,
) -> Result<Vec<Fact>, StoreError> {
    let runtime = parse("DATABASE_URL", database_url)?;
    let owner = owner_url.map(|url| parse("PLIMSOLL_DATABASE_OWNER_URL", url)).transpose()?;
    let two = owner.as_ref().is_some_and(|o| o.get_username() != runtime.get_username());
    let mut facts = of_server(&runtime, if two { Roles::Two } else { Roles::Single }).await;
    if let Some(owner) = owner {
        let why = match timeout(WITHIN, PgConnection::connect_with(&owner)).await {
            Ok(Ok(_)) => return Ok(facts),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", WITHIN.as_secs()),
        };
        facts.push(Fact::new(
            Weight::Bad,
            format!("The owner cannot migrate: {why}. Mend PLIMSOLL_DATABASE_OWNER_URL."),
        ));
    }
    Ok(facts)
}

fn judge(server: &Server, roles: Roles) -> Vec<Fact> {
    let version = &server.version;
    let major = u32::try_from(server.number / 10_000).unwrap_or_default();
    let mut facts = vec![if major < SERVER_MAJOR_MIN {
        Fact::new(
            Weight::Bad,
            format!(
                "The server is PostgreSQL {version}; {SERVER_MAJOR_MIN} or later is needed: upgrade it."
            ),
        )
    } else {
        Fact::new(Weight::Good, format!("The server is PostgreSQL {version}."))
    }];
    let mut note = |when: bool, weight: Weight, sentence: &str| {
        if when {
            facts.push(Fact::new(weight, sentence));
        }
    };
    let off = |setting: &str| setting == "off";
    note(
        server.superuser,
        Weight::Bad,
        "The process uses the database as a superuser, so nothing in it is append-only: make a \
         role without superuser, and name it in DATABASE_URL.",
    );
    note(
        roles == Roles::Single && !server.superuser,
        Weight::Weak,
        "One role owns and uses the database, so that only triggers keep the ledger append-only: \
         make a second role, and name the owner in PLIMSOLL_DATABASE_OWNER_URL.",
    );
    note(
        roles == Roles::Two && !server.superuser,
        Weight::Good,
        "Owner and runtime are two roles: the process cannot change what it appended.",
    );
    note(
        roles == Roles::TwoOfOurs && !server.superuser,
        Weight::Weak,
        "Owner and runtime are two roles, but the server is the process's own: whoever takes over \
         the user that runs it can change what was appended, and only the ledger's checkpoints \
         tell. A server elsewhere keeps the two apart: name it in DATABASE_URL and \
         PLIMSOLL_DATABASE_OWNER_URL.",
    );
    note(
        off(&server.fsync),
        Weight::Bad,
        "fsync is off: a power cut can destroy the database. Set fsync = on in postgresql.conf.",
    );
    note(
        off(&server.full_page_writes),
        Weight::Bad,
        "full_page_writes is off: a power cut can tear pages. Set full_page_writes = on.",
    );
    note(
        off(&server.synchronous_commit),
        Weight::Weak,
        "synchronous_commit is off: a crash can lose the last acknowledged writes. Set it to on.",
    );
    note(
        off(&server.checksums),
        Weight::Weak,
        "Data checksums are off, so that silent damage stays silent: run \
         `pg_checksums --enable` while the server is stopped.",
    );
    note(
        server.wal_level != "logical",
        Weight::Weak,
        "wal_level is not logical, so that changes are read from an outbox instead of the log: set \
         wal_level = logical and restart the server where you may.",
    );
    note(
        server.idle_slots > 0 && server.slot_keep == "-1",
        Weight::Weak,
        "A replication slot is not in use and keeps log without bound: drop it, or set \
         max_slot_wal_keep_size.",
    );
    facts
}

/// What the place of the data is like.
pub(crate) fn of_place(folder: &Path) -> Vec<Fact> {
    let mut facts = Vec::new();
    match rustix::fs::statvfs(folder) {
        Ok(found) => facts.push(free_space(found.f_bavail.saturating_mul(found.f_frsize), folder)),
        Err(error) => facts.push(Fact::new(
            Weight::Weak,
            format!("How full {} is cannot be told: {error}.", folder.display()),
        )),
    }
    facts.extend(file_system(folder));
    facts
}

fn free_space(free: u64, folder: &Path) -> Fact {
    let place = folder.display();
    let mib = free >> 20;
    if free < FREE_DANGER_BYTES {
        return Fact::new(
            Weight::Bad,
            format!(
                "Only {mib} MiB are free where the data lies ({place}); without space the database \
             stops: free some now, or move the directory (--data-dir)."
            ),
        );
    }
    if free < FREE_LOW_BYTES {
        return Fact::new(
            Weight::Weak,
            format!(
                "{mib} MiB are free where the data lies ({place}): make room before it runs out."
            ),
        );
    }
    Fact::new(Weight::Good, format!("{} GiB are free where the data lies ({place}).", free >> 30))
}

#[cfg(target_os = "linux")]
fn file_system(folder: &Path) -> Option<Fact> {
    let kind = rustix::fs::statfs(folder).ok()?.f_type;
    let place = folder.display();
    // From linux/magic.h.
    let sentence = match u64::try_from(kind).ok()? & 0xffff_ffff {
        0x0102_1994 | 0x8584_58f6 => format!(
            "The data lies in memory ({place} is a tmpfs) and is gone after a restart: name a \
             directory on a disk with --data-dir."
        ),
        0x6969 | 0xff53_4d42 | 0xfe53_4d42 | 0x517b => format!(
            "The data lies on a network file system ({place}), which can lose what it \
             acknowledged: name a local directory with --data-dir, or use DATABASE_URL."
        ),
        0x794c_7630 => format!(
            "The data lies in the writable layer of a container ({place}) and goes with the \
             container: mount a volume there."
        ),
        _ => return None,
    };
    Some(Fact::new(Weight::Weak, sentence))
}

#[cfg(not(target_os = "linux"))]
fn file_system(_folder: &Path) -> Option<Fact> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        let on = || "on".to_owned();
        Server {
            version: "15.18".into(),
            number: 150_018,
            superuser: false,
            fsync: on(),
            full_page_writes: on(),
            synchronous_commit: on(),
            wal_level: "logical".into(),
            checksums: on(),
            slot_keep: "1GB".into(),
            idle_slots: 0,
        }
    }

    fn worst(server: &Server, roles: Roles) -> (Weight, String) {
        let facts = judge(server, roles);
        let worst = facts.into_iter().max_by_key(|fact| fact.weight).unwrap();
        (worst.weight, worst.sentence)
    }

    #[test]
    fn what_is_weak_is_said_with_what_to_do() {
        assert_eq!(worst(&server(), Roles::Two).0, Weight::Good);
        let off = || "off".to_owned();
        for (server, roles, weight, words) in [
            (Server { number: 140_001, ..server() }, Roles::Two, Weight::Bad, "upgrade"),
            (Server { superuser: true, ..server() }, Roles::Single, Weight::Bad, "superuser"),
            (server(), Roles::Single, Weight::Weak, "PLIMSOLL_DATABASE_OWNER_URL"),
            (server(), Roles::TwoOfOurs, Weight::Weak, "checkpoints"),
            (Server { fsync: off(), ..server() }, Roles::Two, Weight::Bad, "fsync = on"),
            (Server { full_page_writes: off(), ..server() }, Roles::Two, Weight::Bad, "tear"),
            (Server { synchronous_commit: off(), ..server() }, Roles::Two, Weight::Weak, "lose"),
            (Server { checksums: off(), ..server() }, Roles::Two, Weight::Weak, "pg_checksums"),
            (
                Server { wal_level: "replica".into(), ..server() },
                Roles::Two,
                Weight::Weak,
                "outbox",
            ),
            (
                Server { idle_slots: 1, slot_keep: "-1".into(), ..server() },
                Roles::Two,
                Weight::Weak,
                "slot",
            ),
        ] {
            let (found, sentence) = worst(&server, roles);
            assert_eq!(found, weight, "{sentence}");
            assert!(sentence.contains(words), "{sentence}");
        }
    }

    #[test]
    fn a_full_disk_is_a_danger() {
        let place = Path::new("/d");
        assert_eq!(free_space(100 << 20, place).weight, Weight::Bad);
        assert_eq!(free_space(1 << 30, place).weight, Weight::Weak);
        assert_eq!(free_space(50 << 30, place).weight, Weight::Good);
    }
}
