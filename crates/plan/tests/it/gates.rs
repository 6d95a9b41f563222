//! The gates against the playbook they carry.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_ledger::{Evidence, How, Recorded};
use plimsoll_plan::{Area, Condition, EvidenceShape, Found, Gate, Gates, Light, judge};
use serde_json::{Map, Value, json};

/// The playbook: each part with its weeks and how many gates it has.
const PLAYBOOK: [(Area, [u8; 2], usize, &str); 8] = [
    (
        Area::Scope,
        [1, 1],
        16,
        "product brief (one page) and technical brief (two pages); inventory of constraints, \
         service-level commitments, funding runway; must-not-fail journeys; red/amber/green risk \
         map over reliability, security, data, release cadence; locked scope; agreed objectives \
         (99.9 % availability, p95 < 300 ms, crash-free > 99.5 %); architecture sketch, API surface \
         outline, dependency graph, staffing plan, weekly decision calendar. Guardrail: nothing is \
         added without something traded out.",
    ),
    (
        Area::Architecture,
        [1, 2],
        20,
        "gateway with limits and auth; BFF; services behind contracts; versions from day one; \
         published contracts; idempotent writes; Postgres, Redis, queues, object storage with \
         signed URLs; stateless, twelve-factor; blue/green; kill switches; infrastructure as code, \
         least privilege, encrypted secrets, one-command environments.",
    ),
    (
        Area::Delivery,
        [2, 4],
        21,
        "trunk-based CI with code owners and unit, contract and smoke tests; a preview for every \
         pull request; latency, errors and cold starts measured before features; OpenTelemetry to \
         Datadog or Grafana/Loki; p95 by endpoint and device model; one risky change a day; flags, \
         staged rollouts 5/25/100 with automated rollback; on-call rotation and pager policy; \
         blameless review within 48 h.",
    ),
    (
        Area::Hardening,
        [3, 6],
        16,
        "consumer-driven contracts; cursor pages; aggregation; short-TTL cache with busting on \
         writes; retries with idempotency keys; circuit breakers; limits per token and IP; \
         background sync and offline-first; minimum SDK matrix and deprecation policy; append-only \
         audit; CDC to the warehouse.",
    ),
    (
        Area::Security,
        [4, 8],
        20,
        "STRIDE and the top five abuse paths closed; OAuth2/OIDC, short tokens, rotating refresh; \
         field-encrypted PII with audited access; SAST, DAST, dependency scans; MASVS (attestation, \
         keystore, pinning); SOC 2/ISO shape; retention, privacy notices, consent, breach runbook; \
         pen test booked by week 6, remediated by week 8.",
    ),
    (
        Area::Performance,
        [5, 8],
        16,
        "budgets by device tier and network class; synthetics on 3G with TTFB and payload; hot \
         endpoints profiled, heavy queries moved to replicas or precomputed views; N+1 capped; \
         compression; GraphQL only if it pays; shedding, degradation, system status; every resource \
         tagged, daily spend alert, weekly cost and performance review; node and region drills.",
    ),
    (
        Area::Launch,
        [8, 10],
        19,
        "full rehearsal (clean deploy, migration, ramp, rollback); analytics events validated by \
         contract; store submission, privacy labels, support scripts; day-two backlog; incident \
         classes, comms templates, paging tree, customer updates; KPIs: activation rate, p95, crash \
         rate, tickets per 1,000 sessions.",
    ),
    (
        Area::People,
        [1, 13],
        9,
        "one accountable lead a domain, weekly architecture office hours, definition of done tied \
         to objectives, decision cadence, architecture notes, a \"not doing\" list, risks visible \
         and measured, uptime and learning velocity before feature counts.",
    ),
];

