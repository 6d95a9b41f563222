//! From a method and a path to the operation they mean.
//!
//! **What wins.** Templates are compared segment by segment: literal text before a mix of text and
//! parameters (the more text, the earlier) before a parameter alone, with backtracking: with
//! `/a/b/c` and `/a/{x}/d` in the table, `/a/b/d` is the second. The method belongs to the match:
//! where `/users/me` has only `GET`, `DELETE /users/me` is `DELETE /users/{id}` if that exists.
//! Only when no matching template has the method is the answer 405, with the methods of all of
//! them in `Allow`.
//!
//! **Paths are compared decoded, segments are split raw.** `%6F` is `o` to every backend, so it is
//! to the router; else `/%6Frders` would slip past the policies of `/orders` wherever unknown
//! paths are passed on. `%2F` never separates segments: it is a byte inside one, and matches
//! only parameters. The path itself is not changed. A trailing slash counts: `/orders/` is not
//! `/orders`. A parameter never matches an empty segment.
//!
//! **Versions.** A service with a path prefix has it in its templates. A service with a version
//! header is asked first, by requests that carry the header with its value, and by no others. A
//! CORS preflight never carries it and is answered for all versions ([`Router::service_at`]).
//!
//! **What no template matches**, in order: `[[passthrough]]` prefixes, then the service that owns
//! the path, if it passes unknown paths on. `HEAD` is answered wherever `GET` is. `OPTIONS` is
//! never 405: it goes to the backend that owns the path.
//!
//! **An operation wins over a passthrough, whatever the request says of itself.** If a header such
//! as `Accept: text/event-stream` could choose, every client could choose, and with it lay off the
//! operation's scopes, limits, bounds and audit. An operation below a passthrough of its own
//! service may be opened as a WebSocket where that carries them ([`Router::kinds_at`]), by its own
//! policies.
//!
//! A lookup allocates nothing. Its cost is proportional to the path's length; [`tree`] states the
//! bound on backtracking.

mod build;
mod methods;
mod options;
#[cfg(test)]
mod oracle;
mod overlaps;
mod segment;
#[cfg(test)]
mod tests;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method};
use plimsoll_snapshot::{
    Audit, CacheRoute, Criticality, Idempotency, NamelessNames, OperationName, RetryRule, Security,
};

pub use methods::Methods;
pub use options::{Kinds, PassthroughOptions, RouterFault, RouterOptions};
pub use overlaps::Overlap;

use tree::{Seen, Tree};

/// An operation as the edge acts on it. Tables beside the router go by `index`.
#[derive(Debug)]
pub struct Operation {
    /// Position in [`Router::operations`].
    pub index: u32,
    /// The operation's id, unique inside its service.
    pub id: Arc<str>,
    /// Position of its service in [`Router::services`] and in the manifest.
    pub service: u16,
    /// The service's name.
    pub service_name: Arc<str>,
    /// The method.
    pub method: Method,
    /// The whole path template, e.g. `/v1/orders/{id}`.
    pub template: Arc<str>,
    /// What a caller must show.
    pub security: Security,
    /// Units that one call counts as where a limit counts cost.
    pub cost: u32,
    /// Refused while it is not known which tokens were revoked of late.
    pub revocation_strict: bool,
    /// What may be sent again although the service may have had it, if not the service's rule.
    pub retries: Option<RetryRule>,
    /// A read that is slower than nearly all others is asked for a second time.
    pub hedge: bool,
    /// Whether a breaker stands before it, if not where its service has one.
    pub breaker: Option<bool>,
    /// Whether it takes a slot of its service's admission, if not where its service has one.
    pub admission: Option<bool>,
    /// What it counts as when not everybody can be answered.
    pub criticality: Criticality,
    /// The document that stands in for an answer while it is open.
    pub fallback_file: Option<PathBuf>,
    /// The operation that stands in for it before that.
    pub fallback_operation: Option<OperationName>,
    /// Every call leaves an entry in the ledger.
    pub audit: Option<Audit>,
    /// Whether answers are compressed, where the operation has a word of its own.
    pub compression: Option<bool>,
    /// What a key makes of it.
    pub idempotency: Idempotency,
    /// How its answers are kept.
    pub cache: CacheRoute,
    /// Largest request body in bytes, if the operation has a bound of its own.
    pub body_bytes_max: Option<u64>,
    /// Time for the whole exchange with the backend, if the operation has one of its own.
    pub total_timeout: Option<Duration>,
}

