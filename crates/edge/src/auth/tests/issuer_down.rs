//! Issuers that cannot be reached: at the start, for a while, and for too long.

use std::time::Duration;

use serde_json::json;

use super::super::{AuthError, IssuerOptions, KeyLocation, KeyState};
use super::helper::{NOW, TestKey, World, claims, claims_with, issuer, key_set};
use super::server::IssuerServer;

const KEYS: &str = "/keys";

fn unavailable<T>(result: &Result<T, AuthError>) -> bool {
    matches!(result, Err(AuthError::Unavailable { .. }))
}

#[test]
fn an_issuer_that_is_down_at_the_start_is_asked_again() {
    let world = World::new();
    let server = IssuerServer::start();
    server.set_down(true);
    let key = TestKey::p256("a");
    server.serve(KEYS, key_set(&[&key]));
    let authenticator = world.build(vec![issuer(KeyLocation::Url(server.url(KEYS)))]);
    world.settled(&authenticator);
    let token = key.token(&claims("alice"));
    assert!(unavailable(&world.verify(&authenticator, &token)));
    assert!(unavailable(&world.verify(&authenticator, &token)), "without waiting again");
    let status = authenticator.status().remove(0);
    assert_eq!((status.state, status.keys, status.age), (KeyState::Waiting, 0, None));
    assert!(status.failures >= 1 && status.last_error.is_some());
    assert!(!status.state.serves());
    server.set_down(false);
    world.eventually("the retry", || world.verify(&authenticator, &token).is_ok());
    assert!(authenticator.status()[0].state.serves());
}

#[test]
fn requests_at_the_start_wait_for_the_first_keys() {
    let world = World::new();
    let server = IssuerServer::start();
    server.set_delay(Duration::from_millis(300));
    let key = TestKey::p256("a");
    server.serve(KEYS, key_set(&[&key]));
    let authenticator = world.build(vec![issuer(KeyLocation::Url(server.url(KEYS)))]);
    world.verify(&authenticator, &key.token(&claims("alice"))).unwrap();
    assert_eq!(server.hits(KEYS), 1);
}

#[test]
fn keys_serve_while_the_issuer_is_down_but_not_for_ever() {
    let world = World::new();
    let server = IssuerServer::start();
    let key = TestKey::p256("a");
    server.serve(KEYS, key_set(&[&key]));
    let options = IssuerOptions {
        stale_max: Duration::from_secs(600),
        ..issuer(KeyLocation::Url(server.url(KEYS)))
    };
    let authenticator = world.build(vec![options]);
    world.settled(&authenticator);
    let token = key.token(&claims("alice"));
    world.verify(&authenticator, &token).unwrap();

    server.set_down(true);
    // A key nobody knows may be the issuer's new one: not the bearer's fault while it is down.
    let stray = TestKey::p256("new").token(&claims("bob"));
    assert!(unavailable(&world.verify(&authenticator, &stray)));
    assert_eq!(authenticator.status()[0].state, KeyState::Stale);
    world.clock.advance(Duration::from_secs(599));
    assert!(authenticator.cached(&token, world.now()).is_some());
    world.verify(&authenticator, &key.token(&claims("carol"))).unwrap();

    world.clock.advance(Duration::from_secs(1));
    assert!(authenticator.cached(&token, world.now()).is_none(), "cached tokens stop too");
    assert!(unavailable(&world.verify(&authenticator, &token)));
    let status = authenticator.status().remove(0);
    assert_eq!((status.state, status.age), (KeyState::TooOld, Some(Duration::from_secs(600))));

    server.set_down(false);
    world.eventually("the return", || world.verify(&authenticator, &token).is_ok());
    let status = authenticator.status().remove(0);
    assert_eq!((status.state, status.failures, status.last_error), (KeyState::Fresh, 0, None));
}

#[test]
fn answers_that_are_no_key_set_do_not_replace_one() {
    let world = World::new();
    let server = IssuerServer::start();
    let key = TestKey::p256("a");
    server.serve(KEYS, key_set(&[&key]));
    let authenticator = world.build(vec![issuer(KeyLocation::Url(server.url(KEYS)))]);
    world.settled(&authenticator);
    let token = key.token(&claims("alice"));
    world.verify(&authenticator, &token).unwrap();
    let stray = TestKey::p256("new").token(&claims("bob"));
    for (status, body, word) in [
        (200, "<html>login</html>".to_owned(), "JSON web key set"),
        (200, "x".repeat(300_000), "262144 bytes"),
        (404, String::new(), "404"),
        (500, "{\"keys\":[]}".to_owned(), "500"),
    ] {
        server.serve_status(KEYS, status, body);
        // The task retries on its own after a failure; this asks for one at once.
        let hits = server.hits(KEYS);
        world.clock.advance(Duration::from_secs(10));
        assert!(unavailable(&world.verify(&authenticator, &stray)));
        assert!(server.hits(KEYS) > hits);
        let error = || authenticator.status().remove(0).last_error.unwrap_or_default();
        world.eventually(word, || error().contains(word));
        assert!(authenticator.cached(&token, world.now()).is_some(), "{word}");
    }
}

#[test]
fn one_issuer_down_does_not_trouble_another() {
    let world = World::new();
    let (up, down) = (IssuerServer::start(), IssuerServer::start());
    let key = TestKey::p256("a");
    up.serve(KEYS, key_set(&[&key]));
    down.set_down(true);
    let other = IssuerOptions {
        issuer: "https://down.example".to_owned(),
        ..issuer(KeyLocation::Url(down.url(KEYS)))
    };
    let authenticator = world.build(vec![other, issuer(KeyLocation::Url(up.url(KEYS)))]);
    world.settled(&authenticator);
    world.verify(&authenticator, &key.token(&claims("alice"))).unwrap();
    let of_down = key.token(&claims_with(json!({"iss": "https://down.example", "exp": NOW + 9})));
    assert!(unavailable(&world.verify(&authenticator, &of_down)));
}
