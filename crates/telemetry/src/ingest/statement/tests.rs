use super::*;
use proptest::prelude::*;

fn of(system: &str, text: &str) -> String {
    normalise(Said { system, text: Some(text), ..Said::default() })
}

#[test]
fn literals_go_and_names_stay() {
    for (text, normal) in [
        ("SELECT * FROM users WHERE id = 17", "SELECT * FROM users WHERE id = ?"),
        (
            "select a.b from a where c='O''Brien' and d = $1",
            "select a.b from a where c = ? and d = ?",
        ),
        ("SELECT 1.5e-3, .5, 0xFF, X'AB', E'a\\'b', -7", "SELECT ?, - ?"),
        ("SELECT \"Name\" FROM \"shop\".\"users\"", "SELECT \"Name\" FROM \"shop\".\"users\""),
        ("INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y')", "INSERT INTO t(a, b) VALUES(?)"),
        ("SELECT * FROM t WHERE id IN (1,2,3) -- hunter2", "SELECT * FROM t WHERE id IN(?)"),
        ("/* hunter2 */ SELECT $tag$hunter2 ' \" $tag$::text", "SELECT ?::text"),
        (
            "SELECT * FROM t\n  WHERE a = :name AND b=@b AND c = %s",
            "SELECT * FROM t WHERE a = ? AND b = ? AND c = ?",
        ),
        ("SELECT * FROM t WHERE a = %(name)s", "SELECT * FROM t WHERE a = ?"),
        ("SELECT data->>'hunter2' FROM t", "SELECT data ->> ? FROM t"),
    ] {
        assert_eq!(of("postgresql", text), normal, "{text}");
    }
}

#[test]
fn lists_of_any_length_are_one_statement() {
    let some = of("mysql", "SELECT `a` FROM `t` WHERE id IN (?, ?, ?) LIMIT 10");
    let more = of("mysql", "SELECT `a` FROM `t` WHERE id IN (?,?,?,?,?,?,?) LIMIT 20");
    assert_eq!(some, more);
    assert_eq!(some, "SELECT `a` FROM `t` WHERE id IN(?) LIMIT ?");
}

#[test]
fn what_is_not_sure_keeps_its_keyword_alone() {
    for (system, text, kept) in [
        ("postgresql", "SELECT 'unclosed hunter2", "SELECT …"),
        ("postgresql", "SELECT 'a\\' hunter2'", "SELECT …"),
        ("mysql", "SELECT 5--hunter2", "SELECT …"),
        ("mysql", "SELECT 1 # it's hunter2", "SELECT …"),
        ("postgresql", "SELECT /* a /* b */ 'hunter2' */ 1", "SELECT …"),
        ("mysql", "SELECT /*!40101 'hunter2' */ 1", "SELECT …"),
        ("postgresql", "SELECT \"hunter2 is a name\" FROM t", "SELECT …"),
        ("redis", "SET session:hunter2 x", "SET"),
        ("mongodb", "{\"find\": \"users\", \"filter\": {\"mail\": \"hunter2\"}}", "unknown"),
        ("something", "hunter2@example.org", "unknown"),
        ("postgresql", "SELECT hunter\u{0}2", "SELECT …"),
        ("mssql", "SELECT [O'Brien] FROM t WHERE a = 'hunter2'", "SELECT …"),
        ("oracle", "SELECT q'[O'hunter2']' FROM dual", "SELECT …"),
        ("postgresql", "", "unknown"),
    ] {
        assert_eq!(of(system, text), kept, "{text}");
    }
    let quoted = of("sqlite", "SELECT * FROM t WHERE a = \"hunter2\"");
    assert_eq!(quoted, "SELECT * FROM t WHERE a = ?");
}

#[test]
fn what_is_no_sql_is_told_by_its_operation_and_collection() {
    let said = |operation, collection| {
        normalise(Said { system: "mongodb", text: None, operation: Some(operation), collection })
    };
    assert_eq!(said("find", Some("users")), "FIND users");
    assert_eq!(said("findAndModify", Some("user_4711")), "FINDANDMODIFY");
    assert_eq!(said("hunter2", None), "unknown");
}

#[test]
fn a_statement_is_bounded() {
    let long = format!("SELECT {} FROM t", vec!["a_column"; 500].join(", "));
    let kept = of("postgresql", &long);
    assert!(kept.len() <= STATEMENT_BYTES_MAX && kept.starts_with("SELECT a_column"));
    assert_eq!(of("postgresql", &format!("SELECT '{}'", "x".repeat(70_000))), "SELECT …");
}

proptest! {
    /// Whatever stands between quotes, however it is written, is not in what is kept.
    #[test]
    fn no_literal_survives(
        secret in "[a-z0-9@.]{6,20}",
        around in prop::sample::select(vec!["'", "$$", "$x$"]),
        system in prop::sample::select(vec!["postgresql", "mysql", "sqlite", "redis", "x"]),
        noise in "[ -~]{0,20}",
    ) {
        prop_assume!(!noise.contains(&secret));
        let text = format!("SELECT * FROM t WHERE a = {around}Q{secret}{around} AND {noise}");
        prop_assert!(!of(system, &text).contains(&format!("Q{secret}")), "{text}");
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        for system in ["postgresql", "mysql", "mssql", "redis", ""] {
            let once = of(system, &text);
            prop_assert!(once.len() <= STATEMENT_BYTES_MAX + 65 && !once.is_empty());
        }
    }

    #[test]
    fn nearly_sql_never_panics(text in "[a-zA-Z0-9'\"`$#@:%?.,()*/\\-+\\[\\]\\\\ \n]{0,80}") {
        for system in ["postgresql", "mysql", "mssql"] {
            let once = of(system, &text);
            prop_assert!(!once.is_empty());
        }
    }
}
