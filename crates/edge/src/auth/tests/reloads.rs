//! Building anew from what was there: what did not change goes on untouched.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::super::{
    AuthError, AuthOptions, AuthSetupError, Authenticator, IssuerOptions, KeyLocation, Refusal,
};
use super::helper::{NOW, TestKey, World, claims, claims_with, issuer, key_set, options};
use super::server::IssuerServer;

const KEYS: &str = "/keys";

struct Before {
    world: World,
    server: IssuerServer,
    key: TestKey,
    options: IssuerOptions,
    authenticator: Authenticator,
    token: String,
}

impl Before {
    fn new() -> Self {
        let world = World::new();
        let server = IssuerServer::start();
        let key = TestKey::p256("a");
        server.serve(KEYS, key_set(&[&key]));
        let options = issuer(KeyLocation::Url(server.url(KEYS)));
        let authenticator = world.build(vec![options.clone()]);
        world.settled(&authenticator);
        let token = key.token(&claims("alice"));
        world.verify(&authenticator, &token).unwrap();
        Self { world, server, key, options, authenticator, token }
    }
}

#[test]
fn nothing_is_lost_when_nothing_changed() {
    let b = Before::new();
    let before = b.authenticator.cached(&b.token, NOW).unwrap();
    let after = b.world.rebuild(vec![b.options.clone()], &b.authenticator);
    let hit = after.cached(&b.token, NOW).unwrap();
    assert!(Arc::ptr_eq(&before, &hit));
    drop(b.authenticator);
    // The keys are still looked after once the authenticator that first fetched them is gone.
    let new = TestKey::p256("new");
    b.server.serve(KEYS, key_set(&[&b.key, &new]));
    b.world.verify(&after, &new.token(&claims("bob"))).unwrap();
    assert_eq!(b.server.hits(KEYS), 2);
}

#[test]
fn other_rules_judge_anew() {
    let b = Before::new();
    let elsewhere = vec!["blog".to_owned()];
    for changed in [
        IssuerOptions { audience: elsewhere, ..b.options.clone() },
        IssuerOptions { skew: Duration::from_secs(1), ..b.options.clone() },
        IssuerOptions { tenant_claim: None, ..b.options.clone() },
        IssuerOptions { scope_claim: Some("scp".to_owned()), ..b.options.clone() },
        IssuerOptions {
            algorithms: vec![plimsoll_manifest::Algorithm::Rs256],
            ..b.options.clone()
        },
        IssuerOptions { type_header: Some("at+jwt".to_owned()), ..b.options.clone() },
    ] {
        let after = b.world.rebuild(vec![changed], &b.authenticator);
        assert!(after.cached(&b.token, NOW).is_none());
        assert!(b.authenticator.cached(&b.token, NOW).is_some(), "the old one goes on beside it");
        // And what the old one still verifies is nothing to the new one.
        let late = b.key.token(&claims_with(json!({"jti": "late"})));
        b.world.verify(&b.authenticator, &late).unwrap();
        assert!(after.cached(&late, NOW).is_none());
    }
    assert_eq!(b.server.hits(KEYS), 1, "the keys were taken over");
}

#[test]
fn two_successors_of_one_do_not_share_verdicts() {
    let b = Before::new();
    let skewed = |s| IssuerOptions { skew: Duration::from_secs(s), ..b.options.clone() };
    let lax = b.world.rebuild(vec![skewed(3_600)], &b.authenticator);
    let strict = b.world.rebuild(vec![skewed(1)], &b.authenticator);
    let expired = b.key.token(&claims_with(json!({"exp": NOW - 10})));
    b.world.verify(&lax, &expired).unwrap();
    assert!(lax.cached(&expired, NOW).is_some());
    assert!(strict.cached(&expired, NOW).is_none());
    assert_eq!(b.world.refusal(&strict, &expired), Refusal::Expired);
}

#[test]
fn keys_go_over_although_they_are_fetched_otherwise() {
    let b = Before::new();
    b.server.set_down(true);
    let changed = IssuerOptions { refresh: Duration::from_secs(60), ..b.options.clone() };
    let after = b.world.rebuild(vec![changed], &b.authenticator);
    b.world.verify(&after, &b.token).unwrap();
    b.world.settled(&after);
    b.world.verify(&after, &b.token).unwrap();
    let shorter = IssuerOptions { stale_max: Duration::from_secs(5), ..b.options.clone() };
    let after = b.world.rebuild(vec![shorter], &b.authenticator);
    b.world.verify(&after, &b.token).unwrap();
    b.world.clock.advance(Duration::from_secs(5));
    let result = b.world.verify(&after, &b.token);
    assert!(matches!(result, Err(AuthError::Unavailable { .. })), "{result:?}");
}

#[test]
fn keys_from_another_place_are_not_those() {
    let b = Before::new();
    let other = TestKey::p256("a");
    b.server.serve("/other", key_set(&[&other]));
    let changed =
        IssuerOptions { keys: KeyLocation::Url(b.server.url("/other")), ..b.options.clone() };
    let after = b.world.rebuild(vec![changed], &b.authenticator);
    b.world.settled(&after);
    assert!(after.cached(&b.token, NOW).is_none());
    assert_eq!(b.world.refusal(&after, &b.token), Refusal::Signature);
    b.world.verify(&after, &other.token(&claims("alice"))).unwrap();
    assert!(b.authenticator.cached(&b.token, NOW).is_some());
}

#[test]
fn a_removed_issuer_is_removed_at_once() {
    let b = Before::new();
    let other = IssuerOptions { issuer: "https://other.example".to_owned(), ..b.options.clone() };
    let after = b.world.rebuild(vec![other], &b.authenticator);
    assert!(after.cached(&b.token, NOW).is_none());
    assert_eq!(b.world.refusal(&after, &b.token), Refusal::Issuer);
    let again = b.world.rebuild(vec![b.options.clone()], &after);
    assert!(again.cached(&b.token, NOW).is_none(), "a new entry is a new entry");
    b.world.verify(&again, &b.token).unwrap();
}

#[test]
fn faults_in_the_options_are_named_and_change_nothing() {
    let b = Before::new();
    let one = || b.options.clone();
    type Expected = fn(&AuthSetupError) -> bool;
    let faults: [(AuthOptions, Expected); 5] = [
        (AuthOptions { realm: "a\r\nb".to_owned(), ..options(vec![one()]) }, |e| {
            matches!(e, AuthSetupError::Realm)
        }),
        (options(vec![one(), one()]), |e| matches!(e, AuthSetupError::TwiceTheIssuer(_))),
        (options(vec![IssuerOptions { audience: Vec::new(), ..one() }]), |e| {
            matches!(e, AuthSetupError::NoAudience(_))
        }),
        (options(vec![IssuerOptions { algorithms: Vec::new(), ..one() }]), |e| {
            matches!(e, AuthSetupError::NoAlgorithm(_))
        }),
        (
            options(vec![IssuerOptions {
                issuer: "shop".to_owned(),
                keys: KeyLocation::WellKnown,
                ..one()
            }]),
            |e| matches!(e, AuthSetupError::NotAUrl(_)),
        ),
    ];
    for (options, expected) in faults {
        let parts = b.world.parts();
        let error = Authenticator::build(&options, &parts, Some(&b.authenticator)).unwrap_err();
        assert!(expected(&error), "{error}");
    }
    assert!(b.authenticator.cached(&b.token, NOW).is_some());
}
