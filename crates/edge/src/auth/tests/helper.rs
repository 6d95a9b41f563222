//! Keys, tokens, and a world to verify them in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plimsoll_base::ManualClock;
use plimsoll_manifest::Algorithm;
use plimsoll_outbound::{Outbound, OutboundOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::super::{
    AuthError, AuthOptions, AuthParts, Authenticator, CallerKey, IssuerOptions, KeyLocation,
    Refusal, Verified,
};

/// The wall time of every world, seconds.
pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const ISSUER: &str = "https://id.example";

enum Pair {
    P256(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A signing key under a key id.
pub(super) struct TestKey {
    pub(super) id: String,
    pair: Pair,
}

impl TestKey {
    pub(super) fn p256(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { id: id.to_owned(), pair: Pair::P256(pair) }
    }

    pub(super) fn ed(id: &str) -> Self {
        Self { id: id.to_owned(), pair: Pair::Ed(Ed25519KeyPair::generate().unwrap()) }
    }

    pub(super) fn rsa(id: &str) -> Self {
        Self { id: id.to_owned(), pair: Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()) }
    }

    pub(super) fn alg(&self) -> &'static str {
        match self.pair {
            Pair::P256(_) => "ES256",
            Pair::Ed(_) => "EdDSA",
            Pair::Rsa(_) => "RS256",
        }
    }

    pub(super) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)})
            }
            Pair::Ed(pair) => json!({
                "kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key().as_ref()),
            }),
            Pair::Rsa(pair) => {
                let public = aws_lc_rs::signature::RsaPublicKeyComponents::<Vec<u8>>::from(
                    pair.public_key(),
                );
                json!({"kty": "RSA", "n": b64(&public.n), "e": b64(&public.e)})
            }
        };
        jwk["kid"] = json!(self.id);
        jwk
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// Signs exactly these texts.
    pub(super) fn token_of(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header.as_bytes()), b64(claims.as_bytes()));
        format!("{signed}.{}", b64(&self.sign(signed.as_bytes())))
    }

    pub(super) fn header(&self) -> Value {
        json!({"alg": self.alg(), "kid": self.id})
    }

    pub(super) fn token(&self, claims: &Value) -> String {
        self.token_of(&self.header().to_string(), &claims.to_string())
    }
}

pub(super) fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn key_set(keys: &[&TestKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// Claims of a good token of `subject`.
pub(super) fn claims(subject: &str) -> Value {
    json!({
        "iss": ISSUER, "sub": subject, "aud": "shop", "iat": NOW, "exp": NOW + 3_600,
        "scope": "orders:write orders:read", "org": "acme", "jti": "t1",
    })
}

/// Claims with some changed; a `null` takes one away.
pub(super) fn claims_with(change: Value) -> Value {
    let mut claims = claims("alice");
    let Value::Object(change) = change else { panic!("claims are an object") };
    for (claim, value) in change {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(&claim);
        } else {
            claims[claim] = value;
        }
    }
    claims
}

/// Time that only tests move, a directory, and a control runtime.
pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) directory: TempDir,
    pub(super) refreshes: Arc<AtomicUsize>,
    runtime: Runtime,
}

