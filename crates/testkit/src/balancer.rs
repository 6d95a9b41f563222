//! A TCP balancer: each new connection goes to the next node, bytes as they are.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::ports::loopback_listener;

/// A running balancer; what it carries is cut when it is dropped.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Balancer {
    /// Starts one in front of `nodes`.
    ///
    /// # Errors
    /// When the system refuses a socket or a thread.
    pub fn start(nodes: Vec<SocketAddr>) -> io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let socket = loopback_listener()?;
        let address = socket.local_addr()?;
        socket.set_nonblocking(true)?;
        let entered = runtime.enter();
        let listener = TcpListener::from_std(socket)?;
        drop(entered);
        runtime.spawn(accept(listener, Arc::from(nodes)));
        Ok(Self { address, runtime: Some(runtime) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, nodes: Arc<[SocketAddr]>) {
    let mut connections = JoinSet::new();
    for next in 0.. {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        connections.spawn(carry(client, nodes[next % nodes.len()]));
    }
}

/// A half that ends is ended on the other side, and the other half goes on: what a node answered
/// before it stopped reading still arrives. A reset is passed on as one.
async fn carry(mut client: TcpStream, node: SocketAddr) {
    let Ok(mut server) = TcpStream::connect(node).await else {
        reset(&client);
        return;
    };
    let plain = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let (up, down) = tokio::join!(pass(from_client, to_server), pass(from_server, to_client));
    if plain.and(up).and(down).is_err() {
        reset(&client);
        reset(&server);
    }
}

async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
    let passed = tokio::io::copy(&mut from, &mut to).await.map(drop);
    passed.and(to.shutdown().await)
}

fn reset(stream: &TcpStream) {
    // The connection is at its end either way.
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).ok();
}
