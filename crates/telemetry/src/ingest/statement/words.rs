//! What database systems write alike, and the first words that may be shown of anything.

/// How a system writes its statements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `"` quotes names, `\` means nothing in a text, `#` is an operator.
    Standard,
    /// `"` quotes texts too, `#` begins a comment, `--` only before a blank.
    MySql,
    /// `"` may quote a text.
    Loose,
    /// No SQL.
    Other,
}

/// The dialect of a system as OpenTelemetry names it, in lower case.
pub(super) fn dialect(system: &str) -> Dialect {
    match system {
        "postgresql" | "cockroachdb" | "redshift" | "aws.redshift" | "oracle" | "oracle.db"
        | "db2" | "ibm.db2" | "h2" | "hsqldb" | "derby" | "trino" | "presto" => Dialect::Standard,
        "mysql" | "mariadb" => Dialect::MySql,
        "sqlite"
        | "mssql"
        | "microsoft.sql_server"
        | "clickhouse"
        | "spanner"
        | "gcp.spanner"
        | "snowflake"
        | "other_sql"
        | "vertica"
        | "teradata"
        | "firebird"
        | "firebirdsql"
        | "hive"
        | "ingres"
        | "informix"
        | "sybase" => Dialect::Loose,
        _ => Dialect::Other,
    }
}

/// First words that say what a statement does. Any other word may be someone's data.
pub(super) const KEYWORDS: [&str; 72] = [
    "AGGREGATE",
    "ALTER",
    "ANALYZE",
    "BEGIN",
    "CALL",
    "CLOSE",
    "COMMIT",
    "CONNECT",
    "COPY",
    "COUNT",
    "CREATE",
    "DECLARE",
    "DECR",
    "DEL",
    "DELETE",
    "DISTINCT",
    "DROP",
    "EVAL",
    "EVALSHA",
    "EXEC",
    "EXECUTE",
    "EXISTS",
    "EXPIRE",
    "EXPLAIN",
    "FETCH",
    "FIND",
    "FINDANDMODIFY",
    "GET",
    "GETITEM",
    "GETMORE",
    "GRANT",
    "HDEL",
    "HGET",
    "HGETALL",
    "HMGET",
    "HSET",
    "INCR",
    "INSERT",
    "LOCK",
    "LPUSH",
    "MERGE",
    "MGET",
    "MSET",
    "MULTI",
    "PING",
    "PIPELINE",
    "PREPARE",
    "PUBLISH",
    "PUTITEM",
    "QUERY",
    "RELEASE",
    "REPLACE",
    "ROLLBACK",
    "RPUSH",
    "SADD",
    "SAVEPOINT",
    "SCAN",
    "SELECT",
    "SET",
    "SETEX",
    "SHOW",
    "SMEMBERS",
    "START",
    "TRUNCATE",
    "TTL",
    "UPDATE",
    "UPDATEITEM",
    "UPSERT",
    "VACUUM",
    "VALUES",
    "WITH",
    "ZADD",
];
