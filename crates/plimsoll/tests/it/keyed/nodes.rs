//! Two nodes on one database: it does not matter which of them a phone reaches.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use plimsoll_store::{OWNER_ROLE, RUNTIME_ROLE};
use plimsoll_testkit::database::Database;
use plimsoll_testkit::{Origin, Plimsoll, PlimsollOptions, RawResponse};

use super::write_to;
use crate::scene::{Stopwatch, open_manifest, problem};

#[test]
fn a_write_is_executed_on_one_node_and_answered_on_both() {
    let origin = Origin::start().unwrap();
    let database = Database::for_processes(&[]);
    let keys = tempfile::tempdir().unwrap();
    let kek = keys.path().join("kek");
    std::fs::write(&kek, "5a".repeat(32)).unwrap();
    std::fs::set_permissions(&kek, std::fs::Permissions::from_mode(0o600)).unwrap();
    let start = || {
        let env = [
            ("DATABASE_URL", database.url(RUNTIME_ROLE)),
            ("PLIMSOLL_DATABASE_OWNER_URL", database.url(OWNER_ROLE)),
            ("PLIMSOLL_KEK_FILE", kek.display().to_string()),
        ];
        Plimsoll::start(&PlimsollOptions {
            manifest: Some(open_manifest(&origin.url(), "", "", "")),
            env: env.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            unseeded: true,
            one_node: true,
            ..PlimsollOptions::default()
        })
        .unwrap()
    };
    let nodes = [start(), start()];
    let ask = |node: &Plimsoll, key: &str, body: &[u8]| {
        let mut client = node.client().unwrap();
        write_to(&mut client, "/orders", key, "status=201;delay=300", &[], body)
    };
    for key in ["a", "b", "c"] {
        let begun = Stopwatch::start();
        let answers: Vec<RawResponse> = std::thread::scope(|scope| {
            let asking = nodes.each_ref().map(|node| scope.spawn(|| ask(node, key, b"one")));
            asking.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert!(answers.iter().all(|a| a.status == 201 && a.body == answers[0].body), "{key}");
        let replayed = answers.iter().filter(|a| a.headers.get("idempotent-replayed").is_some());
        assert_eq!(replayed.count(), 1);
    }
    assert_eq!(origin.log().exchanges().len(), 3);
    problem(&ask(&nodes[1], "a", b"two"), 422, "PLM-EDGE-0604");
    assert_eq!(ask(&nodes[0], "a", b"one").headers.get("idempotent-replayed"), Some("true"));
}
