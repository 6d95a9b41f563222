//! The certificate is replaced while the edge runs.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::client::Client;
use crate::bodies::tools::{SECOND, Watch};
use crate::slow::{Certified, TlsScene, client_config, localhost};

/// The certificate that a new connection is greeted with.
async fn greeted_with(addr: SocketAddr, trusted: &[&Certified]) -> CertificateDer<'static> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let config = client_config(trusted, &[b"h2"]);
    let stream = TlsConnector::from(config).connect(localhost(), stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// As a renewal does it: each file in one step.
fn replace(folder: &Path, name: &str, text: &str) {
    let new = folder.join(format!("{name}.new"));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join(name)).unwrap();
}

#[tokio::test]
async fn a_new_certificate_greets_new_connections_and_old_ones_go_on() {
    let scene = TlsScene::on_one_node();
    let (old, new) = (&scene.certified, Certified::new());
    let both = [old, &new];
    let mut kept = Client::secure(scene.addr(), client_config(&[old], &[b"h2"])).await;
    assert_eq!(kept.get("/x", &[]).await.unwrap().status, 200);
    // A request that is under way while the files change.
    let under_way = super::client::get("/x", &[("x-script", "delay=2500;body=100")]);
    let (response, _stream) = kept.open(under_way, true).await.unwrap();

    // Half of the pair alone is not usable: the old one stays.
    replace(scene.edge.work_dir(), "edge.pem", &new.certificate_pem);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(greeted_with(scene.addr(), &both).await, old.der);
    replace(scene.edge.work_dir(), "edge.key", &new.key_pem);
    let watch = Watch::start();
    while greeted_with(scene.addr(), &both).await != new.der {
        assert!(
            watch.read() < 10 * SECOND,
            "the new certificate is not in use: {}",
            scene.edge.stderr()
        );
        tokio::time::sleep(SECOND / 20).await;
    }
    println!("new certificate in use after {:?}", watch.read());
    let answer = super::client::read(response.await.unwrap()).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 100));
    assert_eq!(kept.get("/x", &[]).await.unwrap().status, 200, "the old connection goes on");

    // A file that holds no certificate is refused, and everything goes on.
    replace(scene.edge.work_dir(), "edge.pem", "no certificate");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(greeted_with(scene.addr(), &both).await, new.der);
    assert_eq!(kept.get("/x", &[]).await.unwrap().status, 200);
    let refused = scene.edge.metric("plimsoll_reloads_total{outcome=\"refused\"}").unwrap();
    assert!(refused.is_some_and(|count| count >= 2.0), "{refused:?}");
}
