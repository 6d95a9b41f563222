//! Key files: read at start, read again when they change, and forgiving of a bad moment.

use std::path::Path;
use std::time::Duration;

use super::super::{AuthError, AuthOptions, KeyLocation, KeyState};
use super::helper::{NOW, TestKey, World, claims, issuer, key_set, replace};

fn unavailable<T>(result: &Result<T, AuthError>) -> bool {
    matches!(result, Err(AuthError::Unavailable { .. }))
}

#[test]
fn a_changed_file_is_read_at_once_when_a_token_needs_it() {
    let world = World::new();
    let (a, b) = (TestKey::p256("a"), TestKey::p256("b"));
    let authenticator = world.knowing(&[&a]);
    replace(&world.path("keys.json"), &key_set(&[&a, &b]));
    world.verify(&authenticator, &b.token(&claims("bob"))).unwrap();
}

#[test]
fn a_broken_file_keeps_the_keys_and_says_so() {
    let world = World::new();
    let key = TestKey::p256("a");
    let authenticator = world.knowing(&[&key]);
    let token = key.token(&claims("alice"));
    world.verify(&authenticator, &token).unwrap();
    let path = world.path("keys.json");
    std::fs::write(&path, "{\"keys\":[{\"kty\":").unwrap();
    world.eventually("the fault", || authenticator.status()[0].state == KeyState::Stale);
    let status = authenticator.status().remove(0);
    let error = status.last_error.unwrap();
    assert!(error.contains("keys.json") && error.contains("JSON web key set"), "{error}");
    assert!(authenticator.cached(&token, NOW).is_some());
    world.verify(&authenticator, &key.token(&claims("bob"))).unwrap();

    // Gone altogether it is the same, until the keys are too old.
    std::fs::remove_file(&path).unwrap();
    world.clock.advance(Duration::from_secs(24 * 3_600 + 60));
    let fresh = serde_json::json!({"iat": world.now(), "exp": world.now() + 60});
    let token = key.token(&super::helper::claims_with(fresh));
    assert!(unavailable(&world.verify(&authenticator, &token)));
    assert_eq!(authenticator.status()[0].state, KeyState::TooOld);
    replace(&path, &key_set(&[&key]));
    world.eventually("the return", || world.verify(&authenticator, &token).is_ok());
    assert_eq!(authenticator.status()[0].state, KeyState::Fresh);
}

#[test]
fn a_file_that_is_not_there_yet_is_waited_for() {
    let world = World::new();
    let key = TestKey::p256("a");
    let path = world.path("later.json");
    let authenticator = world.build(vec![issuer(KeyLocation::File(path.clone()))]);
    assert_eq!(authenticator.status()[0].state, KeyState::Waiting);
    let token = key.token(&claims("alice"));
    assert!(unavailable(&world.verify(&authenticator, &token)));
    replace(&path, &key_set(&[&key]));
    world.eventually("the file", || world.verify(&authenticator, &token).is_ok());
}

#[test]
fn what_is_no_key_set_is_refused_as_a_whole() {
    let world = World::new();
    let key = TestKey::p256("a").jwk().to_string();
    let many = format!("{{\"keys\":[{}]}}", vec![key.as_str(); 129].join(","));
    let fat = format!("{{\"keys\":[],\"x\":\"{}\"}}", "y".repeat(256 * 1024));
    for (content, word) in [
        ("", "JSON web key set"),
        ("[]", "JSON web key set"),
        ("{}", "JSON web key set"),
        (key.as_str(), "JSON web key set"),
        ("{\"keys\":{}}", "JSON web key set"),
        (&many, "128 keys"),
        (&fat, "256 KiB"),
    ] {
        let path = world.path("keys.json");
        replace(&path, content);
        let authenticator = world.build(vec![issuer(KeyLocation::File(path))]);
        let error = authenticator.status().remove(0).last_error.unwrap();
        assert!(error.contains(word), "{error}");
    }
    let directory = world.build(vec![issuer(KeyLocation::File(world.path("")))]);
    let error = directory.status().remove(0).last_error.unwrap();
    assert!(error.contains("not a file"), "{error}");
}

#[test]
fn an_empty_set_is_believed() {
    let world = World::new();
    let key = TestKey::p256("a");
    let authenticator = world.knowing(&[&key]);
    let token = key.token(&claims("alice"));
    world.verify(&authenticator, &token).unwrap();
    replace(&world.path("keys.json"), "{\"keys\":[]}");
    world.eventually("the emptying", || authenticator.status()[0].state == KeyState::Empty);
    assert!(authenticator.cached(&token, NOW).is_none());
    assert!(unavailable(&world.verify(&authenticator, &token)));
}

#[test]
fn the_manifest_says_where_keys_are() {
    let text = r#"
[[service]]
name = "shop"
urls = ["http://127.0.0.1:3000"]
[auth]
tenant_claim = "org"
skew = "30s"
[[auth.issuer]]
issuer = "https://a.example"
audience = ["shop"]
jwks_file = "keys/a.json"
[[auth.issuer]]
issuer = "https://b.example"
audience = ["shop"]
jwks_url = "https://b.example/keys"
[[auth.issuer]]
issuer = "https://c.example"
audience = ["shop"]
discovery_url = "https://c.example/about"
[[auth.issuer]]
issuer = "https://d.example"
audience = ["shop"]
[[auth.issuer]]
issuer = "https://dev.plimsoll.invalid"
audience = ["shop"]
development = true
"#;
    let manifest = plimsoll_manifest::parse(text, Path::new("plimsoll.toml")).unwrap();
    let options =
        AuthOptions::from_manifest(&manifest.auth, Path::new("/etc/p"), Path::new("/var/p"));
    let places: Vec<&KeyLocation> = options.issuers.iter().map(|i| &i.keys).collect();
    assert_eq!(
        places,
        [
            &KeyLocation::File("/etc/p/keys/a.json".into()),
            &KeyLocation::Url("https://b.example/keys".to_owned()),
            &KeyLocation::Described("https://c.example/about".to_owned()),
            &KeyLocation::WellKnown,
            &KeyLocation::File("/var/p/dev-issuer/jwks.json".into()),
        ]
    );
    assert_eq!(options.issuers[0].skew, Duration::from_secs(30));
    assert_eq!(options.issuers[0].tenant_claim.as_deref(), Some("org"));
    assert_eq!(options.issuers[0].stale_max, Duration::from_secs(24 * 3_600));
}
