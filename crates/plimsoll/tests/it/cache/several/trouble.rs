//! A Redis that forgets its last second or takes nothing more, and what a write may not hold up.

use std::sync::Barrier;
use std::thread::sleep;
use std::time::Duration;

use super::{Fleet, JOINED, shares};
use crate::bodies::tools::eventually;
use crate::cache::backend::Said;
use crate::cache::counting;

impl Fleet {
    fn told(&self) -> f64 {
        let of = |outcome| format!("plimsoll_cache_writes_told_total{{outcome=\"{outcome}\"}}");
        ["told", "late", "alone"].map(|outcome| self.counted(&of(outcome))).iter().sum()
    }

    /// The keys of the log.
    fn log_keys(&self) -> [String; 2] {
        let answer = String::from_utf8(self.redis("KEYS plimsoll:{cache}:*:log")).unwrap();
        let log = answer.lines().find(|line| line.starts_with("plimsoll:")).unwrap().to_owned();
        [log.replace(":log", ":head"), log]
    }
}

/// A replica that was two writes behind takes over, and three others are told before anybody who
/// has heard those two asks it.
#[test]
fn what_took_the_numbers_of_lost_writes_is_known_all_the_same() {
    let fleet = Fleet::start(2, "", counting());
    // Whose event stands last in the log: that of a write to this address.
    assert_eq!(fleet.ask(1, "PUT", "/notes/2", &[]).status, 200);
    assert_eq!(fleet.ask(1, "PUT", "/notes/1", &[]).status, 200);
    let [head, log] = fleet.log_keys();
    let copy = fleet.redis(&format!(
        "EVAL \"return redis.call('COPY', KEYS[1], 'h') + redis.call('COPY', KEYS[2], 'l')\" \
         2 {head} {log}"
    ));
    assert!(copy.starts_with(b":2"), "{copy:?}");
    for _ in 0..2 {
        assert_eq!(fleet.ask(1, "PUT", "/notes/2", &[]).status, 200);
    }
    let before = fleet.get(0, "/notes/1").text();
    sleep(Duration::from_millis(300));
    assert_eq!(fleet.get(0, "/notes/1").text(), before);
    let taken_over = fleet.redis(&format!(
        "EVAL \"redis.call('COPY', 'h', KEYS[1], 'REPLACE') \
         redis.call('COPY', 'l', KEYS[2], 'REPLACE') \
         local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 2) \
         local number = tonumber(redis.call('HGET', KEYS[1], 'number')) \
         for i, of in ipairs({{last[1], last[2], last[2]}}) do \
           number = number + 1 \
           redis.call('XADD', KEYS[2], number .. '-0', 'tag', 'x' .. i, 'event', of[2][4]) \
         end \
         redis.call('HSET', KEYS[1], 'number', number) return number\" 2 {head} {log}"
    ));
    assert!(taken_over.starts_with(b":5"), "{:?}", String::from_utf8_lossy(&taken_over));
    eventually("it is asked for anew", JOINED, || fleet.get(0, "/notes/1").text() != before);
    fleet.wait_until_shared();
    let before = fleet.get(0, "/notes/1").text();
    assert_eq!(fleet.ask(1, "PUT", "/notes/1", &[]).status, 200);
    assert_ne!(fleet.get(0, "/notes/1").text(), before);
}

#[test]
fn a_redis_that_takes_no_more_answers_still_takes_writes() {
    let fleet = Fleet::start(2, "", counting());
    fleet.redis_does("CONFIG SET maxmemory 1");
    // Longer than a lease.
    sleep(Duration::from_millis(1_500));
    let dropped = "plimsoll_cache_shared_answers_total{result=\"dropped\"}";
    let lost = fleet.counted(dropped);
    for round in 0..4 {
        let before = fleet.get(0, "/notes/1").text();
        assert_eq!(fleet.ask(1, "PUT", "/notes/1", &[]).status, 200);
        assert_ne!(fleet.get(0, "/notes/1").text(), before, "{round}");
    }
    eventually("answers are each node's own", JOINED, || fleet.counted(dropped) > lost);
    assert!(fleet.nodes.iter().all(shares));
    assert_eq!(fleet.counted("plimsoll_cache_writes_told_total{outcome=\"late\"}"), 0.0);
}

