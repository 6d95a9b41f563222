//! The ledger, the epoch, revocations.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use plimsoll_store::{OWNER_ROLE, RUNTIME_ROLE};
use plimsoll_testkit::database::Database;
use plimsoll_testkit::{Plimsoll, PlimsollOptions, Relay};

use super::newcomer::light;
use super::{Place, SEEN_WITHIN, newest, seen, stop};
use crate::memory::{command, said, soon, soon_within};
use crate::scene::CONTRACT;

/// A database that the test may reach, too, and the key that goes with it.
struct Outside {
    database: Database,
    keys: tempfile::TempDir,
}

impl Outside {
    fn new() -> Self {
        let keys = tempfile::tempdir().unwrap();
        let kek = keys.path().join("kek");
        std::fs::write(&kek, "5a".repeat(32)).unwrap();
        std::fs::set_permissions(&kek, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self { database: Database::for_processes(&[]), keys }
    }

    fn start(&self, manifest: &str, relay: &Relay) -> Plimsoll {
        let url = |role| self.database.url_by(role, relay.addr());
        let env = [
            ("DATABASE_URL", url(RUNTIME_ROLE)),
            ("PLIMSOLL_DATABASE_OWNER_URL", url(OWNER_ROLE)),
            ("PLIMSOLL_KEK_FILE", self.keys.path().join("kek").display().to_string()),
        ];
        Plimsoll::start(&PlimsollOptions {
            manifest: Some(manifest.to_owned()),
            files: vec![("openapi.json".into(), CONTRACT.into())],
            env: env.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            unseeded: true,
            ..PlimsollOptions::default()
        })
        .unwrap()
    }
}

#[test]
fn a_ledger_that_was_edited_shows_with_the_next_verification() {
    let (place, outside) = (Place::new(), Outside::new());
    let relay = Relay::to(&outside.database.socket()).unwrap();
    let edge = outside.start(&place.shop(""), &relay);
    let data_dir = edge.data_dir();
    soon(|| newest(data_dir, "edge.problems").and_then(|entry| entry["position"].as_u64()));
    assert!(newest(data_dir, "ledger.verified").is_none(), "nothing was verified yet");
    said(data_dir, &["ledger", "verify"]);
    let facts = seen(data_dir, "ledger.verified", |facts| facts["faults"] == 0);
    assert!(facts["entries"].as_u64() > Some(0), "{facts}");
    let edit = "update ledger.entries set subject = 'elsewhere' \
                where action = 'evidence.add' and subject = 'edge.problems'";
    outside.database.tamper(edit).unwrap();
    assert_eq!(command(data_dir, &["ledger", "verify"]).status.code(), Some(1));
    let facts = seen(data_dir, "ledger.verified", |facts| facts["faults"] != 0);
    assert!(facts["first_fault"].as_str().unwrap().contains("was edited"), "{facts}");
}

fn behind(data_dir: &Path, nodes: u64, behind: u64) {
    seen(data_dir, "snapshot.epoch", |facts| facts["nodes"] == nodes && facts["behind"] == behind);
}

#[test]
fn a_node_that_is_cut_off_is_behind_until_it_catches_up() {
    let (place, outside) = (Place::new(), Outside::new());
    let relays = [(); 2].map(|()| Relay::to(&outside.database.socket()).unwrap());
    let nodes = [&relays[0], &relays[1]].map(|relay| outside.start(&place.shop(""), relay));
    let data_dir = nodes[0].data_dir();
    behind(data_dir, 2, 0);
    light(data_dir, "green", &["nodes-in-step"]);
    relays[1].cut();
    said(data_dir, &["revoke", "--jti", "t-1"]);
    behind(data_dir, 2, 1);
    light(data_dir, "red", &["nodes-in-step"]);
    relays[1].mend();
    behind(data_dir, 2, 0);
}

#[test]
fn a_node_that_has_not_reached_its_database_says_so_and_not_what_it_lacks_there() {
    let (place, outside) = (Place::new(), Outside::new());
    let relay = Relay::to(&outside.database.socket()).unwrap();
    relay.cut();
    let edge = outside.start(&place.shop(""), &relay);
    let asked = command(edge.data_dir(), &["nodes"]);
    let text = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(!asked.status.success() && text.contains("has not been reached"), "{text}");
    relay.mend();
    soon_within(SEEN_WITHIN, || {
        command(edge.data_dir(), &["nodes"]).status.success().then_some(())
    });
}

#[test]
fn a_revocation_of_nobodys_token_is_obeyed_or_it_shows() {
    let place = Place::new();
    let mut edge = place.start(&place.shop(""));
    let facts = place.seen("identity.revocation", |facts| facts["ms"].as_u64() < Some(1_000));
    assert!(facts["says"].as_str().unwrap().starts_with("a revocation was obeyed"), "{facts}");
    stop(&mut edge);
    let _edge = place.broken(&place.shop(""), "edge.revoke");
    let facts = place.seen("identity.revocation", |facts| facts["ms"].as_u64() >= Some(5_000));
    assert!(facts["says"].as_str().unwrap().contains("was not obeyed"), "{facts}");
}
