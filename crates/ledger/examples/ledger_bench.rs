//! What `bench/ledger/run` drives: rounds of plain inserts and of ledger entries against one
//! database, in turn, then one verification. Prints a JSON object a line.
//!
//! `ledger_bench DATABASE_URL DIRECTORY ROUNDS SECONDS WRITERS`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plimsoll_base::{SharedClock, SystemClock};
use plimsoll_ledger::{
    Actor, ActorKind, Append, Checkpoints, Fact, Ledger, ROOM, Sealer, VerifyOptions, verify,
};
use plimsoll_protection::{Keyring, KeyringOptions};
use serde_json::{Map, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::watch;
use uuid::Uuid;

type Failure = Box<dyn Error + Send + Sync>;

/// A table with the same columns as an entry, and only a primary key: what the team would write.
const PLAIN: &str = "create table if not exists public.plain (
    id uuid primary key, at timestamptz not null, action text not null, actor_kind text not null,
    actor bytea, subject text not null, outcome text not null, change_id uuid,
    detail jsonb not null, sealed_personal bytea, hash bytea not null)";
const PLAIN_INSERT: &str = "insert into public.plain values ($1, now(), $2, $3, $4, $5, $6, null,
    $7::text::jsonb, null, $8)";

#[derive(Clone, Copy, PartialEq)]
enum What {
    Plain,
    Ledger,
}

struct Bench {
    pool: PgPool,
    ledger: Ledger,
    clock: SharedClock,
    writers: usize,
    seconds: u64,
    next: AtomicU64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, directory, rounds, seconds, writers] = arguments.as_slice() else {
        return Err("ledger_bench DATABASE_URL DIRECTORY ROUNDS SECONDS WRITERS".into());
    };
    let (directory, clock) = (Path::new(directory), SystemClock::shared());
    let keyring = Arc::new(Keyring::open(&KeyringOptions {
        directory: directory.join("keys"),
        signing_key_file: None,
        kek_file: None,
        outside_database: false,
    })?);
    let writers: usize = writers.parse()?;
    let connections = u32::try_from(writers)? + 4;
    let pool = PgPoolOptions::new().max_connections(connections).connect(url).await?;
    let mut conn = PgConnection::connect(url).await?;
    sqlx::query("create schema if not exists ledger").execute(&mut conn).await?;
    ROOM.migrator.run(&mut conn).await?;
    sqlx::query(PLAIN).execute(&mut conn).await?;
    let checkpoints_directory = directory.join("checkpoints");
    let checkpoints = Checkpoints::open(&checkpoints_directory, Arc::clone(&keyring))?;
    let sealer = Sealer::new(pool.clone(), checkpoints, SharedClock::clone(&clock));
    let (stop, stopped) = watch::channel(false);
    let bench = Arc::new(Bench {
        pool: pool.clone(),
        ledger: Ledger::new(SharedClock::clone(&clock), Arc::clone(&keyring)),
        clock: SharedClock::clone(&clock),
        writers,
        seconds: seconds.parse()?,
        next: AtomicU64::new(0),
    });
    let work = async {
        for round in 0..rounds.parse::<usize>()? {
            let mut order = [What::Plain, What::Ledger];
            if round % 2 == 1 {
                order.reverse();
            }
            for what in order {
                let figures = bench.round(what).await?;
                let name = if what == What::Plain { "plain" } else { "ledger" };
                say(&json!({ "round": round, "what": name, "per_second": figures }));
            }
        }
        // The sealer catches up before it is told to stop.
        while unsealed(&bench.pool).await? > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        stop.send(true)?;
        Ok::<_, Failure>(())
    };
    let (worked, ()) = tokio::join!(work, sealer.run(stopped));
    worked?;
    let options = VerifyOptions {
        checkpoints: checkpoints_directory,
        key: keyring.public_key().clone(),
        further: Vec::new(),
        trusted: Vec::new(),
    };
    let report = verify(&mut conn, &options, &clock, |_| {}).await?;
    say(&json!({
        "verify_per_second": report.entries_per_second(), "entries": report.entries,
        "whole": report.is_whole(), "checkpoints": report.checkpoints,
        "after_checkpoint": report.after_checkpoint,
    }));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its output is its purpose")]
fn say(line: &serde_json::Value) {
    println!("{line}");
}

async fn unsealed(pool: &PgPool) -> Result<i64, Failure> {
    let query =
        "select (select count(*) from ledger.entries) - (select count(*) from ledger.seals)";
    Ok(sqlx::query_scalar(query).fetch_one(pool).await?)
}

impl Bench {
    /// Transactions per second of one insert each, by all writers together.
    async fn round(&self, what: What) -> Result<f64, Failure> {
        let begin = self.clock.now();
        let end = begin.plus(Duration::from_secs(self.seconds));
        let writers = (0..self.writers).map(|_| async {
            let mut conn = self.pool.acquire().await?;
            let mut count = 0_u64;
            while self.clock.now() < end {
                let mut tx = conn.begin().await?;
                match what {
                    What::Plain => self.plain(&mut tx).await?,
                    What::Ledger => self.entry(&mut tx).await?,
                }
                tx.commit().await?;
                count += 1;
            }
            Ok::<_, Failure>(count)
        });
        let counts = futures_util::future::try_join_all(writers).await?;
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let all = counts.iter().sum::<u64>() as f64;
        Ok(all / self.clock.now().since(begin).as_secs_f64())
    }

    fn fact(&self) -> Fact {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let mut detail = Map::new();
        detail.insert("request_id".into(), json!(format!("0192f000-0000-7000-8000-{n:012}")));
        detail.insert("status".into(), json!(201));
        Fact::OperatorAct { act: "flag.set".into(), subject: format!("flag/{}", n % 500), detail }
    }

    async fn entry(&self, conn: &mut PgConnection) -> Result<(), Failure> {
        let actor = Actor::Named(ActorKind::Operator, "local:1000");
        self.ledger.append(conn, Append::ok(actor, self.fact())).await?;
        Ok(())
    }

    /// The same bytes in the same number of columns.
    async fn plain(&self, conn: &mut PgConnection) -> Result<(), Failure> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let random: [u8; 10] = plimsoll_protection::random()?;
        let id: Uuid =
            uuid::Builder::from_unix_timestamp_millis(self.clock.unix_ms(), &random).into_uuid();
        let detail = json!({
            "request_id": format!("0192f000-0000-7000-8000-{n:012}"), "status": 201, "act": "flag.set",
        });
        sqlx::query(PLAIN_INSERT)
            .bind(id)
            .bind("operator.act")
            .bind("operator")
            .bind([7_u8; 32].as_slice())
            .bind(format!("flag/{}", n % 500))
            .bind("ok")
            .bind(detail.to_string())
            .bind([9_u8; 32].as_slice())
            .execute(conn)
            .await?;
        Ok(())
    }
}
