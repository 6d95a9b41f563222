//! Tokens made to slip past: each has to be refused, and for its own reason.

use std::time::Duration;

use serde_json::json;

use super::super::{AuthError, KeyLocation, Refusal, TOKEN_BYTES_MAX};
use super::helper::{ISSUER, NOW, Range, TestKey, World, b64, claims, issuer};

#[test]
fn good_tokens_of_every_kind_of_key_pass() {
    let range = Range::new();
    for key in [&range.ec, &range.rsa, &range.ed] {
        let token = key.token(&claims("alice"));
        let verified = range.world.verify(&range.authenticator, &token).unwrap();
        assert_eq!(verified.subject(), "alice");
        assert_eq!(&**verified.issuer(), ISSUER);
        assert_eq!(&**verified.tenant(), "acme");
        assert_eq!(verified.scopes().iter().collect::<Vec<_>>(), ["orders:read", "orders:write"]);
        assert_eq!(verified.expires_unix_s(), NOW + 3_600);
        assert_eq!(verified.token_id(), Some("t1"));
        let shown = format!("{verified:?}");
        assert!(!shown.contains("alice") && !shown.contains("acme"), "{shown}");
    }
}

#[test]
fn unsigned_tokens_are_refused_in_every_spelling() {
    let range = Range::new();
    for alg in ["none", "None", "NONE", "nOnE", " none", "none ", ""] {
        let header = b64(json!({"alg": alg, "kid": "ec"}).to_string().as_bytes());
        let payload = b64(claims("alice").to_string().as_bytes());
        range.refuses(&format!("{header}.{payload}."), Refusal::NotAJwt);
        range.refuses(&format!("{header}.{payload}.AA"), Refusal::Algorithm);
        range.refuses(&range.headed(&json!({"alg": alg, "kid": "ec"})), Refusal::Algorithm);
        range.refuses(&format!("{header}.{payload}"), Refusal::NotAJwt);
    }
    for header in [json!({"kid": "ec"}), json!({"alg": null}), json!({"alg": ["ES256"]})] {
        range.refuses(&range.headed(&header), Refusal::Algorithm);
    }
}

#[test]
fn a_public_key_is_never_a_shared_secret() {
    let range = Range::new();
    for key in [&range.ec, &range.rsa, &range.ed] {
        for (alg, algorithm) in [
            ("HS256", aws_lc_rs::hmac::HMAC_SHA256),
            ("HS384", aws_lc_rs::hmac::HMAC_SHA384),
            ("HS512", aws_lc_rs::hmac::HMAC_SHA512),
        ] {
            let header = json!({"alg": alg, "kid": key.id}).to_string();
            let signed = format!(
                "{}.{}",
                b64(header.as_bytes()),
                b64(claims("alice").to_string().as_bytes())
            );
            let secret = key.jwk().to_string();
            let hmac_key = aws_lc_rs::hmac::Key::new(algorithm, secret.as_bytes());
            let tag = aws_lc_rs::hmac::sign(&hmac_key, signed.as_bytes());
            range.refuses(&format!("{signed}.{}", b64(tag.as_ref())), Refusal::Algorithm);
        }
    }
}

#[test]
fn a_key_serves_only_its_own_algorithm() {
    let range = Range::new();
    let text = claims("alice").to_string();
    for (key, alg, kid) in [
        (&range.ec, "RS256", "ec"),
        (&range.ec, "EdDSA", "ec"),
        (&range.rsa, "ES256", "rsa"),
        (&range.ed, "ES256", "ed"),
        (&range.ec, "ES256", "rsa"),
        (&range.rsa, "RS256", "ec"),
    ] {
        let token = key.token_of(&json!({"alg": alg, "kid": kid}).to_string(), &text);
        range.refuses(&token, Refusal::KeyMismatch);
    }
    // Known to the edge and to the key, but not allowed for the issuer.
    for alg in ["PS256", "RS384", "RS512", "ES384"] {
        let token = range.rsa.token_of(&json!({"alg": alg, "kid": "rsa"}).to_string(), &text);
        range.refuses(&token, Refusal::Algorithm);
    }
}

#[test]
fn a_token_does_not_bring_its_own_key() {
    let range = Range::new();
    let stranger = TestKey::p256("ec");
    let text = claims("alice").to_string();
    for extra in [
        json!({"jwk": stranger.jwk()}),
        json!({"jku": "https://evil.example/keys"}),
        json!({"x5u": "https://evil.example/cert"}),
        json!({"x5c": ["MIIB"]}),
        json!({}),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "ec"});
        header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        range.refuses(&stranger.token_of(&header.to_string(), &text), Refusal::Signature);
        // With our own key they change nothing: they are not looked at.
        let token = range.ec.token_of(&header.to_string(), &text);
        assert!(range.world.verify(&range.authenticator, &token).is_ok());
    }
    let mut header = json!({"alg": "ES256", "jwk": stranger.jwk()});
    range.refuses(&stranger.token_of(&header.to_string(), &text), Refusal::Signature);
    header["kid"] = json!("stranger");
    range.refuses(&stranger.token_of(&header.to_string(), &text), Refusal::UnknownKey);
}

