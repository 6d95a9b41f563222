use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn trusted() -> TrustedProxies {
    TrustedProxies::new(["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    map
}

fn client(peer: &str, pairs: &[(&str, &str)]) -> Client {
    Peer::new(ip(peer), Scheme::Http).client(&headers(pairs), &trusted())
}

#[test]
fn a_stranger_is_never_believed() {
    for name in ["x-forwarded-for", "forwarded"] {
        let value = if name == "forwarded" { "for=1.1.1.1;proto=https" } else { "1.1.1.1" };
        let client = client("203.0.113.9", &[(name, value), ("x-forwarded-proto", "https")]);
        assert_eq!((client.address, client.scheme), (ip("203.0.113.9"), Scheme::Http));
    }
}

#[test]
fn the_walk_goes_right_to_left_and_stops_at_the_first_stranger() {
    for (pairs, expected) in [
        (&[("x-forwarded-for", "198.51.100.7")][..], "198.51.100.7"),
        (&[("x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.1.1.1")], "198.51.100.7"),
        (
            &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "198.51.100.7:443")],
            "198.51.100.7",
        ),
        (&[("x-forwarded-for", "10.9.9.9, 10.1.1.1")], "10.9.9.9"),
        (&[("x-forwarded-for", "6.6.6.6, garbage, 10.1.1.1")], "10.1.1.1"),
        (&[("x-forwarded-for", "6.6.6.6,")], "10.0.0.1"),
        (&[("x-forwarded-for", "unknown")], "10.0.0.1"),
        (&[("forwarded", "for=6.6.6.6, for=\"[2001:db8::7]:99\", for=10.1.1.1")], "2001:db8::7"),
        (&[("forwarded", "for=6.6.6.6, for=_hidden, for=10.1.1.1")], "10.1.1.1"),
        (&[("forwarded", "for=\""), ("forwarded", "for=10.1.1.1")], "10.1.1.1"),
        (&[("forwarded", "by=10.0.0.2")], "10.0.0.1"),
        (&[("x-forwarded-for", "::ffff:198.51.100.7")], "198.51.100.7"),
        (&[], "10.0.0.1"),
    ] {
        assert_eq!(client("10.0.0.1", pairs).address, ip(expected), "{pairs:?}");
    }
    let mapped = client("::ffff:10.0.0.1", &[("x-forwarded-for", "198.51.100.7")]);
    assert_eq!(mapped.address, ip("198.51.100.7"));
}