/// Clauses that name several capabilities, with a gate for each.
const SEVERAL: [(&str, &[&str]); 29] = [
    (
        "agreed objectives (99.9 % availability, p95 < 300 ms, crash-free > 99.5 %)",
        &["objectives-agreed", "objectives-in-manifest"],
    ),
    (
        "gateway with limits and auth",
        &["auth-on-every-operation", "limits-refuse", "problem-details"],
    ),
    (
        "Postgres, Redis, queues, object storage with signed URLs",
        &["postgres-restored", "queue-keeps-work", "redis-shared", "uploads-signed"],
    ),
    (
        "trunk-based CI with code owners and unit, contract and smoke tests",
        &[
            "code-owners",
            "contract-tests",
            "journeys-pass",
            "smoke-tests",
            "trunk-based",
            "unit-tests",
        ],
    ),
    (
        "latency, errors and cold starts measured before features",
        &["cold-starts-measured", "errors-measured", "latency-measured"],
    ),
    ("p95 by endpoint and device model", &["p95-by-device", "p95-by-endpoint"]),
    (
        "flags, staged rollouts 5/25/100 with automated rollback",
        &["automated-rollback", "flags-agree", "staged-rollouts"],
    ),
    ("on-call rotation and pager policy", &["on-call-rotation", "pages-answered"]),
    ("blameless review within 48 h", &["review-policy", "reviews-in-time"]),
    ("short-TTL cache with busting on writes", &["cache-busted", "cache-short"]),
    ("limits per token and IP", &["limits-per-ip", "limits-per-token"]),
    ("background sync and offline-first", &["background-sync", "offline-first"]),
    (
        "minimum SDK matrix and deprecation policy",
        &["deprecations-announced", "old-versions-refused", "sdk-matrix"],
    ),
    ("STRIDE and the top five abuse paths closed", &["abuse-paths-closed", "stride"]),
    ("short tokens", &["revocation-obeyed", "tokens-short"]),
    ("field-encrypted PII with audited access", &["pii-access-audited", "pii-encrypted"]),
    ("SAST, DAST, dependency scans", &["dast", "dependency-scan", "sast"]),
    ("MASVS (attestation, keystore, pinning)", &["app-attested", "mobile-security"]),
    (
        "retention, privacy notices, consent, breach runbook",
        &["breach-runbook", "consent-recorded", "privacy-notices", "retention"],
    ),
    (
        "pen test booked by week 6, remediated by week 8",
        &["pen-test-booked", "pen-test-remediated"],
    ),
    ("synthetics on 3G with TTFB and payload", &["synthetic-payload", "synthetic-ttfb"]),
    ("shedding, degradation, system status", &["degrades-gently", "load-shed", "status-page"]),
    (
        "every resource tagged, daily spend alert, weekly cost and performance review",
        &["cost-review", "resources-tagged", "spend-alert"],
    ),
    ("node and region drills", &["node-drill", "region-drill"]),
    (
        "full rehearsal (clean deploy, migration, ramp, rollback)",
        &["rehearsal-deploy", "rehearsal-migration", "rehearsal-ramp", "rehearsal-rollback"],
    ),
    ("analytics events validated by contract", &["analytics-events", "analytics-validated"]),
    (
        "store submission, privacy labels, support scripts",
        &["privacy-labels", "store-submission", "support-scripts"],
    ),
    (
        "incident classes, comms templates, paging tree, customer updates",
        &["comms-templates", "customer-updates", "incident-classes", "paging-tree"],
    ),
    ("uptime and learning velocity before feature counts", &["learning-review", "uptime-first"]),
];

/// What stands between the clauses.
const BETWEEN: [&str; 3] = ["and", "Guardrail", ""];

fn gates() -> Gates {
    Gates::shipped().unwrap()
}

