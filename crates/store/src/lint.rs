//! What a migration may not do: whatever breaks the release before it, which still runs while
//! this one starts, or holds a table locked for as long as it is large.
//!
//! Expand first (add what is new), change the code, and contract when nothing uses the old any
//! more. A file that contracts says why: a comment before its first statement,
//! `-- contract: nothing reads it since 0.4`.

use std::collections::BTreeSet;
use std::fmt;

use crate::Room;
use crate::migrate::{file_of, ups};
use crate::sql_text::{Statement, leading_comments, statements};

/// One thing that a migration may not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The migration, as `room/file`.
    pub file: String,
    /// The line of the statement, from 1.
    pub line: usize,
    /// What it does.
    pub what: String,
    /// What to do instead.
    pub instead: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.file, self.line, self.what, self.instead)
    }
}

const CONTRACT: &str = "expand first, and contract in a later release: a file whose first comment \
                        is `-- contract: why nothing uses it any more` may do it";
const NEW_COLUMN: &str = "add a column of the new form, fill it, and let the code use it; the old \
                          one goes in a later release under `-- contract: why`";
const NOT_NULL: &str = "give it a default, or add `check (… is not null) not valid` and validate \
                        it in a migration after that";
const INDEX: &str = "`create index concurrently` in a file of its own that begins with \
                     `-- no-transaction`";
const USING_INDEX: &str = "build the index concurrently, then add the constraint `using index`";

/// What the migrations of a room do that they may not; empty when all is well. Each room has a
/// test that says so.
#[must_use]
pub fn lint(room: &Room) -> Vec<Finding> {
    ups(room)
        .flat_map(|migration| {
            let file = format!("{}/{}", room.name, file_of(migration));
            lint_sql(&file, migration.sql.as_str())
        })
        .collect()
}

/// The same for the text of one migration.
#[must_use]
pub fn lint_sql(file: &str, sql: &str) -> Vec<Finding> {
    let contracts = leading_comments(sql)
        .any(|line| line.strip_prefix("contract:").is_some_and(|why| !why.trim().is_empty()));
    if contracts {
        return Vec::new();
    }
    let statements = statements(sql);
    let mut lint = Lint {
        file,
        // As sqlx looks for it.
        no_transaction: sql.starts_with("-- no-transaction"),
        made_here: statements.iter().filter_map(made).collect(),
        found: Vec::new(),
    };
    statements.iter().for_each(|statement| lint.statement(statement));
    lint.found
}

struct Lint<'a> {
    file: &'a str,
    no_transaction: bool,
    /// Tables that this file makes: nobody uses them yet.
    made_here: BTreeSet<String>,
    found: Vec<Finding>,
}

impl Lint<'_> {
    fn add(&mut self, line: usize, what: String, instead: &'static str) {
        self.found.push(Finding { file: self.file.to_owned(), line, what, instead });
    }

    fn statement(&mut self, statement: &Statement) {
        let words = Words(&statement.words);
        let line = statement.line;
        match (words.at(0), words.at(1)) {
            ("drop", kind @ ("table" | "schema")) => {
                self.add(line, format!("drops a {kind}"), CONTRACT);
            }
            ("drop", "materialized") => self.add(line, "drops a view with data".into(), CONTRACT),
            ("truncate", _) => self.add(line, "empties a table".into(), CONTRACT),
            ("alter", "table") => self.alter_table(line, words),
            ("alter", kind) if kind != "index" && words.has("rename") => {
                self.add(line, format!("renames a {kind}"), CONTRACT);
            }
            ("create", "index" | "unique") => self.create_index(line, words),
            _ => {}
        }
    }

    fn create_index(&mut self, line: usize, words: Words<'_>) {
        let concurrently = words.has("concurrently");
        let table = words.position("on").map(|on| words.name(on + 1)).unwrap_or_default();
        if concurrently && !self.no_transaction {
            self.add(line, "builds an index concurrently in a transaction".into(), INDEX);
        }
        if !concurrently && !self.made_here.contains(&table) {
            self.add(line, format!("locks {table} while it builds an index"), INDEX);
        }
    }

    fn alter_table(&mut self, line: usize, words: Words<'_>) {
        let mut at = 2;
        for optional in ["if", "exists", "only"] {
            at += usize::from(words.at(at) == optional);
        }
        let table = words.name(at);
        let new = self.made_here.contains(&table);
        let actions = at + words.name_length(at);
        for action in words.from(actions).split_at_commas() {
            if let Some((what, instead)) = action_fault(action, &table, new) {
                self.add(line, what, instead);
            }
        }
    }
}

/// What one action of an `alter table` does that it may not.
fn action_fault(action: Words<'_>, table: &str, new: bool) -> Option<(String, &'static str)> {
    let skip = |word: &str| usize::from(action.at(1) == word);
    match action.at(0) {
        "rename" => Some((format!("renames {table} or a part of it"), NEW_COLUMN)),
        "drop" if action.at(1) != "constraint" => {
            Some((format!("drops a column of {table}"), CONTRACT))
        }
        "alter" => {
            let after = 1 + skip("column") + 1;
            let (first, second) = (action.at(after), action.at(after + 1));
            match (first, second, action.at(after + 2)) {
                ("type", ..) | ("set", "data", "type") => {
                    Some((format!("changes the type of a column of {table}"), NEW_COLUMN))
                }
                ("set", "not", "null") if !new => {
                    Some((format!("makes a column of {table} not null"), NOT_NULL))
                }
                _ => None,
            }
        }
        "add" if !new => match action.at(1) {
            "unique" | "primary" | "constraint" => {
                let builds = action.has("unique") || action.has("primary");
                (builds && !action.has("using"))
                    .then(|| (format!("locks {table} while it builds an index"), USING_INDEX))
            }
            "check" | "foreign" | "exclude" => None,
            _ => {
                let not_null = action.has_pair("not", "null") || action.has_pair("primary", "key");
                let filled = action.has("default") || action.has("generated");
                (not_null && !filled)
                    .then(|| (format!("adds a column to {table} that is not null"), NOT_NULL))
            }
        },
        _ => None,
    }
}

