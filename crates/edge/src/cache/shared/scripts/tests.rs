//! The scripts in a real Redis.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use plimsoll_store::{LinkBounds, RedisLink};
use plimsoll_testkit::RedisServer;

use super::*;

const BOUND: Duration = Duration::from_secs(5);

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn what_redis_answers_is_read_or_refused() {
    let answer = texts(&["7", "3", "t3", "2-0", "t2", "a", "3-0", "t3", "b"]);
    let behind = Behind::of(&answer).unwrap();
    assert_eq!((behind.last, behind.tag), (Position { epoch: 7, number: 3 }, &b"t3"[..]));
    let next = |number, tag, event| Next { number, tag, event };
    assert_eq!(behind.events, [next(2, b"t2", b"a"), next(3, b"t3", b"b")]);
    for wrong in [
        &["7", "3"][..],
        &["x", "3", ""],
        &["7", "3", "", "2-1", "t", "a"],
        &["7", "3", "", "-0", "t", "a"],
    ] {
        assert!(Behind::of(&texts(wrong)).is_err(), "{wrong:?}");
    }
    let told = Told::of(&texts(&["7", "3", "t3", "2"])).unwrap();
    assert_eq!((told.heard, &told.tag[..]), (Some(2), &b"t3"[..]));
    assert_eq!(Told::of(&texts(&["7", "3", "t3", ""])).unwrap().heard, None);
    assert!(Told::of(&texts(&["7", "3", "t3"])).is_err());
    let answer = texts(&["1500", "1", "1000:abc", "2", "999", "0", "1:x"]);
    let read: Vec<_> = fetched(&answer).collect();
    assert_eq!(read, [(0, std::time::Duration::from_millis(500), &b"abc"[..])]);
    assert_eq!(fetched(&[]).count(), 0);
}

/// A node as far as Redis sees it.
struct Node {
    name: &'static str,
    epoch: u64,
    heard: u64,
    known: (u64, Vec<u8>),
    told: u32,
}

struct World {
    redis: RedisServer,
    link: RedisLink,
    scripts: Scripts,
    epochs: u64,
    /// How long a node is waited for.
    lease_ms: u64,
}

const KEYS: [&str; 2] = ["head", "log"];

impl World {
    async fn start() -> Self {
        let redis = RedisServer::start().unwrap();
        let bounds = LinkBounds { connect_max: BOUND, answer_max: BOUND };
        let link = RedisLink::new(&redis.url().into(), bounds).unwrap();
        link.connect().await.unwrap();
        Self { redis, link, scripts: Scripts::default(), epochs: 0, lease_ms: 0 }
    }

    /// What a script of the test's own answers.
    async fn does(&self, lua: &str, arguments: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.link.run(&RedisScript::new(lua), &texts(&KEYS), arguments).await.unwrap()
    }

    fn command(&self, command: &str) {
        let url = self.redis.url();
        let mut stream = TcpStream::connect(url.trim_start_matches("redis://")).unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut said = [0; 1];
        stream.read_exact(&mut said).unwrap();
        assert!(said[0] != b'-', "{command}");
    }

    fn known(&mut self, node: &Node) -> Vec<Vec<u8>> {
        self.epochs += 1;
        let text = |number: u64| number.to_string().into_bytes();
        vec![
            text(self.epochs),
            text(60_000),
            text(node.epoch),
            text(node.known.0),
            node.known.1.clone(),
            node.name.into(),
        ]
    }