#[test]
fn a_write_that_changed_nothing_and_whose_writer_is_nobody_is_not_told() {
    let fleet = Fleet::start(1, "", |asked| match asked.method.as_str() {
        "POST" => Said::ok("no").status(401),
        _ => Said::ok("yes"),
    });
    let before = fleet.told();
    assert_eq!(fleet.ask(0, "POST", "/all", &[]).status, 401);
    assert_eq!(fleet.told(), before);
    // Whoever can be told from others may have changed what they see.
    assert_eq!(fleet.ask(0, "POST", "/all", &[("cookie", "session=1")]).status, 401);
    assert_eq!(fleet.told(), before + 1.0);
    assert_eq!(fleet.ask(0, "PUT", "/notes/1", &[]).status, 200);
    assert_eq!(fleet.told(), before + 2.0);
}

/// Redis dies, so that writes wait until nobody can be believed to know nothing of them.
#[test]
fn a_write_that_waits_for_others_holds_no_place_and_no_key() {
    let admission = "[service.admission]\nconcurrency = 1\nqueue_depth_max = 4\n";
    let mut fleet = Fleet::start(1, admission, counting());
    fleet.shared.redis.kill().unwrap();
    let asked = fleet.backend.many();
    std::thread::scope(|scope| {
        let plain = scope.spawn(|| fleet.ask(0, "PUT", "/notes/1", &[]).status);
        eventually("the service has it", JOINED, || fleet.backend.many() > asked);
        assert_eq!(fleet.get(0, "/notes/2").status, 200);
        assert!(!plain.is_finished(), "the service's one place is free before the write is done");
        assert_eq!(plain.join().unwrap(), 200);
    });
    fleet.shared.redis.restart().unwrap();
    fleet.wait_until_shared();
    fleet.shared.redis.kill().unwrap();
    let (asked, key) = (fleet.backend.many(), [("idempotency-key", "k-1")]);
    std::thread::scope(|scope| {
        let keyed = scope.spawn(|| fleet.ask(0, "PUT", "/notes/1", &key).status);
        eventually("the service has it", JOINED, || fleet.backend.many() > asked);
        let again = fleet.ask(0, "PUT", "/notes/1", &key);
        assert_eq!(again.headers.get("idempotent-replayed"), Some("true"));
        assert!(!keyed.is_finished(), "it is recorded before others have heard of it");
        assert_eq!(keyed.join().unwrap(), 200);
    });
    assert_eq!(fleet.backend.many(), asked + 1);
}

/// A node that has nothing finds something stale elsewhere while many ask.
#[test]
fn many_who_ask_a_cold_node_are_answered_with_what_it_finds_stale() {
    let fleet = Fleet::start(2, "", counting());
    let target = "/notes/1?cc=max-age=1,+stale-while-revalidate=60";
    fleet.store(target, &[]);
    sleep(Duration::from_secs(2));
    let (many, asked) = (32, fleet.backend.many());
    let begin = Barrier::new(many + 1);
    std::thread::scope(|scope| {
        for _ in 0..many {
            scope.spawn(|| {
                let mut client = fleet.nodes[1].client().unwrap();
                begin.wait();
                let answer = client.request("GET", target, &[], b"").unwrap();
                assert_eq!(answer.status, 200);
            });
        }
        // So that all ask while the first looks.
        fleet.redis_does("CLIENT PAUSE 15 ALL");
        begin.wait();
    });
    assert!(fleet.backend.many() <= asked + 3, "{} of {many} asked", fleet.backend.many() - asked);
}
