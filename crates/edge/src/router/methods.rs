//! The request methods as bits, so that "which methods does this path have" needs no allocation.

use std::fmt;

use http::{HeaderValue, Method};

/// The methods that a contract can name, in the order in which `Allow` lists them.
const METHODS: [(Methods, Method); 8] = [
    (Methods(1), Method::GET),
    (Methods(2), Method::HEAD),
    (Methods(4), Method::POST),
    (Methods(8), Method::PUT),
    (Methods(16), Method::PATCH),
    (Methods(32), Method::DELETE),
    (Methods(64), Method::OPTIONS),
    (Methods(128), Method::TRACE),
];

/// A set of request methods; as text it is the value of an `Allow` field (RFC 9110 §10.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Methods(u8);

impl Methods {
    pub(super) const GET: Self = Self(1);
    pub(super) const HEAD: Self = Self(2);
    pub(super) const OPTIONS: Self = Self(64);

    /// The set of one method; empty for a method that no contract can name.
    #[must_use]
    pub fn of(method: &Method) -> Self {
        METHODS.iter().find(|(_, known)| known == method).map_or(Self(0), |(set, _)| *set)
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the two sets share a method.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What to answer a client that used another method: `HEAD` is allowed wherever `GET` is, and
    /// `OPTIONS` everywhere, because it goes to the backend.
    #[must_use]
    pub const fn allowed(self) -> Self {
        let head = if self.intersects(Self::GET) { Self::HEAD } else { Self(0) };
        self.union(head).union(Self::OPTIONS)
    }

    /// The set as the value of an `Allow` field. It allocates: only for the answer that needs it.
    #[must_use]
    pub fn header_value(self) -> HeaderValue {
        // Method names are always a valid field value; an empty one says "none", which is true.
        HeaderValue::try_from(self.to_string()).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (set, method) in &METHODS {
            if self.intersects(*set) {
                write!(f, "{separator}{method}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_names_what_the_edge_answers_too() {
        let declared = Methods::of(&Method::GET).union(Methods::of(&Method::DELETE));
        assert_eq!(declared.allowed().header_value(), "GET, HEAD, DELETE, OPTIONS");
        assert_eq!(Methods::of(&Method::POST).allowed().to_string(), "POST, OPTIONS");
    }

    #[test]
    fn a_method_of_ones_own_is_none() {
        let purge = Method::from_bytes(b"PURGE").unwrap();
        assert!(Methods::of(&purge).is_empty());
        assert!(Methods::of(&Method::CONNECT).is_empty());
    }
}
