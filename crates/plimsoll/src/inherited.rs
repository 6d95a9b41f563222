//! Sockets from a supervisor (sd_listen_fds(3)).

use std::net::TcpListener;

/// The TCP sockets of `LISTEN_FDS`, in order; none when nothing was handed over to this process.
///
/// # Errors
/// Says which of the descriptors is no listening TCP socket.
pub(crate) fn sockets() -> Result<Vec<TcpListener>, String> {
    let mut handed_over = listenfd::ListenFd::from_env();
    (0..handed_over.len())
        .filter_map(|index| handed_over.take_tcp_listener(index).transpose())
        .enumerate()
        .map(|(index, socket)| {
            socket.map_err(|error| {
                format!("socket {index} of LISTEN_FDS is no listening TCP socket: {error}")
            })
        })
        .collect()
}
