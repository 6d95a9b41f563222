//! Faults of issuers.

use crate::support::{ISSUER, SHOP, expect, faults, sound};

/// A manifest with one issuer that says `more`; the issuer's table is in line 1.
fn issuer(issuer: &str, more: &str) -> String {
    format!("[[auth.issuer]]\nissuer = \"{issuer}\"\naudience = [\"shop\"]\n{more}{SHOP}")
}

#[test]
fn shared_secrets_and_no_signature_are_never_accepted() {
    for (algorithm, part) in [
        ("none", "a token without a signature proves nothing"),
        ("None", "a token without a signature proves nothing"),
        ("HS256", "whoever can check a shared-secret signature can also make one"),
        ("hs512", "shared-secret"),
        ("es256", "did you mean `ES256`?"),
        ("RSA", "one of: ES256, ES384, RS256"),
    ] {
        let text =
            issuer("https://id.example", &format!("algorithms = [\"RS256\", \"{algorithm}\"]"));
        expect(&text, &[(4, "auth.issuer[0].algorithms[1]", part)]);
    }
    expect(
        &issuer("https://id.example", "algorithms = []"),
        &[(4, "auth.issuer[0].algorithms", "the list is empty")],
    );
}

#[test]
fn keys_come_from_one_place() {
    for (more, line, key, part) in [
        (
            "jwks_url = \"https://a/k\"\njwks_file = \"k.json\"",
            5,
            "jwks_file",
            "`jwks_url` and `jwks_file`",
        ),
        ("discovery_url = \"https://a/d\"\njwks_url = \"https://a/k\"", 5, "jwks_url", "both say"),
        ("jwks_url = \"http://id.example/k\"", 4, "jwks_url", "without TLS"),
        ("discovery_url = \"http://10.0.0.1/d\"", 4, "discovery_url", "without TLS"),
        ("jwks_url = \"id.example/k\"", 4, "jwks_url", "did you mean `https://id.example/k`?"),
        ("jwks_url = \"https://a/k#x\"", 4, "jwks_url", "has a fragment"),
        ("development = true\njwks_file = \"k.json\"", 5, "jwks_file", "makes its own keys"),
        ("stale_max = \"1m\"", 4, "stale_max", "before they are fetched again after 5m"),
    ] {
        let key = format!("auth.issuer[0].{key}");
        expect(&issuer("https://id.example", more), &[(line, &key, part)]);
    }
    for more in [
        "jwks_url = \"http://127.0.0.1:1/k\"",
        "jwks_url = \"http://idp.internal/k\"\nallow_private = true",
        "discovery_url = \"https://a.example/.well-known/openid-configuration?p=policy\"",
        "jwks_file = \"k.json\"",
        "development = true",
    ] {
        sound(&issuer("any text", more));
    }
}

#[test]
fn an_issuer_without_any_word_on_its_keys_can_be_discovered() {
    for (name, part) in [
        ("my-issuer", "no keys can be discovered"),
        ("https://id.example?x=1", "with a query"),
        ("http://id.example", "without TLS"),
    ] {
        expect(&issuer(name, ""), &[(2, "auth.issuer[0].issuer", part)]);
    }
    sound(&issuer("https://id.example/tenant/", ""));
    sound(&issuer("http://localhost:9000", ""));
}

#[test]
fn the_development_issuer_stays_on_loopback() {
    for (listen, part) in [
        ("0.0.0.0:8080", "while the edge listens on 0.0.0.0:8080"),
        ("[::]:8080", "on loopback only"),
        ("192.168.1.2:8080", "192.168.1.2:8080"),
    ] {
        let text = issuer("dev", &format!("development = true\n[edge]\nlisten = [\"{listen}\"]"));
        expect(&text, &[(4, "auth.issuer[0].development", part)]);
    }
    sound(&issuer("dev", "development = true\n[edge]\nlisten = [\"127.0.0.1:1\", \"[::1]:1\"]"));
}

#[test]
fn there_is_one_issuer_of_a_name_and_one_of_development() {
    let text = format!("{ISSUER}{ISSUER}{SHOP}");
    expect(
        &text,
        &[(7, "auth.issuer[1].issuer", "the issuer `https://id.example` is there already")],
    );
    let dev = |name: &str| {
        format!("[[auth.issuer]]\nissuer = \"{name}\"\naudience = [\"a\"]\ndevelopment = true\n")
    };
    let text = dev("a") + &dev("b") + SHOP;
    expect(&text, &[(8, "auth.issuer[1].development", "auth.issuer[0] is the development issuer")]);
}

#[test]
fn the_realm_fits_into_a_header() {
    for realm in ["a\\\"b", "ä"] {
        let text = format!("[auth]\nrealm = \"{realm}\"{SHOP}");
        expect(&text, &[(2, "auth.realm", "plain ASCII")]);
    }
}

#[test]
fn what_is_not_built_is_not_a_word() {
    let text = format!("[auth]\nforward_principal = \"jwt\"{SHOP}");
    let faults = faults(&text);
    assert_eq!((faults[0].line, &*faults[0].key), (Some(2), "auth.forward_principal"));
    assert_eq!(faults[0].expected.as_deref(), Some("one of: none, headers"));
}
