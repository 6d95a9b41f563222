//! Every type of document, in the order of the plan.

use plimsoll_ledger::{EvidenceKind, How};

use super::columns::{
    BACKLOG, BUDGETS, CLASSES, COMMITMENTS, CONSTRAINTS, CONTROLS, DECISIONS, DEPENDENCIES, DUE,
    ENVIRONMENTS, EVENTS, JOURNEYS, KPIS, LABELS, LEADS, LEARNINGS, MOBILE, NOT_DOING, OBJECTIVES,
    PAGING, PEN_TEST, RESOURCES, RETENTION, REVIEWED, RISKS, ROLES, ROTATION, SCOPE, SCRIPTS, SDKS,
    SECRETS, THREATS, UPDATES,
};
use super::kinds::{Form, Key, Kind};

const DRAFT: &[&str] = &["draft", "agreed"];

macro_rules! kind {
    ($name:literal, $title:literal, $purpose:literal, $($field:ident: $value:expr),* $(,)?) => {
        Kind {
            name: $name,
            evidence: concat!("document.", $name),
            title: $title,
            purpose: $purpose,
            template: include_str!(concat!("../../templates/", $name, ".md")),
            $($field: $value,)*
            ..PLAIN
        }
    };
}

/// What most types have.
const PLAIN: Kind = Kind {
    name: "",
    evidence: "",
    title: "",
    purpose: "",
    states: DRAFT,
    words_max: None,
    keys: &[],
    tables: &[],
    template: "",
};