#[test]
fn every_clause_of_the_playbook_has_its_gates_and_no_gate_is_of_none() {
    let gates = gates();
    for (area, _, count, text) in PLAYBOOK {
        let of: Vec<&Gate> = gates.iter().filter(|gate| gate.area == area).collect();
        assert_eq!(of.len(), count, "{area:?}");
        let mut clauses: Vec<&str> = of.iter().map(|gate| gate.clause.as_str()).collect();
        clauses.sort_unstable_by_key(|clause| std::cmp::Reverse(clause.len()));
        clauses.dedup();
        let mut left = text.to_owned();
        for clause in clauses {
            assert!(text.contains(clause), "{area:?}: no words of the playbook: {clause}");
            left = left.replace(clause, "");
        }
        let words = left.split([' ', ',', ';', '.', ':']);
        let unanswered: Vec<&str> = words.filter(|word| !BETWEEN.contains(word)).collect();
        assert!(unanswered.is_empty(), "{area:?}: no gate answers {unanswered:?}");
    }
    let all: usize = PLAYBOOK.iter().map(|(_, _, count, _)| count).sum();
    assert_eq!(gates.iter().count(), all);
}

#[test]
fn a_clause_that_names_several_capabilities_has_a_gate_for_each() {
    let mut by_clause: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for gate in gates().iter() {
        by_clause.entry(gate.clause.clone()).or_default().insert(gate.id.clone());
    }
    let several: BTreeMap<&str, &[&str]> = SEVERAL.into_iter().collect();
    for (clause, ids) in by_clause {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        match several.get(clause.as_str()) {
            Some(wanted) => assert_eq!(ids, *wanted, "{clause}"),
            None if clause.starts_with("KPIs") => assert_eq!(ids.len(), 5, "the list and each"),
            None => assert_eq!(ids.len(), 1, "{clause}: {ids:?}"),
        }
    }
}

#[test]
fn gates_stand_in_the_weeks_of_their_part_and_in_its_order() {
    let gates = gates();
    assert!(gates.iter().is_sorted_by_key(|gate| gate.area), "in the order of the plan");
    for (area, [first, last], _, _) in PLAYBOOK {
        for gate in gates.iter().filter(|gate| gate.area == area) {
            let [from, to] = gate.weeks;
            assert!(first <= from && to <= last, "{}: {:?}", gate.id, gate.weeks);
        }
    }
    let weeks = |id: &str| gates.get(id).unwrap().weeks;
    assert_eq!((weeks("pen-test-booked")[1], weeks("pen-test-remediated")[1]), (6, 8));
    let elsewhere = ["pen-test-booked", "pen-test-remediated"];
    let security = gates.iter().filter(|gate| gate.area == Area::Security);
    for gate in security.filter(|gate| !elsewhere.contains(&gate.id.as_str())) {
        assert_eq!(gate.weeks, [4, 7], "{}", gate.id);
    }
}

#[test]
fn names_and_titles_are_plain_and_stand_once() {
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for gate in gates().iter() {
        let plain = |part: &str| {
            let inside = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit();
            !part.is_empty() && part.chars().all(inside)
        };
        assert!(gate.id.split('-').all(plain), "{} is not kebab-case", gate.id);
        assert!(gate.id.len() <= 40, "{}", gate.id);
        assert!(ids.insert(gate.id.clone()), "{} stands there twice", gate.id);
        let words = gate.title.split_whitespace().count();
        assert!((3..=6).contains(&words), "{}: `{}` has {words} words", gate.id, gate.title);
        assert!(!gate.title.ends_with('.'), "{}: `{}`", gate.id, gate.title);
        assert!(titles.insert(gate.title.to_lowercase()), "`{}` stands there twice", gate.title);
    }
}

