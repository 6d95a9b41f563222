//! The state of the backend: tables of a Postgres database of its own, bounded.
//!
//! Every table has a limit. Posts, orders and media make room by dropping the oldest; sign-up is
//! refused when it is full, because nobody should lose a profile to a stranger.

mod media;
mod orders;
mod people;
mod posts;

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgPool};

use crate::refusal::Refusal;

/// The most people. Unit: profiles.
pub const PEOPLE_MAX: u32 = 10_000;
/// The most posts kept; the oldest goes. Unit: posts.
pub const POSTS_MAX: u32 = 5_000;
/// The most likes one post counts apart. Unit: people.
pub const LIKES_PER_POST_MAX: u32 = 1_000;
/// The most orders kept; the oldest goes. Unit: orders.
pub const ORDERS_MAX: u32 = 10_000;
/// The most media kept together; the oldest goes. Unit: bytes.
pub const MEDIA_TOTAL_BYTES_MAX: usize = 64 << 20;
/// The largest single upload. Unit: bytes.
pub const MEDIA_BYTES_MAX: usize = 8 << 20;

/// The most connections to the database.
const CONNECTIONS_MAX: u32 = 10;
/// How long a request waits for one of them.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(2);
/// How long the database may take to be reached at the start.
const REACH_WITHIN: Duration = Duration::from_secs(10);
/// A connection that nobody used for this long is closed.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// The server ends a statement that takes longer.
const STATEMENT_WITHIN: &str = "5s";
/// Two that start at once make the tables one after the other: "mvp", as a number.
const SCHEMA_LOCK: i64 = 0x6d_7670;
const SCHEMA: &str = include_str!("schema.sql");

/// Where the time of day comes from: milliseconds since 1970.
pub type WallClock = fn() -> u64;

/// A part of a list, newest first.
#[derive(Clone, Debug)]
pub struct Slice<T> {
    /// The entries.
    pub items: Vec<T>,
    /// The number below which the next part starts; `None` at the end.
    pub next: Option<u64>,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not to be done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database did not do it.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL cannot be read. It is not shown: it may hold a password.
    #[error(
        "the database's URL cannot be read: write postgresql://USER@HOST/DATABASE, or with a \
         socket postgresql://USER@localhost/DATABASE?host=/its/folder"
    )]
    Url,
    /// Nothing answers there.
    #[error("the database {0} cannot be reached: {1}; is its server running?")]
    Away(String, String),
    /// The tables cannot be made.
    #[error("the tables cannot be made in {0}: {1}")]
    Tables(String, sqlx::Error),
}

/// The state of the backend.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    unix_ms: WallClock,
    name: String,
}

impl Store {
    /// Reaches the database, makes the tables where they are missing, and puts a few people and
    /// posts into an empty one, so that the first feed is not empty.
    pub async fn open(url: &str, unix_ms: WallClock) -> Result<Self, OpenError> {
        let known = ["postgresql://", "postgres://"].iter().any(|scheme| url.starts_with(scheme));
        let options = PgConnectOptions::from_str(url).map_err(|_| OpenError::Url)?;
        if !known {
            return Err(OpenError::Url);
        }
        let options = options
            .application_name("mvp")
            .options([("statement_timeout", STATEMENT_WITHIN)])
            .disable_statement_logging();
        let name = options.get_database().unwrap_or_else(|| options.get_username()).to_owned();
        let place = place(&options, &name);
        let away = |why: String| OpenError::Away(place.clone(), why);
        // Once without the pool, which would hide why it waits.
        match tokio::time::timeout(REACH_WITHIN, options.connect()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(away(error.to_string())),
            Err(_) => return Err(away(format!("no answer in {} s", REACH_WITHIN.as_secs()))),
        }
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_WITHIN)
            .idle_timeout(IDLE_MAX)
            .connect_lazy_with(options);
        let store = Self { pool, unix_ms, name };
        store.prepare().await.map_err(|error| OpenError::Tables(place, error))?;
        Ok(store)
    }

    /// The name of the database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The connections, for a test that looks behind the API.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    async fn prepare(&self) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("select pg_advisory_xact_lock($1)")
            .bind(SCHEMA_LOCK)
            .execute(&mut *transaction)
            .await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        let (empty,): (bool,) = sqlx::query_as("select not exists (select from people)")
            .fetch_one(&mut *transaction)
            .await?;
        if empty {
            self.seed(&mut transaction).await?;
        }
        transaction.commit().await
    }

    async fn seed(&self, connection: &mut sqlx::PgConnection) -> Result<(), sqlx::Error> {
        for (handle, name) in [("ava", "Ava"), ("noor", "Noor"), ("kenji", "Kenji")] {
            sqlx::query(
                "with author as (insert into people (handle, display_name, created_at_ms) \
                 values ($1, $2, $3) returning number) \
                 insert into posts (author, text, created_at_ms) \
                 select number, $2 || '''s cup number ' || cup || ' of the day', $3 \
                 from author, generate_series(1, 15) cup order by cup",
            )
            .bind(handle)
            .bind(name)
            .bind(self.now())
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }

    /// Milliseconds since 1970, as the tables hold them.
    fn now(&self) -> i64 {
        i64::try_from((self.unix_ms)()).unwrap_or(i64::MAX)
    }
}

/// Where it is, in words, without a password.
fn place(options: &PgConnectOptions, name: &str) -> String {
    match options.get_socket() {
        Some(folder) => format!("{name} on the socket in {}", folder.display()),
        None => format!("{name} on {}:{}", options.get_host(), options.get_port()),
    }
}

/// A moment as the API says it.
fn moment(unix_ms: i64) -> String {
    crate::model::timestamp(u64::try_from(unix_ms).unwrap_or(0))
}

/// The number in an id such as `post_12`.
fn number(id: &str, prefix: &str) -> Result<i64, Refusal> {
    let digits = id.strip_prefix(prefix).ok_or(Refusal::NotFound)?;
    digits.parse().map_err(|_| Refusal::NotFound)
}

/// Where a list goes on: below this number.
fn below(before: Option<u64>) -> i64 {
    before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX))
}

/// As many rows as are asked for and one more, which says whether there is a next part.
fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// Cuts off the row beyond `limit`; the last number that stays is where the next part begins.
fn slice<T>(mut rows: Vec<(i64, T)>, limit: usize) -> Slice<T> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().and_then(|(number, _)| u64::try_from(*number).ok());
    Slice { items: rows.into_iter().map(|(_, item)| item).collect(), next: last.filter(|_| more) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_prefix_and_a_number() {
        assert_eq!(number("post_12", "post_"), Ok(12));
        for bad in ["", "12", "order_12", "post_", "post_x", "post_99999999999999999999"] {
            assert_eq!(number(bad, "post_"), Err(Refusal::NotFound), "{bad}");
        }
    }

    #[test]
    fn the_last_part_of_a_list_has_no_next() {
        let rows = |n: i64| (1..=n).rev().map(|number| (number, ())).collect::<Vec<_>>();
        assert_eq!(slice(rows(3), 3).next, None);
        let first = slice(rows(4), 3);
        assert_eq!((first.items.len(), first.next), (3, Some(2)));
        assert_eq!(slice(rows(0), 3).next, None);
    }

    #[tokio::test]
    async fn a_url_that_is_none_is_refused_without_showing_it() {
        for text in ["mysql://u:hunter2@h/d", "hunter2", "postgres://u:hunter2@h:port/d"] {
            let error = Store::open(text, || 0).await.unwrap_err().to_string();
            assert!(error.contains("postgresql://") && !error.contains("hunter2"), "{error}");
        }
    }
}
