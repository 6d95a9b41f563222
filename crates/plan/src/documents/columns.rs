//! The tables that documents hold: each with its fixed header.

use super::kinds::{Cell, Column, NEVER, Table};

/// Needed in every row from the beginning.
const fn must(name: &'static str, cell: Cell) -> Column {
    Column { name, cell, from: 0 }
}

/// Needed once the document is past its draft.
const fn agreed(name: &'static str, cell: Cell) -> Column {
    Column { name, cell, from: 1 }
}

/// May stay empty.
const fn may(name: &'static str, cell: Cell) -> Column {
    Column { name, cell, from: NEVER }
}

const fn table(
    section: &'static str,
    count: &'static str,
    rows_min: usize,
    columns: &'static [Column],
) -> Table {
    Table { section, count, columns, rows_min, covers: None }
}

const fn covering(table: Table, column: &'static str, each: &'static [&'static str]) -> Table {
    Table { covers: Some((column, each)), ..table }
}

const YES_NO: Cell = Cell::Choice(&["yes", "no"]);
const AREAS: &[&str] = &["reliability", "security", "data", "cadence"];
const STRIDE: &[&str] = &["S", "T", "R", "I", "D", "E"];
const INDICATORS: &[&str] = &["availability", "latency", "crash-free", "other"];
const MEASURES: &[&str] = &["activation", "latency", "crash-free", "tickets", "other"];
const TIERS: &[&str] = &["low", "mid", "high"];

pub(super) const CONSTRAINTS: &[Table] = &[table(
    "Constraints",
    "constraints",
    1,
    &[
        must("constraint", Cell::Name),
        agreed("kind", Cell::Choice(&["law", "contract", "money", "people", "technology", "date"])),
        may("until", Cell::Day),
        agreed("what it rules out", Cell::Text),
    ],
)];

pub(super) const COMMITMENTS: &[Table] = &[table(
    "Commitments",
    "commitments",
    0,
    &[
        must("to whom", Cell::Text),
        must("what is promised", Cell::Text),
        agreed("measured by", Cell::Text),
        agreed("when missed", Cell::Text),
    ],
)];

pub(super) const JOURNEYS: &[Table] = &[covering(
    table(
        "Journeys",
        "journeys",
        1,
        &[
            must("name", Cell::Id),
            agreed("operations", Cell::Operations),
            must("must not fail", YES_NO),
        ],
    ),
    "must not fail",
    &["yes"],
)];

pub(super) const RISKS: &[Table] = &[covering(
    table(
        "Risks",
        "risks",
        4,
        &[
            must("id", Cell::Id),
            must("risk", Cell::Text),
            must("area", Cell::Choice(AREAS)),
            may("gates", Cell::Gates),
            agreed("owner", Cell::Person),
        ],
    ),
    "area",
    AREAS,
)];

pub(super) const SCOPE: &[Table] = &[table(
    "Items",
    "items",
    1,
    &[
        must("item", Cell::Text),
        must("change", Cell::Choice(&["kept", "added", "removed"])),
        must("date", Cell::PastDay),
        may("traded for", Cell::Text),
    ],
)];

pub(super) const OBJECTIVES: &[Table] = &[covering(
    table(
        "Objectives",
        "objectives",
        3,
        &[
            must("objective", Cell::Name),
            must("indicator", Cell::Choice(INDICATORS)),
            agreed("target", Cell::Text),
            agreed("window", Cell::Text),
        ],
    ),
    "indicator",
    &["availability", "latency", "crash-free"],
)];

pub(super) const RESOURCES: &[Table] = &[table(
    "Resources",
    "resources",
    1,
    &[
        must("resource", Cell::Name),
        agreed("operations", Cell::Operations),
        agreed("who calls it", Cell::Text),
        agreed("version", Cell::Text),
    ],
)];

pub(super) const DEPENDENCIES: &[Table] = &[table(
    "Dependencies",
    "dependencies",
    1,
    &[
        must("name", Cell::Name),
        must("kind", Cell::Choice(&["service", "store", "third-party", "device"])),
        agreed("when it is down", Cell::Text),
        agreed("owner", Cell::Person),
    ],
)];

pub(super) const ROLES: &[Table] = &[table(
    "Roles",
    "roles",
    1,
    &[
        must("role", Cell::Text),
        agreed("person", Cell::Person),
        agreed("share", Cell::Text),
        may("until", Cell::Day),
    ],
)];

pub(super) const DUE: &[Table] = &[table(
    "Decisions due",
    "due",
    0,
    &[must("due", Cell::Day), must("decision", Cell::Text), agreed("who decides", Cell::Person)],
)];

pub(super) const ENVIRONMENTS: &[Table] = &[table(
    "Environments",
    "environments",
    1,
    &[
        must("environment", Cell::Id),
        agreed("what for", Cell::Text),
        must("data", Cell::Choice(&["none", "made-up", "real"])),
        agreed("who may enter", Cell::Text),
    ],
)];

pub(super) const SECRETS: &[Table] = &[table(
    "Secrets",
    "secrets",
    1,
    &[
        must("secret", Cell::Name),
        agreed("kept in", Cell::Text),
        agreed("read by", Cell::Text),
        agreed("rotated", Cell::Text),
    ],
)];

pub(super) const ROTATION: &[Table] = &[table(
    "Rotation",
    "people",
    2,
    &[must("person", Cell::Person), agreed("hours", Cell::Text), agreed("stands in", Cell::Person)],
)];

pub(super) const SDKS: &[Table] = &[table(
    "Supported",
    "platforms",
    1,
    &[
        must("platform", Cell::Name),
        must("oldest system", Cell::Text),
        agreed("oldest app", Cell::Text),
        may("supported until", Cell::Day),
    ],
)];

pub(super) const THREATS: &[Table] = &[
    covering(
        table(
            "Threats",
            "threats",
            6,
            &[
                must("letter", Cell::Choice(STRIDE)),
                must("threat", Cell::Text),
                agreed("control", Cell::Text),
                Column { name: "gate", cell: Cell::Gates, from: 2 },
            ],
        ),
        "letter",
        STRIDE,
    ),
    table(
        "Abuse paths",
        "abuse_paths",
        5,
        &[
            must("path", Cell::Text),
            agreed("control", Cell::Text),
            agreed("state", Cell::Choice(&["open", "closed"])),
        ],
    ),
];

pub(super) const RETENTION: &[Table] = &[table(
    "Data",
    "classes",
    1,
    &[
        must("data", Cell::Name),
        must("personal", YES_NO),
        agreed("kept for", Cell::Text),
        agreed("why", Cell::Text),
        agreed("deleted by", Cell::Text),
    ],
)];

pub(super) const PEN_TEST: &[Table] = &[table(
    "Findings",
    "findings",
    0,
    &[
        must("id", Cell::Id),
        must("severity", Cell::Choice(&["critical", "high", "medium", "low"])),
        must("finding", Cell::Text),
        must("state", Cell::Choice(&["open", "fixed", "accepted"])),
    ],
)];

pub(super) const CONTROLS: &[Table] = &[table(
    "Controls",
    "controls",
    1,
    &[
        must("control", Cell::Name),
        agreed("asked by", Cell::Text),
        agreed("shown by", Cell::Text),
        agreed("owner", Cell::Person),
    ],
)];

pub(super) const MOBILE: &[Table] = &[covering(
    table(
        "Controls",
        "controls",
        3,
        &[
            must("control", Cell::Choice(&["attestation", "keystore", "pinning", "other"])),
            must("platform", Cell::Choice(&["ios", "android", "both"])),
            agreed("how", Cell::Text),
            agreed("checked by", Cell::Text),
        ],
    ),
    "control",
    &["attestation", "keystore", "pinning"],
)];

pub(super) const BUDGETS: &[Table] = &[covering(
    table(
        "Budgets",
        "budgets",
        3,
        &[
            must("what", Cell::Text),
            must("device", Cell::Choice(TIERS)),
            must("network", Cell::Choice(&["3g", "4g", "wifi"])),
            agreed("budget", Cell::Text),
        ],
    ),
    "device",
    TIERS,
)];

pub(super) const REVIEWED: &[Table] = &[table(
    "Reviews",
    "reviews",
    1,
    &[
        must("date", Cell::PastDay),
        must("spend", Cell::Text),
        agreed("what stood out", Cell::Text),
        agreed("what we do", Cell::Text),
    ],
)];

pub(super) const EVENTS: &[Table] = &[table(
    "Events",
    "events",
    1,
    &[
        must("event", Cell::Name),
        agreed("when", Cell::Text),
        agreed("properties", Cell::Text),
        must("personal", YES_NO),
    ],
)];

pub(super) const LABELS: &[Table] = &[table(
    "Privacy labels",
    "labels",
    1,
    &[
        must("data", Cell::Name),
        must("collected", YES_NO),
        must("linked to a person", YES_NO),
        agreed("why", Cell::Text),
    ],
)];

pub(super) const SCRIPTS: &[Table] = &[table(
    "Scripts",
    "scripts",
    3,
    &[
        must("question", Cell::Name),
        agreed("answer", Cell::Text),
        agreed("hand over when", Cell::Text),
    ],
)];

pub(super) const BACKLOG: &[Table] = &[table(
    "Backlog",
    "items",
    1,
    &[
        must("item", Cell::Name),
        agreed("why after launch", Cell::Text),
        agreed("owner", Cell::Person),
    ],
)];

pub(super) const CLASSES: &[Table] = &[table(
    "Classes",
    "classes",
    2,
    &[
        must("class", Cell::Name),
        must("means", Cell::Text),
        agreed("first answer within", Cell::Text),
        agreed("customers told within", Cell::Text),
    ],
)];

pub(super) const PAGING: &[Table] = &[table(
    "Tree",
    "steps",
    2,
    &[
        must("step", Cell::Name),
        must("who", Cell::Person),
        agreed("by", Cell::Text),
        agreed("next after", Cell::Text),
    ],
)];

pub(super) const UPDATES: &[Table] = &[table(
    "Channels",
    "channels",
    1,
    &[
        must("channel", Cell::Name),
        agreed("who reads it", Cell::Text),
        agreed("when", Cell::Text),
        agreed("written by", Cell::Person),
    ],
)];

pub(super) const KPIS: &[Table] = &[covering(
    table(
        "KPIs",
        "kpis",
        4,
        &[
            must("kpi", Cell::Name),
            must("measures", Cell::Choice(MEASURES)),
            agreed("target", Cell::Text),
            agreed("read where", Cell::Text),
        ],
    ),
    "measures",
    &["activation", "latency", "crash-free", "tickets"],
)];

pub(super) const LEADS: &[Table] =
    &[table("Leads", "domains", 1, &[must("domain", Cell::Name), must("lead", Cell::Person)])];

pub(super) const DECISIONS: &[Table] = &[table(
    "Decisions",
    "decisions",
    1,
    &[
        must("date", Cell::PastDay),
        must("decision", Cell::Text),
        agreed("why", Cell::Text),
        agreed("by", Cell::Person),
    ],
)];

pub(super) const NOT_DOING: &[Table] = &[table(
    "Not doing",
    "items",
    1,
    &[must("item", Cell::Name), agreed("why", Cell::Text), may("asked again on", Cell::Day)],
)];

pub(super) const LEARNINGS: &[Table] = &[table(
    "Learned",
    "learnings",
    1,
    &[must("date", Cell::PastDay), must("learned", Cell::Text), agreed("changed", Cell::Text)],
)];
