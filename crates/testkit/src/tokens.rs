//! Bearer tokens and key sets, good and bad (RFC 7515, 7517, 7519).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plimsoll_base::{Clock as _, SystemClock};
use serde_json::{Value, json};

/// Claims under construction.
#[derive(Clone, Debug)]
pub struct Claims(Value);

impl Claims {
    /// Valid for an hour from now, with this subject and no scope.
    #[must_use]
    pub fn new(issuer: &str, audience: &str, subject: &str) -> Self {
        let now = SystemClock::new().unix_seconds();
        Self(json!({
            "iss": issuer, "aud": audience, "sub": subject, "iat": now, "exp": now + 3600,
        }))
    }

    /// With this claim, which replaces one of the same name; `Null` removes it.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        if let Some(claims) = self.0.as_object_mut() {
            if value.is_null() {
                claims.remove(name);
            } else {
                claims.insert(name.to_owned(), value);
            }
        }
        self
    }

    /// With these scopes, space-separated.
    #[must_use]
    pub fn scope(self, scopes: &str) -> Self {
        self.with("scope", json!(scopes))
    }

    /// Expired so many seconds ago.
    #[must_use]
    pub fn expired_since(self, seconds: u64) -> Self {
        let now = SystemClock::new().unix_seconds();
        self.with("exp", json!(now.saturating_sub(seconds)))
            .with("iat", json!(now.saturating_sub(seconds + 3600)))
    }
}

/// An ES256 issuer with one key.
#[derive(Debug)]
pub struct TestIssuer {
    key: EcdsaKeyPair,
    kid: String,
}

impl TestIssuer {
    /// With a fresh key under this `kid`.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(kid: &str) -> std::io::Result<Self> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| std::io::Error::other("no ES256 key could be made"))?;
        Ok(Self { key, kid: kid.to_owned() })
    }

    /// The key as a JWK.
    #[must_use]
    pub fn jwk(&self) -> Value {
        // An uncompressed point: 0x04, x, y.
        let point = self.key.public_key().as_ref();
        let (x, y) = (point.get(1..33).unwrap_or(&[]), point.get(33..65).unwrap_or(&[]));
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }

    /// A key set of this key alone.
    #[must_use]
    pub fn jwks(&self) -> String {
        json!({ "keys": [self.jwk()] }).to_string()
    }

    /// A token with the usual header.
    ///
    /// # Errors
    /// When signing fails.
    pub fn mint(&self, claims: &Claims) -> std::io::Result<String> {
        self.mint_with(&json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid }), claims)
    }

    /// A token with this very header, signed with this key whatever the header says.
    ///
    /// # Errors
    /// When signing fails.
    pub fn mint_with(&self, header: &Value, claims: &Claims) -> std::io::Result<String> {
        let signed = signing_input(header, claims);
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_| std::io::Error::other("signing failed"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }

    /// `alg: none` with an empty signature.
    #[must_use]
    pub fn unsigned(claims: &Claims) -> String {
        format!("{}.", signing_input(&json!({ "alg": "none", "typ": "JWT" }), claims))
    }
}

fn signing_input(header: &Value, claims: &Claims) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", encode(header), encode(&claims.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    #[test]
    fn a_token_verifies_with_the_published_key() {
        let issuer = TestIssuer::new("k1").unwrap();
        let claims = Claims::new("https://id.example", "shop", "alice").scope("a b");
        let token = issuer.mint(&claims).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let jwk = issuer.jwk();
        let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let point = [vec![4], part("x"), part("y")].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
        let body = signed.split('.').nth(1).unwrap();
        let body: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
        assert_eq!((body["sub"].as_str(), body["scope"].as_str()), (Some("alice"), Some("a b")));
    }

    #[test]
    fn a_claim_can_be_taken_away() {
        let claims = Claims::new("i", "a", "s").with("aud", Value::Null);
        assert_eq!(claims.0.get("aud"), None);
        let expired = Claims::new("i", "a", "s").expired_since(100);
        assert!(expired.0["exp"].as_u64() < Some(SystemClock::new().unix_seconds() - 50));
        assert!(TestIssuer::unsigned(&claims).ends_with('.'));
    }
}
