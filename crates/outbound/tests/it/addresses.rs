//! Where calls may go: every resolved address is judged, and the judged address is the one used.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plimsoll_outbound::{FetchOptions, Outbound, OutboundError, OutboundOptions};

use crate::peer::{PATIENT, Peer, outbound_to, run};

const PUBLIC_ONLY: FetchOptions = FetchOptions { allow_private: false, ..PATIENT };
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

#[test]
fn private_addresses_need_an_opt_in_however_they_are_spelt() {
    let peer = Peer::answering(OK);
    let port = peer.address.port();
    let outbound = Outbound::new(OutboundOptions::default()).unwrap();
    for host in ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{port}/");
        let error = run(outbound.fetch(&url, PUBLIC_ONLY)).unwrap_err();
        assert!(matches!(error, OutboundError::Forbidden { .. }), "{host}: {error}");
        assert!(error.to_string().contains("allow private"), "{error}");
    }
    assert_eq!(peer.connections(), 0);
    run(outbound.fetch(&format!("http://127.0.0.1:{port}/"), PATIENT)).unwrap();
}

#[test]
fn metadata_addresses_stay_refused_with_the_opt_in() {
    let outbound = Outbound::new(OutboundOptions::default()).unwrap();
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://0.0.0.0/",
        "https://224.0.0.1/",
    ] {
        let error = run(outbound.fetch(url, PATIENT)).unwrap_err();
        assert!(matches!(error, OutboundError::Forbidden { .. }), "{url}: {error}");
    }
}

#[test]
fn one_bad_address_among_good_ones_refuses_the_name() {
    let peer = Peer::answering(OK);
    for bad in ["169.254.169.254:80", "10.0.0.1:80", "127.0.0.1:80"] {
        let addresses: Vec<SocketAddr> = vec!["8.8.8.8:443".parse().unwrap(), bad.parse().unwrap()];
        let (outbound, _) = outbound_to(addresses, Vec::new());
        let error = run(outbound.fetch("https://id.example/", PUBLIC_ONLY)).unwrap_err();
        let OutboundError::Forbidden { address, .. } = error else { panic!("{error}") };
        assert_eq!(address, bad.parse::<SocketAddr>().unwrap().ip());
    }
    assert_eq!(peer.connections(), 0);
}

#[test]
fn a_name_is_resolved_once_and_the_judged_address_is_used() {
    let peer = Peer::answering(OK);
    let (outbound, lookups) = outbound_to(vec![peer.address], Vec::new());
    // The name does not exist anywhere: only the judged address can have been used.
    run(outbound.fetch("http://id.invalid/", PATIENT)).unwrap();
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
    assert_eq!(peer.connections(), 1);
    let head = peer.requests().remove(0);
    assert!(head.contains("host: id.invalid\r\n"), "{head}");
}

#[test]
fn plain_http_stays_inside() {
    let (outbound, _) = outbound_to(vec!["8.8.8.8:80".parse().unwrap()], Vec::new());
    let error = run(outbound.fetch("http://id.example/", PATIENT)).unwrap_err();
    assert!(matches!(error, OutboundError::PlainHttp { .. }), "{error}");
    assert!(error.to_string().contains("https"), "{error}");
}

#[test]
fn a_dead_first_address_leaves_time_for_the_second() {
    let peer = Peer::answering(OK);
    let dead = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap()
    };
    let (outbound, _) = outbound_to(vec![dead, peer.address], Vec::new());
    run(outbound.fetch("http://id.invalid/", PATIENT)).unwrap();
    let (outbound, _) = outbound_to(vec![dead], Vec::new());
    let error = run(outbound.fetch("http://id.invalid/", PATIENT)).unwrap_err();
    assert!(matches!(error, OutboundError::Connect { .. }), "{error}");
}

#[test]
fn a_name_without_addresses_or_with_too_many_is_refused() {
    let (outbound, _) = outbound_to(Vec::new(), Vec::new());
    let error = run(outbound.fetch("http://id.invalid/", PATIENT)).unwrap_err();
    assert!(matches!(error, OutboundError::Resolve { .. }), "{error}");
    let many = vec!["127.0.0.1:1".parse().unwrap(); 33];
    let (outbound, _) = outbound_to(many, Vec::new());
    let error = run(outbound.fetch("http://id.invalid/", PATIENT)).unwrap_err();
    assert!(error.to_string().contains("32 addresses"), "{error}");
}

#[test]
fn a_resolver_that_hangs_hits_the_deadline() {
    let resolver = plimsoll_outbound::Resolver::Custom(std::sync::Arc::new(|_, _| {
        Box::pin(std::future::pending())
    }));
    let outbound =
        Outbound::new(OutboundOptions { resolver, ..OutboundOptions::default() }).unwrap();
    let hasty = FetchOptions { deadline: Duration::from_millis(50), ..PATIENT };
    let error = run(outbound.fetch("http://id.invalid/", hasty)).unwrap_err();
    assert!(error.to_string().contains("resolving the name"), "{error}");
}
