//! Roles, databases, and how one connects.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Executor as _};

/// The oldest server that will do.
pub const SERVER_MAJOR_MIN: u32 = 15;
/// The superuser of the private cluster. Nothing but us uses it, and only to prepare.
pub const SUPERUSER_ROLE: &str = "postgres";
/// Owns the schemas, and migrates them.
pub const OWNER_ROLE: &str = "plimsoll_owner";
/// What the process itself uses.
pub const RUNTIME_ROLE: &str = "plimsoll_runtime";
/// Our database in the private cluster.
pub const DATABASE: &str = "plimsoll";

/// Connections of the runtime pool, at most.
pub(crate) const RUNTIME_CONNECTIONS_MAX: u32 = 20;
/// Connections of the owner's pool, at most: it only migrates.
pub(crate) const OWNER_CONNECTIONS_MAX: u32 = 2;
/// How long one waits for a free connection.
pub(crate) const ACQUIRE_WITHIN: Duration = Duration::from_secs(5);
/// A connection that nobody used for this long is closed.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// Said once when a connection opens. A statement that runs longer, a lock that is waited for
/// longer, or a transaction that is left open longer is ended by the server.
const RUNTIME_BOUNDS: &str = "set statement_timeout = '30s'; set lock_timeout = '10s'; \
                              set idle_in_transaction_session_timeout = '60s'";
/// A migration may take long, but never waits long for a lock that others queue behind.
const OWNER_BOUNDS: &str = "set lock_timeout = '10s'";

/// Where a cluster on this machine listens.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) socket_dir: PathBuf,
}

impl Local {
    pub(crate) fn options(&self, role: &str, database: &str) -> PgConnectOptions {
        quiet(
            PgConnectOptions::new_without_pgpass()
                .socket(&self.socket_dir)
                .port(5432)
                .ssl_mode(PgSslMode::Disable)
                .username(role)
                .database(database),
        )
    }

    /// The same for others, as a libpq URL. Drivers want a host before the path; the parameter
    /// outweighs it.
    pub(crate) fn url(&self, role: &str, database: &str) -> String {
        let folder = escape(&self.socket_dir);
        format!("postgresql://{role}@localhost/{database}?host={folder}")
    }
}

/// Options whose password does not show: sqlx's own `Debug` prints it.
#[derive(Clone)]
pub(crate) struct Hidden(pub(crate) PgConnectOptions);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PgConnectOptions(hidden)")
    }
}

/// Our name in `pg_stat_activity`, and no statement in any log: they may hold what is personal.
pub(crate) fn quiet(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("plimsoll").disable_statement_logging()
}

/// The pool that the rooms use. It connects when it is first used.
pub(crate) fn runtime_pool(options: PgConnectOptions) -> sqlx::PgPool {
    pool(options, RUNTIME_CONNECTIONS_MAX, RUNTIME_BOUNDS)
}

/// The pool that migrates.
pub(crate) fn owner_pool(options: PgConnectOptions) -> sqlx::PgPool {
    pool(options, OWNER_CONNECTIONS_MAX, OWNER_BOUNDS)
}

fn pool(options: PgConnectOptions, connections_max: u32, bounds: &'static str) -> sqlx::PgPool {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_WITHIN)
        .idle_timeout(IDLE_MAX)
        .after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(bounds).await.map(drop) })
        })
        .connect_lazy_with(options)
}

/// A path as the value of a URL's parameter (RFC 3986: what is not unreserved is escaped).
fn escape(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(*byte));
            }
            other => {
                // Writing to a string cannot fail.
                let _written = write!(text, "%{other:02X}");
            }
        }
    }
    text
}

/// An identifier as SQL: in double quotes.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    #[test]
    fn a_url_leads_back_to_the_same_socket() {
        let local = Local { socket_dir: PathBuf::from("/a b/ü,\"&c") };
        let url = local.url("app", "app");
        assert!(url.starts_with("postgresql://app@localhost/app?host=/a%20b/"), "{url}");
        let options = PgConnectOptions::from_str(&url).unwrap();
        assert_eq!(options.get_socket(), Some(&local.socket_dir));
        assert_eq!(options.get_username(), "app");
        assert_eq!(options.get_database(), Some("app"));
    }
}
