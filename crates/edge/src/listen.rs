//! Sockets: bound here, or inherited from a supervisor by the `LISTEN_FDS` protocol
//! (sd_listen_fds(3)), so that a successor takes over without a refused connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections the kernel may queue before they are accepted.
const BACKLOG: i32 = 4096;

/// A listening address with one socket a core.
#[derive(Debug)]
pub struct Listener {
    /// The address people connect to.
    pub address: SocketAddr,
    /// One socket a core. Inherited ones share one open file description, so that whoever accepts
    /// takes from the same queue; our own use `SO_REUSEPORT`, one queue a core.
    pub sockets: Vec<TcpListener>,
    /// True when the socket came from a supervisor and outlives this process.
    pub inherited: bool,
}

/// Why a port could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody listens there already.
    #[error("{address} is taken by {holder}; stop it, or choose another address with {flag}")]
    Busy {
        /// The address asked for.
        address: SocketAddr,
        /// Process name and id, as far as this user may see it.
        holder: String,
        /// The flag that names another address.
        flag: &'static str,
    },
    /// The system refused for another reason.
    #[error("cannot listen on {address}: {source}; choose another address with {flag}")]
    Refused {
        /// The address asked for.
        address: SocketAddr,
        /// The flag that names another address.
        flag: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl Listener {
    /// Binds `address` with `cores` sockets.
    ///
    /// A first bind without `SO_REUSEPORT` makes sure that nobody, another Plimsoll included,
    /// listens there already: two processes would share the traffic unnoticed.
    ///
    /// # Errors
    /// Names the process that holds the port, and the flag to use.
    pub fn bind(
        address: SocketAddr,
        cores: usize,
        flag: &'static str,
    ) -> Result<Self, ListenError> {
        let refusal = |source: io::Error| {
            if source.kind() == io::ErrorKind::AddrInUse {
                ListenError::Busy { address, holder: holder_of(address.port()), flag }
            } else {
                ListenError::Refused { address, flag, source }
            }
        };
        let probe = socket(address, false).map_err(refusal)?;
        let bound = probe.local_addr().map_err(refusal)?;
        drop(probe);
        let sockets = (0..cores.max(1))
            .map(|_| socket(bound, true))
            .collect::<io::Result<Vec<_>>>()
            .map_err(refusal)?;
        Ok(Self { address: bound, sockets, inherited: false })
    }

    /// Takes over a socket that a supervisor opened: every core accepts from the same queue.
    ///
    /// # Errors
    /// The system's reason, when the descriptor cannot be shared.
    pub fn inherit(socket: TcpListener, cores: usize) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let mut sockets = (1..cores).map(|_| socket.try_clone()).collect::<io::Result<Vec<_>>>()?;
        sockets.push(socket);
        Ok(Self { address, sockets, inherited: true })
    }
}

fn socket(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a run that just ended linger; they must not keep the next from starting.
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Which process listens on `port`, in words, from /proc (Linux).
fn holder_of(port: u16) -> String {
    let Some(inode) = listening_inode(port) else { return "another process".to_owned() };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        let files = std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let holds = files
            .into_iter()
            .any(|file| std::fs::metadata(file.path()).is_ok_and(|meta| meta.ino() == inode));
        if holds {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return format!("`{}` (pid {pid})", name.trim());
        }
    }
    "a process of another user".to_owned()
}

fn listening_inode(port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let text = std::fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let local = fields.get(1)?.rsplit(':').next()?;
            let here = u16::from_str_radix(local, 16).ok()? == port && fields.get(3)? == &LISTEN;
            if here { fields.get(9)?.parse().ok() } else { None }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_holder_and_the_flag() {
        let first = Listener::bind("127.0.0.1:0".parse().unwrap(), 2, "--listen").unwrap();
        assert_eq!(first.sockets.len(), 2);
        let error = Listener::bind(first.address, 1, "--listen").unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        assert!(error.contains("--listen"), "{error}");
    }

    #[test]
    fn inherited_sockets_share_one_queue() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = Listener::inherit(socket, 3).unwrap();
        assert!(listener.inherited);
        let addresses: Vec<_> = listener.sockets.iter().map(|s| s.local_addr().unwrap()).collect();
        assert_eq!(addresses, vec![listener.address; 3]);
    }
}
