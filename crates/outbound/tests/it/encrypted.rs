//! TLS: the name is proved although the address was pinned.

use std::sync::Arc;

use plimsoll_outbound::OutboundError;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::peer::{PATIENT, Peer, outbound_to, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    fn pem(&self) -> Vec<u8> {
        self.issuer.pem().into_bytes()
    }

    fn server_for(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap()
    }
}

#[test]
fn the_name_is_asked_for_and_proved() {
    let authority = Authority::new();
    let peer = Peer::encrypted(authority.server_for("id.example"), OK);
    let (outbound, _) = outbound_to(vec![peer.address], vec![authority.pem()]);
    let fetched = run(outbound.fetch("https://id.example/keys", PATIENT)).unwrap();
    assert_eq!(&fetched.body[..], b"{}");
    assert_eq!(peer.server_names(), [Some("id.example".to_owned())]);
    assert!(peer.requests()[0].contains("host: id.example\r\n"));
}

#[test]
fn another_name_or_another_authority_is_refused() {
    let authority = Authority::new();
    let peer = Peer::encrypted(authority.server_for("evil.example"), OK);
    let (outbound, _) = outbound_to(vec![peer.address], vec![authority.pem()]);
    let error = run(outbound.fetch("https://id.example/keys", PATIENT)).unwrap_err();
    assert!(matches!(error, OutboundError::Tls { .. }), "{error}");

    let peer = Peer::encrypted(authority.server_for("id.example"), OK);
    let (outbound, _) = outbound_to(vec![peer.address], vec![Authority::new().pem()]);
    let error = run(outbound.fetch("https://id.example/keys", PATIENT)).unwrap_err();
    assert!(error.to_string().contains("extra roots"), "{error}");
    assert!(peer.requests().is_empty(), "nothing is sent before the name is proved");
}

#[test]
fn a_plain_peer_behind_https_is_a_tls_fault() {
    let peer = Peer::answering(OK);
    let (outbound, _) = outbound_to(vec![peer.address], vec![Authority::new().pem()]);
    let port = peer.address.port();
    // The peer reads a ClientHello as a request head that never ends, so the deadline may come
    // first; either way nothing is believed.
    let hasty =
        plimsoll_outbound::FetchOptions { deadline: std::time::Duration::from_secs(1), ..PATIENT };
    let url = format!("https://id.example:{port}/");
    let error = run(outbound.fetch(&url, hasty)).unwrap_err();
    assert!(matches!(error, OutboundError::Tls { .. } | OutboundError::Deadline { .. }), "{error}");
}