#[test]
fn key_ids_pick_exactly_one_key() {
    let range = Range::new();
    for kid in ["", "EC", "ec ", "../ec", "ec\u{0}", "1"] {
        range.refuses(&range.headed(&json!({"alg": "ES256", "kid": kid})), Refusal::UnknownKey);
    }
    range.refuses(&range.headed(&json!({"alg": "ES256", "kid": 1})), Refusal::NotAJwt);
    // Swapped: a good signature under another key's name.
    let world = World::new();
    let (a, b) = (TestKey::p256("a"), TestKey::p256("b"));
    let authenticator = world.knowing(&[&a, &b]);
    let swapped = a.token_of(&b.header().to_string(), &claims("alice").to_string());
    assert_eq!(world.refusal(&authenticator, &swapped), Refusal::Signature);
    // No name: two keys would do, so none does.
    let unnamed = a.token_of("{\"alg\":\"ES256\"}", &claims("alice").to_string());
    assert_eq!(world.refusal(&authenticator, &unnamed), Refusal::AmbiguousKey);
    // One that fits among others of other kinds is meant.
    let unnamed = range.headed(&json!({"alg": "ES256"}));
    assert!(range.world.verify(&range.authenticator, &unnamed).is_ok());
    // Two fitting keys under one name.
    let twins = [TestKey::p256("twin"), TestKey::p256("twin")];
    let authenticator = world.knowing(&[&twins[0], &twins[1]]);
    let token = twins[0].token(&claims("alice"));
    assert_eq!(world.refusal(&authenticator, &token), Refusal::AmbiguousKey);
}

#[test]
fn claims_that_do_not_hold_are_refused() {
    let range = Range::new();
    for (change, refusal) in [
        (json!({"exp": NOW - 60}), Refusal::Expired),
        (json!({"exp": 0}), Refusal::Expired),
        (json!({"exp": NOW as f64 - 60.5}), Refusal::Expired),
        (json!({"exp": (NOW + 60).to_string()}), Refusal::Claim("exp")),
        (json!({"exp": -1}), Refusal::Claim("exp")),
        (json!({"exp": 1e300}), Refusal::Claim("exp")),
        (json!({"exp": null}), Refusal::ClaimMissing("exp")),
        (json!({"nbf": NOW + 61}), Refusal::NotYetValid),
        (json!({"iat": NOW + 61}), Refusal::NotYetValid),
        (json!({"aud": "blog"}), Refusal::Audience),
        (json!({"aud": []}), Refusal::Audience),
        (json!({"aud": null}), Refusal::ClaimMissing("aud")),
        (json!({"aud": {"shop": 1}}), Refusal::Claim("aud")),
        (json!({"iss": "https://id.example/"}), Refusal::Issuer),
        (json!({"iss": "https://ID.example"}), Refusal::Issuer),
        (json!({"iss": [ISSUER]}), Refusal::Claim("iss")),
        (json!({"iss": null}), Refusal::Issuer),
        (json!({"sub": null}), Refusal::ClaimMissing("sub")),
        (json!({"sub": "a\r\nX-Admin: 1"}), Refusal::Claim("sub")),
        (json!({"org": ["acme"]}), Refusal::Claim("tenant")),
        (json!({"scope": {"admin": true}}), Refusal::Claim("scope")),
    ] {
        range.refuses(&range.claiming(change), refusal);
    }
    for change in [json!({"exp": NOW as f64 + 60.5}), json!({"exp": NOW - 59})] {
        assert!(range.world.verify(&range.authenticator, &range.claiming(change)).is_ok());
    }
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let range = Range::new();
    let good = claims("alice").to_string();
    let twice = good.replacen('{', "{\"sub\":\"admin\",", 1);
    let header = range.ec.header().to_string();
    range.refuses(&range.ec.token_of(&header, &twice), Refusal::Duplicate);
    let escaped = good.replacen('{', "{\"\\u0065xp\":9999999999,", 1);
    range.refuses(&range.ec.token_of(&header, &escaped), Refusal::Duplicate);
    let unknown = good.replacen('{', "{\"x\":1,\"x\":1,", 1);
    range.refuses(&range.ec.token_of(&header, &unknown), Refusal::Duplicate);
    let two_algs = header.replacen('{', "{\"alg\":\"none\",", 1);
    range.refuses(&range.ec.token_of(&two_algs, &good), Refusal::Duplicate);
    for (header, claims) in [
        ("[]", good.as_str()),
        ("\"ES256\"", &good),
        ("{\"alg\":\"ES256\"", &good),
        ("{\"alg\":\"ES256\"}{}", &good),
        (&header, "[]"),
        (&header, "null"),
        (&header, "\u{feff}{}"),
    ] {
        range.refuses(&range.ec.token_of(header, claims), Refusal::NotAJwt);
    }
    let message = format!("{}.{}", b64(header.as_bytes()), b64(b"{\"iss\":\"\xff\"}"));
    let token = format!("{message}.{}", b64(&range.ec.sign(message.as_bytes())));
    range.refuses(&token, Refusal::NotAJwt);
}

