//! Rehearsals: whether the running edge does what it is there for, tried without a client.
//!
//! A rehearsed request goes through [`stack::enter`], the same function in the same configuration
//! as every client's, on a core and a connection that nobody else uses. It is never forwarded,
//! audited, counted or charged to a limit. Limits are tried by a key that is nobody's.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Request, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use plimsoll_base::{Nanos, SharedClock};
use plimsoll_http_kit::Code;
use plimsoll_snapshot::Security;
use plimsoll_snapshot::template::{Piece, Segment, Template};
use tokio::sync::watch;

use crate::compress::CompressionTried;
use crate::config::Config;
use crate::conn::ConnContext;
use crate::core::{Core, Phase, Shared};
use crate::exchange::Exchange;
use crate::limit::Per;
use crate::router::{Match, Operation};
use crate::stack;
use crate::upstream::{Circuit, Outcome, Trip};

/// What stands in a rehearsed path where a parameter is.
const PARAMETER: &str = "rehearsal";

/// What became of a rehearsed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsed {
    /// It would have gone on towards its service.
    LetIn,
    /// It was refused for want of credentials.
    Refused,
    /// It never came to that: another route took it, or it was refused for another reason.
    Elsewhere,
}

/// What rehearsed requests pass through.
#[derive(Debug)]
pub(crate) struct Rehearsal(Arc<ConnContext>);

impl Rehearsal {
    pub(crate) fn new(
        running: &Shared,
        clock: &SharedClock,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let core = Core::for_rehearsals(running, clock, phase);
        Self(Arc::new(ConnContext::for_rehearsals(core)))
    }

    /// Lets go of the configuration before: a core that nobody asks would keep it, and with it the
    /// connections of its pools.
    pub(crate) fn follow(&self) {
        drop(self.0.core.config());
    }

    pub(crate) fn compress(&self, config: &Config) -> CompressionTried {
        CompressionTried::of(config, &self.0)
    }

    pub(crate) async fn ask(&self, config: &Config, operation: &Operation) -> Rehearsed {
        let Some(head) = head(config, operation) else { return Rehearsed::Elsewhere };
        let found = config.router.find(&head.method, head.uri.path(), &head.headers);
        if !matches!(found, Match::Operation(found) if found.index == operation.index) {
            return Rehearsed::Elsewhere;
        }
        let mut exchange = Exchange::begin(&self.0, &head);
        match stack::enter(&self.0, config, &mut exchange, &head).await {
            Ok(_) => Rehearsed::LetIn,
            Err(problem) if problem.code() == Code::TokenMissing => Rehearsed::Refused,
            Err(_) => Rehearsed::Elsewhere,
        }
    }
}

/// A request's head that this operation answers, without credentials.
fn head(config: &Config, operation: &Operation) -> Option<Parts> {
    let template = Template::parse(&operation.template).ok()?;
    let mut request = Request::builder()
        .method(&operation.method)
        .uri(path(&template))
        .header(header::HOST, HeaderValue::from_static("localhost"));
    let service = config.router.service(operation.service)?;
    if let Some((name, value)) = service.version_header() {
        request = request.header(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// A path that this operation answers.
pub(crate) fn target(operation: &Operation) -> Option<String> {
    Template::parse(&operation.template).ok().map(|template| path(&template))
}

fn path(template: &Template) -> String {
    let mut path = String::new();
    for segment in template.segments() {
        path.push('/');
        match segment {
            Segment::Literal(text) => path.extend(percent_encode(text, &ESCAPED)),
            Segment::Parameter => path.push_str(PARAMETER),
            Segment::Mixed(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Literal(text) => path.extend(percent_encode(text, &ESCAPED)),
                        Piece::Parameter => path.push_str(PARAMETER),
                    }
                }
            }
        }
    }
    path
}

/// What no segment holds as it is (RFC 3986 §3.3); the router compares decoded.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=');

/// What trying every limit came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitsTried {
    /// The limits there are.
    pub limits: usize,
    /// Those that count each caller apart.
    pub per_caller: usize,
    /// Those that count each address apart.
    pub per_ip: usize,
    /// Those that let pass what is too much, by name.
    pub silent: Vec<String>,
    /// The operations there are.
    pub operations: usize,
    /// Those that some callers may call as often as they like, as `GET /orders/{id}`.
    pub unlimited: Vec<String>,
}

impl LimitsTried {
    pub(crate) fn of(config: &Config, now: Nanos) -> Self {
        let (limits, operations) = (&config.limits, config.router.operations());
        let mut silent = BTreeSet::new();
        let mut unlimited = Vec::new();
        for operation in operations.iter().map(|o| &**o).map(Some).chain([None]) {
            let of = limits.policies_for(operation.map(|operation| operation.index));
            for set in [of.by_ip, of.by_caller] {
                silent.extend(limits.silent(set, now));
            }
            // Limits by address do not apply to who shows a good token.
            let open = |operation: &Operation| matches!(operation.security, Security::Public);
            if let Some(operation) = operation
                && of.by_caller.is_empty()
                && (of.by_ip.is_empty() || !open(operation))
            {
                unlimited.push(format!("{} {}", operation.method, operation.template));
            }
        }
        let name =
            |index| limits.named().nth(index).map_or_else(String::new, |(name, _)| name.into());
        let per = |wanted| limits.named().filter(|(_, per)| *per == wanted).count();
        Self {
            limits: limits.named().count(),
            per_caller: per(Per::Caller),
            per_ip: per(Per::Ip),
            silent: silent.into_iter().map(name).collect(),
            operations: operations.len(),
            unlimited,
        }
    }
}

/// Failures that a trial breaker sees at most.
const TRIAL_MAX: usize = 10_000;

/// What trying breakers like those of every service came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BreakersTried {
    /// The services there are.
    pub services: usize,
    /// Those that go on being asked while everything fails, by name.
    pub unbroken: Vec<String>,
}

impl BreakersTried {
    pub(crate) fn of(config: &Config) -> Self {
        let services = config.router.services();
        let breaks = |index: usize| {
            let operations = config.router.operations().iter().zip(&config.guards);
            let mut of_service = operations.filter(|(o, _)| usize::from(o.service) == index);
            of_service.any(|(_, guard)| guard.as_ref().is_some_and(|guard| opens(guard.trip)))
        };
        let named = services.iter().enumerate();
        let unbroken = named.filter(|(index, _)| !breaks(*index));
        Self {
            services: services.len(),
            unbroken: unbroken.map(|(_, service)| service.name.to_string()).collect(),
        }
    }
}

/// Whether a breaker that sees nothing but failures stops what it stands before.
fn opens(trip: Trip) -> bool {
    let (circuit, now) = (Circuit::new(trip, 1), Nanos(1));
    (0..TRIAL_MAX).any(|_| {
        circuit.ended(0, Outcome::Failed, now, || now);
        circuit.admits(now, || 0).is_err()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_made_that_the_template_matches() {
        for (template, made) in [
            ("/", "/"),
            ("/orders/{id}", "/orders/rehearsal"),
            ("/a/{x}.json", "/a/rehearsal.json"),
            ("/caf%C3%A9/{a}..{b}/", "/caf%C3%A9/rehearsal..rehearsal/"),
        ] {
            assert_eq!(path(&Template::parse(template).unwrap()), made);
        }
    }
}
