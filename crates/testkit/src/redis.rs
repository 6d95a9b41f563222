//! A real Redis in a process of its own, to be killed and started again.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plimsoll_base::{Clock as _, Deadline, SystemClock};
use tempfile::TempDir;

use crate::ports::free_addr;

const UP_WITHIN: Duration = Duration::from_secs(5);

/// A running `redis-server` that keeps nothing on disk; killed when it is dropped.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    address: SocketAddr,
    place: TempDir,
}

impl RedisServer {
    /// Starts it on a free port and waits until it accepts connections.
    ///
    /// # Errors
    /// When there is no `redis-server` (package `redis-server`), or it does not start.
    pub fn start() -> io::Result<Self> {
        let (address, place) = (free_addr()?, tempfile::tempdir()?);
        let child = spawn(address, place.path())?;
        Ok(Self { child, address, place })
    }

    /// What `REDIS_URL` says of it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Kills it (SIGKILL), with all it remembers.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Starts it again on the same port, empty.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        self.child = spawn(self.address, self.place.path())?;
        Ok(())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Already ended is as good.
        self.kill().ok();
    }
}

fn spawn(address: SocketAddr, place: &Path) -> io::Result<Child> {
    let mut child = Command::new("redis-server")
        .args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(place)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("redis-server: {error}")))?;
    let clock = SystemClock::new();
    let deadline = Deadline::after(clock.now(), UP_WITHIN);
    while TcpStream::connect(address).is_err() {
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("redis-server ended: {status}")));
        }
        if deadline.left(clock.now()).is_zero() {
            child.kill()?;
            return Err(io::Error::other("redis-server does not accept connections"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(child)
}