impl World {
    pub(super) fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self {
            clock: Arc::new(ManualClock::at_unix_ms(NOW * 1_000)),
            directory: tempfile::tempdir().unwrap(),
            refreshes: Arc::default(),
            runtime,
        }
    }

    pub(super) fn parts(&self) -> AuthParts {
        let refreshes = Arc::clone(&self.refreshes);
        AuthParts {
            outbound: Outbound::new(OutboundOptions::default()).unwrap(),
            clock: Arc::clone(&self.clock) as plimsoll_base::SharedClock,
            control: self.runtime.handle().clone(),
            caller_key: CallerKey::new(&[1; 32]),
            seed: 7,
            on_refresh: Arc::new(move |_| {
                refreshes.fetch_add(1, Ordering::SeqCst);
            }),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn build(&self, issuers: Vec<IssuerOptions>) -> Authenticator {
        Authenticator::build(&options(issuers), &self.parts(), None).unwrap()
    }

    pub(super) fn rebuild(
        &self,
        issuers: Vec<IssuerOptions>,
        from: &Authenticator,
    ) -> Authenticator {
        Authenticator::build(&options(issuers), &self.parts(), Some(from)).unwrap()
    }

    /// An authenticator that knows these keys from a file.
    pub(super) fn knowing(&self, keys: &[&TestKey]) -> Authenticator {
        let path = self.path("keys.json");
        replace(&path, &key_set(keys));
        self.build(vec![issuer(KeyLocation::File(path))])
    }

    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(super) fn now(&self) -> u64 {
        use plimsoll_base::Clock as _;
        self.clock.unix_seconds()
    }

    pub(super) fn verify(
        &self,
        authenticator: &Authenticator,
        token: &str,
    ) -> Result<Arc<Verified>, AuthError> {
        self.run(authenticator.verify(token, self.now()))
    }

    pub(super) fn refusal(&self, authenticator: &Authenticator, token: &str) -> Refusal {
        match self.verify(authenticator, token) {
            Err(AuthError::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(super) fn settled(&self, authenticator: &Authenticator) {
        let settled = authenticator.settled(Duration::from_secs(600));
        let in_time = async { tokio::time::timeout(Duration::from_secs(30), settled).await };
        self.run(in_time).expect("the end of the first fetch wakes who waits for it");
    }

    /// Waits, in real time, until `done`; what is waited for runs in the background.
    pub(super) fn eventually(&self, what: &str, done: impl Fn() -> bool) {
        for _ in 0..1_000 {
            if done() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{what} did not come about within 20 s");
    }
}

pub(super) fn options(issuers: Vec<IssuerOptions>) -> AuthOptions {
    AuthOptions { realm: "plimsoll".to_owned(), token_cache_max: 1_000, issuers }
}

pub(super) fn issuer(keys: KeyLocation) -> IssuerOptions {
    IssuerOptions {
        issuer: ISSUER.to_owned(),
        audience: vec!["shop".to_owned()],
        algorithms: vec![Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa],
        type_header: None,
        tenant_claim: Some("org".to_owned()),
        scope_claim: None,
        skew: Duration::from_secs(60),
        keys,
        refresh: Duration::from_secs(3_600),
        stale_max: Duration::from_secs(24 * 3_600),
        allow_private: true,
    }
}

/// Puts a file in place whole, as deployments do.
pub(super) fn replace(path: &Path, content: &str) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, content).unwrap();
    std::fs::rename(&draft, path).unwrap();
}

/// An authenticator with one key of each kind, to shoot at.
pub(super) struct Range {
    pub(super) world: World,
    pub(super) authenticator: Authenticator,
    pub(super) ec: TestKey,
    pub(super) rsa: TestKey,
    pub(super) ed: TestKey,
}

impl Range {
    pub(super) fn new() -> Self {
        let world = World::new();
        let (ec, rsa, ed) = (TestKey::p256("ec"), TestKey::rsa("rsa"), TestKey::ed("ed"));
        let authenticator = world.knowing(&[&ec, &rsa, &ed]);
        Self { world, authenticator, ec, rsa, ed }
    }

    #[track_caller]
    pub(super) fn refuses(&self, token: &str, refusal: Refusal) {
        assert_eq!(self.world.refusal(&self.authenticator, token), refusal, "{token}");
        assert!(self.authenticator.cached(token, NOW).is_none(), "refused tokens are not cached");
    }

    /// A token of the EC key with another header.
    pub(super) fn headed(&self, header: &Value) -> String {
        self.ec.token_of(&header.to_string(), &claims("alice").to_string())
    }

    pub(super) fn claiming(&self, change: Value) -> String {
        self.ec.token(&claims_with(change))
    }
}
