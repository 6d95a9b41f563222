//! Parser: `plimsoll_http_kit::forwarded::Peer::client` (`Forwarded` of RFC 7239 and the
//! `X-Forwarded-*` fields). Input: a line that is taken for `Forwarded`, then header lines.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderValue};
use plimsoll_http_kit::forwarded::{HOPS_MAX, Peer, Scheme, TrustedProxies};

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

/// Feeds the parser.
pub fn run(data: &[u8]) {
    let trusted = TrustedProxies::new(["10.0.0.0/8".parse().expect("a network")]);
    let (first, mut headers) = crate::head::split(data);
    if let Ok(value) = HeaderValue::from_bytes(first) {
        headers.append("forwarded", value);
    }
    let stranger = Peer::new(STRANGER, Scheme::Http);
    let client = stranger.client(&headers, &trusted);
    assert_eq!(client.address, STRANGER, "a stranger's fields were believed");
    assert_eq!(client.scheme, Scheme::Http, "a stranger's fields were believed");

    let proxy = Peer::new(PROXY, Scheme::Http);
    let client = proxy.client(&headers, &trusted);
    assert_eq!(client.address, client.address.to_canonical());
    let mut out = HeaderMap::new();
    proxy.write_fields(&client, None, &mut out);
    let hops = out["x-forwarded-for"].to_str().expect("addresses are ASCII").split(',').count();
    assert!(hops <= HOPS_MAX + 1, "{hops} hops");

    // What we write must read as what we meant, by ourselves one hop further on.
    let next = Peer::new(PROXY, Scheme::Http);
    let again = next.client(&out, &trusted);
    assert_eq!(again.scheme, client.scheme, "{out:?}");
    if hops < HOPS_MAX {
        assert_eq!(again.address, client.address, "{out:?}");
    }
}
