//! Journeys: run by hand and after the start, what they leave, and what is wrong with them.

use std::fs;
use std::process::{Command, Output};

use plimsoll_testkit::{Origin, Plimsoll, PlimsollOptions, TestIssuer};
use serde_json::{Value, json};

use crate::cli::{plimsoll, stderr, stdout};
use crate::memory::{entries, soon};
use crate::scene::{CONTRACT, claims, shop_manifest};

const FEED: &str = "GET {{base}}/feed\nHTTP 200\n[Asserts]\nbytes count > 0\n";
const ORDER: &str = "POST {{base}}/orders\nAuthorization: Bearer {{token}}\nIdempotency-Key: \
                     {{newUuid}}\n{ \"sku\": \"tea\" }\nHTTP 200\n\nGET {{base}}/orders/{{id}}\n\
                     HTTP 200\n";
const JOURNEYS: &str = "[[journey]]\nname = \"read\"\nfile = \"feed.hurl\"\nmust_not_fail = true\n\
                        [[journey]]\nname = \"order\"\nfile = \"order.hurl\"\n\
                        must_not_fail = true\n";
const SERVICE: &str = "[[service]]\nname = \"shop\"\ncontract = \"openapi.json\"\n\
                       urls = [\"http://127.0.0.1:9\"]\n";

struct Shop {
    origin: Origin,
    issuer: TestIssuer,
    edge: Plimsoll,
}

impl Shop {
    fn start(more: &str, env: &[(&str, &str)]) -> Self {
        let origin = Origin::start().unwrap();
        let issuer = TestIssuer::new("key-1").unwrap();
        let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
        let edge = Plimsoll::start(&PlimsollOptions {
            manifest: Some(shop_manifest(&origin.url(), more)),
            files: vec![
                file("openapi.json", CONTRACT),
                file("jwks.json", &issuer.jwks()),
                file("feed.hurl", FEED),
                file("order.hurl", ORDER),
            ],
            env: env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            one_node: true,
            ..PlimsollOptions::default()
        })
        .unwrap();
        soon(|| (!entries(edge.data_dir(), "plimsoll.start").is_empty()).then_some(()));
        Self { origin, issuer, edge }
    }

    fn journey(&self, arguments: &[&str], env: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.current_dir(self.edge.work_dir()).env("PLIMSOLL_DATA_DIR", self.edge.data_dir());
        command.args(["journey", "run"]).args(arguments).envs(env.iter().copied());
        command.output().unwrap()
    }

    fn token(&self) -> String {
        self.issuer.mint(&claims().scope("orders:write")).unwrap()
    }

    fn smoke_tests(&self) -> Vec<Value> {
        let all = entries(self.edge.data_dir(), "evidence.add");
        all.into_iter().filter(|one| one["subject"] == "report.smoke-tests").collect()
    }
}

#[test]
fn all_that_must_not_fail_is_run_against_the_running_edge_and_is_evidence() {
    let shop = Shop::start(JOURNEYS, &[]);
    let token = shop.token();
    let junit = shop.edge.work_dir().join("smoke.xml");
    let given = ["--variable", "id=7", "--junit", junit.to_str().unwrap()];
    let ran = shop.journey(&given, &[("PLIMSOLL_JOURNEY_TOKEN", &token)]);
    let told = stdout(&ran);
    assert!(ran.status.success(), "{told}{}", stderr(&ran));
    assert!(told.contains("read: passed in ") && told.contains("order: passed in "), "{told}");
    assert!(told.contains("  1. passed    200"), "{told}");
    assert!(told.contains("  GET {{base}}/orders/{{id}}\n"), "{told}");
    assert!(told.contains("added as report.smoke-tests, entry "), "{told}");
    let written = shop.smoke_tests();
    assert_eq!(written.len(), 1);
    let facts = &written[0]["detail"]["facts"];
    assert_eq!(
        (&facts["tests"], &facts["failures"], &facts["errors"]),
        (&2.into(), &0.into(), &0.into())
    );
    assert_eq!(written[0]["actor_kind"], "operator");
    let board = |light: &str| {
        let board = shop.edge.ops_get("/api/v1/board/gates/journeys-pass").unwrap().1;
        let board: Value = serde_json::from_str(&board).unwrap();
        assert_eq!(
            board["gate"]["light"].as_str().or(board["light"].as_str()),
            Some(light),
            "{board}"
        );
    };
    board("green");
    // The journey breaks with the service behind it, and the gate with the journey.
    shop.origin.set_path("/feed", plimsoll_testkit::Script::parse("status=500").unwrap());
    let ran = shop.journey(&given, &[("PLIMSOLL_JOURNEY_TOKEN", &token)]);
    assert_eq!(ran.status.code(), Some(1), "{}", stdout(&ran));
    board("red");
    assert!(fs::read_to_string(&junit).unwrap().contains("name=\"order\""));
}

