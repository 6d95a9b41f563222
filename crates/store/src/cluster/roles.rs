//! Roles and databases of the private cluster.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::cluster::error::ClusterError;
use crate::connect::{DATABASE, Local, OWNER_ROLE, RUNTIME_ROLE, SUPERUSER_ROLE, identifier};

/// The key of the advisory lock: "clusters", as eight bytes.
const LOCK_KEY: i64 = 0x636c_7573_7465_7273;
const NAME_CHARS_MAX: usize = 63;
const RESERVED: &str = "postgres, template0, template1, public, plimsoll and what begins with pg_ \
                        or plimsoll_";

/// Our two roles and our database. Run at every start; changes nothing the second time.
pub(crate) async fn prepare(local: &Local) -> Result<(), ClusterError> {
    let mut server = connect(local).await?;
    for role in [OWNER_ROLE, RUNTIME_ROLE] {
        make_role(&mut server, role).await?;
    }
    make_database(&mut server, DATABASE, OWNER_ROLE).await?;
    let grant = format!("grant connect on database {DATABASE} to {RUNTIME_ROLE}");
    server.execute(AssertSqlSafe(grant)).await?;
    server.close().await?;
    Ok(())
}

/// A database with an owner of the same name.
pub(crate) async fn create_database(local: &Local, name: &str) -> Result<String, ClusterError> {
    if !is_free_name(name) {
        return Err(ClusterError::DatabaseName { name: name.to_owned(), reserved: RESERVED });
    }
    let mut server = connect(local).await?;
    make_role(&mut server, name).await?;
    make_database(&mut server, name, name).await?;
    server.close().await?;
    Ok(local.url(name, name))
}

/// As the superuser, alone: two that make the same role or database at once would trip over each
/// other. Closing the connection gives the lock back.
async fn connect(local: &Local) -> Result<PgConnection, sqlx::Error> {
    let options = local.options(SUPERUSER_ROLE, SUPERUSER_ROLE);
    let mut server = PgConnection::connect_with(&options).await?;
    sqlx::query("select pg_catalog.pg_advisory_lock($1)")
        .bind(LOCK_KEY)
        .execute(&mut server)
        .await?;
    Ok(server)
}

async fn make_role(server: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    let exists: bool = sqlx::query_scalar(
        "select exists (select from pg_catalog.pg_roles where rolname = $1 and rolcanlogin)",
    )
    .bind(role)
    .fetch_one(&mut *server)
    .await?;
    if !exists {
        let statement = format!("create role {} login", identifier(role));
        server.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

async fn make_database(
    server: &mut PgConnection,
    database: &str,
    owner: &str,
) -> Result<(), sqlx::Error> {
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_catalog.pg_database where datname = $1)")
            .bind(database)
            .fetch_one(&mut *server)
            .await?;
    let (database, owner) = (identifier(database), identifier(owner));
    if !exists {
        let statement = format!("create database {database} owner {owner}");
        server.execute(AssertSqlSafe(statement)).await?;
    }
    // The neighbours in this cluster have no business there.
    let statement = format!("revoke all on database {database} from public");
    server.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}

fn is_free_name(name: &str) -> bool {
    let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    let goes_on_well =
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let taken = matches!(name, "postgres" | "template0" | "template1" | "public" | "plimsoll")
        || name.starts_with("pg_")
        || name.starts_with("plimsoll_");
    begins_well && goes_on_well && !taken && name.len() <= NAME_CHARS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_databases_are_plain_and_not_ours() {
        for name in ["mvp", "a", "shop_2"] {
            assert!(is_free_name(name), "{name}");
        }
        let long = "a".repeat(64);
        for name in ["", "Mvp", "1a", "a-b", "a;b", "plimsoll", "plimsoll_x", "pg_a", &long] {
            assert!(!is_free_name(name), "{name}");
        }
    }
}