    /// How many events are heard; `None` where the node begins anew.
    async fn hear(&mut self, node: &mut Node, most: usize) -> Option<usize> {
        let mut arguments = self.known(node);
        arguments.extend(texts(&[&node.heard.to_string(), &most.to_string()]));
        let answer = self.link.run(&self.scripts.hear, &texts(&KEYS), &arguments).await.unwrap();
        let behind = Behind::of(&answer).unwrap();
        let follows = behind.last.epoch == node.epoch
            && behind.events.first().map_or(behind.last.number, |next| next.number - 1)
                == node.heard;
        if follows {
            if let Some(last) = behind.events.last() {
                node.heard = last.number;
                if node.heard > node.known.0 {
                    node.known = (last.number, last.tag.to_vec());
                }
            }
        } else {
            (node.epoch, node.heard) = (behind.last.epoch, behind.last.number);
            node.known = (behind.last.number, behind.tag.to_vec());
        }
        follows.then_some(behind.events.len())
    }

    async fn tell(&mut self, node: &mut Node, events: &[&str]) -> Told {
        node.told += 1;
        let tag = format!("{}.{}", node.name, node.told);
        let mut arguments = self.known(node);
        arguments.extend(texts(&[&self.lease_ms.to_string(), "60000", "100", &tag]));
        arguments.extend(texts(events));
        let answer = self.link.run(&self.scripts.tell, &texts(&KEYS), &arguments).await.unwrap();
        let told = Told::of(&answer).unwrap();
        if told.last.epoch == node.epoch && told.last.number > node.known.0 {
            node.known = (told.last.number, told.tag.clone());
        }
        told
    }

    /// The keys as they are.
    async fn copy(&self) -> Vec<Vec<u8>> {
        let lua = "local function copy(key) return redis.call('DUMP', key) or '' end
                   return {copy(KEYS[1]), copy(KEYS[2])}";
        self.does(lua, &[]).await
    }

    /// The keys as they were, as when a replica takes over that was behind.
    async fn roll_back(&self, copy: &[Vec<u8>]) {
        let lua = "redis.call('DEL', KEYS[1], KEYS[2])
                   for i = 1, 2 do
                     if ARGV[i] ~= '' then redis.call('RESTORE', KEYS[i], 0, ARGV[i]) end
                   end
                   return {}";
        self.does(lua, copy).await;
    }
}

fn nodes() -> [Node; 3] {
    ["a", "b", "c"].map(|name| Node { name, epoch: 0, heard: 0, known: (0, vec![]), told: 0 })
}

#[tokio::test]
async fn a_log_that_lost_its_last_events_is_begun_anew() {
    let mut world = World::start().await;
    let [mut a, mut b, mut c] = nodes();
    for node in [&mut a, &mut b, &mut c] {
        assert_eq!(world.hear(node, 9).await, None);
    }
    assert_eq!(world.tell(&mut b, &["1", "2"]).await.last.number, 2);
    for node in [&mut a, &mut b, &mut c] {
        assert_eq!(world.hear(node, 9).await, Some(2));
    }
    let copy = world.copy().await;
    world.tell(&mut b, &["3", "4"]).await;
    assert_eq!(world.hear(&mut a, 9).await, Some(2));
    world.roll_back(&copy).await;
    // Whoever knows nothing that is gone goes on, and takes the numbers of what is gone.
    assert_eq!(world.hear(&mut c, 9).await, Some(0));
    let told = world.tell(&mut c, &["3'", "4'", "5'"]).await;
    assert_eq!((told.last.epoch, told.last.number), (c.epoch, 5));
    // Node a has heard what is gone. Nothing that it was told of that log holds.
    let before = a.epoch;
    assert_eq!(world.hear(&mut a, 9).await, None);
    assert!(a.epoch != before && a.heard == 0);
    assert_eq!(world.hear(&mut c, 9).await, None);
    assert_eq!(c.epoch, a.epoch);
    assert_eq!(world.tell(&mut c, &["x"]).await.last.number, 1);
    assert_eq!(world.hear(&mut a, 9).await, Some(1));
}