#[test]
fn texts_are_whole_sentences_on_one_line() {
    let ends = |text: &str, marks: &[char]| text.ends_with(marks) && text.trim() == text;
    for gate in gates().iter() {
        let id = &gate.id;
        assert!(ends(&gate.asks, &['?']), "{id}: asks `{}`", gate.asks);
        assert!(ends(&gate.next, &['.']), "{id}: next `{}`", gate.next);
        assert!(gate.asks.len() <= 120 && gate.next.len() <= 280, "{id}: too long to be read");
        for condition in gate.conditions() {
            let says = &condition.otherwise;
            assert!(ends(says, &['.']), "{id}: else `{says}`");
            assert!(says.starts_with(|one: char| one.is_uppercase() || one == '{'), "{id}: {says}");
        }
        let texts = gate.conditions().map(|one| one.otherwise.as_str());
        for text in texts.chain([gate.asks.as_str(), gate.next.as_str(), gate.title.as_str()]) {
            assert!(!text.contains(['\n', '\t']) && !text.contains("  "), "{id}: {text}");
        }
    }
}

/// The names between braces.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).map(|rest| rest.split_once('}').expect("a brace that ends").0)
}

#[test]
fn a_gate_speaks_only_of_facts_that_its_kind_of_evidence_has() {
    let gates = gates();
    for gate in gates.iter() {
        let shape = gates.shape(&gate.evidence).expect(&gate.evidence);
        assert_eq!((&gate.room, gate.how), (&shape.room, shape.how), "{}", gate.id);
        let known = |name: &str| shape.facts.iter().any(|fact| fact == name);
        for condition in gate.conditions() {
            assert!(known(&condition.fact), "{}: no fact `{}`", gate.id, condition.fact);
            for name in named(&condition.otherwise) {
                assert!(known(name), "{}: no fact `{name}`", gate.id);
            }
        }
        for text in [&gate.asks, &gate.next, &gate.title] {
            assert!(!text.contains('{'), "{}: only `else` is filled in: {text}", gate.id);
        }
    }
}

#[test]
fn every_kind_of_evidence_answers_a_gate_and_names_its_facts_once() {
    let gates = gates();
    let asked: BTreeSet<String> = gates.kinds().into_iter().collect();
    for shape in gates.shapes() {
        assert!(asked.contains(&shape.kind), "no gate asks for {}", shape.kind);
        assert!(shape.facts.iter().any(|fact| fact == "says"), "{} says nothing", shape.kind);
        let once: BTreeSet<&String> = shape.facts.iter().collect();
        assert_eq!(once.len(), shape.facts.len(), "{}", shape.kind);
        assert!(shape.facts.len() <= plimsoll_ledger::EVIDENCE_FACTS_MAX);
    }
}

#[test]
fn how_evidence_comes_to_be_agrees_with_its_kind() {
    for shape in gates().shapes() {
        let (word, name) = shape.kind.split_once('.').expect(&shape.kind);
        let wanted = match word {
            "document" | "manifest" => How::Declared,
            "report" => How::Imported,
            _ => How::Measured,
        };
        assert_eq!(shape.how, wanted, "{}", shape.kind);
        let room = if matches!(word, "document" | "report") { "plan" } else { word };
        assert_eq!(shape.room, room, "{}", shape.kind);
        assert!(!name.is_empty() && !name.contains('.'), "{}", shape.kind);
        let dated = shape.facts.iter().any(|fact| fact == "dated");
        assert_eq!(dated, room == "plan", "{}: only what is brought has a day", shape.kind);
    }
}

#[test]
fn what_is_declared_needs_an_owner_or_stands_in_the_manifest() {
    for gate in gates().iter().filter(|gate| gate.how == How::Declared) {
        let asks = |fact: &str| gate.require.iter().any(|one| one.fact == fact);
        if gate.room == "plan" {
            assert!(asks("faults") && asks("owned"), "{}: who stands for it?", gate.id);
            assert!(asks("step") || gate.id == "scope-traded", "{}: a draft counts", gate.id);
        } else {
            assert_eq!(gate.evidence, "manifest.objectives");
        }
    }
}

