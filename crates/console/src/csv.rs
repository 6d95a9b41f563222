//! Every table of the page as CSV (RFC 4180).

pub(crate) mod board;

use plimsoll_telemetry::Figures;
use plimsoll_telemetry::ingest::{OperationCalls, RepeatedStatement, StatementFigures};

use crate::api::EntryRow;
use crate::view::View;

/// A table that can be had as CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Operations,
    Platforms,
    DeviceModels,
    Upstreams,
    Cached,
    Routes,
    History,
    Loads,
    DatabaseCalls,
    ColdStarts,
    Nodes,
}

impl Table {
    const FILES: [(&'static str, Table); 11] = [
        ("operations.csv", Table::Operations),
        ("platforms.csv", Table::Platforms),
        ("device-models.csv", Table::DeviceModels),
        ("upstreams.csv", Table::Upstreams),
        ("cache.csv", Table::Cached),
        ("routes.csv", Table::Routes),
        ("history.csv", Table::History),
        ("loads.csv", Table::Loads),
        ("database-calls.csv", Table::DatabaseCalls),
        ("cold-starts.csv", Table::ColdStarts),
        ("nodes.csv", Table::Nodes),
    ];

    pub(crate) fn by_file(file: &str) -> Option<Self> {
        Self::FILES.iter().find(|(name, _)| *name == file).map(|(_, table)| *table)
    }

    pub(crate) fn file(self) -> &'static str {
        Self::FILES.iter().find(|(_, table)| *table == self).map_or("", |(name, _)| name)
    }
}

const FIGURES: [&str; 11] = [
    "requests",
    "requests_per_second",
    "p50_seconds",
    "p95_seconds",
    "p99_seconds",
    "error_share",
    "client_error_share",
    "within_objective_share",
    "bytes_in_per_second",
    "bytes_out_per_second",
    "bytes_saved_per_second",
];

/// Lines being written.
struct Lines {
    text: String,
    start: bool,
}

impl Lines {
    fn with_head(names: &[&str]) -> Self {
        let mut lines = Self { text: String::new(), start: true };
        for name in names {
            lines.raw(name);
        }
        lines.end();
        lines
    }

    fn raw(&mut self, value: &str) {
        if !std::mem::take(&mut self.start) {
            self.text.push(',');
        }
        self.text.push_str(value);
    }

    /// A text. A spreadsheet takes one that starts like a formula for a formula, and some of these
    /// come from clients: a quote in front keeps it a text.
    fn text(&mut self, value: &str) -> &mut Self {
        let formula = value.starts_with(['=', '+', '-', '@', '\t', '\r']);
        if formula || value.contains([',', '"', '\n', '\r']) {
            let mark = if formula { "'" } else { "" };
            self.raw(&format!("\"{mark}{}\"", value.replace('"', "\"\"")));
        } else {
            self.raw(value);
        }
        self
    }

    fn number(&mut self, value: impl std::fmt::Display) -> &mut Self {
        self.raw(&value.to_string());
        self
    }

    fn maybe(&mut self, value: Option<impl std::fmt::Display>) -> &mut Self {
        self.raw(&value.map(|value| value.to_string()).unwrap_or_default());
        self
    }

    fn figures(&mut self, figures: &Figures) {
        self.number(figures.requests)
            .number(figures.requests_per_second)
            .maybe(figures.p50_seconds)
            .maybe(figures.p95_seconds)
            .maybe(figures.p99_seconds)
            .number(figures.error_share)
            .number(figures.client_error_share)
            .maybe(figures.within_objective_share)
            .number(figures.bytes_in_per_second)
            .number(figures.bytes_out_per_second)
            .number(figures.bytes_saved_per_second);
        self.end();
    }

    fn end(&mut self) {
        self.text.push_str("\r\n");
        self.start = true;
    }
}

