//! Keys that must check nothing, and issuers that must not speak for each other.

use std::time::Duration;

use plimsoll_manifest::Algorithm;
use serde_json::json;

use super::super::{KeyLocation, Refusal};
use super::helper::{TestKey, World, b64, claims, claims_with, issuer, key_set, replace};

#[test]
fn weak_keys_and_keys_for_something_else_check_nothing() {
    let world = World::new();
    let (ec, rsa) = (TestKey::p256("ec"), TestKey::rsa("rsa"));
    let mut weak = rsa.jwk();
    weak["n"] = json!(b64(&[0xff; 128]));
    for (change, word) in [
        (json!({"use": "enc"}), "use"),
        (json!({"key_ops": ["sign"]}), "key_ops"),
        (json!({"key_ops": []}), "key_ops"),
        (json!({"alg": "RS256"}), "does not fit"),
        (json!({"alg": "HS256"}), "alg"),
        (json!({"d": "AA"}), "private half"),
        (json!({"k": "AA"}), "shared secret"),
        (json!({"crv": "P-384"}), "length"),
        (json!({"crv": "P-521"}), "curve"),
        (json!({"kty": "OKP"}), "curve"),
        (json!({"kty": "EC2"}), "kty"),
        (json!({"x": b64(&[7; 32])}), "not a public key"),
        (json!({"x": b64(&[7; 31])}), "length"),
        (json!({"y": null}), "missing"),
        (json!({"x": "A=="}), "base64url"),
        (weak, "2,048"),
    ] {
        let mut jwk = ec.jwk();
        jwk.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let path = world.path("keys.json");
        replace(&path, &json!({"keys": [jwk, rsa.jwk()]}).to_string());
        let authenticator = world.build(vec![issuer(KeyLocation::File(path))]);
        let status = authenticator.status().remove(0);
        assert_eq!(status.keys, 1, "{change}");
        assert!(status.skipped[0].contains(word), "{change}: {:?}", status.skipped);
        let token = ec.token(&claims("alice"));
        assert!(world.verify(&authenticator, &token).is_err(), "{change}");
        assert!(world.verify(&authenticator, &rsa.token(&claims("alice"))).is_ok());
    }
}

#[test]
fn issuers_do_not_speak_for_each_other() {
    let world = World::new();
    let (a, b) = (TestKey::p256("k"), TestKey::p256("k"));
    let mut issuers = Vec::new();
    for (name, key) in [("https://a.example", &a), ("https://b.example", &b)] {
        let path = world.path(&format!("{}.json", &name[8..9]));
        replace(&path, &key_set(&[key]));
        let mut options = issuer(KeyLocation::File(path));
        options.issuer = name.to_owned();
        options.audience = vec![name[8..9].to_owned()];
        options.algorithms = vec![Algorithm::Es256];
        options.skew = Duration::ZERO;
        issuers.push(options);
    }
    let authenticator = world.build(issuers);
    let token = |key: &TestKey, iss: &str, aud: &str| {
        key.token(&claims_with(json!({"iss": iss, "aud": aud})))
    };
    let good = world.verify(&authenticator, &token(&a, "https://a.example", "a")).unwrap();
    let same_name = world.verify(&authenticator, &token(&b, "https://b.example", "b")).unwrap();
    assert_ne!(good.caller(), same_name.caller(), "one subject at two issuers is two callers");
    let refusal = |token: String| world.refusal(&authenticator, &token);
    assert_eq!(refusal(token(&b, "https://a.example", "a")), Refusal::Signature);
    assert_eq!(refusal(token(&a, "https://a.example", "b")), Refusal::Audience);
    assert_eq!(refusal(token(&a, "https://c.example", "a")), Refusal::Issuer);
}