/// Every type of document, in the order of the plan.
pub const KINDS: &[Kind] = &[
    kind!(
        "product-brief",
        "Product brief",
        "What is built, for whom, and how we will know that it works: one page",
        words_max: Some(600),
    ),
    kind!(
        "technical-brief",
        "Technical brief",
        "What runs today, what hurts, and what has to hold in 90 days: two pages",
        words_max: Some(1_200),
    ),
    kind!(
        "constraints",
        "Constraints",
        "What cannot be chosen: law, contracts, money, people, dates",
        tables: CONSTRAINTS,
    ),
    kind!(
        "commitments",
        "Service-level commitments",
        "What has been promised to whom, and what it costs to miss it",
        tables: COMMITMENTS,
    ),
    kind!(
        "funding-runway",
        "Funding runway",
        "How long the money lasts, and what goes first",
        keys: &[Key { name: "runway-until", form: Form::Date, from: 1 }],
    ),
    kind!(
        "journeys",
        "Must-not-fail journeys",
        "What a person must always be able to do, as sequences of operations",
        tables: JOURNEYS,
    ),
    kind!(
        "risk-map",
        "Risk map",
        "What may go wrong, and which gates answer it; a risk has the colour of its gates",
        tables: RISKS,
    ),
    kind!(
        "scope",
        "Scope",
        "What is in and what is out; nothing is added without something traded out",
        tables: SCOPE,
    ),
    kind!(
        "objectives",
        "Objectives",
        "How good is good enough: availability, latency, crash-free sessions",
        tables: OBJECTIVES,
    ),
    kind!(
        "architecture-sketch",
        "Architecture sketch",
        "The parts, how a request travels, and where state lies",
    ),
    kind!(
        "api-outline",
        "API outline",
        "The surface of the API, its contract and its versions",
        keys: &[Key { name: "contract", form: Form::Link, from: 1 }],
        tables: RESOURCES,
    ),
    kind!(
        "dependency-graph",
        "Dependency graph",
        "What we need from others, and what we do when it is down",
        tables: DEPENDENCIES,
    ),
    kind!(
        "staffing",
        "Staffing plan",
        "Who does what, for how long, and which gaps there are",
        tables: ROLES,
    ),
    kind!(
        "decision-calendar",
        "Decision calendar",
        "When decisions are made each week, and which are due",
        keys: &[Key { name: "day", form: Form::Weekday, from: 1 }],
        tables: DUE,
    ),
    kind!(
        "infrastructure",
        "Infrastructure as code",
        "What is made by code, and who may change it",
        keys: &[Key { name: "code", form: Form::Link, from: 1 }],
    ),
    kind!(
        "environments",
        "Environments",
        "Which there are, what data lies in them, and the one command that makes one",
        keys: &[Key { name: "command", form: Form::Text, from: 1 }],
        tables: ENVIRONMENTS,
    ),
    kind!(
        "secrets",
        "Secrets",
        "Where secrets are kept, who reads them, and how they are rotated; never a secret itself",
        tables: SECRETS,
    ),
    kind!(
        "code-owners",
        "Code owners",
        "Who has to look at which change",
        keys: &[Key { name: "file", form: Form::Link, from: 1 }],
    ),
    kind!(
        "on-call",
        "On-call",
        "Who is woken, by what, and how that stays bearable",
        keys: &[Key { name: "schedule", form: Form::Link, from: 1 }],
        tables: ROTATION,
    ),
    kind!(
        "review-policy",
        "Review policy",
        "How incidents are reviewed: without blame, within 48 hours",
        keys: &[Key { name: "within-hours", form: Form::Number(48), from: 1 }],
    ),
    kind!(
        "sdk-matrix",
        "Minimum SDK matrix",
        "The oldest systems and apps that are served, and how one is given up",
        tables: SDKS,
    ),
    kind!(
        "threat-model",
        "Threat model",
        "Threats by STRIDE with their controls, and the top five abuse paths",
        states: &["draft", "agreed", "closed"],
        tables: THREATS,
    ),
    kind!(
        "retention",
        "Retention",
        "Which data is kept for how long, and what deletes it",
        tables: RETENTION,
    ),
    kind!(
        "privacy-notice",
        "Privacy notice",
        "What people are told about their data, and how they take consent back",
        keys: &[Key { name: "published", form: Form::Link, from: 1 }],
    ),
    kind!(
        "breach-runbook",
        "Breach runbook",
        "What is done in the first hours after data has leaked",
    ),
    kind!(
        "pen-test",
        "Penetration test",
        "Who tests when, what was found, and what became of it",
        states: &["planned", "booked", "remediated"],
        keys: &[Key { name: "tester", form: Form::Text, from: 1 },
        Key { name: "begins", form: Form::Date, from: 1 },
        Key { name: "report", form: Form::Link, from: 2 }],
        tables: PEN_TEST,
    ),
    kind!(
        "controls",
        "Controls",
        "Which controls SOC 2 or ISO 27001 will ask for, and what shows each",
        tables: CONTROLS,
    ),
    kind!(
        "mobile-security",
        "Mobile security",
        "MASVS in the app: attestation, keystore, pinning",
        tables: MOBILE,
    ),
    kind!(
        "performance-budgets",
        "Performance budgets",
        "How long a screen may take, by device tier and network",
        tables: BUDGETS,
    ),
    kind!(
        "cost-review",
        "Cost review",
        "The weekly look at spend: what stood out and what we do",
        keys: &[Key { name: "day", form: Form::Weekday, from: 1 }],
        tables: REVIEWED,
    ),
    kind!(
        "analytics-events",
        "Analytics events",
        "Which events there are, when they are sent and what they hold",
        tables: EVENTS,
    ),
    kind!(
        "store-submission",
        "Store submission",
        "What the stores ask for: listing, privacy labels, notes for review",
        states: &["draft", "submitted", "accepted"],
        keys: &[Key { name: "submitted", form: Form::Date, from: 1 },
        Key { name: "accepted", form: Form::Date, from: 2 }],
        tables: LABELS,
    ),
    kind!(
        "support-scripts",
        "Support scripts",
        "What support answers, and when it hands over",
        tables: SCRIPTS,
    ),
    kind!(
        "day-two-backlog",
        "Day-two backlog",
        "What waits until after the launch, on purpose",
        tables: BACKLOG,
    ),
    kind!(
        "incident-classes",
        "Incident classes",
        "How bad is bad, and how fast we answer",
        tables: CLASSES,
    ),
    kind!(
        "comms-templates",
        "Communication templates",
        "What we write while something is broken, before it is",
    ),
    kind!(
        "paging-tree",
        "Paging tree",
        "Who is called next when nobody answers",
        tables: PAGING,
    ),
    kind!(
        "customer-updates",
        "Customer updates",
        "Where customers hear from us, when, and who writes",
        tables: UPDATES,
    ),
    kind!(
        "kpis",
        "KPIs",
        "Activation rate, p95, crash-free sessions, tickets per 1,000 sessions",
        tables: KPIS,
    ),
    kind!(
        "leads",
        "Leads",
        "One accountable lead for each domain",
        tables: LEADS,
    ),
    kind!(
        "office-hours",
        "Architecture office hours",
        "When anybody can bring a design",
        keys: &[Key { name: "day", form: Form::Weekday, from: 1 }],
    ),
    kind!(
        "definition-of-done",
        "Definition of done",
        "When a change is done, in terms of the objectives",
    ),
    kind!(
        "decisions",
        "Decisions",
        "What was decided, when, why and by whom",
        tables: DECISIONS,
    ),
    kind!(
        "not-doing",
        "Not doing",
        "What we have decided against, so that nobody starts it again",
        tables: NOT_DOING,
    ),
    kind!(
        "learning-review",
        "Learning review",
        "What we learned and what we changed: before feature counts",
        tables: LEARNINGS,
    ),
];

/// The kinds of evidence that documents bring.
pub const DOCUMENTS: &[EvidenceKind] = &evidence_kinds();

const fn evidence_kinds() -> [EvidenceKind; KINDS.len()] {
    let none = EvidenceKind { kind: "", room: "plan", how: How::Declared };
    let mut all = [none; KINDS.len()];
    let mut at = 0;
    while at < all.len() {
        all[at].kind = KINDS[at].evidence;
        at += 1;
    }
    all
}
