//! Keyed writes executed once, and writes that are sent again without a key.

use super::{Place, stop};

#[test]
fn keyed_writes_are_executed_once_and_a_room_that_lets_all_through_is_seen() {
    let place = Place::new();
    let manifest = place.open("", "");
    let mut edge = place.start(&manifest);
    let facts = place.seen("writes.idempotency", |facts| facts["keys"] == 0);
    assert_eq!(facts["executed_twice"], 0, "{facts}");
    let write = |edge: &plimsoll_testkit::Plimsoll, key: &str| {
        let mut client = edge.client().unwrap();
        client.request("POST", "/orders", &[("idempotency-key", key)], b"a").unwrap().status
    };
    assert_eq!((write(&edge, "a"), write(&edge, "a")), (200, 200));
    let facts = place.seen("writes.idempotency", |facts| facts["keys"] == 1);
    assert_eq!((&facts["executed_twice"], facts["first_twice"].is_null()), (&0.into(), true));
    stop(&mut edge);
    let edge = place.broken(&manifest, "writes.begin");
    place.seen("writes.idempotency", |facts| facts["executed_twice"] == 1);
    assert_eq!((write(&edge, "b"), write(&edge, "b")), (200, 200));
    let facts = place.seen("writes.idempotency", |facts| facts["executed_twice"] == 2);
    assert_eq!(facts["first_twice"], "shop POST", "{facts}");
    assert_eq!(place.origin.log().exchanges().len(), 3);
}

#[test]
fn an_app_that_sends_a_write_again_without_its_key_is_seen() {
    let place = Place::new();
    let edge = place.start(&place.open("", ""));
    let facts = place.seen("writes.retries", |facts| facts["operations"] == 0);
    assert_eq!(facts["unkeyed"], 0, "{facts}");
    let write = |target: &str, fields: &[(&str, &str)]| {
        let mut client = edge.client().unwrap();
        client.request("POST", target, fields, b"one").unwrap().status
    };
    let fails = ("x-script", "status=500");
    // With a key it may come again; without one, a second one is another write.
    for _ in 0..2 {
        assert_eq!(write("/orders", &[("idempotency-key", "a"), fails]), 500);
        assert_eq!(write("/orders", &[]), 200);
    }
    let facts = place.seen("writes.retries", |facts| facts["operations"] == 1);
    assert_eq!((&facts["unkeyed"], facts["first_unkeyed"].is_null()), (&0.into(), true), "{facts}");
    // Behind one address are many: without a word of who it is it may have been another.
    assert_eq!((write("/likes", &[fails]), write("/likes", &[])), (500, 200));
    let who = ("cookie", "session=one");
    assert_eq!((write("/posts", &[fails, who]), write("/posts", &[who])), (500, 200));
    let facts = place.seen("writes.retries", |facts| facts["unkeyed"] == 1);
    assert_eq!(
        (&facts["operations"], &facts["first_unkeyed"]),
        (&3.into(), &"POST /posts of shop".into())
    );
}
