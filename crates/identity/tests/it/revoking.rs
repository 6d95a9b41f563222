use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::{Clock as _, ManualClock, SharedClock, SystemClock};
use plimsoll_identity::{Revoke, Revoked, RevokedName, revoke};
use plimsoll_ledger::{Actor, ActorKind, Ledger};
use plimsoll_protection::{Keyring, KeyringOptions};
use plimsoll_testkit::database::Database;

const HOUR: u64 = 3_600;

struct Place {
    database: Database,
    clock: Arc<ManualClock>,
    ledger: Ledger,
    _keys: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let keys = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(&KeyringOptions {
            directory: keys.path().join("keys"),
            signing_key_file: None,
            kek_file: None,
            outside_database: false,
        });
        let clock = Arc::new(ManualClock::at_unix_ms(SystemClock::new().unix_seconds() * 1_000));
        let ledger = Ledger::new(Arc::clone(&clock) as SharedClock, Arc::new(keyring.unwrap()));
        let rooms = [plimsoll_snapshot::ROOM, plimsoll_ledger::ROOM];
        Self { database: Database::new(&rooms).await, clock, ledger, _keys: keys }
    }

    async fn revoke(&self, subject: &str, kept_seconds: u64) -> Revoked {
        let asked = Revoke {
            name: RevokedName::Sub(subject.to_owned()),
            issuer: None,
            reason: None,
            kept_seconds,
        };
        let actor = Actor::Named(ActorKind::Operator, "local:0");
        revoke(&self.database.runtime, &self.ledger, &*self.clock, actor, &asked).await.unwrap()
    }

    async fn kept_until(&self) -> u64 {
        let expires: i64 =
            sqlx::query_scalar("select extract(epoch from expires_at)::bigint from snapshot.items")
                .fetch_one(&self.database.runtime)
                .await
                .unwrap();
        u64::try_from(expires).unwrap()
    }
}

#[tokio::test]
async fn revoking_again_takes_nothing_back() {
    let place = Place::new().await;
    let first = place.revoke("alice", 24 * HOUR).await;
    place.clock.advance(Duration::from_secs(60));
    let shorter = place.revoke("alice", HOUR).await;
    assert_eq!(shorter.kept_until_unix_s, first.kept_until_unix_s);
    assert_eq!(shorter.issued_until_unix_s, first.issued_until_unix_s + 60);
    assert_eq!(shorter.epoch, first.epoch + 1);
    assert_eq!(place.kept_until().await, first.kept_until_unix_s);
    let longer = place.revoke("alice", 48 * HOUR).await;
    assert!(longer.kept_until_unix_s > first.kept_until_unix_s);
    assert_eq!(place.kept_until().await, longer.kept_until_unix_s);
}

#[tokio::test]
async fn a_node_whose_clock_is_behind_takes_nothing_back() {
    let place = Place::new().await;
    let behind = ManualClock::at_unix_ms((place.clock.unix_seconds() - 30) * 1_000);
    let first = place.revoke("alice", HOUR).await;
    let place = Place { clock: Arc::new(behind), ..place };
    let second = place.revoke("alice", HOUR).await;
    assert_eq!(second.issued_until_unix_s, first.issued_until_unix_s);
    assert_eq!(second.kept_until_unix_s, first.kept_until_unix_s);
}
