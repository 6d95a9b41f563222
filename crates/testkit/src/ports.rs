//! Ports that nobody else takes before the test does.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
#[cfg(target_os = "linux")]
use std::os::unix::net::UnixListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the usual ephemeral range (32768 up), so that an outgoing connection of another test
/// cannot be given the port between the look and the use.
const FIRST: u16 = 10_240;
const LAST: u16 = 32_700;

static NEXT: AtomicU16 = AtomicU16::new(0);
#[cfg(target_os = "linux")]
static HELD: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// A TCP port of 127.0.0.1 that is free and that no other process using this function is given
/// while this one lives.
///
/// # Errors
/// When no port of the range is free, or the system refuses sockets.
pub fn free_port() -> io::Result<u16> {
    let span = LAST - FIRST;
    for _ in 0..span {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (seed().wrapping_add(step)) % span;
        if claim(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port between 10240 and 32700"))
}

/// [`free_port`] as an address of 127.0.0.1.
///
/// # Errors
/// As [`free_port`].
pub fn free_addr() -> io::Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)))
}

/// A bound and listening socket on 127.0.0.1, to be handed to a process (`LISTEN_FDS`).
///
/// # Errors
/// When the system refuses the socket.
pub fn loopback_listener() -> io::Result<TcpListener> {
    TcpListener::bind(free_addr()?)
}

/// Processes that start together must not all try the same ports in the same order.
fn seed() -> u16 {
    let pid = std::process::id();
    u16::try_from(pid.wrapping_mul(2_654_435_761) >> 16).unwrap_or(0)
}

/// An abstract socket is a lock that the kernel drops with the process and that leaves no file.
#[cfg(target_os = "linux")]
fn claim(port: u16) -> bool {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr as UnixAddr;
    let Ok(name) = UnixAddr::from_abstract_name(format!("plimsoll-test-port-{port}")) else {
        return false;
    };
    let Ok(lock) = UnixListener::bind_addr(&name) else {
        return false;
    };
    HELD.lock().is_ok_and(|mut held| {
        held.push(lock);
        true
    })
}

#[cfg(not(target_os = "linux"))]
fn claim(port: u16) -> bool {
    static HANDED_OUT: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    HANDED_OUT.lock().is_ok_and(|mut out| {
        let fresh = !out.contains(&port);
        out.push(port);
        fresh
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ports_are_distinct_and_bindable() {
        let ports: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 50);
        for port in ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
}