/// A prefix for long-lived exchanges.
#[derive(Debug)]
pub struct PassthroughRoute {
    /// Position in [`Router::passthroughs`].
    pub index: u32,
    /// What figures and logs call it: the prefix and `/*`.
    pub id: Arc<str>,
    /// The prefix without a trailing slash; empty for the root.
    pub prefix: Arc<str>,
    /// Position of its service.
    pub service: u16,
    /// The service's name.
    pub service_name: Arc<str>,
    /// What passes here.
    pub kinds: Kinds,
    /// What a caller must show.
    pub security: Security,
}

/// A service as the router sees it.
#[derive(Debug)]
pub struct RoutedService {
    /// The service's name.
    pub name: Arc<str>,
    /// Its version prefix, without a trailing slash.
    pub prefix: Option<Arc<str>>,
    /// Whether it has a contract.
    pub has_contract: bool,
    /// Whether paths that its contract does not name are passed on.
    pub pass_unknown: bool,
    /// Names for those.
    pub names: NamelessNames,
    header: Option<(HeaderName, Box<[u8]>)>,
}

impl RoutedService {
    /// Whether a request says which version of the API it means, by prefix or header.
    #[must_use]
    pub fn is_versioned(&self) -> bool {
        self.prefix.is_some() || self.header.is_some()
    }

    /// The header by which a request means this service, with its value.
    pub(crate) fn version_header(&self) -> Option<(&HeaderName, &[u8])> {
        self.header.as_ref().map(|(name, value)| (name, &**value))
    }
}

