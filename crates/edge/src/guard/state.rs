//! What is known of a client connection beside its bytes.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use plimsoll_base::Nanos;

/// What the service tells the guard about the connection. Shared between the two; all of it is
/// touched by one core only, so the atomics cost nothing but are `Send`.
#[derive(Debug, Default)]
pub(crate) struct ConnState {
    in_flight: AtomicU32,
    requests: AtomicU64,
    /// When the last request that ended did.
    ended: AtomicU64,
    multiplexed: AtomicBool,
    upgraded: AtomicBool,
    ambiguous: AtomicBool,
    unread: AtomicBool,
    idle_over: AtomicBool,
}

impl ConnState {
    /// A request's head is complete.
    pub(crate) fn request_begins(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.unread.store(false, Ordering::Relaxed);
    }

    /// A request's answer has been handed over whole, or given up.
    pub(crate) fn request_ends(&self, now: Nanos) {
        self.ended.store(now.0, Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// The connection speaks HTTP/2: bytes between requests are no head that trickles in.
    pub(crate) fn set_multiplexed(&self) {
        self.multiplexed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Ordering::Relaxed)
    }

    pub(super) fn set_ambiguous(&self) {
        self.ambiguous.store(true, Ordering::Relaxed);
    }

    /// When the last request that ended did.
    pub(super) fn ended(&self) -> Nanos {
        Nanos(self.ended.load(Ordering::Relaxed))
    }

    /// The connection left HTTP (WebSocket): its tunnel has limits of its own.
    pub(crate) fn set_upgraded(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    /// Whether the connection left HTTP.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Relaxed)
    }

    /// Whether a head on this connection stated its framing twice (see `framing`). Nothing that
    /// came with it can be told apart any more: every request is refused and the connection closed.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.ambiguous.load(Ordering::Relaxed)
    }

    /// An HTTP/2 connection was idle too long and has to say goodbye (RFC 9113 §6.8): a client that
    /// sends a request at this very moment then knows that it was not taken.
    pub(crate) fn is_idle_over(&self) -> bool {
        self.idle_over.load(Ordering::Relaxed)
    }

    /// If the connection closes before its next request, the client may still be sending.
    pub(crate) fn set_leaves_bytes_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    pub(super) fn leaves_bytes_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// The idle time is over. True when that was not known before.
    pub(super) fn idle_is_over(&self) -> bool {
        !self.idle_over.swap(true, Ordering::Relaxed)
    }

    /// Requests begun on this connection.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests whose answer is not complete.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }
}
