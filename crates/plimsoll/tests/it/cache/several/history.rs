//! Read your writes on three nodes under concurrency, with Redis killed and started again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::super::fresh::register;
use super::super::is_hit;
use super::{Fleet, JOINED, bearer, shares};
use crate::bodies::tools::eventually;

const NODES: usize = 3;
const WRITERS: usize = 9;
/// How often each writer writes in each part of the run, and reads after it.
const WRITES: usize = 12;
const READS: usize = 4;

/// One writer, who is told from others by a token or a cookie, or says when they wrote last. Each
/// request goes to any node.
struct Writer {
    fields: Vec<(&'static str, String)>,
    says: bool,
    least: u64,
    token: Option<String>,
}

impl Writer {
    fn of(fleet: &Fleet, who: usize) -> Self {
        let fields = match who % 3 {
            0 => vec![("authorization", bearer(&fleet.issuer, &format!("writer-{who}")))],
            1 => vec![("cookie", format!("session={who}"))],
            _ => Vec::new(),
        };
        Self { fields, says: who % 3 == 2, least: 0, token: None }
    }

    fn fields(&self) -> Vec<(&str, &str)> {
        let said = self.token.iter().filter(|_| self.says).map(|told| ("plimsoll-fresh", &**told));
        let shown = self.fields.iter().map(|(name, value)| (*name, value.as_str()));
        shown.chain(said).collect()
    }

    /// Writes and reads. Gives back what was wrong.
    fn walk(&mut self, fleet: &Fleet) -> Vec<String> {
        let mut wrong = Vec::new();
        let node = || fastrand::usize(..NODES);
        for _ in 0..WRITES {
            let at = node();
            let mut client = fleet.nodes[at].client().unwrap();
            let answer = client.request("PUT", "/notes/w", &self.fields(), b"").unwrap();
            assert_eq!(answer.status, 200);
            self.least = answer.text().parse::<u64>().unwrap().max(self.least);
            self.token = answer.headers.get("plimsoll-fresh").map(str::to_owned);
            for _ in 0..READS {
                let from = node();
                let mut client = fleet.nodes[from].client().unwrap();
                let answer = client.request("GET", "/notes/r", &self.fields(), b"").unwrap();
                let read: u64 = answer.text().parse().unwrap();
                if read < self.least {
                    wrong.push(format!(
                        "wrote {} on {at}, read {read} on {from}: {:?} {}",
                        self.least,
                        self.fields,
                        super::status(&answer)
                    ));
                }
            }
        }
        wrong
    }
}

fn all_walk(fleet: &Fleet, writers: &mut [Writer]) -> Vec<String> {
    std::thread::scope(|scope| {
        let walks: Vec<_> =
            writers.iter_mut().map(|writer| scope.spawn(move || writer.walk(fleet))).collect();
        walks.into_iter().flat_map(|walk| walk.join().unwrap()).collect()
    })
}

#[test]
fn whoever_was_told_that_their_write_was_done_reads_nothing_older_on_any_node() {
    let value = Arc::new(AtomicU64::new(0));
    let mut fleet = Fleet::start(NODES, "", register(&value));
    let mut writers: Vec<Writer> = (0..WRITERS).map(|who| Writer::of(&fleet, who)).collect();

    // All the while others read, so that there is always something older stored everywhere.
    let over = AtomicBool::new(false);
    let (wrong, hits) = std::thread::scope(|scope| {
        let addresses: Vec<_> = fleet.nodes.iter().map(|node| node.addr()).collect();
        let over = &over;
        let readers: Vec<_> = addresses
            .into_iter()
            .map(|address| {
                scope.spawn(move || {
                    let mut hits = 0_usize;
                    while !over.load(Ordering::SeqCst) {
                        let mut client = plimsoll_testkit::RawClient::connect(address).unwrap();
                        let answer = client.request("GET", "/notes/r", &[], b"").unwrap();
                        hits += usize::from(is_hit(&answer));
                        std::thread::sleep(Duration::from_millis(3));
                    }
                    hits
                })
            })
            .collect();
        let mut wrong = all_walk(&fleet, &mut writers);
        // Redis dies while they write, and comes back with nothing in it while they write.
        for pause_ms in [0, 400, 1_500] {
            fleet.shared.redis.kill().unwrap();
            wrong.extend(all_walk(&fleet, &mut writers));
            std::thread::sleep(Duration::from_millis(pause_ms));
            fleet.shared.redis.restart().unwrap();
            wrong.extend(all_walk(&fleet, &mut writers));
        }
        for node in &fleet.nodes {
            eventually("it is shared again", JOINED, || shares(node));
        }
        wrong.extend(all_walk(&fleet, &mut writers));
        over.store(true, Ordering::SeqCst);
        (wrong, readers.into_iter().map(|reader| reader.join().unwrap()).sum::<usize>())
    });
    assert!(wrong.is_empty(), "{} wrong, the first: {}", wrong.len(), wrong[0]);
    assert!(hits > 100, "nothing was answered from the store, so this proves nothing: {hits}");
    let told = fleet.counted("plimsoll_cache_writes_told_total{outcome=\"told\"}");
    assert!(told > (WRITERS * WRITES) as f64, "{told}");
}