/// The table that a statement makes.
fn made(statement: &Statement) -> Option<String> {
    let words = Words(&statement.words);
    if words.at(0) != "create" {
        return None;
    }
    let table = words.position("table").or_else(|| words.position("view")).filter(|at| *at <= 3)?;
    let mut at = table + 1;
    for optional in ["if", "not", "exists"] {
        at += usize::from(words.at(at) == optional);
    }
    Some(words.name(at))
}

#[derive(Clone, Copy)]
struct Words<'a>(&'a [String]);

impl<'a> Words<'a> {
    fn at(self, index: usize) -> &'a str {
        self.0.get(index).map_or("", String::as_str)
    }

    fn has(self, word: &str) -> bool {
        self.position(word).is_some()
    }

    fn has_pair(self, one: &str, next: &str) -> bool {
        self.0.windows(2).any(|pair| matches!(pair, [a, b] if a == one && b == next))
    }

    fn position(self, word: &str) -> Option<usize> {
        self.0.iter().position(|w| w == word)
    }

    fn from(self, index: usize) -> Self {
        Self(self.0.get(index..).unwrap_or_default())
    }

    /// The name that begins there, with its schema.
    fn name(self, index: usize) -> String {
        let index = index + usize::from(self.at(index) == "only");
        self.0.get(index..index + self.name_length(index)).unwrap_or_default().concat()
    }

    fn name_length(self, index: usize) -> usize {
        let length = if self.at(index + 1) == "." { 3 } else { 1 };
        length.min(self.0.len().saturating_sub(index))
    }

    /// The parts between commas that stand in no parentheses.
    fn split_at_commas(self) -> impl Iterator<Item = Words<'a>> {
        let mut depth = 0_i32;
        self.0
            .split(move |word| {
                match word.as_str() {
                    "(" => depth += 1,
                    ")" => depth -= 1,
                    _ => {}
                }
                depth == 0 && word == ","
            })
            .map(Words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(sql: &str) -> Vec<String> {
        lint_sql("room/1_x", sql).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn what_breaks_the_release_before_is_found() {
        for (sql, expected) in [
            ("drop table a.b", "drops a table"),
            ("DROP SCHEMA a CASCADE", "drops a schema"),
            ("truncate a.b", "empties a table"),
            ("alter table a.b drop column c", "drops a column of a.b"),
            ("alter table a.b add column d int, drop if exists c", "drops a column of a.b"),
            ("alter table if exists only a.b rename to c", "renames a.b or a part of it"),
            ("alter table a.b rename column c to d", "renames a.b or a part of it"),
            ("alter table a.b alter column c type bigint", "changes the type of a column of a.b"),
            ("alter table a.b alter c set data type text", "changes the type of a column of a.b"),
            ("alter table a.b alter column c set not null", "makes a column of a.b not null"),
            ("alter table a.b add column c int not null", "adds a column to a.b that is not null"),
            ("alter table a.b add c int primary key", "adds a column to a.b that is not null"),
            ("alter table a.b add unique (c)", "locks a.b while it builds an index"),
            (
                "alter table a.b add constraint u primary key (c, d)",
                "locks a.b while it builds an index",
            ),
            ("create index i on a.b (c)", "locks a.b while it builds an index"),
            ("create unique index on only a.b (c)", "locks a.b while it builds an index"),
            (
                "create index concurrently i on a.b (c)",
                "builds an index concurrently in a transaction",
            ),
            ("alter type a.t rename value 'x' to 'y'", "renames a type"),
            ("-- contract:\ndrop table a.b", "drops a table"),
            ("select 1;\n-- contract: too late\ndrop table a.b", "drops a table"),
        ] {
            assert_eq!(faults(sql), [expected], "{sql}");
        }
    }

    #[test]
    fn what_only_adds_is_let_pass() {
        for sql in [
            "create table a.b (c int not null, d int); create index on a.b (c);",
            "create table if not exists a.b (c int); alter table a.b alter c set not null",
            "alter table a.b add column c int",
            "alter table a.b add column c int not null default 0",
            "alter table a.b add column c bigint generated always as identity not null",
            "alter table a.b add constraint c check (d > 0) not valid",
            "alter table a.b add constraint c unique using index i",
            "alter table a.b drop constraint c",
            "alter table a.b alter column c set default 1, alter column d drop not null",
            "-- no-transaction\ncreate index concurrently i on a.b (c)",
            "alter index a.i rename to j",
            "-- why\n-- contract: nothing reads it since 0.4\nalter table a.b drop column c",
            "comment on table a.b is 'drop table a.b'",
            "create function a.f() returns void language sql as $$ drop table a.b $$",
        ] {
            assert_eq!(faults(sql), [""; 0], "{sql}");
        }
    }

    #[test]
    fn a_finding_says_where_and_what_to_do() {
        let found = lint_sql("ledger/7_words", "select 1;\n\ndrop table ledger.entries;");
        let text = found[0].to_string();
        assert!(text.starts_with("ledger/7_words:3: drops a table; expand first"), "{text}");
    }
}
