//! The nodes and how the ledger stands, on the page and as CSV.

use plimsoll_console::{LedgerRow, MemoryRow, NodeAnswer, NodesAnswer, VerifiedRow, nodes_differ};
use plimsoll_snapshot::{NodeReport, NodeRow};
use uuid::Uuid;

use crate::scene::{HOSTILE, Scene};

/// A node by name, manifest, epoch, and how long ago it was seen.
fn node(name: &str, manifest: &str, epoch: u64, seen_ago_ms: u64) -> NodeRow {
    let report = NodeReport {
        id: Uuid::from_u128(name.len() as u128),
        name: name.into(),
        roles: "all".into(),
        version: "0.1.0".into(),
        manifest_hash: manifest.repeat(32),
        started_unix_ms: 1_795_335_000_000,
    };
    NodeRow { report, epoch, applied_ago_ms: 100, seen_ago_ms }
}

fn differing(rows: Vec<NodeRow>) -> (Vec<String>, bool) {
    let nodes = NodesAnswer::new(7, rows).nodes;
    let names = nodes.iter().filter(|node| node.manifest_differs).map(|node| node.name.clone());
    (names.collect(), nodes_differ(&nodes))
}

#[test]
fn a_node_is_odd_only_where_most_agree() {
    let [a, b, c] = ["a", "bb", "ccc"];
    let two_to_one = vec![node(a, "0a", 7, 0), node(b, "0b", 7, 0), node(c, "0a", 7, 0)];
    assert_eq!(differing(two_to_one), (vec![b.into()], false));
    let tie = vec![node(a, "0a", 7, 0), node(b, "0b", 7, 0)];
    assert_eq!(differing(tie), (vec![a.into(), b.into()], true));
    let gone = vec![node(a, "0a", 7, 0), node(b, "0b", 7, 9_000), node(c, "0b", 7, 9_000)];
    assert_eq!(differing(gone), (vec![b.into(), c.into()], false), "the living are the measure");
    assert_eq!(differing(vec![node(a, "0a", 7, 9_000)]), (vec![], false));
}

async fn shown(scene: &Scene, nodes: Vec<NodeAnswer>, ledger: LedgerRow) -> String {
    let memory = MemoryRow { epoch: 7, nodes, ledger, ..MemoryRow::default() };
    *scene.made.memory.lock().unwrap() = Some(memory);
    scene.get("/").await.body
}

#[tokio::test]
async fn every_state_of_a_node_says_what_to_do() {
    let scene = Scene::start().await;
    let well = vec![node(HOSTILE, "0a", 7, 0), node("b", "0a", 7, 0)];
    let page = shown(&scene, NodesAnswer::new(7, well).nodes, LedgerRow::default()).await;
    assert!(
        !page.contains("<script>") && page.contains("&lt;script&gt;"),
        "hostile text is escaped"
    );
    for part in ["Behind", "Silent", "differ", "not whole"] {
        assert!(!page.contains(part), "{part} in {page}");
    }
    let ill = vec![node("a", "0a", 6, 0), node("b", "0b", 7, 0), node("c", "0a", 7, 6_000)];
    let page = shown(&scene, NodesAnswer::new(7, ill).nodes, LedgerRow::default()).await;
    for part in [
        "Behind",
        "read its /readyz",
        "Silent",
        "start it again",
        "nodes differ",
        "same plimsoll.toml",
    ] {
        assert!(page.contains(part), "no `{part}` in {page}");
    }
    assert!(!page.contains("differs from most"), "{page}");
    let table = scene.get("/nodes.csv").await;
    let lines: Vec<&str> = table.body.split("\r\n").collect();
    assert!(lines[0].starts_with("node,id,state,roles,version,epoch,"), "{lines:?}");
    assert!(lines[1].starts_with("a,") && lines[1].contains(",behind,all,0.1.0,6,"), "{lines:?}");
    assert_eq!(lines.len(), 5);
    scene.stop().await;
}

#[tokio::test]
async fn a_ledger_that_is_not_whole_is_a_critical_notice() {
    let scene = Scene::start().await;
    let page = shown(&scene, vec![], LedgerRow::default()).await;
    assert!(page.contains("half a minute after it, then every hour"), "{page}");
    let verified = VerifiedRow {
        at_unix_ms: 1_795_335_000_000,
        whole: false,
        entries: 3,
        faults_found: 1,
        faults: vec!["entry 2 was edited".into()],
    };
    shown(&scene, vec![], LedgerRow { verified: Some(verified), ..LedgerRow::default() }).await;
    let notices = scene.get("/?format=json").await.json()["notices"].clone();
    assert_eq!(notices[0]["level"], "critical", "{notices}");
    assert_eq!(notices[0]["title"], "The ledger is not whole");
    assert!(notices[0]["why"].as_str().unwrap().contains("entry 2 was edited"));
    assert!(notices[0]["next"].as_str().unwrap().contains("plimsoll ledger verify"));
    scene.stop().await;
}
