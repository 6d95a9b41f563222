//! Tokens that others made: two Python libraries, and the examples in the RFCs.

use std::collections::BTreeMap;

use plimsoll_manifest::Algorithm;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::algorithm;
use super::super::jwk::PublicKey;
use super::super::jws::Compact;
use super::super::{AuthError, KeyLocation};
use super::helper::{World, issuer, replace};

#[derive(Deserialize)]
struct Fixture {
    issuer: String,
    key_set: Value,
    accepted: BTreeMap<String, String>,
    refused: BTreeMap<String, Refused>,
}

#[derive(Deserialize)]
struct Refused {
    why: String,
    token: String,
}

#[test]
fn tokens_of_other_libraries_are_judged_alike() {
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/foreign.json")).unwrap();
    let world = World::new();
    let path = world.path("keys.json");
    replace(&path, &fixture.key_set.to_string());
    let mut options = issuer(KeyLocation::File(path));
    options.issuer = fixture.issuer;
    options.algorithms = algorithm::ALL.to_vec();
    let authenticator = world.build(vec![options]);
    let status = authenticator.status().remove(0);
    assert_eq!((status.keys, status.skipped.len()), (5, 5), "{:?}", status.skipped);

    for (name, token) in &fixture.accepted {
        let verified = world.verify(&authenticator, token);
        let verified = verified.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(verified.subject(), "zoë");
        assert_eq!(&**verified.tenant(), "acme");
        assert!(verified.scopes().has("orders:write"));
        assert_eq!(verified.expires_unix_s(), 4_102_444_800);
    }
    for (name, case) in &fixture.refused {
        match world.verify(&authenticator, &case.token) {
            Err(AuthError::Refused(refusal)) => {
                let shown = format!("{refusal:?}");
                assert!(shown.starts_with(&case.why), "{name}: {shown}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// A key, an algorithm and a token from an RFC.
fn example(jwk: &Value, algorithm: Algorithm, token: &str) {
    let key = PublicKey::parse(&jwk.to_string()).unwrap();
    let compact = Compact::parse(token).unwrap();
    assert_eq!(compact.header().unwrap().algorithm, algorithm);
    assert!(key.verify(algorithm, compact.signed, &compact.signature));
    let mut signature = compact.signature.clone();
    for at in 0..signature.len() {
        signature[at] ^= 1;
        assert!(!key.verify(algorithm, compact.signed, &signature), "byte {at}");
        signature[at] ^= 1;
    }
    for other in algorithm::ALL.into_iter().filter(|a| *a != algorithm) {
        assert!(!key.verify(other, compact.signed, &compact.signature), "{other:?}");
    }
}

const JOSE_CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLm\
                           NvbS9pc19yb290Ijp0cnVlfQ";

#[test]
fn rfc_7515_appendix_a_2_rs256() {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP\
             1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63k\
             paSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9\
             kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp\
             oQ";
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc\
                     _lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO7\
                     5vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkH\
                     WEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywl\
                     VmtVrBp0igcN_IoypGlUPQGe77Rw";
    let token = format!("eyJhbGciOiJSUzI1NiJ9.{JOSE_CLAIMS}.{signature}");
    example(&json!({"kty": "RSA", "n": n, "e": "AQAB"}), Algorithm::Rs256, &token);
}

#[test]
fn rfc_7515_appendix_a_3_es256() {
    let jwk = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP\
                     3-Kg6NU1Q";
    let token = format!("eyJhbGciOiJFUzI1NiJ9.{JOSE_CLAIMS}.{signature}");
    example(&jwk, Algorithm::Es256, &token);
}

#[test]
fn rfc_8037_appendix_a_4_ed25519() {
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPO\
                 t7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    example(&jwk, Algorithm::EdDsa, token);
}