#[test]
fn crit_and_foreign_types_are_refused() {
    let range = Range::new();
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!("b64"), json!(null)] {
        let header = json!({"alg": "ES256", "kid": "ec", "crit": crit, "exp": 1, "b64": true});
        range.refuses(&range.headed(&header), Refusal::Critical);
    }
    for typ in ["logout+jwt", "dpop+jwt", "application/secevent+jwt"] {
        let header = json!({"alg": "ES256", "kid": "ec", "typ": typ});
        range.refuses(&range.headed(&header), Refusal::Type);
    }
    let mut strict = issuer(KeyLocation::File(range.world.path("keys.json")));
    strict.type_header = Some("at+jwt".to_owned());
    let strict = range.world.build(vec![strict]);
    let typed = |typ: &str| range.headed(&json!({"alg": "ES256", "kid": "ec", "typ": typ}));
    assert!(range.world.verify(&strict, &typed("application/AT+JWT")).is_ok());
    assert_eq!(range.world.refusal(&strict, &typed("JWT")), Refusal::Type);
    assert_eq!(range.world.refusal(&strict, &range.claiming(json!({}))), Refusal::Type);
}

#[test]
fn broken_and_oversized_tokens_are_refused() {
    let range = Range::new();
    let token = range.ec.token(&claims("alice"));
    let (body, signature) = token.rsplit_once('.').unwrap();
    for bad in [
        format!("{token}."),
        format!("{token}.{token}"),
        format!(".{token}"),
        format!("{token}="),
        format!("{token}=="),
        format!("{token} "),
        format!("{body}. {signature}"),
        format!("{body}.{}", signature.replace('_', "/").replace('-', "+") + "+"),
        body.to_owned(),
        String::new(),
        "ä".repeat(50),
    ] {
        range.refuses(&bad, Refusal::NotAJwt);
    }
    for cut in [1, 2, 10, 40, 85] {
        let short = &token[..token.len() - cut];
        let refusal = range.world.refusal(&range.authenticator, short);
        assert!(matches!(refusal, Refusal::NotAJwt | Refusal::Signature), "{cut}: {refusal:?}");
    }
    let fat = range.claiming(json!({"x": "y".repeat(TOKEN_BYTES_MAX)}));
    range.refuses(&fat, Refusal::TooLarge);
    let fitting = range.claiming(json!({"x": "y".repeat(5_000)}));
    assert!(range.world.verify(&range.authenticator, &fitting).is_ok());
    let deep = format!("{}1{}", "[".repeat(2_000), "]".repeat(2_000));
    let deep = claims("alice").to_string().replacen('{', &format!("{{\"x\":{deep},"), 1);
    let token = range.ec.token_of(&range.ec.header().to_string(), &deep);
    assert!(range.world.verify(&range.authenticator, &token).is_ok());
}

#[test]
fn an_ecdsa_signature_in_another_form_is_refused() {
    let range = Range::new();
    let message = format!(
        "{}.{}",
        b64(range.ec.header().to_string().as_bytes()),
        b64(claims("alice").to_string().as_bytes())
    );
    let good = range.ec.sign(message.as_bytes());
    let mut zero_s = good.clone();
    zero_s[32..].fill(0);
    // The DER form of a signature of small numbers.
    let der = [0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01];
    for bad in [&[0; 64][..], &zero_s, &good[..63], &[&good[..], &[0]].concat(), &der] {
        range.refuses(&format!("{message}.{}", b64(bad)), Refusal::Signature);
    }
}

#[test]
fn errors_say_how_they_are_told() {
    let range = Range::new();
    let challenge = |error, any_of: &[Vec<String>]| {
        range.authenticator.challenge(error, any_of).map(|v| v.to_str().unwrap().to_owned())
    };
    let scopes = [vec!["orders:write".to_owned(), "x".to_owned()], vec!["admin".to_owned()]];
    let text = challenge(AuthError::InsufficientScope, &scopes).unwrap();
    assert!(text.ends_with("scope=\"orders:write x\""), "{text}");
    assert_eq!(challenge(AuthError::Missing, &[]).unwrap(), "Bearer realm=\"plimsoll\"");
    assert_eq!(AuthError::Missing.code().status(), 401);
    assert_eq!(AuthError::InsufficientScope.code().status(), 403);
    assert_eq!(AuthError::Ambiguous.code().status(), 400);
    let unavailable = AuthError::Unavailable { retry_after: Duration::from_secs(5) };
    assert_eq!(unavailable.code().status(), 503);
    assert_eq!(AuthError::from(Refusal::Expired).code().as_str(), "PLM-EDGE-0203");
}