#[test]
fn evidence_expires_no_later_than_its_kind_allows() {
    const DAY: u64 = 86_400;
    for gate in gates().iter() {
        let (most, least) = match (gate.how, gate.evidence.as_str()) {
            (_, "document.pen-test") => (365, 365),
            (How::Declared, _) => (90, 7),
            (How::Imported, _) => (7, 1),
            (How::Measured, kind) if kind.starts_with("drills.node") => (90, 1),
            (How::Measured, kind) if kind.starts_with("drills.region") => (90, 1),
            (How::Measured, _) => (30, 1),
        };
        let seconds = gate.freshness().as_secs();
        assert!((least * DAY..=most * DAY).contains(&seconds), "{}: {seconds} s", gate.id);
    }
}

/// A capability comes with its crate, with its step in the edge's stack, or with its name in a
/// crate that stands already; until then there is something else to do.
#[test]
fn a_gate_that_nobody_can_turn_yet_says_what_to_do_meanwhile() {
    let gates = gates();
    let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for gate in gates.iter() {
        let waits = gates.shape(&gate.evidence).unwrap().waits_for.is_some();
        assert!(gate.step.is_none() || !waits, "{}: `step` says it already", gate.id);
        let comes = gate.step.is_some() || waits || !crates.join(&gate.room).is_dir();
        let says = gate.next.starts_with("Plimsoll cannot show this yet; ");
        assert_eq!(says, comes, "{}: {}", gate.id, gate.next);
    }
}

/// Facts with which every condition of a gate holds.
fn best(gate: &Gate, shape: &EvidenceShape) -> Map<String, Value> {
    let mut facts: Map<String, Value> =
        shape.facts.iter().map(|fact| (fact.clone(), json!(1))).collect();
    facts.remove("dated");
    facts.insert("says".into(), json!("As it has to be."));
    for fact in gate.conditions().map(|one| &one.fact) {
        let of = || gate.conditions().filter(|one| one.fact == *fact);
        let least = of().filter_map(|one| one.at_least).max();
        let most = of().filter_map(|one| one.at_most).min();
        let number = json!(least.or(most));
        facts.insert(fact.clone(), of().find_map(|one| one.is.clone()).unwrap_or(number));
    }
    facts
}

fn broken(condition: &Condition) -> Value {
    match (&condition.is, condition.at_least, condition.at_most) {
        (Some(Value::Bool(is)), ..) => json!(!is),
        (_, Some(least), _) => json!(least - 1),
        (_, _, Some(most)) => json!(most + 1),
        _ => json!("?"),
    }
}

#[test]
fn every_gate_can_turn_green_and_each_of_its_conditions_can_turn_it_back() {
    const NOW_MS: u64 = 1_796_040_000_000;
    let gates = gates();
    for gate in gates.iter() {
        let shape = gates.shape(&gate.evidence).unwrap();
        let judged = |facts: Map<String, Value>| {
            let evidence = Evidence { kind: gate.evidence.clone(), how: gate.how, facts };
            let recorded = Recorded {
                id: uuid::Uuid::nil(),
                at_unix_ms: NOW_MS,
                evidence,
                actor_kind: "system".into(),
                actor: None,
                genuine: true,
                position: None,
            };
            judge(gate, Found::Newest(&recorded), NOW_MS)
        };
        let best = best(gate, shape);
        let green = judged(best.clone());
        assert_eq!(green.light, Light::Green, "{}: {}", gate.id, green.reason);
        let required = gate.require.iter().map(|one| (one, Light::Red));
        let wished = gate.better.iter().map(|one| (one, Light::Amber));
        for (condition, light) in required.chain(wished) {
            let mut facts = best.clone();
            facts.insert(condition.fact.clone(), broken(condition));
            let verdict = judged(facts.clone());
            let on = format!("{}: {} = {}", gate.id, condition.fact, facts[&condition.fact]);
            assert_eq!(verdict.light, light, "{on}: {}", verdict.reason);
            assert_eq!(verdict.reason, condition.says(&facts), "{on}: another speaks for it");
            assert!(!verdict.reason.contains(['{', '}', '?']), "{on}: {}", verdict.reason);
        }
    }
}
