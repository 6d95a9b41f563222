//! Somebody with all rights in the database, triggers switched off. Each deed is named.

use std::time::Duration;

use plimsoll_ledger::{Fault, Filter, Report};

use crate::place::Place;

async fn faults(place: &Place) -> Vec<Fault> {
    let report = place.verify().await;
    assert_eq!(report.faults_more, 0);
    report.faults
}

#[tokio::test]
async fn an_untouched_ledger_is_whole_and_says_what_is_not_signed_yet() {
    let place = Place::sealed(2_500).await;
    place.append_many(2).await;
    let report: Report = place.verify().await;
    assert!(report.is_whole(), "{:?}", report.faults);
    assert_eq!((report.entries, report.unsealed), (2_500, 2));
    // One at every thousand, one at the end.
    assert_eq!((report.checkpoints, report.checkpoint_size), (3, 2_500));
    assert_eq!(report.after_checkpoint, 0);
}

#[tokio::test]
async fn a_deleted_entry() {
    let place = Place::sealed(9).await;
    let entry_id = place.at(4).await;
    place.tamper(&format!("delete from ledger.entries where id = '{entry_id}'")).await;
    assert_eq!(faults(&place).await, [Fault::EntryDeleted { position: 4, entry_id }]);
}

#[tokio::test]
async fn an_entry_deleted_with_its_seal() {
    let place = Place::sealed(9).await;
    let id = place.at(4).await;
    place
        .tamper(&format!(
            "delete from ledger.entries where id = '{id}';
             delete from ledger.seals where position = 4"
        ))
        .await;
    assert_eq!(faults(&place).await, [Fault::PositionsMissing { from: 4, to: 4 }]);
}

#[tokio::test]
async fn an_edited_entry_whatever_was_edited() {
    let place = Place::sealed(12).await;
    let edits = [
        "at = at - interval '1 microsecond'",
        "action = 'operator.other'",
        "actor_kind = 'system'",
        "actor = null",
        "subject = 'another'",
        "outcome = 'refused'",
        "change_id = gen_random_uuid()",
        "detail = detail || '{\"more\": 1}'",
        "detail = '{\"a\": 1e400}'",
        "sealed_personal = '\\x00'",
        "hash = sha256('x')",
        "at = 'infinity'",
    ];
    let mut expected = Vec::new();
    for (edit, position) in edits.iter().zip(1..) {
        let entry_id = place.at(position).await;
        place.tamper(&format!("update ledger.entries set {edit} where id = '{entry_id}'")).await;
        expected.push(Fault::EntryEdited { position: position.try_into().unwrap(), entry_id });
    }
    assert_eq!(faults(&place).await, expected);
}

#[tokio::test]
async fn an_edited_entry_whose_hash_was_made_to_fit() {
    let place = Place::sealed(9).await;
    let entry_id = place.at(4).await;
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let page = place.ledger.tail(&mut conn, &Filter::default(), 100).await.unwrap();
    let listed = page.entries.into_iter().find(|listed| listed.entry.id == entry_id).unwrap();
    let mut entry = listed.entry;
    entry.subject = "another".into();
    let hash: String = entry.hash().unwrap().iter().map(|b| format!("{b:02x}")).collect();
    place
        .tamper(&format!(
            "update ledger.entries set subject = 'another', hash = '\\x{hash}'
             where id = '{entry_id}'"
        ))
        .await;
    assert_eq!(faults(&place).await, [Fault::EntryEdited { position: 4, entry_id }]);
}

#[tokio::test]
async fn entries_that_changed_places() {
    for (a, b) in [(3_u64, 7_u64), (4, 5)] {
        let [at_a, at_b] = [a, b].map(|n| i64::try_from(n).unwrap());
        // The entries alone, and whole rows.
        for column in ["entry_id", "entry_id, chain"] {
            let place = Place::sealed(9).await;
            let (id_a, id_b) = (place.at(at_a).await, place.at(at_b).await);
            let to_entry = "alter table ledger.seals drop constraint seals_entry_id_key";
            let values = column.split(", ").map(|c| format!("o.{c}")).collect::<Vec<_>>();
            place
                .tamper(&format!(
                    "{to_entry}; update ledger.seals s set ({column}) = row({})
                     from ledger.seals o where s.position in ({a}, {b})
                        and o.position in ({a}, {b}) and s.position <> o.position",
                    values.join(", ")
                ))
                .await;
            let mut found = faults(&place).await;
            found.sort_by_key(|fault| format!("{fault:?}"));
            let mut expected = vec![
                Fault::EntryReordered { position: b, entry_id: id_a, belongs_at: a },
                Fault::EntryReordered { position: a, entry_id: id_b, belongs_at: b },
            ];
            expected.sort_by_key(|fault| format!("{fault:?}"));
            // Where whole rows changed places the last checkpoint may stand in between; here it
            // stands at the end, which is as it was signed.
            assert_eq!(found, expected, "{a} {b} {column}");
        }
    }
}

#[tokio::test]
async fn an_entry_inserted_behind_the_sealers_back() {
    let place = Place::sealed(9).await;
    let last = place.append("to be moved back in time").await;
    place
        .tamper(&format!(
            "update ledger.entries set xid = (select xid from ledger.entries
                where subject = '2') where id = '{last}'"
        ))
        .await;
    // Whoever inserts it picks an id that fits the number as well.
    let earlier = place.at(2).await;
    let id = format!("{}0000", &earlier.to_string()[..32]);
    place.tamper(&format!("update ledger.entries set id = '{id}' where id = '{last}'")).await;
    assert_eq!(faults(&place).await, [Fault::EntryInserted { entry_id: id.parse().unwrap() }]);
    place.append("next").await;
    assert_eq!(place.seal().await, 10, "the sealer does not pick it up");
    assert_eq!(faults(&place).await, [Fault::EntryInserted { entry_id: id.parse().unwrap() }]);
}