/// What a request means.
#[derive(Debug, Clone, Copy)]
pub enum Match<'r> {
    /// An operation.
    Operation(&'r Arc<Operation>),
    /// A request below a prefix for long-lived exchanges that no operation answers.
    Passthrough(&'r Arc<PassthroughRoute>),
    /// `OPTIONS` that no contract names, on a path that this service owns: it goes to the backend,
    /// and a CORS preflight needs no token.
    Options {
        /// The service's index.
        service: u16,
    },
    /// A path or method that no contract names, passed on to this service.
    Unknown {
        /// The service's index.
        service: u16,
    },
    /// Nothing owns the path: 404.
    NotFound,
    /// The path exists, the method does not: 405.
    MethodNotAllowed {
        /// What `Allow` says.
        allow: Methods,
    },
}

/// The route table, ready to be asked. Immutable: a reload builds another one.
#[derive(Debug)]
pub struct Router {
    services: Vec<RoutedService>,
    operations: Vec<Arc<Operation>>,
    passthroughs: Vec<Arc<PassthroughRoute>>,
    /// Operations of services without a version header.
    tree: Tree,
    /// Operations of services with one, a tree for each header and value.
    versions: Vec<HeaderVersion>,
    /// Indices of services by path prefix, the longest first.
    by_prefix: Vec<u16>,
}

#[derive(Debug)]
struct HeaderVersion {
    header: HeaderName,
    value: Box<[u8]>,
    tree: Tree,
}

impl Router {
    /// What a request means. `path` is the path of the request target, without the query, as it
    /// was received; anything is accepted.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str, headers: &HeaderMap) -> Match<'_> {
        let wanted = Methods::of(method);
        let path = path.as_bytes();
        let mut seen = Seen::default();
        for version in self.versions.iter().filter(|version| version.is_meant_by(headers)) {
            let (found, here) = version.tree.find(wanted, path);
            if let Some(operation) = found {
                return Match::Operation(operation);
            }
            seen = seen.or(here);
        }
        let (found, here) = self.tree.find(wanted, path);
        if let Some(operation) = found {
            return Match::Operation(operation);
        }
        self.unnamed(wanted, path, headers, seen.or(here))
    }

    /// Every operation, in the order of its index.
    #[must_use]
    pub fn operations(&self) -> &[Arc<Operation>] {
        &self.operations
    }

    /// Every passthrough, in the order of its index.
    #[must_use]
    pub fn passthroughs(&self) -> &[Arc<PassthroughRoute>] {
        &self.passthroughs
    }

    /// Every service, in the manifest's order.
    #[must_use]
    pub fn services(&self) -> &[RoutedService] {
        &self.services
    }

    /// The service with that index.
    #[must_use]
    pub fn service(&self, index: u16) -> Option<&RoutedService> {
        self.services.get(usize::from(index))
    }

    /// No operation has this method and path: who gets the request, if anybody?
    fn unnamed(&self, wanted: Methods, path: &[u8], headers: &HeaderMap, seen: Seen) -> Match<'_> {
        let options = wanted == Methods::OPTIONS;
        match self.passthrough(path) {
            Some(route) if options => {
                return Match::Options { service: route.service };
            }
            Some(route) => return Match::Passthrough(route),
            None => {}
        }
        if let Some(service) = seen.owner {
            return match self.service(service) {
                _ if options => Match::Options { service },
                Some(owner) if owner.pass_unknown => Match::Unknown { service },
                _ => Match::MethodNotAllowed { allow: seen.methods.allowed() },
            };
        }
        match self.owner(path, |name, value| carries(headers, name, value)) {
            Some(service) if options => Match::Options { service },
            Some(service) => Match::Unknown { service },
            None => Match::NotFound,
        }
    }

    /// The service to which a path goes that no template matches. The longest version prefix owns
    /// it outright; else it is the first service, those with a version header that the request
    /// `carries` before those without a version, that passes unknown paths on.
    fn owner(&self, path: &[u8], carries: impl Fn(&HeaderName, &[u8]) -> bool) -> Option<u16> {
        if path.first() != Some(&b'/') {
            return None;
        }
        for &index in &self.by_prefix {
            let service = self.service(index)?;
            let prefix = service.prefix.as_deref()?;
            if segment::after_prefix(prefix.as_bytes(), path).is_some() {
                return service.pass_unknown.then_some(index);
            }
        }
        let passing = |(_, service): &(u16, &RoutedService)| service.pass_unknown;
        let numbered = || (0u16..).zip(&self.services).filter(passing);
        let named = numbered().find(|(_, service)| {
            service.header.as_ref().is_some_and(|(name, value)| carries(name, value))
        });
        let plain =
            || numbered().find(|(_, service)| service.header.is_none() && service.prefix.is_none());
        named.or_else(plain).map(|(index, _)| index)
    }

    /// Every method that operations have on this path, of whatever version.
    #[must_use]
    pub fn methods_at(&self, path: &str) -> Methods {
        self.seen_at(path).methods
    }

    /// The service that has or takes this path, of whatever version: for a request that cannot
    /// carry the header of one, such as a CORS preflight.
    #[must_use]
    pub fn service_at(&self, path: &str) -> Option<u16> {
        self.seen_at(path).owner.or_else(|| self.owner(path.as_bytes(), |_, _| true))
    }

    fn seen_at(&self, path: &str) -> Seen {
        let trees = self.versions.iter().map(|version| &version.tree).chain([&self.tree]);
        let at = |tree: &Tree| tree.find(Methods::default(), path.as_bytes()).1;
        trees.map(at).fold(Seen::default(), Seen::or)
    }

    /// Whether this service also gets methods on this path that no operation has.
    #[must_use]
    pub fn takes_any(&self, service: u16, path: &str) -> bool {
        self.passthrough(path.as_bytes()).is_some_and(|route| route.service == service)
            || self.service(service).is_some_and(|service| service.pass_unknown)
    }

    /// What is declared above an operation of `service` on this path: the kinds of the passthrough,
    /// where that leads to the same service.
    #[must_use]
    pub fn kinds_at(&self, path: &str, service: u16) -> Kinds {
        let above = self.passthrough(path.as_bytes());
        above.filter(|route| route.service == service).map_or(Kinds::default(), |route| route.kinds)
    }

    /// The passthrough that a path lies below: the one with the longest prefix.
    fn passthrough(&self, path: &[u8]) -> Option<&Arc<PassthroughRoute>> {
        self.passthroughs.iter().find(|route| {
            path.first() == Some(&b'/')
                && segment::after_prefix(route.prefix.as_bytes(), path).is_some()
        })
    }
}

impl HeaderVersion {
    fn is_meant_by(&self, headers: &HeaderMap) -> bool {
        carries(headers, &self.header, &self.value)
    }
}

/// Whether a request carries a header with exactly this value. One that carries the header twice
/// with different values says nothing: the backend might read the other one.
fn carries(headers: &HeaderMap, name: &HeaderName, value: &[u8]) -> bool {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek().is_some() && values.all(|held| held.as_bytes() == value)
}

impl Seen {
    /// What was seen before counts first.
    fn or(self, later: Self) -> Self {
        Self { methods: self.methods.union(later.methods), owner: self.owner.or(later.owner) }
    }
}