#[test]
fn two_fields_that_disagree_are_both_ignored() {
    let forged = [("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "198.51.100.7")];
    assert_eq!(client("10.0.0.1", &forged).address, ip("10.0.0.1"));
    let agreed =
        [("forwarded", "for=198.51.100.7;proto=https"), ("x-forwarded-for", "198.51.100.7")];
    let client = client("10.0.0.1", &agreed);
    assert_eq!((client.address, client.scheme), (ip("198.51.100.7"), Scheme::Https));
}

#[test]
fn the_walk_has_a_bound() {
    let many = vec!["10.1.1.1"; 400].join(",");
    let client = client("10.0.0.1", &[("x-forwarded-for", &format!("6.6.6.6,{many}"))]);
    assert_eq!(client.address, ip("10.1.1.1"));
    let hops = client.fields.unwrap().x_forwarded_for.to_str().unwrap().split(',').count();
    assert_eq!(hops, HOPS_MAX + 1);
}

#[test]
fn the_scheme_is_the_nearest_proxys() {
    for (pairs, expected) in [
        (&[("x-forwarded-proto", "https")][..], Scheme::Https),
        (&[("x-forwarded-proto", "https, http")], Scheme::Http),
        (&[("x-forwarded-proto", "HTTPS")], Scheme::Https),
        (&[("x-forwarded-proto", "gopher")], Scheme::Http),
        (&[("forwarded", "for=1.2.3.4;proto=https")], Scheme::Https),
    ] {
        assert_eq!(client("10.0.0.1", pairs).scheme, expected, "{pairs:?}");
    }
}

fn written(peer: &str, incoming: &[(&str, &str)]) -> HeaderMap {
    let peer = Peer::new(ip(peer), Scheme::Http);
    let client = peer.client(&headers(incoming), &trusted());
    let mut out = HeaderMap::new();
    peer.write_fields(&client, Some(HeaderValue::from_static("shop.example")), &mut out);
    out
}

#[test]
fn the_service_hears_only_what_was_believed() {
    let out = written("203.0.113.9", &[("x-forwarded-for", "6.6.6.6")]);
    assert_eq!(out["forwarded"], "for=203.0.113.9;proto=http");
    assert_eq!(out["x-forwarded-for"], "203.0.113.9");
    assert_eq!(out["x-forwarded-proto"], "http");
    assert_eq!(out["x-forwarded-host"], "shop.example");

    let out = written(
        "fd00::1",
        &[
            ("x-forwarded-for", "6.6.6.6, 2001:db8::7, 10.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "www.example:444"),
        ],
    );
    assert_eq!(
        out["forwarded"],
        "for=\"[2001:db8::7]\";proto=https, for=10.1.1.1, for=\"[fd00::1]\""
    );
    assert_eq!(out["x-forwarded-for"], "2001:db8::7, 10.1.1.1, fd00::1");
    assert_eq!(out["x-forwarded-proto"], "https");
    assert_eq!(out["x-forwarded-host"], "www.example:444");

    let out = written("10.0.0.1", &[("x-forwarded-host", "evil.example/path")]);
    assert_eq!(out["x-forwarded-host"], "shop.example");
}

#[test]
fn addresses_count_by_subscriber() {
    let prefix = |text| IpPrefix::from(ip(text));
    assert_eq!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:2:ffff::9"));
    assert_ne!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:3::1"));
    assert_eq!(prefix("::ffff:192.0.2.1"), prefix("192.0.2.1"));
    assert_ne!(prefix("192.0.2.1"), prefix("192.0.2.2"));
    assert_eq!(prefix("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    assert_eq!(prefix("192.0.2.1").to_string(), "192.0.2.1");
}

/// The rule in its plainest words, for `X-Forwarded-For` of bare addresses.
fn naive(peer: IpAddr, text: &str) -> IpAddr {
    let mut current = peer;
    for part in text.split(',').rev().take(HOPS_MAX) {
        if !trusted().trusts(current) {
            break;
        }
        match part.trim().parse::<IpAddr>() {
            Ok(address) => current = address.to_canonical(),
            Err(_) => break,
        }
    }
    current
}

proptest! {
    #[test]
    fn the_walk_equals_the_naive_one(
        peer in prop::sample::select(vec!["10.0.0.1", "203.0.113.9", "fd00::5"]),
        parts in prop::collection::vec(prop::sample::select(vec![
            "10.0.0.2", "10.255.0.1", "198.51.100.7", "fd00::2", "2001:db8::1", "unknown", "", "x",
            "::ffff:10.0.0.3",
        ]), 0..24),
    ) {
        let text = parts.join(", ");
        let found = client(peer, &[("x-forwarded-for", &text)]).address;
        let expected = if parts.is_empty() { ip(peer) } else { naive(ip(peer), &text) };
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_are_survived(
        a in prop::collection::vec(any::<u8>(), 0..120),
        b in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut map = HeaderMap::new();
        for (name, bytes) in [(FORWARDED, &a), (X_FORWARDED_FOR, &b), (X_FORWARDED_HOST, &b)] {
            if let Ok(value) = HeaderValue::from_bytes(bytes) {
                map.insert(name, value);
            }
        }
        let peer = Peer::new(ip("10.0.0.1"), Scheme::Https);
        let client = peer.client(&map, &trusted());
        let mut out = HeaderMap::new();
        peer.write_fields(&client, None, &mut out);
        prop_assert!(!out["x-forwarded-for"].is_empty());
    }
}