fn with_figures(names: &[&'static str]) -> Lines {
    Lines::with_head(&names.iter().copied().chain(FIGURES).collect::<Vec<_>>())
}

pub(crate) fn write(table: Table, view: &View) -> String {
    match table {
        Table::Operations => {
            let mut lines = with_figures(&["service", "operation", "route"]);
            for row in &view.operations {
                lines.text(&row.service).text(&row.operation);
                lines.text(row.route.as_deref().unwrap_or_default()).figures(&row.figures);
            }
            lines.text
        }
        Table::Platforms => {
            let mut lines = with_figures(&["platform"]);
            for row in &view.platforms {
                lines.text(row.platform.as_str()).figures(&row.figures);
            }
            lines.text
        }
        Table::DeviceModels => {
            let mut lines = with_figures(&["device_model"]);
            for row in &view.device_models {
                lines.text(&row.device_model).figures(&row.figures);
            }
            lines.text
        }
        Table::Upstreams => upstreams(view),
        Table::Cached => cached(view),
        Table::Routes => routes(view),
        Table::History => history(view),
        Table::DatabaseCalls => database_calls(view),
        Table::ColdStarts => cold_starts(view),
        Table::Nodes => nodes(view),
        Table::Loads => {
            let mut lines = Lines::with_head(&["name", "value", "max", "unit"]);
            for row in &view.loads {
                lines.text(&row.name).number(row.value).number(row.max).text(&row.unit).end();
            }
            lines.text
        }
    }
}

fn nodes(view: &View) -> String {
    let mut lines = Lines::with_head(&[
        "node",
        "id",
        "state",
        "roles",
        "version",
        "epoch",
        "applied_ago_ms",
        "seen_ago_ms",
        "manifest_hash",
        "manifest_differs",
    ]);
    for row in view.memory.iter().flat_map(|memory| &memory.nodes) {
        lines
            .text(&row.name)
            .text(&row.id)
            .text(&row.state)
            .text(&row.roles)
            .text(&row.version)
            .number(row.epoch)
            .number(row.applied_ago_ms)
            .number(row.seen_ago_ms)
            .text(&row.manifest_hash)
            .text(if row.manifest_differs { "true" } else { "false" })
            .end();
    }
    lines.text
}

/// Entries of the ledger.
pub(crate) fn entries(rows: &[EntryRow]) -> String {
    let mut lines = Lines::with_head(&[
        "id",
        "at_unix_ms",
        "position",
        "action",
        "outcome",
        "actor_kind",
        "actor",
        "subject",
        "change_id",
        "has_personal",
        "detail",
    ]);
    for row in rows {
        lines.text(&row.id).number(row.at_unix_ms).maybe(row.position).text(&row.action);
        lines.text(&row.outcome).text(&row.actor_kind);
        lines.text(row.actor.as_deref().unwrap_or_default()).text(&row.subject);
        lines.text(row.change_id.as_deref().unwrap_or_default()).number(row.has_personal);
        lines.text(&row.detail.to_string()).end();
    }
    lines.text
}

fn upstreams(view: &View) -> String {
    let mut lines = Lines::with_head(&[
        "service",
        "release",
        "url",
        "ejected_for_ms",
        "state",
        "consecutive_failures",
        "failures_total",
        "connections",
        "idle",
    ]);
    for row in &view.upstreams {
        lines.text(&row.service).text(&row.release).text(&row.url).maybe(row.ejected_for_ms);
        lines.text(&row.state);
        lines.number(row.consecutive_failures).number(row.failures_total);
        lines.number(row.connections).number(row.idle).end();
    }
    lines.text
}

fn cached(view: &View) -> String {
    let mut lines = Lines::with_head(&[
        "operation",
        "hits",
        "stale",
        "revalidated",
        "collapsed",
        "misses",
        "entries",
        "bytes",
    ]);
    for row in view.cached.iter().flatten() {
        lines.text(&row.operation).number(row.hits).number(row.stale).number(row.revalidated);
        lines.number(row.collapsed).number(row.misses).number(row.entries).number(row.bytes).end();
    }
    lines.text
}

fn routes(view: &View) -> String {
    let mut lines = Lines::with_head(&[
        "service",
        "operation",
        "method",
        "template",
        "security",
        "limits",
        "cost",
        "body_bytes_max",
        "total_timeout_ms",
    ]);
    for row in &view.routes {
        lines.text(&row.service).text(&row.operation).text(&row.method).text(&row.template);
        lines.text(&row.security).text(&row.limits.join("; ")).number(row.cost);
        lines.maybe(row.body_bytes_max).maybe(row.total_timeout_ms).end();
    }
    lines.text
}

fn history(view: &View) -> String {
    let mut lines = Lines::with_head(&[
        "age_seconds",
        "requests_per_second",
        "errors_per_second",
        "p50_seconds",
        "p95_seconds",
        "p99_seconds",
        "connections_open",
        "requests_in_flight",
    ]);
    for row in &view.history {
        lines.number(row.age_seconds).number(row.requests_per_second).number(row.errors_per_second);
        lines.maybe(row.p50_seconds).maybe(row.p95_seconds).maybe(row.p99_seconds);
        lines.number(row.connections_open).number(row.requests_in_flight).end();
    }
    lines.text
}

/// One line a statement; one without for an operation that made no call.
fn database_calls(view: &View) -> String {
    let mut lines = Lines::with_head(&[
        "service",
        "operation",
        "requests",
        "calls_per_request",
        "statement",
        "calls",
        "p50_seconds",
        "p95_seconds",
        "total_seconds",
        "repeated_median_calls",
        "repeated_p95_calls",
        "repeated_request_share",
    ]);
    for row in &view.ingest.operations {
        for (one, repeated) in statements(row) {
            let statement = one.map(|one| &one.statement);
            let statement = statement.or(repeated.map(|one| &one.statement));
            lines.text(&row.service).text(&row.operation).number(row.requests);
            lines.number(row.calls_per_request);
            lines.text(statement.map_or("", |text| text)).maybe(one.map(|one| one.calls));
            lines.maybe(one.map(|one| one.p50_seconds)).maybe(one.map(|one| one.p95_seconds));
            lines.maybe(one.map(|one| one.total_seconds));
            lines.maybe(repeated.map(|one| one.median_calls));
            lines.maybe(repeated.map(|one| one.p95_calls));
            lines.maybe(repeated.map(|one| one.request_share)).end();
        }
    }
    lines.text
}

type Statement<'v> = (Option<&'v StatementFigures>, Option<&'v RepeatedStatement>);

/// The slowest statements and those made over and over, each once; one without either.
fn statements(row: &OperationCalls) -> Vec<Statement<'_>> {
    let repeated = |text: &str| row.repeated.iter().find(|one| *one.statement == *text);
    let mut all: Vec<Statement<'_>> =
        row.slowest.iter().map(|one| (Some(one), repeated(&one.statement))).collect();
    let slow = |text: &str| row.slowest.iter().any(|one| *one.statement == *text);
    let rest = row.repeated.iter().filter(|one| !slow(&one.statement));
    all.extend(rest.map(|one| (None, Some(one))));
    if all.is_empty() {
        all.push((None, None));
    }
    all
}

