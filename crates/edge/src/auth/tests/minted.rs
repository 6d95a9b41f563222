//! Tokens of the development issuer, from its data directory to a verified caller.

use std::time::Duration;

use super::super::dev_issuer::{self, DevIssuer, Mint};
use super::super::{IssuerOptions, KeyLocation, Refusal};
use super::helper::{NOW, World, issuer};

#[test]
fn a_minted_token_is_verified() {
    let world = World::new();
    let data = world.directory.path();
    let options = IssuerOptions {
        issuer: dev_issuer::ISSUER.to_owned(),
        type_header: Some("at+jwt".to_owned()),
        ..issuer(KeyLocation::File(dev_issuer::key_set_file(data)))
    };
    // The edge may be up before the first token is asked for.
    let authenticator = world.build(vec![options]);
    let dev = DevIssuer::open(data).unwrap();
    let (scopes, audience) = (["orders:write".to_owned()], ["shop".to_owned()]);
    let mint = Mint {
        issuer: dev_issuer::ISSUER,
        subject: "alice",
        scopes: &scopes,
        audience: &audience,
        tenant: Some(("org", "acme")),
        ttl: Duration::from_secs(60),
    };
    let token = dev.mint(&mint, NOW).unwrap();
    world.eventually("the key set", || world.verify(&authenticator, &token).is_ok());
    let verified = authenticator.cached(&token, NOW).unwrap();
    assert_eq!((verified.subject(), &**verified.tenant()), ("alice", "acme"));
    assert!(verified.scopes().has("orders:write"));
    assert_eq!(verified.expires_unix_s(), NOW + 60);
    assert_ne!(dev.mint(&mint, NOW).unwrap(), token, "every token has its own id");

    // Another process, another opening, the same key.
    let again = DevIssuer::open(data).unwrap();
    world.verify(&authenticator, &again.mint(&mint, NOW).unwrap()).unwrap();
    let stranger = tempfile::tempdir().unwrap();
    let forged = DevIssuer::open(stranger.path()).unwrap().mint(&mint, NOW).unwrap();
    assert_eq!(world.refusal(&authenticator, &forged), Refusal::UnknownKey);
}