#[tokio::test]
async fn an_entry_with_a_number_from_the_future() {
    let place = Place::sealed(3).await;
    let entry_id = place.append("never to be sealed").await;
    place
        .tamper(&format!(
            "update ledger.entries set xid = '9000000000000000000' where id = '{entry_id}'"
        ))
        .await;
    assert_eq!(place.seal().await, 3);
    assert_eq!(faults(&place).await, [Fault::EntryInserted { entry_id }]);
}

#[tokio::test]
async fn a_seal_without_an_entry_and_a_seal_that_was_edited() {
    let place = Place::sealed(9).await;
    place
        .tamper(
            "insert into ledger.seals values
                (10, '00000000-0000-7000-8000-000000000000', sha256('x'));
             update ledger.seals set chain = sha256('y') where position = 5",
        )
        .await;
    let entry_id = place.at(5).await;
    let forged = "00000000-0000-7000-8000-000000000000".parse().unwrap();
    let expected = [
        Fault::EntryDeleted { position: 10, entry_id: forged },
        Fault::SealEdited { position: 5, entry_id },
    ];
    assert_eq!(faults(&place).await, expected);
}

#[tokio::test]
async fn rows_that_stand_twice() {
    let place = Place::sealed(5).await;
    place
        .tamper(
            "alter table ledger.seals drop constraint seals_pkey;
             alter table ledger.seals drop constraint seals_entry_id_key;
             insert into ledger.seals select position, entry_id, sha256('x') from ledger.seals
                where position = 3",
        )
        .await;
    let found = faults(&place).await;
    let entry_id = place.at(3).await;
    assert!(found.contains(&Fault::EntryInserted { entry_id }), "{found:?}");
}

#[tokio::test]
async fn a_tail_that_was_cut() {
    let place = Place::sealed(9).await;
    place
        .tamper(
            "delete from ledger.entries where id in
                (select entry_id from ledger.seals where position > 6);
             delete from ledger.seals where position > 6",
        )
        .await;
    let cut = Fault::TailCut { size: 6, checkpoint_size: 9, sequence: 1 };
    assert_eq!(faults(&place).await, [cut]);
    // All of it.
    place.tamper("delete from ledger.entries; delete from ledger.seals").await;
    let cut = Fault::TailCut { size: 0, checkpoint_size: 9, sequence: 1 };
    assert_eq!(faults(&place).await, [cut]);
}

#[tokio::test]
async fn a_history_that_was_written_anew() {
    let place = Place::sealed(4).await;
    place.append_many(3).await;
    place.seal().await;
    place.append_many(3).await;
    place.seal().await;
    // The chain after position 4 is made anew without one entry, in order and whole in itself, by
    // the sealer itself.
    let id = place.at(6).await;
    place
        .tamper(&format!(
            "delete from ledger.entries where id = '{id}';
             delete from ledger.seals where position > 4;
             update ledger.sealer s set xid = e.xid, entry_id = e.id from ledger.entries e
                where e.id = (select entry_id from ledger.seals where position = 4)"
        ))
        .await;
    place.clock.advance(Duration::from_secs(2));
    place.others_have_ended().await;
    assert_eq!(place.sealer_elsewhere().once().await.unwrap(), 9);
    let rewritten = Fault::HistoryRewritten { from: 5, to: 7, sequence: 2 };
    let cut = Fault::TailCut { size: 9, checkpoint_size: 10, sequence: 3 };
    let found: Vec<_> = faults(&place)
        .await
        .into_iter()
        // The other node's checkpoints are not at hand, and the mark of the same key is newer.
        .filter(|fault| !matches!(fault, Fault::CheckpointsMissing { .. }))
        .collect();
    assert_eq!(found, [rewritten, cut]);
}

#[tokio::test]
async fn an_edit_before_the_sealer_came() {
    let place = Place::sealed(2).await;
    let entry_id = place.append("fresh").await;
    place.tamper("update ledger.entries set subject = 'stale' where subject = 'fresh'").await;
    assert_eq!(faults(&place).await, [Fault::UnsealedEdited { entry_id }]);
    place.seal().await;
    assert_eq!(faults(&place).await, [Fault::EntryEdited { position: 3, entry_id }]);
}

#[tokio::test]
async fn more_faults_than_are_named_are_counted() {
    let place = Place::sealed(1_200).await;
    place.tamper("update ledger.entries set outcome = 'refused'").await;
    let report = place.verify().await;
    assert_eq!((report.faults.len(), report.faults_more), (1_000, 200));
    assert!(!report.is_whole());
}

/// As many as take several statements to look through.
#[tokio::test]
async fn very_many_rows_are_looked_through_in_pieces_and_each_is_counted_once() {
    let place = Place::sealed(3).await;
    place
        .tamper(
            "insert into ledger.entries (id, at, action, actor_kind, subject, outcome, detail, hash)
             select gen_random_uuid(), now(), 'operator.act', 'system', '', 'ok', '{}',
                decode(repeat('00', 32), 'hex')
             from generate_series(1, 25000)",
        )
        .await;
    let report = place.verify().await;
    assert_eq!((report.entries, report.unsealed), (3, 25_000));
    assert_eq!(report.faults.len() as u64 + report.faults_more, 25_000, "{:?}", report.faults[0]);
    let edited = |fault: &Fault| matches!(fault, Fault::UnsealedEdited { .. });
    assert!(report.faults.iter().all(edited));
}
