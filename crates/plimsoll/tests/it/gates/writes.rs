//! Keyed writes executed once.

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
