//! A scene whose edge speaks TLS, and clients that trust its certificate alone.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_testkit::{Origin, Plimsoll, PlimsollOptions, RawClient, Wire};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::scene::open_manifest;

/// A certificate for `localhost` with its key.
pub(crate) struct Certified {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Certified {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            certificate_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
        }
    }
}

/// Trusts these certificates and offers these protocols.
pub(crate) fn client_config(trusted: &[&Certified], protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certified in trusted {
        roots.add(certified.der.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// The name on the certificates.
pub(crate) fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// A TLS stream that the raw client can speak over.
pub(crate) struct TlsWire(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl std::io::Read for TlsWire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::io::Write for TlsWire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Wire for TlsWire {
    fn set_patience(&self, at_most: Duration) -> std::io::Result<()> {
        self.0.sock.set_patience(at_most)
    }
}

/// An origin and an edge that speaks TLS.
pub(crate) struct TlsScene {
    pub(crate) origin: Origin,
    pub(crate) edge: Plimsoll,
    pub(crate) certified: Certified,
}

impl TlsScene {
    pub(crate) fn start(edge: &str, more: &str) -> Self {
        Self::start_with(false, edge, more)
    }

    /// One process, whose files the test changes.
    pub(crate) fn on_one_node() -> Self {
        Self::start_with(true, "", "")
    }

    fn start_with(one_node: bool, edge: &str, more: &str) -> Self {
        let (origin, certified) = (Origin::start().unwrap(), Certified::new());
        let edge = format!(
            "{edge}\n[edge.tls]\ncertificate_file = \"edge.pem\"\nkey_file = \"edge.key\"\n"
        );
        let edge = Plimsoll::start(&PlimsollOptions {
            manifest: Some(open_manifest(&origin.url(), &edge, "", more)),
            files: vec![
                ("edge.pem".into(), certified.certificate_pem.clone().into_bytes()),
                ("edge.key".into(), certified.key_pem.clone().into_bytes()),
            ],
            one_node,
            ..PlimsollOptions::default()
        })
        .unwrap();
        Self { origin, edge, certified }
    }

    /// HTTP/1.1 over TLS.
    pub(crate) fn client(&self) -> RawClient<TlsWire> {
        self.client_over(TcpStream::connect(self.edge.addr()).unwrap())
    }

    pub(crate) fn client_over(&self, stream: TcpStream) -> RawClient<TlsWire> {
        let config = client_config(&[&self.certified], &[b"http/1.1"]);
        let connection = ClientConnection::new(config, localhost()).unwrap();
        RawClient::over(TlsWire(StreamOwned::new(connection, stream)))
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.edge.addr()
    }
}
