use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::failpoint;
use plimsoll_ledger::{AcceptError, Fault, Sealer, SealerDoor, SealerError, SealerState};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::watch;
use uuid::Uuid;

use crate::place::{Place, keyring, spawn};

async fn sealed_ids(place: &Place) -> Vec<Uuid> {
    sqlx::query_scalar("select entry_id from ledger.seals order by position")
        .fetch_all(&place.db.superuser)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_transaction_that_commits_late_is_neither_skipped_nor_sealed_twice() {
    let place = Place::new().await;
    let options = place.db.runtime.connect_options();
    let mut early = PgConnection::connect_with(&options).await.unwrap();
    let mut early = early.begin().await.unwrap();
    // Takes its number now, and commits long after others with higher numbers.
    let held = place.append_in(&mut early, "early number, late commit").await;
    let later = place.append_many(3).await;
    assert_eq!(
        place.seal_now().await,
        0,
        "what is above the open transaction may not be sealed yet"
    );
    let report = place.verify().await;
    assert_eq!((report.unsealed, report.is_whole()), (3, true));
    early.commit().await.unwrap();
    assert_eq!(place.seal().await, 4);
    assert_eq!(sealed_ids(&place).await, [&[held], later.as_slice()].concat());
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_leaves_no_hole() {
    let place = Place::new().await;
    place.append("before").await;
    place.others_have_ended().await;
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    place.append_in(&mut tx, "undone").await;
    place.append("after").await;
    assert_eq!(place.seal_now().await, 1);
    tx.rollback().await.unwrap();
    assert_eq!(place.seal().await, 2);
    assert!(place.verify().await.is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_all_lengths_beside_a_running_sealer_lose_nothing() {
    let place = Place::new().await;
    let (stop, stopped) = watch::channel(false);
    let sealer = place.sealer();
    let state = sealer.state();
    let run = spawn(sealer.run(stopped));
    let writers = (0..6_u64).map(|writer| {
        let (ledger, options) = (place.ledger.clone(), place.db.runtime.connect_options());
        async move {
            let mut random = fastrand::Rng::with_seed(writer);
            let mut conn = PgConnection::connect_with(&options).await.unwrap();
            let mut kept = Vec::new();
            for n in 0..40 {
                let mut tx = conn.begin().await.unwrap();
                let mut ids = Vec::new();
                for m in 0..random.u8(1..4) {
                    let subject = format!("{writer} {n} {m}");
                    let actor = plimsoll_ledger::Actor::System;
                    let append = plimsoll_ledger::Append::ok(actor, crate::place::act(&subject));
                    ids.push(ledger.append(&mut tx, append).await.unwrap());
                    // Some hold their number while the sealer passes several times.
                    let wait = if random.u8(..) < 8 { 400 } else { random.u64(0..3) };
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                if random.u8(..) < 40 {
                    tx.rollback().await.unwrap();
                } else {
                    tx.commit().await.unwrap();
                    kept.push(ids);
                }
            }
            kept
        }
    });
    let kept: Vec<Vec<Uuid>> =
        futures_util::future::join_all(writers).await.into_iter().flatten().collect();
    place.others_have_ended().await;
    stop.send(true).unwrap();
    run.await.unwrap();
    assert_eq!(*state.borrow(), SealerState::Stopped);
    let sealed = sealed_ids(&place).await;
    let expected: BTreeSet<Uuid> = kept.iter().flatten().copied().collect();
    assert_eq!(sealed.len(), expected.len(), "none twice, none of what was rolled back");
    assert_eq!(sealed.iter().copied().collect::<BTreeSet<_>>(), expected, "none missing");
    // Entries of one transaction stand together, in the order in which they were written.
    for ids in &kept {
        let at = sealed.iter().position(|id| *id == ids[0]).unwrap();
        assert_eq!(&sealed[at..at + ids.len()], ids.as_slice());
    }
    let report = place.verify().await;
    assert!(report.is_whole(), "{:?}", report.faults);
    assert_eq!((report.after_checkpoint, report.unsealed), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_seals_another_waits_and_takes_over() {
    let place = Place::new().await;
    let (stop_first, stopped) = watch::channel(false);
    let first = place.sealer();
    let mut first_state = first.state();
    let first = spawn(first.run(stopped));
    let sealing = |state: &SealerState| matches!(state, SealerState::Sealing { .. });
    first_state.wait_for(sealing).await.unwrap();
    // The second node has keys and checkpoints of its own.
    let node = tempfile::tempdir().unwrap();
    let keys = crate::place::keyring(node.path().join("keys"));
    let directory = node.path().join("checkpoints");
    let checkpoints = plimsoll_ledger::Checkpoints::open(&directory, Arc::clone(&keys)).unwrap();
    let clock = plimsoll_base::SystemClock::shared();
    let second = plimsoll_ledger::Sealer::new(place.db.runtime.clone(), checkpoints, clock);
    let mut second_state = second.state();
    let (stop_second, stopped) = watch::channel(false);
    let second = spawn(second.run(stopped));
    second_state.wait_for(|state| *state == SealerState::Waiting).await.unwrap();
    let error = place.sealer_elsewhere().once().await.unwrap_err();
    assert!(matches!(error, SealerError::Interrupted(_)), "{error}");
    place.append_many(3).await;
    first_state
        .wait_for(|state| matches!(state, SealerState::Sealing { size: 3, .. }))
        .await
        .unwrap();
    stop_first.send(true).unwrap();
    first.await.unwrap();
    second_state.wait_for(sealing).await.unwrap();
    place.append_many(3).await;
    let both =
        |state: &SealerState| matches!(state, SealerState::Sealing { size: 6, checkpoint_size: 6 });
    second_state.wait_for(both).await.unwrap();
    stop_second.send(true).unwrap();
    second.await.unwrap();
    // With the checkpoints of both nodes everything is signed; with ours alone the rest lies after.
    let ours = place.verify().await;
    assert!(ours.is_whole(), "{:?}", ours.faults);
    assert_eq!((ours.checkpoint_size, ours.after_checkpoint), (3, 3));
    let theirs = [keys.public_key().clone()];
    let both = place.verify_as(&place.keyring, &[directory], &theirs).await.unwrap();
    assert!(both.is_whole(), "{:?}", both.faults);
    assert_eq!((both.checkpoint_size, both.after_checkpoint), (6, 0));
}

#[tokio::test]
async fn a_crash_around_the_seal_changes_nothing_in_the_chain() {
    for point in ["ledger.before_seal", "ledger.after_seal", "ledger.checkpoint_half_written"] {
        let place = Place::sealed(2).await;
        let more = place.append_many(3).await;
        place.others_have_ended().await;
        let mut sealer = place.sealer();
        let armed = failpoint::fail(point);
        let crashed = sealer.once().await;
        drop(armed);
        drop(sealer);
        // The file is written by another thread, which the failpoint of this one does not reach.
        assert_eq!(crashed.is_err(), point != "ledger.checkpoint_half_written", "{point}");
        assert_eq!(place.seal().await, 5);
        assert_eq!(sealed_ids(&place).await[2..], more);
        let report = place.verify().await;
        assert!(report.is_whole(), "{point}: {:?}", report.faults);
        assert_eq!(report.after_checkpoint, 0, "{point}");
    }
}

#[tokio::test]
async fn a_backup_restored_into_another_cluster_is_taken_over() {
    let place = Place::sealed(3).await;
    place.append_many(2).await;
    // As a restore leaves it: numbers of another cluster, far ahead of this one's, on what was
    // sealed there and on two entries that were not.
    place
        .tamper(
            "update ledger.entries set xid = (xid::text::bigint + 5000000000)::text::xid8;
             update ledger.sealer set cluster = 1, xid = '5000000900'",
        )
        .await;
    let report = place.verify().await;
    assert!(report.is_whole(), "{:?}", report.faults);
    assert_eq!(report.unsealed, 2);
    let new = place.append_many(2).await;
    assert_eq!(place.seal().await, 7);
    let later = place.append("later").await;
    assert_eq!(place.seal().await, 8);
    let ids = sealed_ids(&place).await;
    assert_eq!(ids.last(), Some(&later));
    assert!(new.iter().all(|id| ids.contains(id)));
    let report = place.verify().await;
    assert!(report.is_whole(), "{:?}", report.faults);
    assert_eq!(report.unsealed, 0);
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let waits = plimsoll_ledger::unsealed_for(&mut conn, &place.shared_clock()).await.unwrap();
    assert_eq!(waits, None, "what was sealed in another cluster waits for nothing");
}

#[tokio::test]
async fn numbers_met_again_after_a_restore_are_passed_over() {
    let place = Place::sealed(3).await;
    // The cluster's counter reaches numbers that restored, sealed entries carry; there are more of
    // them than one batch takes.
    place
        .tamper(
            "insert into ledger.entries select gen_random_uuid(), e.xid, e.at, e.action,
                e.actor_kind, e.actor, e.subject, e.outcome, e.change_id, e.detail,
                e.sealed_personal, e.hash from ledger.entries e, generate_series(1, 4500)
                where e.subject = '0';
             insert into ledger.seals select 3 + row_number() over (), e.id, e.hash
                from ledger.entries e where not exists
                (select from ledger.seals s where s.entry_id = e.id);
             update ledger.sealer set xid = '0', entry_id = '00000000-0000-0000-0000-000000000000'",
        )
        .await;
    let last = place.append("new").await;
    let sealed = place.seal().await;
    assert_eq!(sealed, 3 + 4500 + 1);
    assert_eq!(sealed_ids(&place).await.last(), Some(&last));
}

#[tokio::test]
async fn nothing_is_signed_over_a_gap_until_an_operator_accepts_it() {
    let place = Place::sealed(5).await;
    // An older backup: two entries fewer.
    place
        .tamper(
            "delete from ledger.entries where id in
                (select entry_id from ledger.seals where position > 3);
             delete from ledger.seals where position > 3",
        )
        .await;
    place.append_many(1).await;
    place.others_have_ended().await;
    let mut sealer = place.sealer();
    assert_eq!(sealer.once().await.unwrap(), 4, "sealing goes on");
    let state = sealer.state().borrow().clone();
    let SealerState::Diverged { size: 4, checkpoint_size: 5, why } = state else {
        panic!("{state:?}")
    };
    assert!(why.contains("5 entries") && why.contains("ledger verify"), "{why}");
    drop(sealer);
    let report = place.verify().await;
    let cut = Fault::TailCut { size: 4, checkpoint_size: 5, sequence: 1 };
    assert_eq!(report.faults, [cut]);
    assert_eq!(report.checkpoints, 0);

    // While the sealer runs, which signs again from then on.
    let sealer = place.sealer();
    let (door, mut state) = (sealer.door(), sealer.state());
    let (stop, stopped) = watch::channel(false);
    let running = spawn(sealer.run(stopped));
    state.wait_for(|state| matches!(state, SealerState::Diverged { .. })).await.unwrap();
    let why = "restored the backup of yesterday";
    assert_eq!(door.accept(why).await.unwrap(), 4);
    let again = door.accept(why).await.unwrap_err();
    assert!(matches!(again, AcceptError::NothingDiffers), "{again}");
    place.append_many(3).await;
    place.others_have_ended().await;
    // What is sealed in two parts would be signed in two, each a second after the other.
    let sealed = |state: &SealerState| matches!(state, SealerState::Sealing { size: 7, .. });
    let waited = tokio::time::timeout(Duration::from_secs(20), state.wait_for(sealed));
    drop(waited.await.unwrap().unwrap());
    place.clock.advance(Duration::from_secs(2));
    let signed =
        |state: &SealerState| matches!(state, SealerState::Sealing { size: 7, checkpoint_size: 7 });
    let signed = tokio::time::timeout(Duration::from_secs(10), state.wait_for(signed));
    drop(signed.await.unwrap().unwrap());
    stop.send_replace(true);
    running.await.unwrap();
    let stopped = door.accept(why).await.unwrap_err();
    assert!(matches!(stopped, AcceptError::NotSealing { .. }), "{stopped}");
    let report = place.verify().await;
    assert!(report.is_whole(), "{:?}", report.faults);
    let [(fault, note)] = report.accepted.as_slice() else { panic!("{:?}", report.accepted) };
    assert!(matches!(fault, Fault::HistoryRewritten { to: 5, sequence: 1, .. }), "{fault}");
    assert_eq!(note, why);
}

/// A ledger that was set back, and a sealer that runs on it and has noticed.
async fn set_back(within: Duration) -> (Place, SealerDoor, Running) {
    let place = Place::sealed(5).await;
    place
        .tamper(
            "delete from ledger.entries where id in
                (select entry_id from ledger.seals where position > 3);
             delete from ledger.seals where position > 3",
        )
        .await;
    let sealer = place.sealer().within(within);
    let (door, mut state) = (sealer.door(), sealer.state());
    let (stop, stopped) = watch::channel(false);
    let run = spawn(sealer.run(stopped));
    state.wait_for(|state| matches!(state, SealerState::Diverged { .. })).await.unwrap();
    (place, door, Running { stop, state, run })
}

struct Running {
    stop: watch::Sender<bool>,
    state: watch::Receiver<SealerState>,
    run: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn signs_again_and_ends(mut self) {
        let signing = |state: &SealerState| matches!(state, SealerState::Sealing { .. });
        let waited = tokio::time::timeout(Duration::from_secs(20), self.state.wait_for(signing));
        drop(waited.await.unwrap().unwrap());
        self.stop.send_replace(true);
        self.run.await.unwrap();
    }
}

/// The records in our folder that accept something.
fn accepted(place: &Place) -> usize {
    let files = std::fs::read_dir(place.directory()).unwrap();
    let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    texts.map(|text| text.matches("\"kind\":\"accepted\"").count()).sum()
}

#[tokio::test]
async fn what_is_signed_is_accepted_whatever_the_database_does_after_it() {
    let (place, door, running) = set_back(Duration::from_millis(500)).await;
    // The sealer cannot note what it has signed.
    let mut conn = place.db.owner.acquire().await.unwrap();
    let mut held = conn.begin().await.unwrap();
    sqlx::query("lock table ledger.checkpoint_marks in access exclusive mode")
        .execute(&mut *held)
        .await
        .unwrap();
    let said = door.accept("restored").await;
    assert_eq!(accepted(&place), 1, "it is signed");
    assert_eq!(said.unwrap(), 3, "so whoever asked has to know");
    held.rollback().await.unwrap();
    running.signs_again_and_ends().await;
    assert_eq!(accepted(&place), 1);
    let report = place.verify().await;
    assert!(report.is_whole(), "{:?}", report.faults);
}

#[tokio::test]
async fn of_two_who_accept_at_once_one_signs() {
    let (place, door, running) = set_back(Duration::from_secs(20)).await;
    let (one, other) = tokio::join!(door.accept("one"), door.accept("other"));
    running.signs_again_and_ends().await;
    assert_eq!(accepted(&place), 1);
    assert_eq!(one.unwrap(), 3);
    let other = other.unwrap_err();
    assert!(matches!(other, AcceptError::NothingDiffers), "{other}");
}

#[tokio::test]
async fn a_strangers_checkpoints_are_said_and_signing_begins_once_they_are_gone() {
    let place = Place::sealed(2).await;
    let stranger = keyring(place.root.path().join("stranger"));
    let (pool, clock) = (place.db.runtime.clone(), place.shared_clock());
    let sealer = Sealer::signing_in(pool, place.directory(), stranger, clock);
    let mut state = sealer.state();
    let (stop, stopped) = watch::channel(false);
    let running = spawn(sealer.run(stopped));
    place.append("sealed all the same").await;
    place.others_have_ended().await;
    let unsigned = |state: &SealerState| matches!(state, SealerState::Unsigned { size: 3, .. });
    let SealerState::Unsigned { why, .. } = state.wait_for(unsigned).await.unwrap().clone() else {
        panic!("not unsigned")
    };
    assert!(why.contains("move the directory away"), "{why}");
    std::fs::rename(place.directory(), place.root.path().join("former")).unwrap();
    place.clock.advance(Duration::from_secs(6));
    let signed =
        |state: &SealerState| matches!(state, SealerState::Sealing { size: 3, checkpoint_size: 3 });
    let signed = tokio::time::timeout(Duration::from_secs(10), state.wait_for(signed));
    drop(signed.await.unwrap().unwrap());
    stop.send_replace(true);
    running.await.unwrap();
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_given_up_and_tried_again() {
    let place = Place::new().await;
    place.append("waits for the table").await;
    place.others_have_ended().await;
    let sealer = place.sealer().within(Duration::from_millis(300));
    let mut state = sealer.state();
    // As a network that swallows everything would: no answer, and no error.
    let mut conn = place.db.owner.acquire().await.unwrap();
    let mut held = conn.begin().await.unwrap();
    sqlx::query("lock table ledger.seals in access exclusive mode")
        .execute(&mut *held)
        .await
        .unwrap();
    let (stop, stopped) = watch::channel(false);
    let running = spawn(sealer.run(stopped));
    let down = |state: &SealerState| matches!(state, SealerState::Down { .. });
    let waited = tokio::time::timeout(Duration::from_secs(10), state.wait_for(down));
    let SealerState::Down { why } = waited.await.unwrap().unwrap().clone() else { panic!() };
    assert!(why.contains("did not answer"), "{why}");
    held.rollback().await.unwrap();
    let sealed = |state: &SealerState| matches!(state, SealerState::Sealing { size: 1, .. });
    let waited = tokio::time::timeout(Duration::from_secs(20), state.wait_for(sealed));
    drop(waited.await.unwrap().unwrap());
    stop.send_replace(true);
    running.await.unwrap();
}

#[tokio::test]
async fn what_waits_for_the_sealer_says_since_when() {
    let place = Place::sealed(2).await;
    let waits = async || {
        let mut conn = place.db.runtime.acquire().await.unwrap();
        plimsoll_ledger::unsealed_for(&mut conn, &place.shared_clock()).await.unwrap()
    };
    assert_eq!(waits().await, None);
    // A transaction of somebody else holds the sealer back.
    let options = place.db.runtime.connect_options();
    let mut stranger = PgConnection::connect_with(&options).await.unwrap();
    let mut open = stranger.begin().await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *open).await.unwrap();
    place.append("waits").await;
    place.clock.advance(Duration::from_secs(61));
    assert_eq!(place.seal_now().await, 2);
    let waited = waits().await.unwrap();
    assert!((61..=63).contains(&waited.as_secs()), "{waited:?}");
    open.rollback().await.unwrap();
    assert_eq!(place.seal().await, 3);
    assert_eq!(waits().await, None);
}
