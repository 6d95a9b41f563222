//! Keys over HTTP: found, rotated, and asked for early no more often than allowed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::super::{AuthError, Authenticator, IssuerOptions, KeyLocation, KeyState, Refusal};
use super::helper::{NOW, TestKey, World, claims, claims_with, issuer, key_set};
use super::server::IssuerServer;

const KEYS: &str = "/keys";

/// An issuer whose keys are at a URL of `server`.
fn at(server: &IssuerServer) -> IssuerOptions {
    issuer(KeyLocation::Url(server.url(KEYS)))
}

fn start(world: &World, server: &IssuerServer, keys: &[&TestKey]) -> Authenticator {
    server.serve(KEYS, key_set(keys));
    let authenticator = world.build(vec![at(server)]);
    world.settled(&authenticator);
    authenticator
}

#[test]
fn keys_are_found_by_the_issuers_name() {
    let world = World::new();
    let server = IssuerServer::start();
    let key = TestKey::p256("a");
    server.serve(KEYS, key_set(&[&key]));
    for (path, place, first) in [
        ("", "/.well-known/openid-configuration", true),
        ("/realms/x", "/realms/x/.well-known/openid-configuration", true),
        ("/tenant", "/.well-known/oauth-authorization-server/tenant", false),
    ] {
        let name = server.url(path);
        let description = json!({"issuer": name, "jwks_uri": server.url(KEYS), "extra": [1]});
        server.serve(place, description.to_string());
        let mut options = issuer(KeyLocation::WellKnown);
        options.issuer.clone_from(&name);
        let authenticator = world.build(vec![options]);
        world.settled(&authenticator);
        let token = key.token(&claims_with(json!({"iss": name})));
        world.verify(&authenticator, &token).unwrap_or_else(|e| panic!("{place}: {e:?}"));
        assert_eq!(server.hits(place), 1);
        if !first {
            assert_eq!(server.hits("/tenant/.well-known/openid-configuration"), 1);
        }
    }
}

#[test]
fn a_description_of_somebody_else_is_not_believed() {
    let world = World::new();
    let server = IssuerServer::start();
    let key = TestKey::p256("a");
    server.serve(KEYS, key_set(&[&key]));
    let description = json!({"issuer": "https://evil.example", "jwks_uri": server.url(KEYS)});
    server.serve("/about", description.to_string());
    let authenticator = world.build(vec![issuer(KeyLocation::Described(server.url("/about")))]);
    world.settled(&authenticator);
    let result = world.verify(&authenticator, &key.token(&claims("alice")));
    assert!(matches!(result, Err(AuthError::Unavailable { .. })), "{result:?}");
    let error = authenticator.status().remove(0).last_error.unwrap();
    assert!(error.contains("another issuer"), "{error}");
    assert_eq!(server.hits(KEYS), 0);
}

#[test]
fn a_private_address_needs_the_opt_in_and_a_redirect_is_a_fault() {
    let world = World::new();
    let server = IssuerServer::start();
    server.serve_status(KEYS, 302, "");
    server.serve("/elsewhere", key_set(&[&TestKey::p256("a")]));
    let closed = IssuerOptions { allow_private: false, ..at(&server) };
    for (options, word) in [(closed, "allow private"), (at(&server), "redirect")] {
        let authenticator = world.build(vec![options]);
        world.settled(&authenticator);
        let error = authenticator.status().remove(0).last_error.unwrap();
        assert!(error.contains(word), "{error}");
    }
    assert_eq!(server.hits("/elsewhere"), 0);
}

#[test]
fn a_new_key_is_fetched_by_the_first_token_that_names_it() {
    let world = World::new();
    let server = IssuerServer::start();
    let (old, new) = (TestKey::p256("old"), TestKey::p256("new"));
    let authenticator = start(&world, &server, &[&old]);
    let of_old = old.token(&claims("alice"));
    let verified = world.verify(&authenticator, &of_old).unwrap();

    server.serve(KEYS, key_set(&[&old, &new]));
    world.verify(&authenticator, &new.token(&claims("bob"))).unwrap();
    assert_eq!(server.hits(KEYS), 2);
    let kept = authenticator.cached(&of_old, NOW).unwrap();
    assert!(Arc::ptr_eq(&kept, &verified), "a refresh that keeps the key keeps its tokens");

    // The old key goes: the next fetch, whoever causes it, stops its tokens.
    server.serve(KEYS, key_set(&[&new]));
    world.clock.advance(Duration::from_secs(10));
    let stray = TestKey::p256("stray").token(&claims("eve"));
    assert_eq!(world.refusal(&authenticator, &stray), Refusal::UnknownKey);
    assert!(authenticator.cached(&of_old, world.now()).is_none());
    assert_eq!(world.refusal(&authenticator, &of_old), Refusal::UnknownKey);
}

