//! Roles and grants, on a database of the testkit.

use plimsoll_testkit::database::Database;

use crate::rooms::GARDEN;

async fn may(pool: &sqlx::PgPool, sql: &'static str) -> bool {
    let Err(error) = sqlx::query(sql).execute(pool).await else { return true };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
    false
}

#[tokio::test]
async fn the_runtime_role_writes_rows_and_only_appends_where_told() {
    let database = Database::new(&[GARDEN]).await;
    for (sql, allowed) in [
        ("insert into garden.plants (name) values ('fern')", true),
        ("update garden.plants set name = 'moss'", true),
        ("delete from garden.plants", true),
        ("truncate garden.plants", false),
        ("insert into garden.diary (said) values ('rain')", true),
        ("select * from garden.diary", true),
        ("update garden.diary set said = 'sun'", false),
        ("delete from garden.diary", false),
        ("truncate garden.diary", false),
        ("alter table garden.diary add column x int", false),
        ("create table garden.mine (x int)", false),
        ("create schema mine", false),
        ("delete from garden._migrations", false),
        ("set role plimsoll_owner", false),
    ] {
        assert_eq!(may(&database.runtime, sql).await, allowed, "{sql}");
    }
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, other) = (Database::new(&[GARDEN]).await, Database::new(&[GARDEN]).await);
    assert_ne!(one.name, other.name);
    sqlx::query("insert into garden.plants (name) values ('fern')")
        .execute(&one.runtime)
        .await
        .unwrap();
    let count: i64 = sqlx::query_scalar("select count(*) from garden.plants")
        .fetch_one(&other.runtime)
        .await
        .unwrap();
    assert_eq!(count, 0);
}
