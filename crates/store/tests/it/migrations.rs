//! Migrations: run twice, edited, newer, failing, at once.

use std::sync::Arc;

use plimsoll_store::{MigrateError, RUNTIME_ROLE, Room, lint, migrate};
use plimsoll_testkit::database::Database;

use crate::rooms::{GARDEN, garden_of, room_of};

const FIRST: (i64, &str) = (1, "create table garden.a (n int)");
const SECOND: (i64, &str) = (2, "create table garden.b (n int)");

async fn run(database: &Database, room: Room) -> Result<Vec<i64>, MigrateError> {
    let done = migrate(&database.owner, &[room], Some(RUNTIME_ROLE)).await?;
    Ok(done.rooms[0].applied.clone())
}

/// Everything that a migration could have changed, as text.
async fn everything(database: &Database) -> String {
    sqlx::query_scalar(
        "select string_agg(x, E'\\n' order by x) from ( \
         select concat_ws(' ', relname, relkind, relacl::text) x from pg_class \
         where relnamespace = 'garden'::regnamespace union all \
         select concat_ws(' ', nspname, nspacl::text) from pg_namespace union all \
         select m::text from garden._migrations m) y",
    )
    .fetch_one(&database.superuser)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let database = Database::new(&[]).await;
    assert_eq!(run(&database, GARDEN).await.unwrap(), [20_261_101_000_000, 20_261_102_000_000]);
    let before = everything(&database).await;
    assert_eq!(run(&database, GARDEN).await.unwrap(), [0_i64; 0]);
    assert_eq!(everything(&database).await, before);
}

#[tokio::test]
async fn only_what_is_new_is_run() {
    let database = Database::new(&[garden_of(&[FIRST])]).await;
    assert_eq!(run(&database, garden_of(&[FIRST, SECOND])).await.unwrap(), [2]);
}

#[tokio::test]
async fn an_edited_migration_is_named_and_nothing_is_run() {
    let database = Database::new(&[garden_of(&[FIRST])]).await;
    let edited = garden_of(&[(1, "create table garden.a (n bigint)"), SECOND]);
    let error = run(&database, edited).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, MigrateError::Edited { .. }), "{text}");
    assert!(text.contains("garden/1_words_of_it") && text.contains("new migration"), "{text}");
    // Other rooms are not touched either, though they come first.
    let other = room_of("other", &[(1, "create table other.a (n int)")]);
    let edited = garden_of(&[(1, "select 1")]);
    migrate(&database.owner, &[other, edited], None).await.unwrap_err();
    let schemas: i64 =
        sqlx::query_scalar("select count(*) from pg_namespace where nspname = 'other'")
            .fetch_one(&database.superuser)
            .await
            .unwrap();
    assert_eq!(schemas, 0);
}

#[tokio::test]
async fn a_newer_database_is_refused_with_a_sentence() {
    let database = Database::new(&[garden_of(&[FIRST, SECOND])]).await;
    let text = run(&database, garden_of(&[FIRST])).await.unwrap_err().to_string();
    assert!(text.contains("migrated by a newer Plimsoll: garden has migration 2"), "{text}");
    let without_first = garden_of(&[SECOND]);
    let error = run(&database, without_first).await.unwrap_err();
    assert!(matches!(error, MigrateError::Unknown { version: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_failing_migration_leaves_nothing_of_itself() {
    let database = Database::new(&[]).await;
    let failing = garden_of(&[FIRST, (2, "create table garden.b (n int); select 1 / 0")]);
    let text = run(&database, failing).await.unwrap_err().to_string();
    assert!(text.contains("garden/2_words_of_it failed, and nothing of it was kept"), "{text}");
    assert_eq!(run(&database, garden_of(&[FIRST, SECOND])).await.unwrap(), [2]);
}

#[tokio::test]
async fn a_table_without_its_schema_is_refused() {
    let database = Database::new(&[]).await;
    let careless = garden_of(&[(1, "create table a (n int)")]);
    let text = run(&database, careless).await.unwrap_err().to_string();
    assert!(text.contains("no schema has been selected"), "{text}");
}

#[tokio::test]
async fn an_append_only_table_that_is_not_there_is_refused() {
    let database = Database::new(&[]).await;
    let room = Room { append_only: &["b"], ..garden_of(&[FIRST]) };
    let error = run(&database, room).await.unwrap_err();
    assert!(matches!(&error, MigrateError::NoSuchTable { table, .. } if table == "b"), "{error}");
}

#[tokio::test]
async fn many_processes_migrate_at_once_and_each_migration_is_run_by_one() {
    let database = Arc::new(Database::new(&[]).await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let database = Arc::clone(&database);
        tasks.spawn(async move { run(&database, GARDEN).await.unwrap().len() });
    }
    assert_eq!(tasks.join_all().await.iter().sum::<usize>(), 2);
}

#[tokio::test]
async fn a_single_role_is_granted_nothing_and_works() {
    let database = Database::new(&[]).await;
    migrate(&database.owner, &[GARDEN], None).await.unwrap();
    sqlx::query("update garden.diary set said = 'x'").execute(&database.owner).await.unwrap();
    let denied = sqlx::query("select 1 from garden.diary").execute(&database.runtime).await;
    assert!(denied.unwrap_err().to_string().contains("permission denied"));
}

#[tokio::test]
async fn rights_that_somebody_gave_by_hand_on_what_is_appended_to_are_taken_back() {
    let database = Database::new(&[GARDEN]).await;
    sqlx::query("grant all on garden.diary to plimsoll_runtime")
        .execute(&database.owner)
        .await
        .unwrap();
    run(&database, GARDEN).await.unwrap();
    let denied = sqlx::query("delete from garden.diary").execute(&database.runtime).await;
    assert!(denied.unwrap_err().to_string().contains("permission denied"));
}

#[test]
fn the_rooms_migrations_keep_the_rules() {
    assert_eq!(lint::lint(&GARDEN), []);
    let careless = garden_of(&[FIRST, (2, "drop table garden.a")]);
    let found: Vec<String> = lint::lint(&careless).iter().map(ToString::to_string).collect();
    assert!(found[0].starts_with("garden/2_words_of_it:1: drops a table"), "{found:?}");
}