#[test]
fn a_flood_of_unknown_keys_causes_one_fetch_in_ten_seconds() {
    let world = World::new();
    let server = IssuerServer::start();
    let key = TestKey::p256("a");
    let authenticator = start(&world, &server, &[&key]);
    let stray = |n: usize| TestKey::p256(&format!("stray-{n}")).token(&claims("eve"));
    let tokens: Vec<String> = (0..200).map(stray).collect();
    for round in 1..=3 {
        let results =
            world.run(join_all(tokens.iter().map(|t| authenticator.verify(t, world.now()))));
        let unknown = AuthError::Refused(Refusal::UnknownKey);
        assert!(results.iter().all(|r| r.as_ref().is_err_and(|error| *error == unknown)));
        for token in &tokens {
            assert_eq!(world.refusal(&authenticator, token), Refusal::UnknownKey);
        }
        assert_eq!(server.hits(KEYS), 1 + round);
        world.clock.advance(Duration::from_millis(9_999));
        assert_eq!(world.refusal(&authenticator, &tokens[0]), Refusal::UnknownKey);
        assert_eq!(server.hits(KEYS), 1 + round);
        world.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(authenticator.cached_tokens(), 0);
    assert_eq!(world.refreshes.load(Ordering::SeqCst), 4);
}

#[test]
fn tokens_that_are_bad_anyway_cause_no_fetch() {
    let world = World::new();
    let server = IssuerServer::start();
    let authenticator = start(&world, &server, &[&TestKey::p256("a")]);
    let stray = TestKey::p256("stray");
    for change in [json!({"exp": 1}), json!({"aud": "x"}), json!({"iss": "x"}), json!({"sub": 1})] {
        world.refusal(&authenticator, &stray.token(&claims_with(change)));
    }
    world.refusal(&authenticator, &stray.token_of("{\"alg\":\"none\",\"kid\":\"x\"}", "{}"));
    assert_eq!(server.hits(KEYS), 1);
}

#[test]
fn all_who_wait_for_a_rotation_share_one_fetch() {
    let world = World::new();
    let server = IssuerServer::start();
    let (old, new) = (TestKey::p256("old"), TestKey::p256("new"));
    let authenticator = start(&world, &server, &[&old]);
    server.serve(KEYS, key_set(&[&new]));
    server.set_delay(Duration::from_millis(300));
    let tokens: Vec<String> = (0..50).map(|n| new.token(&claims(&n.to_string()))).collect();
    let results = world.run(join_all(tokens.iter().map(|t| authenticator.verify(t, NOW))));
    assert!(results.iter().all(Result::is_ok), "{:?}", results.iter().find(|r| r.is_err()));
    assert_eq!(server.hits(KEYS), 2);
}

#[test]
fn keys_are_fetched_again_in_the_background() {
    let world = World::new();
    let server = IssuerServer::start();
    let (old, new) = (TestKey::p256("old"), TestKey::p256("new"));
    server.serve(KEYS, key_set(&[&old]));
    let options = IssuerOptions { refresh: Duration::from_millis(200), ..at(&server) };
    let authenticator = world.build(vec![options]);
    world.settled(&authenticator);
    let token = old.token(&claims("alice"));
    world.verify(&authenticator, &token).unwrap();
    server.serve(KEYS, key_set(&[&new]));
    world.eventually("the refresh", || authenticator.cached(&token, NOW).is_none());
    assert_eq!(authenticator.status()[0].state, KeyState::Fresh);
    drop(authenticator);
    let hits = server.hits(KEYS);
    std::thread::sleep(Duration::from_millis(600));
    assert!(server.hits(KEYS) <= hits + 1, "a dropped authenticator fetches no more");
}

#[test]
fn no_more_than_so_many_wait() {
    let world = World::new();
    let server = IssuerServer::start();
    let key = TestKey::p256("a");
    server.serve(KEYS, key_set(&[&key]));
    server.set_delay(Duration::from_millis(500));
    let authenticator = world.build(vec![at(&server)]);
    let token = key.token(&claims("alice"));
    let results = world.run(join_all((0..1_100).map(|_| authenticator.verify(&token, NOW))));
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1_024);
    let turned_away = |r: &&Result<_, _>| matches!(r, Err(AuthError::Unavailable { .. }));
    assert_eq!(results.iter().filter(turned_away).count(), 76);
}

#[test]
fn waiting_is_bounded() {
    let world = World::new();
    let server = IssuerServer::start();
    let key = TestKey::p256("a");
    server.serve(KEYS, key_set(&[&key]));
    server.set_delay(Duration::from_secs(4));
    let authenticator = world.build(vec![at(&server)]);
    let before = world.run(async { tokio::time::Instant::now() });
    let result = world.verify(&authenticator, &key.token(&claims("alice")));
    let waited = before.elapsed();
    assert!(matches!(result, Err(AuthError::Unavailable { .. })), "{result:?}");
    assert!((2_900..3_900).contains(&waited.as_millis()), "{waited:?}");
}
