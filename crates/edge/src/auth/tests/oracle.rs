//! The `jsonwebtoken` crate as a second opinion: what it refuses, the edge must refuse, and on
//! tokens without the finer points both agree.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use plimsoll_base::{Clock as _, SystemClock};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::helper::{ISSUER, TestKey, World, claims_with, key_set};

fn second_opinion(token: &str, keys: &JwkSet) -> bool {
    let Ok(header) = decode_header(token) else {
        return false;
    };
    let Some(jwk) = header.kid.as_ref().and_then(|kid| keys.find(kid)) else {
        return false;
    };
    let Ok(key) = DecodingKey::from_jwk(jwk) else {
        return false;
    };
    let allowed = ["ES256", "RS256", "EdDSA"].map(|name| name.parse().unwrap());
    if !allowed.contains(&header.alg) {
        return false;
    }
    let mut validation = Validation::new(header.alg);
    validation.leeway = 60;
    validation.validate_nbf = true;
    validation.set_audience(&["shop"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    decode::<Value>(token, &key, &validation).is_ok()
}

struct Court {
    world: World,
    authenticator: super::super::Authenticator,
    keys: Vec<TestKey>,
    set: JwkSet,
}

impl Court {
    fn new() -> Self {
        let world = World::new();
        let keys = vec![TestKey::p256("ec"), TestKey::rsa("rsa"), TestKey::ed("ed")];
        let known: Vec<&TestKey> = keys.iter().collect();
        let authenticator = world.knowing(&known);
        let set = serde_json::from_str(&key_set(&known)).unwrap();
        Self { world, authenticator, keys, set }
    }
}

thread_local!(static COURT: Court = Court::new());

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn both_agree(
        signer in 0usize..3,
        alg in prop::sample::select(vec!["ES256", "RS256", "EdDSA", "ES256", "HS256", "PS256"]),
        fitting in prop::bool::weighted(0.8),
        kid in prop::sample::select(vec!["ec", "rsa", "ed", "other"]),
        exp in prop::sample::select(vec![-3_600i64, -90, -30, 30, 3_600]),
        nbf in prop::sample::select(vec![None, Some(-100i64), Some(30), Some(90)]),
        aud in prop::sample::select(vec![
            json!("shop"), json!(["x", "shop"]), json!("x"), json!([]), json!(null), json!("shop"),
        ]),
        iss in prop::sample::select(vec![json!(ISSUER), json!(ISSUER), json!("x"), json!(null)]),
        damage in prop::option::weighted(0.2, 0usize..400),
    ) {
        COURT.with(|court| {
            // The second opinion has no clock but the machine's.
            let now = SystemClock::new().unix_seconds();
            let from_now = |by: i64| now.checked_add_signed(by).unwrap();
            let key = &court.keys[signer];
            let (alg, kid) = if fitting { (key.alg(), key.id.as_str()) } else { (alg, kid) };
            let claims = claims_with(json!({
                "iat": from_now(-200), "exp": from_now(exp), "nbf": nbf.map(from_now),
                "aud": aud, "iss": iss,
            }));
            let header = json!({"alg": alg, "kid": kid}).to_string();
            let mut token = key.token_of(&header, &claims.to_string());
            if let Some(at) = damage.filter(|at| *at < token.len()) {
                token.remove(at);
            }
            let ours = court.world.run(court.authenticator.verify(&token, now));
            assert_eq!(ours.is_ok(), second_opinion(&token, &court.set), "{ours:?}\n{token}");
        });
    }
}
