use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::failpoint;
use plimsoll_ledger::{
    CHECKPOINT_FILES_MAX, Checkpoint, CheckpointError, Checkpoints, Fault, SealerError,
    end_with_copied_checkpoints, former_keys,
};

use crate::place::{Place, keyring, spawn};

fn files(place: &Place) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(place.directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

async fn with_three() -> (Place, PathBuf, Vec<String>) {
    let place = Place::sealed(2).await;
    for _ in 0..2 {
        place.append_many(2).await;
        place.seal().await;
    }
    let path = files(&place).remove(0);
    let lines = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    (place, path, lines)
}

fn write(path: &PathBuf, lines: &[&str]) {
    fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

#[tokio::test]
async fn forged_removed_and_moved_lines_are_named() {
    let (place, path, lines) = with_three().await;
    let [one, two, three] = [&lines[0], &lines[1], &lines[2]].map(String::as_str);
    let key_id = place.keyring.public_key().id().to_owned();
    let forged = |line| Fault::CheckpointForged { path: path.clone(), line };
    let missing = |from, to| Fault::CheckpointsMissing { from, to, key_id: key_id.clone() };
    let changed = two.replace("\"size\":4", "\"size\":3");
    let stranger = keyring(place.root.path().join("stranger"));
    let record = Checkpoint::from_line(two).unwrap();
    let their = stranger.sign(plimsoll_ledger::CHECKPOINT_DOMAIN, &record.message());
    let theirs = Checkpoint { signature: their.0, ..record }.to_line();
    let cases: [(&[&str], Vec<Fault>); 7] = [
        (&[one, two, three], vec![]),
        (&[one, &changed, three], vec![forged(2)]),
        (&[one, &theirs, three], vec![forged(2)]),
        (&[one, "nonsense", three], vec![forged(2)]),
        (&[one, three], vec![missing(2, 2)]),
        (&[two, three], vec![missing(1, 1)]),
        (&[one, two], vec![missing(3, 3)]),
    ];
    for (lines, expected) in cases {
        write(&path, lines);
        assert_eq!(place.verify().await.faults, expected, "{lines:?}");
    }
    write(&path, &[one, three, two]);
    assert!(!place.verify().await.is_whole());
    write(&path, &[one, two, two, three]);
    assert!(!place.verify().await.is_whole());
}

#[tokio::test]
async fn what_was_signed_while_a_backup_was_taken_is_not_missing_after_its_restore() {
    // The checkpoints were copied after the first, and the database dumped after the third.
    let (place, path, lines) = with_three().await;
    write(&path, &[&lines[0]]);
    let key_id = place.keyring.public_key().id().to_owned();
    let missing = Fault::CheckpointsMissing { from: 2, to: 3, key_id };
    assert_eq!(place.verify().await.faults, [missing]);
    let mut owner = place.db.owner.acquire().await.unwrap();
    let ended = end_with_copied_checkpoints(&mut owner, &place.directory()).await.unwrap();
    assert_eq!(ended, 1);
    let report = place.verify().await;
    assert_eq!((report.faults, report.checkpoint_size, report.after_checkpoint), (vec![], 2, 4));
    // From here on it goes on as ever, and what is removed now is missing.
    place.append_many(2).await;
    place.seal().await;
    assert!(place.verify().await.is_whole());
    write(&path, &[&lines[0]]);
    assert!(!place.verify().await.is_whole());
    assert_eq!(end_with_copied_checkpoints(&mut owner, &place.directory()).await.unwrap(), 1);
    assert_eq!(end_with_copied_checkpoints(&mut owner, &place.directory()).await.unwrap(), 0);
}

#[tokio::test]
async fn whoever_has_sealed_leaves_the_lock_to_others_at_once() {
    let place = Place::new().await;
    let held = "select count(*) from pg_locks join pg_database on pg_database.oid = database
                where locktype = 'advisory' and datname = current_database()";
    for round in 0..20 {
        place.seal_now().await;
        let held: i64 = sqlx::query_scalar(held).fetch_one(&place.db.runtime).await.unwrap();
        assert_eq!(held, 0, "round {round}");
    }
}

#[tokio::test]
async fn without_checkpoints_everything_lies_after_the_last() {
    let (place, path, _) = with_three().await;
    fs::remove_file(&path).unwrap();
    let report = place.verify().await;
    assert_eq!((report.checkpoint_size, report.after_checkpoint), (0, 6));
    let key_id = place.keyring.public_key().id().to_owned();
    assert_eq!(report.faults, [Fault::CheckpointsMissing { from: 1, to: 3, key_id }]);
}

#[tokio::test]
async fn a_torn_last_line_is_cut_and_was_never_relied_on() {
    let (place, path, lines) = with_three().await;
    let whole = fs::read_to_string(&path).unwrap();
    for torn in [&whole[..whole.len() - 1], &whole[..whole.len() - 200]] {
        fs::write(&path, torn).unwrap();
        let checkpoints = place.checkpoints();
        assert_eq!(checkpoints.last().unwrap().to_line(), lines[1]);
        let kept = fs::read_to_string(&path).unwrap();
        assert_eq!(kept.lines().collect::<Vec<_>>(), lines[..2]);
    }
    fs::write(&path, format!("{}\n{}\n\0\0\0\0", lines[0], lines[1])).unwrap();
    assert_eq!(place.checkpoints().last().unwrap().to_line(), lines[1]);
}

#[test]
fn half_a_line_that_could_not_be_written_is_taken_back() {
    let root = tempfile::tempdir().unwrap();
    let keys = keyring(root.path().join("keys"));
    let directory = root.path().join("checkpoints");
    let mut checkpoints = Checkpoints::open(&directory, keys).unwrap();
    checkpoints.append(&[(1, [1; 32])], 5).unwrap();
    let armed = failpoint::fail("ledger.checkpoint_half_written");
    let error = checkpoints.append(&[(2, [2; 32])], 6).unwrap_err();
    drop(armed);
    assert!(matches!(error, CheckpointError::Io { .. }), "{error}");
    assert_eq!(checkpoints.last().unwrap().size, 1);
    checkpoints.append(&[(2, [2; 32])], 6).unwrap();
    let path = fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(path).unwrap();
    let sizes: Vec<_> =
        text.lines().map(|line| Checkpoint::from_line(line).unwrap().size).collect();
    assert_eq!(sizes, [1, 2]);
}

#[tokio::test]
async fn nothing_is_written_after_a_line_of_a_stranger() {
    let (place, path, lines) = with_three().await;
    let other = keyring(place.root.path().join("other"));
    let error = Checkpoints::open(&place.directory(), other).unwrap_err();
    assert!(matches!(error, CheckpointError::NotOurs { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), lines.len());
}

#[tokio::test]
async fn a_replaced_key_is_trusted_by_its_public_half() {
    let (place, _, _) = with_three().await;
    let old = place.keyring.public_key().clone();
    let former = place.root.path().join("former");
    fs::rename(place.directory(), &former).unwrap();
    let new = keyring(place.root.path().join("new"));
    let directory = place.directory();
    let checkpoints = Checkpoints::open(&directory, Arc::clone(&new)).unwrap();
    let (pool, clock) = (place.db.runtime.clone(), place.shared_clock());
    place.append("under the new key").await;
    place.others_have_ended().await;
    place.clock.advance(Duration::from_secs(2));
    plimsoll_ledger::Sealer::new(pool, checkpoints, clock).once().await.unwrap();
    let further = std::slice::from_ref(&former);
    fs::write(former.join("2026.pub"), old.to_hex()).unwrap();
    let report = place.verify_as(&new, further, &[]).await.unwrap();
    assert_eq!(report.faults.len(), 3, "no folder vouches for itself: {:?}", report.faults);
    let report = place.verify_as(&new, further, &[old]).await.unwrap();
    assert!(report.is_whole(), "{:?}", report.faults);
    assert_eq!((report.checkpoints, report.after_checkpoint), (4, 0));
}

/// The attack of somebody who has the database and the folder, and no key of ours.
#[tokio::test]
async fn a_strangers_key_and_word_in_the_folder_excuse_nothing() {
    let place = Place::sealed(5).await;
    place
        .tamper(
            "delete from ledger.entries where id in
                (select entry_id from ledger.seals where position > 3);
             delete from ledger.seals where position > 3",
        )
        .await;
    let cut = Fault::TailCut { size: 3, checkpoint_size: 5, sequence: 1 };
    assert_eq!(place.verify().await.faults, std::slice::from_ref(&cut));
    let head: Vec<u8> = sqlx::query_scalar("select chain from ledger.seals where position = 3")
        .fetch_one(&place.db.owner)
        .await
        .unwrap();
    let stranger = keyring(place.root.path().join("stranger"));
    let theirs = place.root.path().join("theirs");
    Checkpoints::open(&theirs, Arc::clone(&stranger))
        .unwrap()
        .accept((3, head.try_into().unwrap()), 9, "all is well")
        .unwrap();
    let line = fs::read_dir(&theirs).unwrap().next().unwrap().unwrap().path();
    let path = files(&place).remove(0);
    let both = [&path, &line].map(|path| fs::read_to_string(path).unwrap()).concat();
    fs::write(&path, both).unwrap();
    fs::write(place.directory().join("x.pub"), stranger.public_key().to_hex()).unwrap();
    let report = place.verify().await;
    let forged = Fault::CheckpointForged { path, line: 2 };
    assert_eq!(report.faults, [forged, cut.clone()]);
    assert_eq!(report.accepted, []);
    // Nor where that key is believed, as another node's is: nobody takes back another's word.
    let believed = [stranger.public_key().clone()];
    let report = place.verify_as(&place.keyring, &[], &believed).await.unwrap();
    assert_eq!(report.faults, [cut]);
    assert_eq!(report.accepted, []);
}

#[test]
fn a_former_key_that_cannot_be_read_is_said_and_a_folder_that_is_not_there_holds_none() {
    let root = tempfile::tempdir().unwrap();
    let former = root.path().join("former");
    assert_eq!(former_keys(&former).unwrap(), []);
    fs::create_dir(&former).unwrap();
    let key = keyring(root.path().join("keys")).public_key().clone();
    fs::write(former.join("2026.pub"), format!("{}\n", key.to_hex())).unwrap();
    fs::write(former.join("README"), "not a key").unwrap();
    assert_eq!(former_keys(&former).unwrap(), [key]);
    fs::write(former.join("2025.pub"), "not a key").unwrap();
    let error = former_keys(&former).unwrap_err();
    assert!(error.to_string().contains("2025.pub"), "{error}");
}

fn copy_of(place: &Place) -> PathBuf {
    let copy = place.root.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for path in files(place) {
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    copy
}

#[tokio::test]
async fn a_copy_ends_when_it_was_made_and_that_is_no_fault() {
    let place = Place::sealed(2).await;
    let copy = copy_of(&place);
    place.append_many(2).await;
    place.seal().await;
    // On the node that signs, beside its own.
    let ours = Arc::clone(&place.keyring);
    let report = place.verify_as(&ours, std::slice::from_ref(&copy), &[]).await.unwrap();
    assert!(report.is_whole(), "{:?}", report.faults);
    assert_eq!((report.checkpoints, report.after_checkpoint), (2, 0), "each counts once");
    // On another node, which has never signed.
    let other = keyring(place.root.path().join("other"));
    fs::remove_dir_all(place.directory()).unwrap();
    let report = place.verify_as(&other, &[copy], &place.trusted()).await.unwrap();
    assert!(report.is_whole(), "{:?}", report.faults);
    assert_eq!((report.checkpoints, report.after_checkpoint), (1, 2));
}

#[tokio::test]
async fn a_folder_that_was_named_and_holds_no_checkpoints_is_said() {
    let place = Place::sealed(2).await;
    let (empty, nowhere) = (place.root.path().join("empty"), place.root.path().join("nowhere"));
    fs::create_dir(&empty).unwrap();
    for folder in [empty, nowhere] {
        let said = place.verify_as(&place.keyring, std::slice::from_ref(&folder), &[]).await;
        let error = said.unwrap_err().to_string();
        assert!(error.contains(folder.to_str().unwrap()), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_while_the_files_are_read_is_not_missed() {
    let place = Arc::new(Place::sealed(2).await);
    // Reading this one lasts for as long as somebody has it open to write; it is read after ours.
    let slow = place.root.path().join("slow");
    fs::create_dir(&slow).unwrap();
    let pipe = slow.join("1.checkpoints");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let signing = Arc::clone(&place);
    let meanwhile = spawn(async move {
        let opened = tokio::task::spawn_blocking(move || File::create(pipe)).await;
        let held = opened.unwrap().unwrap();
        signing.append_many(2).await;
        signing.seal().await;
        drop(held);
    });
    let report = place.verify_as(&place.keyring, std::slice::from_ref(&slow), &[]).await.unwrap();
    meanwhile.await.unwrap();
    assert!(report.is_whole(), "{:?}", report.faults);
}

#[tokio::test]
async fn full_files_give_way_and_continuity_stays_signed() {
    let place = Place::sealed(1).await;
    let directory = place.directory();
    let chain: Vec<u8> = sqlx::query_scalar("select chain from ledger.seals")
        .fetch_one(&place.db.owner)
        .await
        .unwrap();
    let head = (1, chain.try_into().unwrap());
    // Small files, so that many are needed.
    let keys = Arc::clone(&place.keyring);
    let mut checkpoints = Checkpoints::open_with(&directory, keys, 2_000).unwrap();
    for n in 0..200 {
        checkpoints.append(&[head], n).unwrap();
    }
    let all = files(&place);
    assert_eq!(all.len(), CHECKPOINT_FILES_MAX);
    let report = place.verify().await;
    assert!(report.is_whole(), "{:?}", report.faults);
    assert!(report.checkpoints < 200);
    // A file taken out of the middle is missed; so is one from the front, once there are fewer
    // files than rotation keeps.
    let sequence = |path: &PathBuf| -> u64 {
        path.file_name().unwrap().to_str().unwrap()[..20].parse().unwrap()
    };
    let kept = fs::read(&all[5]).unwrap();
    fs::remove_file(&all[5]).unwrap();
    let key_id = place.keyring.public_key().id().to_owned();
    let (from, to) = (sequence(&all[5]), sequence(&all[6]) - 1);
    let faults = place.verify().await.faults;
    let missing = Fault::CheckpointsMissing { from, to, key_id: key_id.clone() };
    assert!(faults.contains(&missing), "{faults:?}");
    fs::write(&all[5], kept).unwrap();
    fs::remove_file(&all[0]).unwrap();
    let (from, to) = (1, sequence(&all[1]) - 1);
    assert_eq!(place.verify().await.faults, [Fault::CheckpointsMissing { from, to, key_id }]);
}

#[tokio::test]
async fn a_directory_that_fails_stops_the_signature_and_not_the_seal() {
    let place = Place::new().await;
    place.append("x").await;
    place.others_have_ended().await;
    let directory = place.directory();
    // Every write needs a new file, and there is nowhere to make one.
    let keys = Arc::clone(&place.keyring);
    let checkpoints = Checkpoints::open_with(&directory, keys, 0).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    let (pool, clock) = (place.db.runtime.clone(), place.shared_clock());
    let mut sealer = plimsoll_ledger::Sealer::new(pool, checkpoints, clock);
    let error = sealer.once().await.unwrap_err();
    assert!(matches!(error, SealerError::Checkpoint(_)), "{error}");
    drop(sealer);
    assert_eq!(place.verify().await.after_checkpoint, 1, "sealed, and not signed");
    assert_eq!(place.seal().await, 1);
    let report = place.verify().await;
    assert!(report.is_whole(), "{:?}", report.faults);
    assert_eq!(report.after_checkpoint, 0, "what was sealed before is signed now");
}
