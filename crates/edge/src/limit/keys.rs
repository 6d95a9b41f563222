//! The keys that limits count by.

use std::hash::Hasher;

use plimsoll_http_kit::forwarded::IpPrefix;
use siphasher::sip::SipHasher13;

use super::options::Per;

/// The keys of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The address prefix.
    pub(super) ip: u64,
    /// The caller.
    pub(super) caller: u64,
    /// The operation.
    pub(super) operation: u64,
}

impl Keys {
    pub(super) fn of(&self, per: Per) -> u64 {
        match per {
            Per::Ip => self.ip,
            Per::Caller => self.caller,
            Per::Operation => self.operation,
        }
    }
}

/// Makes keys: a keyed hash, so that nobody can choose an id that falls on another's. `SipHash` is
/// the same on every machine, so nodes with one seed agree on every key.
#[derive(Clone)]
pub struct KeyHasher(SipHasher13);

impl std::fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHasher(..)")
    }
}

impl KeyHasher {
    pub(super) fn new(seed: &[u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(seed))
    }

    /// The key of an address.
    #[must_use]
    pub fn ip(&self, prefix: IpPrefix) -> u64 {
        let domain = match prefix {
            IpPrefix::V4(_) => 1,
            IpPrefix::V6(_) => 2,
        };
        self.hash(domain, &[prefix.as_bytes()])
    }

    /// The key of a verified caller.
    #[must_use]
    pub fn verified(&self, issuer: &str, tenant: &str, subject: &str) -> u64 {
        self.hash(3, &[issuer.as_bytes(), tenant.as_bytes(), subject.as_bytes()])
    }

    /// The key of a caller who is known only by the credentials presented, verified by nobody here.
    #[must_use]
    pub fn credentials(&self, credentials: &[&[u8]]) -> u64 {
        self.hash(4, credentials)
    }

    /// The key of an installation that the edge signed.
    #[must_use]
    pub fn installation(&self, id: &[u8; 16]) -> u64 {
        self.hash(16, &[id])
    }

    /// The mark of a write: who writes what where.
    pub(crate) fn write(&self, parts: &[&[u8]]) -> u64 {
        self.hash(17, parts)
    }

    pub(super) fn operation(&self, id: Option<&str>) -> u64 {
        match id {
            Some(id) => self.hash(5, &[id.as_bytes()]),
            None => self.hash(6, &[]),
        }
    }

    /// What a limit is known by to nodes that share it: one whose figures differ is another limit.
    pub(super) fn limit(&self, described: &str) -> u64 {
        self.hash(7, &[described.as_bytes()])
    }

    /// The key of no caller, for trying limits.
    pub(super) fn of_nobody(&self) -> u64 {
        self.hash(8, &[])
    }

    /// Each part with its length, so that parts cannot run into each other.
    fn hash(&self, domain: u8, parts: &[&[u8]]) -> u64 {
        let mut hasher = self.0;
        hasher.write_u8(domain);
        for part in parts {
            // Bytes in one order, whatever the machine's is.
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let hasher = KeyHasher::new(&[1; 16]);
        assert_ne!(hasher.verified("a", "bc", "d"), hasher.verified("ab", "c", "d"));
        assert_ne!(hasher.credentials(&[b"a", b"b"]), hasher.credentials(&[b"ab"]));
        assert_ne!(hasher.credentials(&[b"createOrder"]), hasher.operation(Some("createOrder")));
        assert_ne!(hasher.operation(None), hasher.operation(Some("")));
        let other = KeyHasher::new(&[2; 16]);
        assert_ne!(hasher.verified("a", "b", "c"), other.verified("a", "b", "c"));
    }

    #[test]
    fn an_address_is_one_key_however_it_is_written() {
        let hasher = KeyHasher::new(&[1; 16]);
        let key = |text: &str| hasher.ip(text.parse::<std::net::IpAddr>().unwrap().into());
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::2"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
