//! The verified-token cache: it saves work and never a token.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::super::{Authenticator, KeyLocation, Refusal};
use super::helper::{NOW, TestKey, World, claims, claims_with, issuer, key_set, options, replace};

#[test]
fn only_the_very_token_that_was_verified_is_a_hit() {
    let world = World::new();
    let key = TestKey::p256("a");
    let authenticator = world.knowing(&[&key]);
    let token = key.token(&claims("alice"));
    assert!(authenticator.cached(&token, NOW).is_none());
    let verified = world.verify(&authenticator, &token).unwrap();
    let hit = authenticator.cached(&token, NOW).unwrap();
    assert!(Arc::ptr_eq(&verified, &hit));
    let (body, _) = token.rsplit_once('.').unwrap();
    for other in [body, &token[1..], &token[..token.len() - 1], &format!("{token}A"), ""] {
        assert!(authenticator.cached(other, NOW).is_none());
    }
    assert_eq!(authenticator.cached_tokens(), 1);
}

#[test]
fn a_hit_never_outlives_the_token() {
    let world = World::new();
    let key = TestKey::p256("a");
    let authenticator = world.knowing(&[&key]);
    let token = key.token(&claims_with(json!({"exp": NOW + 100, "nbf": NOW - 10})));
    world.verify(&authenticator, &token).unwrap();
    assert!(authenticator.cached(&token, NOW + 159).is_some());
    // A clock set back behind `nbf` and its skew.
    assert!(authenticator.cached(&token, NOW - 70).is_some());
    assert!(authenticator.cached(&token, NOW - 71).is_none());
    world.verify(&authenticator, &token).unwrap();
    assert!(authenticator.cached(&token, NOW + 160).is_none());
    assert_eq!(authenticator.cached_tokens(), 0, "what has ended is dropped");
    world.clock.advance(Duration::from_secs(160));
    assert_eq!(world.refusal(&authenticator, &token), Refusal::Expired);
}

#[test]
fn a_removed_key_stops_its_tokens_at_once_and_no_others() {
    let world = World::new();
    let (a, b) = (TestKey::p256("a"), TestKey::ed("b"));
    let authenticator = world.knowing(&[&a, &b]);
    let (of_a, of_b) = (a.token(&claims("alice")), b.token(&claims("bob")));
    let verified_a = world.verify(&authenticator, &of_a).unwrap();
    world.verify(&authenticator, &of_b).unwrap();

    replace(&world.path("keys.json"), &key_set(&[&a]));
    world.eventually("the removal", || authenticator.status()[0].keys == 1);
    assert!(authenticator.cached(&of_b, NOW).is_none());
    assert!(world.verify(&authenticator, &of_b).is_err());
    let kept = authenticator.cached(&of_a, NOW).unwrap();
    assert!(Arc::ptr_eq(&kept, &verified_a), "a key that stays keeps its tokens");

    // Coming back, the key does not bring old verdicts back: its tokens are verified anew.
    replace(&world.path("keys.json"), &key_set(&[&a, &b]));
    world.eventually("the return", || authenticator.status()[0].keys == 2);
    assert!(authenticator.cached(&of_b, NOW).is_none());
    world.verify(&authenticator, &of_b).unwrap();
}

#[test]
fn another_key_under_the_same_id_is_another_key() {
    let world = World::new();
    let (old, new) = (TestKey::p256("a"), TestKey::p256("a"));
    let authenticator = world.knowing(&[&old]);
    let of_old = old.token(&claims("alice"));
    world.verify(&authenticator, &of_old).unwrap();
    replace(&world.path("keys.json"), &key_set(&[&new]));
    let of_new = new.token(&claims("alice"));
    world.eventually("the swap", || world.verify(&authenticator, &of_new).is_ok());
    assert!(authenticator.cached(&of_old, NOW).is_none());
    assert_eq!(world.refusal(&authenticator, &of_old), Refusal::Signature);
}

#[test]
fn a_key_that_loses_a_permission_stops_its_tokens() {
    let world = World::new();
    let key = TestKey::rsa("a");
    let authenticator = world.knowing(&[&key]);
    let token = key.token(&claims("alice"));
    world.verify(&authenticator, &token).unwrap();
    let mut jwk = key.jwk();
    jwk["alg"] = json!("PS256");
    replace(&world.path("keys.json"), &json!({"keys": [jwk]}).to_string());
    world.eventually("the change", || authenticator.cached(&token, NOW).is_none());
    assert_eq!(world.refusal(&authenticator, &token), Refusal::KeyMismatch);
}

#[test]
fn the_cache_is_bounded_in_tokens_and_in_bytes() {
    let world = World::new();
    let key = TestKey::ed("a");
    replace(&world.path("keys.json"), &key_set(&[&key]));
    let mut options = options(vec![issuer(KeyLocation::File(world.path("keys.json")))]);
    options.token_cache_max = 64;
    let cached = |claims: fn(usize) -> serde_json::Value| {
        let authenticator = Authenticator::build(&options, &world.parts(), None).unwrap();
        for n in 0..300 {
            world.verify(&authenticator, &key.token(&claims(n))).unwrap();
        }
        authenticator.cached_tokens()
    };
    let short = cached(|n| claims(&n.to_string()));
    assert!((32..=64).contains(&short), "{short}");
    let long = cached(|n| claims_with(json!({"sub": n.to_string(), "x": "y".repeat(5_000)})));
    assert!((1..=10).contains(&long), "{long} tokens of 7 KiB in the room of 64");
}
