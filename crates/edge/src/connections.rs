//! How many connections may be open, in all and from one address. Carriers put thousands behind
//! one IPv4 address, so the bound per address is high and requests have limits of their own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plimsoll_http_kit::forwarded::IpPrefix;
use plimsoll_telemetry::ConnectionRefusal;

use crate::config::Bounds;

type Counts = HashMap<IpPrefix, u32, ahash::RandomState>;

/// Connections open now, in all and by client address.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: AtomicU32,
    by_ip: [Mutex<Counts>; BY_IP_SHARDS],
}

const BY_IP_SHARDS: usize = 16;

/// A place among the open connections; given back when dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    connections: Arc<Connections>,
    counted: Option<IpPrefix>,
}

impl Connections {
    pub(crate) fn admit(
        self: &Arc<Self>,
        ip: IpAddr,
        exempt: bool,
        bounds: &Bounds,
    ) -> Result<Admitted, ConnectionRefusal> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= bounds.connections_max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(ConnectionRefusal::Total);
        }
        let mut admitted = Admitted { connections: Arc::clone(self), counted: None };
        if !exempt {
            let prefix = IpPrefix::from(ip);
            let mut shard = self.shard(prefix);
            let count = shard.entry(prefix).or_insert(0);
            if *count >= bounds.connections_per_ip_max {
                return Err(ConnectionRefusal::PerIp);
            }
            *count += 1;
            admitted.counted = Some(prefix);
        }
        Ok(admitted)
    }

    /// A place that no bound applies to.
    pub(crate) fn admit_always(self: &Arc<Self>) -> Admitted {
        self.open.fetch_add(1, Ordering::Relaxed);
        Admitted { connections: Arc::clone(self), counted: None }
    }

    fn shard(&self, prefix: IpPrefix) -> MutexGuard<'_, Counts> {
        let last = prefix.as_bytes().last().copied().unwrap_or(0);
        let shard = &self.by_ip[usize::from(last) % BY_IP_SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(prefix) = self.counted {
            let mut shard = self.connections.shard(prefix);
            if let Some(count) = shard.get_mut(&prefix) {
                *count -= 1;
                if *count == 0 {
                    shard.remove(&prefix);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_in_all_and_by_address_and_given_back() {
        let bounds =
            Bounds { connections_max: 3, connections_per_ip_max: 2, ..Bounds::for_tests() };
        let connections = Arc::new(Connections::default());
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = connections.admit(a, false, &bounds).unwrap();
        let second = connections.admit(a, false, &bounds).unwrap();
        assert_eq!(connections.admit(a, false, &bounds).unwrap_err(), ConnectionRefusal::PerIp);
        let third = connections.admit(b, false, &bounds).unwrap();
        assert_eq!(connections.admit(b, false, &bounds).unwrap_err(), ConnectionRefusal::Total);
        assert_eq!(connections.open(), 3);
        drop((first, second, third));
        assert_eq!(connections.open(), 0);
        assert!(connections.by_ip.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn one_subscriber_of_ipv6_is_one_address() {
        let bounds = Bounds { connections_per_ip_max: 1, ..Bounds::for_tests() };
        let connections = Arc::new(Connections::default());
        let of = |text: &str| connections.admit(text.parse().unwrap(), false, &bounds);
        let _kept = of("2001:db8:0:1::1").unwrap();
        assert_eq!(of("2001:db8:0:1:ffff::2").unwrap_err(), ConnectionRefusal::PerIp);
        assert!(of("2001:db8:0:2::1").is_ok());
    }

    #[test]
    fn an_exempt_address_counts_only_in_all() {
        let bounds =
            Bounds { connections_max: 3, connections_per_ip_max: 1, ..Bounds::for_tests() };
        let connections = Arc::new(Connections::default());
        let ip = "127.0.0.1".parse().unwrap();
        let kept: Vec<_> = (0..3).map(|_| connections.admit(ip, true, &bounds).unwrap()).collect();
        assert!(connections.admit(ip, true, &bounds).is_err());
        drop(kept);
    }
}
