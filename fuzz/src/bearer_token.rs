//! Parser: `plimsoll_edge::auth` (`presented`, the compact form of RFC 7515, claims of RFC 7519).
//!
//! Input: a kind byte, then for an even kind the value of `Authorization`; for an odd one three
//! lines, header, claims and signature, that are encoded into a token, so that the fuzzer need not
//! find out base64url. Nobody here has the issuer's private key: **no token may ever verify.**

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use plimsoll_base::SystemClock;
use plimsoll_edge::auth::{
    AuthOptions, AuthParts, Authenticator, CallerKey, IssuerOptions, KeyLocation, Presented,
    presented,
};
use plimsoll_http_kit::hygiene::Fields;
use plimsoll_manifest::Algorithm;
use plimsoll_outbound::{Outbound, OutboundOptions};

const NOW: u64 = 1_800_000_000;
/// Public keys whose private halves were thrown away.
const KEYS: &str = include_str!("../keys.json");

struct World {
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
    authenticator: Authenticator,
}

/// Feeds the parser.
pub fn run(data: &[u8]) {
    static WORLD: OnceLock<World> = OnceLock::new();
    let world = WORLD.get_or_init(world);
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let value = if kind % 2 == 0 { rest.to_vec() } else { assembled(rest) };
    let Ok(value) = HeaderValue::from_bytes(&value) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.append(AUTHORIZATION, value.clone());
    if let Ok(Presented::Bearer(token)) = presented(Fields::of(&headers).authorization) {
        let token = token.as_str();
        assert!(!token.is_empty() && value.as_bytes().ends_with(token.as_bytes()));
        assert!(world.authenticator.cached(token, NOW).is_none(), "an unverified token is cached");
        let _timers = world.runtime.enter();
        // One poll: a token that makes the authenticator wait for keys has been read by then.
        let verdict = world.authenticator.verify(token, NOW).now_or_never();
        match verdict {
            Some(Ok(_)) => panic!("a token verified that nobody signed"),
            Some(Err(error)) => {
                let challenge = world.authenticator.challenge(error, &[]);
                assert!(challenge.is_none_or(|c| c.to_str().is_ok()));
            }
            None => {}
        }
    }
    headers.append(AUTHORIZATION, value);
    let twice = presented(Fields::of(&headers).authorization);
    assert!(twice.is_err(), "two Authorization fields were taken");
}

fn assembled(rest: &[u8]) -> Vec<u8> {
    let mut parts = rest.splitn(3, |byte| *byte == b'\n');
    let mut encode = || URL_SAFE_NO_PAD.encode(parts.next().unwrap_or(b""));
    format!("Bearer {}.{}.{}", encode(), encode(), encode()).into_bytes()
}

fn world() -> World {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("jwks.json");
    std::fs::write(&file, KEYS).expect("a file");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let options = AuthOptions {
        realm: "fuzz".into(),
        token_cache_max: 1000,
        issuers: vec![IssuerOptions {
            issuer: "https://id".into(),
            audience: vec!["a".into()],
            algorithms: vec![Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa],
            type_header: None,
            tenant_claim: Some("tenant".into()),
            scope_claim: None,
            skew: Duration::from_secs(60),
            keys: KeyLocation::File(file),
            refresh: Duration::from_secs(300),
            stale_max: Duration::from_secs(86_400),
            allow_private: false,
        }],
    };
    let parts = AuthParts {
        outbound: Outbound::new(OutboundOptions::default()).expect("an outbound client"),
        clock: SystemClock::shared(),
        control: runtime.handle().clone(),
        caller_key: CallerKey::new(&[7; 32]),
        seed: 1,
        on_refresh: Arc::new(|_| {}),
    };
    let authenticator = Authenticator::build(&options, &parts, None).expect("an authenticator");
    runtime.block_on(authenticator.settled(Duration::from_secs(5)));
    World { runtime, _dir: dir, authenticator }
}
