//! A TCP relay between a process and what it depends on, to be cut and mended.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections that were made so far and may still be open.
const KEPT_MAX: usize = 4_096;

/// A relay on a port of its own to a Unix socket; it ends with the test.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cut: bool,
    ended: bool,
    open: Vec<(TcpStream, UnixStream)>,
}

impl Relay {
    /// A relay to that socket.
    ///
    /// # Errors
    /// When the system refuses a port.
    pub fn to(target: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared { target: target.to_owned(), state: Mutex::default() });
        let serving = Arc::clone(&shared);
        std::thread::Builder::new().name("relay".to_owned()).spawn(move || {
            for client in listener.incoming().flatten() {
                if !serving.take(client) {
                    return;
                }
            }
        })?;
        Ok(Self { addr, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends every connection, and each new one at once, until it is mended.
    pub fn cut(&self) {
        let mut state = self.shared.state();
        state.cut = true;
        state.end_all();
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.shared.state().cut = false;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ended = true;
        state.end_all();
        drop(state);
        // Wakes the thread that accepts; when it is gone already, so much the better.
        drop(TcpStream::connect(self.addr));
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Relays a connection; false when the relay has ended.
    fn take(&self, client: TcpStream) -> bool {
        let mut state = self.state();
        if state.ended {
            return false;
        }
        if state.cut || state.open.len() >= KEPT_MAX {
            return true;
        }
        // What cannot be relayed is closed: the client sees that.
        if let Ok(open) = relay(client, &self.target) {
            state.open.push(open);
        }
        true
    }
}

impl State {
    fn end_all(&mut self) {
        for (client, target) in self.open.drain(..) {
            // Ended already is as good.
            client.shutdown(Shutdown::Both).ok();
            target.shutdown(Shutdown::Both).ok();
        }
    }
}

fn relay(client: TcpStream, target: &Path) -> io::Result<(TcpStream, UnixStream)> {
    client.set_nodelay(true)?;
    let target = UnixStream::connect(target)?;
    let kept = (client.try_clone()?, target.try_clone()?);
    let (mut from_client, mut to_target) = (client.try_clone()?, target.try_clone()?);
    let (mut to_client, mut from_target) = (client, target);
    std::thread::Builder::new().name("relay-up".to_owned()).spawn(move || {
        io::copy(&mut from_client, &mut to_target).ok();
        to_target.shutdown(Shutdown::Write).ok();
    })?;
    std::thread::Builder::new().name("relay-down".to_owned()).spawn(move || {
        io::copy(&mut from_target, &mut to_client).ok();
        to_client.shutdown(Shutdown::Both).ok();
    })?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn says_back(addr: SocketAddr) -> io::Result<u8> {
        let mut stream = TcpStream::connect(addr)?;
        stream.write_all(b"x")?;
        let mut byte = [0];
        stream.read_exact(&mut byte).map(|()| byte[0])
    }

    #[test]
    fn bytes_pass_until_it_is_cut_and_again_when_it_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut byte = [0];
                if stream.read_exact(&mut byte).is_ok() {
                    stream.write_all(&byte).ok();
                }
            }
        });
        let relay = Relay::to(&path).unwrap();
        assert_eq!(says_back(relay.addr()).unwrap(), b'x');
        let mut open = TcpStream::connect(relay.addr()).unwrap();
        relay.cut();
        assert!(says_back(relay.addr()).is_err());
        assert!(matches!(open.read(&mut [0]), Ok(0) | Err(_)), "it is ended, not left hanging");
        relay.mend();
        assert_eq!(says_back(relay.addr()).unwrap(), b'x');
    }
}