#[tokio::test]
async fn what_a_node_told_and_nobody_heard_is_missed_too() {
    let mut world = World::start().await;
    let [mut a, mut b, _] = nodes();
    for node in [&mut a, &mut b] {
        world.hear(node, 9).await;
    }
    let copy = world.copy().await;
    world.tell(&mut a, &["1"]).await;
    world.roll_back(&copy).await;
    world.tell(&mut b, &["1'", "2'"]).await;
    let told = world.tell(&mut a, &["2"]).await;
    assert!(told.last.epoch != a.epoch, "it is told again once this node has joined");
    // Fewer than there were.
    let [mut c, ..] = nodes();
    world.hear(&mut c, 9).await;
    world.tell(&mut c, &["3"]).await;
    world.hear(&mut c, 9).await;
    let epoch = c.epoch;
    world.roll_back(&copy).await;
    world.hear(&mut c, 9).await;
    assert!(c.epoch != epoch);
}

#[tokio::test]
async fn a_log_whose_events_are_gone_is_begun_anew_and_one_that_was_cut_is_not() {
    let mut world = World::start().await;
    let [mut a, mut b, mut c] = nodes();
    for node in [&mut a, &mut b] {
        world.hear(node, 9).await;
    }
    world.tell(&mut a, &["1", "2", "3"]).await;
    world.hear(&mut a, 1).await;
    assert_eq!((a.heard, a.known.0), (1, 3));
    assert_eq!(world.hear(&mut a, 9).await, Some(2));
    assert_eq!(world.hear(&mut b, 1).await, Some(1));
    world.does("redis.call('XTRIM', KEYS[2], 'MAXLEN', '1') return {}", &[]).await;
    assert_eq!(world.hear(&mut b, 9).await, None);
    assert_eq!((b.epoch, b.heard, b.known.0), (a.epoch, 3, 3));
    assert_eq!(world.hear(&mut a, 9).await, Some(0));
    // Evicted.
    world.does("redis.call('DEL', KEYS[2]) return {}", &[]).await;
    assert_eq!(world.hear(&mut c, 9).await, None);
    assert!(c.epoch != a.epoch && c.heard == 0);
}

#[tokio::test]
async fn a_node_waits_for_the_others_and_not_for_itself() {
    let mut world = World::start().await;
    let [mut a, mut b, _] = nodes();
    world.lease_ms = 60_000;
    world.hear(&mut a, 9).await;
    world.hear(&mut a, 9).await;
    assert_eq!(world.tell(&mut a, &["1"]).await.heard, None, "the log is too young");
    world.does("redis.call('HSET', KEYS[1], 'born', '0') return {}", &[]).await;
    assert_eq!(world.tell(&mut a, &["2"]).await.heard, Some(2), "there is no other");
    world.hear(&mut b, 9).await;
    world.hear(&mut b, 9).await;
    assert_eq!(world.tell(&mut a, &["3"]).await.heard, Some(2));
    world.hear(&mut b, 9).await;
    assert_eq!(world.tell(&mut a, &[]).await.heard, Some(2), "it says so with its next question");
    world.hear(&mut b, 9).await;
    assert_eq!(world.tell(&mut a, &[]).await.heard, Some(3));
}

/// Nodes go on hearing of each other's writes while Redis takes nothing else.
#[tokio::test]
async fn a_full_redis_that_evicts_nothing_still_takes_the_log() {
    let mut world = World::start().await;
    let [mut a, mut b, _] = nodes();
    world.command("CONFIG SET maxmemory 1");
    let refused = world.link.run(&RedisScript::new(FILL), &texts(&KEYS), &[]).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("OOM")), "it is full");
    for node in [&mut a, &mut b] {
        world.hear(node, 9).await;
    }
    assert_eq!(world.tell(&mut a, &["1"]).await.last.number, 1);
    assert_eq!(world.hear(&mut b, 9).await, Some(1));
    world.command("DEL log");
    assert_eq!(world.hear(&mut b, 9).await, None, "nor does it end what is begun anew");
}

const FILL: &str = "redis.call('SET', KEYS[1], 'x') return {}";
