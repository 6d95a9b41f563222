//! Three nodes on one database: what one is told, all obey within a second; one that is cut off
//! goes on with what it knew, says so, and catches up.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_store::{OWNER_ROLE, RUNTIME_ROLE};
use plimsoll_testkit::database::Database;
use plimsoll_testkit::{Origin, Plimsoll, PlimsollOptions, RawClient, Relay, TestIssuer};
use serde_json::Value;

use crate::memory::{command, json, said, soon};
use crate::scene::{CONTRACT, Stopwatch, claims, shop_manifest};

const LIMIT: &str = "[[limit]]\nname = \"other\"\nper = \"caller\"\nquota = 900\nwindow = \"1s\"\n";

/// Three nodes, each with a way of its own to the database.
struct Nodes {
    origin: Origin,
    issuer: TestIssuer,
    database: Database,
    relays: Vec<Relay>,
    nodes: Vec<Plimsoll>,
    keys: tempfile::TempDir,
}

impl Nodes {
    /// The third one's manifest has `more` in it.
    fn start(more: &str) -> Self {
        let origin = Origin::start().unwrap();
        let issuer = TestIssuer::new("key-1").unwrap();
        let database = Database::for_processes(&[]);
        let keys = tempfile::tempdir().unwrap();
        let kek = keys.path().join("kek");
        std::fs::write(&kek, "5a".repeat(32)).unwrap();
        std::fs::set_permissions(&kek, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut three =
            Self { origin, issuer, database, relays: Vec::new(), nodes: Vec::new(), keys };
        for more in ["", "", more] {
            let relay = Relay::to(&three.database.socket()).unwrap();
            let node = three.node(&relay, &shop_manifest(&three.origin.url(), more));
            three.relays.push(relay);
            three.nodes.push(node);
        }
        three
    }

    fn node(&self, relay: &Relay, manifest: &str) -> Plimsoll {
        let url = |role| self.database.url_by(role, relay.addr());
        let env = [
            ("DATABASE_URL", url(RUNTIME_ROLE)),
            ("PLIMSOLL_DATABASE_OWNER_URL", url(OWNER_ROLE)),
            ("PLIMSOLL_KEK_FILE", self.keys.path().join("kek").display().to_string()),
        ];
        Plimsoll::start(&PlimsollOptions {
            manifest: Some(manifest.to_owned()),
            files: vec![
                ("openapi.json".into(), CONTRACT.into()),
                ("jwks.json".into(), self.issuer.jwks().into_bytes()),
            ],
            env: env.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            unseeded: true,
            ..PlimsollOptions::default()
        })
        .unwrap()
    }

    fn bearer(&self, subject: &str) -> String {
        format!("Bearer {}", self.issuer.mint(&claims().with("sub", subject.into())).unwrap())
    }

    fn data_dir(&self, node: usize) -> &Path {
        self.nodes[node].data_dir()
    }

    fn status(&self, node: usize, token: &str) -> u16 {
        ask(&mut self.nodes[node].client().unwrap(), token)
    }

    /// Waits until all have said that they are there and have everything.
    fn listed(&self) -> Value {
        soon(|| {
            let output = command(self.data_dir(0), &["nodes", "--output", "json"]);
            let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
            let nodes = answer["nodes"].as_array()?;
            let all = nodes.len() == 3 && nodes.iter().all(|node| node["state"] == "current");
            all.then(|| answer.clone())
        })
    }
}

fn ask(client: &mut RawClient, token: &str) -> u16 {
    client.request("GET", "/profile", &[("authorization", token)], b"").unwrap().status
}

#[test]
fn what_is_revoked_on_one_node_is_refused_by_all_within_a_second() {
    let three = Nodes::start("");
    three.listed();
    let (alice, bob) = (three.bearer("alice"), three.bearer("bob"));
    for node in 0..3 {
        assert_eq!(three.status(node, &alice), 200, "node {node}");
    }
    let clock = Arc::new(Stopwatch::start());
    let pollers: Vec<_> = three
        .nodes
        .iter()
        .map(|node| {
            let (mut client, alice, clock) =
                (node.client().unwrap(), alice.clone(), Arc::clone(&clock));
            std::thread::spawn(move || {
                while ask(&mut client, &alice) == 200 {
                    assert!(clock.elapsed() < Duration::from_secs(20), "never refused");
                    std::thread::sleep(Duration::from_millis(2));
                }
                clock.elapsed()
            })
        })
        .collect();
    let revoked = json(three.data_dir(0), &["revoke", "--sub", "alice"]);
    let committed = clock.elapsed();
    for (node, poller) in pollers.into_iter().enumerate() {
        let took = poller.join().unwrap().saturating_sub(committed);
        assert!(took < Duration::from_secs(1), "node {node} obeyed after {took:?}");
        assert_eq!(three.status(node, &bob), 200, "nobody else is touched");
    }
    let epoch = revoked["epoch"].as_u64().unwrap();
    let answer = three.listed();
    assert_eq!(answer["epoch"], epoch);
    for node in answer["nodes"].as_array().unwrap() {
        assert_eq!((&node["epoch"], &node["manifest_differs"]), (&epoch.into(), &false.into()));
    }
    let report = json(three.data_dir(2), &["ledger", "tail", "--action", "token.revoke"]);
    assert_eq!(report["entries"].as_array().unwrap().len(), 1, "{report}");
}

#[test]
fn a_node_that_is_cut_off_serves_says_so_and_catches_up() {
    let three = Nodes::start("");
    three.listed();
    let (alice, bob, carol) = (three.bearer("alice"), three.bearer("bob"), three.bearer("carol"));
    let cut_off = &three.nodes[2];
    said(three.data_dir(0), &["revoke", "--sub", "alice"]);
    soon(|| (three.status(2, &alice) == 401).then_some(()));
    let up = || cut_off.metric("plimsoll_database_up").unwrap();
    soon(|| (up() == Some(1.0)).then_some(()));
    three.relays[2].cut();
    soon(|| (up() == Some(0.0)).then_some(()));
    said(three.data_dir(1), &["revoke", "--sub", "bob"]);
    soon(|| (three.status(0, &bob) == 401 && three.status(1, &bob) == 401).then_some(()));
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(three.status(2, &alice), 401, "it obeys what it knew");
    assert_eq!(three.status(2, &bob), 200, "it cannot know");
    assert_eq!(three.status(2, &carol), 200, "it serves");
    let (ready, body) = cut_off.ops_get("/readyz").unwrap();
    assert!(ready == 200 && body.contains("database_down"), "{ready} {body}");
    let page = soon(|| {
        let (status, page) = cut_off.ops_get("/").unwrap();
        (status == 200 && page.contains("what the other nodes have done since")).then_some(page)
    });
    assert!(page.contains("the database is down"), "the console says so");
    let silent = soon(|| {
        let answer = json(three.data_dir(0), &["nodes"]);
        let nodes = answer["nodes"].as_array().unwrap().clone();
        let silent = nodes.iter().filter(|node| node["state"] == "silent").count();
        (silent == 1).then_some(nodes)
    });
    assert_eq!(silent.len(), 3);
    assert!(said(three.data_dir(1), &["nodes"]).contains("silent"));

    three.relays[2].mend();
    soon(|| (three.status(2, &bob) == 401).then_some(()));
    soon(|| (up() == Some(1.0)).then_some(()));
    three.listed();
    assert_eq!(three.status(2, &carol), 200);
    soon(|| (!cut_off.ops_get("/readyz").unwrap().1.contains("database_down")).then_some(()));
}

#[test]
fn a_node_with_another_manifest_is_named() {
    let three = Nodes::start(LIMIT);
    let answer = three.listed();
    let nodes = answer["nodes"].as_array().unwrap();
    let differs: Vec<bool> =
        nodes.iter().map(|node| node["manifest_differs"].as_bool().unwrap()).collect();
    assert_eq!(differs.iter().filter(|differs| **differs).count(), 1, "{answer}");
    let odd = nodes.iter().find(|node| node["manifest_differs"] == true).unwrap();
    let (_, identity) = three.nodes[2].ops_get("/?format=json").unwrap();
    assert!(identity.contains(odd["manifest_hash"].as_str().unwrap()), "it is the third one");
    let text = said(three.data_dir(1), &["nodes"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("epoch "), "{text}");
    assert_eq!(lines.len(), 4, "{text}");
    let told = lines.iter().filter(|line| line.contains("OTHER MANIFEST")).count();
    assert_eq!(told, 1, "{text}");
    assert!(lines[1..].iter().all(|line| line.starts_with("current ")), "{text}");
}