#[test]
fn a_journey_that_fails_ends_with_1_and_shows_what_came_without_its_secrets() {
    let shop = Shop::start(JOURNEYS, &[]);
    // Good for another scope.
    let token = shop.issuer.mint(&claims().scope("orders:read")).unwrap();
    let given = ["order", "--variable", "id=7", "--secret", &format!("token={token}")];
    let ran = shop.journey(&given, &[]);
    assert_eq!(ran.status.code(), Some(1));
    let told = stdout(&ran);
    for part in [
        "order: FAILED in ",
        "line 5: status",
        "expected: 200",
        "came:     403",
        "PLM-EDGE-",
        "not run",
        "not added as evidence: not every journey that must not fail was run",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(stderr(&ran).contains("1 of 1 journeys failed"), "{}", stderr(&ran));
    assert!(!told.contains(&token), "{told}");
    assert_eq!(shop.smoke_tests().len(), 0);

    let ran = shop
        .journey(&["--output", "json", "--variable", "id=7"], &[("PLIMSOLL_JOURNEY_TOKEN", "no")]);
    assert_eq!(ran.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((&told["passed"], &told["journeys"][0]["word"]), (&json!(false), &json!("passed")));
    assert_eq!(told["journeys"][1]["steps"][0]["status"], 401);
    let written = shop.smoke_tests();
    assert_eq!(written[0]["detail"]["facts"]["failures"], 1, "what fails is evidence, too");
    assert_eq!(told["entry"].as_str().map(str::len), Some(36));
}

#[test]
fn elsewhere_and_a_file_of_its_own_are_no_evidence() {
    let shop = Shop::start("", &[]);
    let base = format!("http://{}", shop.edge.addr());
    let ran = shop.journey(&["--file", "feed.hurl", "--base", &base], &[]);
    assert!(ran.status.success(), "{}{}", stdout(&ran), stderr(&ran));
    assert!(
        stdout(&ran).contains("not added as evidence: it was run elsewhere"),
        "{}",
        stdout(&ran)
    );
    let ran = shop.journey(&["--file", "feed.hurl", "--base", "ftp://a"], &[]);
    assert!(stderr(&ran).contains("no place for a journey"), "{}", stderr(&ran));
    let ran = shop.journey(&["nobody"], &[]);
    assert!(stderr(&ran).contains("has no [[journey]]"), "{}", stderr(&ran));
    assert_eq!(shop.smoke_tests().len(), 0);
}

#[test]
fn a_smoke_test_is_run_once_after_the_start_and_stands_in_log_and_ledger() {
    let token = "PLIMSOLL_JOURNEY_TOKEN";
    let smoke =
        "[[journey]]\nname = \"read\"\nfile = \"feed.hurl\"\nmust_not_fail = true\nsmoke = true\n";
    let shop = Shop::start(smoke, &[(token, "secret-of-nobody")]);
    let written = soon(|| shop.smoke_tests().pop());
    assert_eq!(written["actor_kind"], "system");
    assert_eq!(written["detail"]["facts"]["tests"], 1);
    assert_eq!(written["detail"]["facts"]["failures"], 0);
    assert!(shop.edge.stderr().contains("smoke test passed"), "{}", shop.edge.stderr());
    shop.edge.reload().unwrap();
    soon(|| shop.edge.stderr().contains("manifest reloaded").then_some(()));
    assert_eq!(shop.smoke_tests().len(), 1, "once a start, not at a reload");
    let all = entries(shop.edge.data_dir(), "evidence.add");
    let journeys = all.iter().find(|one| one["subject"] == "drills.journeys").unwrap();
    assert_eq!(
        journeys["detail"]["facts"]["journeys"], 1,
        "all that must not fail were smoke tests"
    );
}

#[test]
fn a_journey_that_may_fail_leaves_the_gate_of_those_that_must_not() {
    let journeys = "[[journey]]\nname = \"read\"\nfile = \"feed.hurl\"\nmust_not_fail = true\n\
                    smoke = true\n[[journey]]\nname = \"order\"\nfile = \"order.hurl\"\n\
                    smoke = true\n";
    let shop = Shop::start(journeys, &[("PLIMSOLL_JOURNEY_TOKEN", "no")]);
    let journeys = |count: usize| {
        soon(|| {
            let mut all = entries(shop.edge.data_dir(), "evidence.add");
            all.retain(|one| one["subject"] == "drills.journeys");
            (all.len() == count).then(|| all.pop()).flatten()
        })
    };
    let facts = &journeys(1)["detail"]["facts"];
    assert_eq!((&facts["journeys"], &facts["failed"]), (&json!(1), &json!(0)), "{facts}");
    assert_eq!(facts["says"], "1 journeys were run after the start, 0 failed");
    assert_eq!(shop.smoke_tests()[0]["detail"]["facts"]["failures"], 1, "a smoke test failed");
    let ran = shop.journey(&["read", "order"], &[("PLIMSOLL_JOURNEY_TOKEN", "no")]);
    assert_eq!(ran.status.code(), Some(1), "what was asked for and fails is told all the same");
    let facts = &journeys(2)["detail"]["facts"];
    assert_eq!((&facts["journeys"], &facts["failed"]), (&json!(1), &json!(0)), "{facts}");
}

#[test]
fn a_smoke_test_that_fails_is_told_on_the_console_and_no_traffic_waits_for_it() {
    let smoke = "[[journey]]\nname = \"order\"\nfile = \"order.hurl\"\nsmoke = true\n";
    let shop = Shop::start(smoke, &[("PLIMSOLL_JOURNEY_TOKEN", "secret-of-nobody")]);
    let written = soon(|| shop.smoke_tests().pop());
    assert_eq!(written["detail"]["facts"]["failures"], 1);
    let log = shop.edge.stderr();
    assert!(log.contains("smoke test failed") && !log.contains("secret-of-nobody"), "{log}");
    let (_, page) = shop.edge.ops_get("/?format=json").unwrap();
    let page: Value = serde_json::from_str(&page).unwrap();
    let notice = page["notices"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["title"] == "The smoke test `order` failed after the start");
    let notice = notice.unwrap_or_else(|| panic!("{}", page["notices"]));
    assert!(notice["why"].as_str().unwrap().contains("expected 200, 401"), "{notice}");
    let mut client = shop.edge.client().unwrap();
    assert_eq!(client.request("GET", "/feed", &[], b"").unwrap().status, 200);
}

#[test]
fn faults_of_journeys_are_faults_of_the_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let manifest = |more: &str| {
        write("plimsoll.toml", &format!("{SERVICE}{more}"));
    };
    write("openapi.json", CONTRACT);
    write("feed.hurl", "GET {{base}}/feed\nHTTP ok\n");
    let journey = "[[journey]]\nname = \"read\"\nfile = \"feed.hurl\"\nmust_not_fail = true\n";
    let checked = |arguments: &[&str]| plimsoll(folder.path(), arguments);
    manifest(journey);
    let refused = checked(&["check"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(stderr(&refused).contains("feed.hurl:2:6: `ok` is no status"), "{}", stderr(&refused));
    let refused = checked(&["journey", "check", "feed.hurl", "--output", "json"]);
    assert_eq!(refused.status.code(), Some(3));
    let told: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!((&told["faults"][0]["line"], &told["faults"][0]["column"]), (&json!(2), &json!(6)));

    write("feed.hurl", "GET {{base}}/fed\nHTTP 200\n");
    let refused = checked(&["check"]);
    let said = "plimsoll.toml:5:1: journey[0].operations: feed.hurl asks for no operation there is";
    assert!(stderr(&refused).contains(said), "{}", stderr(&refused));
    manifest(&format!("{journey}operations = [\"listFed\"]\n"));
    let refused = checked(&["check"]);
    let said = "journey[0].operations[0]: no operation is called `listFed`";
    assert!(stderr(&refused).contains(said), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("did you mean `listFeed`?"), "{}", stderr(&refused));

    write("feed.hurl", FEED);
    let objective =
        "[[objective]]\nname = \"o\"\nkind = \"availability\"\ntarget = 0.99\njourney = \"raed\"\n";
    manifest(&format!("{journey}{objective}"));
    let refused = checked(&["check"]);
    let said = "plimsoll.toml:13:11: objective[0].journey: there is no journey `raed`";
    assert!(stderr(&refused).contains(said), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("did you mean `read`?"), "{}", stderr(&refused));
    fs::create_dir(folder.path().join("plan")).unwrap();
    let planned = "---\nowner: Ann\ndate: 2026-11-24\nstate: draft\n---\n\n# J\n\n## Journeys\n\n\
                   | name | operations | must not fail |\n|---|---|---|\n\
                   | raed | `listFeed` | yes |\n";
    write("plan/journeys.md", planned);
    write("plan/README.md", "---\nstart: 2026-11-24\n---\n");
    let sound = checked(&["check"]);
    assert!(sound.status.success(), "only the plan names it: {}", stderr(&sound));
}

#[test]
fn journeys_are_listed_with_what_they_are_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("openapi.json", CONTRACT);
    write("feed.hurl", FEED);
    write("order.hurl", ORDER);
    write("plimsoll.toml", &format!("{SERVICE}{JOURNEYS}"));
    let listed = plimsoll(folder.path(), &["journey", "list"]);
    let told = stdout(&listed);
    assert!(
        told.contains("must not fail  order.hurl  createOrder, getOrder"),
        "{told}{}",
        stderr(&listed)
    );
    let listed = plimsoll(folder.path(), &["journey", "list", "--output", "json"]);
    let told: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(told["journeys"][0]["operations"], json!(["listFeed"]));
    let checked = plimsoll(folder.path(), &["journey", "check"]);
    assert_eq!(stdout(&checked), "no faults (2 journeys, 3 steps)\n");
    write(
        "plimsoll.toml",
        &format!("[[service]]\nname = \"a\"\nurls = [\"http://127.0.0.1:9\"]\n{JOURNEYS}"),
    );
    let noted = plimsoll(folder.path(), &["check"]);
    assert!(
        stdout(&noted).contains("note: journey `read`: nothing gives its operations names"),
        "{}",
        stdout(&noted)
    );
    let alone = plimsoll(folder.path(), &["journey", "run"]);
    assert_eq!(alone.status.code(), Some(1));
    assert!(stderr(&alone).contains("--base http://127.0.0.1:8080"), "{}", stderr(&alone));
}