fn cold_starts(view: &View) -> String {
    let mut lines = Lines::with_head(&[
        "device_model",
        "app_version",
        "starts",
        "p50_seconds",
        "p95_seconds",
        "age_seconds",
    ]);
    for row in &view.ingest.cold_starts {
        lines.text(&row.device_model).text(&row.app_version).number(row.starts);
        lines.number(row.p50_seconds).number(row.p95_seconds).number(row.age_seconds).end();
    }
    lines.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_and_never_formulas() {
        let mut lines = Lines::with_head(&["a", "b", "c", "d"]);
        lines.text("=1+1").text("a,\"b\"\n").text("plain").maybe(None::<u8>).end();
        let expected = "a,b,c,d\r\n\"'=1+1\",\"a,\"\"b\"\"\n\",plain,\r\n";
        assert_eq!(lines.text, expected);
    }

    #[test]
    fn a_statement_made_over_and_over_is_there_though_others_are_slower() {
        let slow = StatementFigures {
            statement: "slow".into(),
            calls: 1,
            requests: 1,
            p50_seconds: 1.0,
            p95_seconds: 1.0,
            total_seconds: 1.0,
        };
        let again = |text: &str| RepeatedStatement {
            statement: text.into(),
            median_calls: 9,
            p95_calls: 9,
            request_share: 1.0,
            first_seen_unix_ms: 0,
        };
        let mut row = OperationCalls {
            service: "shop".into(),
            operation: "getOrder".into(),
            requests: 1,
            calls: 1,
            calls_per_request: 1.0,
            total_seconds: 1.0,
            repeated: vec![again("quick"), again("slow")],
            statements_seen: 2,
            slowest: vec![slow],
        };
        let told = statements(&row);
        assert_eq!(told.len(), 2);
        assert!(told[0].0.is_some() && told[0].1.is_some(), "slow and repeated: one line");
        assert!(told[1].0.is_none() && told[1].1.is_some_and(|one| &*one.statement == "quick"));
        (row.repeated, row.slowest) = (vec![], vec![]);
        assert_eq!(statements(&row).len(), 1, "an operation without calls has its line");
    }

    #[test]
    fn every_table_has_a_file_and_a_file_one_table() {
        for (file, table) in Table::FILES {
            assert_eq!(Table::by_file(file), Some(table));
            assert_eq!(table.file(), file);
        }
        assert_eq!(Table::by_file("operations"), None);
    }
}
