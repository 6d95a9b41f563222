//! Route: which operation a request means, and so which policies and figures it falls under.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, header};
use plimsoll_http_kit::{Code, Problem};

use crate::config::{Config, Service};
use crate::cors;
use crate::exchange::Exchange;
use crate::router::{Match, Operation, PassthroughRoute};

/// What can be done with a document or a path of our own.
pub(crate) const READ_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Route<'c> {
    /// An operation of a contract.
    Operation(&'c Arc<Operation>),
    /// A declared prefix for long-lived exchanges.
    Passthrough(&'c Arc<PassthroughRoute>),
    /// `OPTIONS` that no contract names: to the backend, and without a token.
    Options { service: u16 },
    /// Passed on to a service that takes paths its contract does not name.
    Unknown { service: u16 },
    /// One of the edge's own documents.
    Document(&'c Bytes),
    /// A path of our own that a built-in service answers.
    Own(&'c Service),
}

impl Route<'_> {
    /// The index of the service, where there is one.
    pub(crate) fn service(self) -> Option<u16> {
        match self {
            Self::Operation(operation) => Some(operation.service),
            Self::Passthrough(route) => Some(route.service),
            Self::Options { service } | Self::Unknown { service } => Some(service),
            Self::Document(_) | Self::Own(_) => None,
        }
    }

    /// The service it goes to.
    pub(crate) fn destination<'s>(self, config: &'s Config) -> Option<&'s Service>
    where
        Self: 's,
    {
        match self {
            Self::Own(service) => Some(service),
            other => other.service().and_then(|index| config.service(index)),
        }
    }
}

/// Finds the route and names it in the exchange.
pub(crate) fn find<'c>(
    config: &'c Config,
    exchange: &mut Exchange,
    head: &Parts,
) -> Result<Route<'c>, Problem> {
    let path = head.uri.path();
    let route = match config.router.find(&head.method, path, &head.headers) {
        Match::Operation(operation) => {
            exchange.operation = Some(Arc::clone(&operation.id));
            exchange.audit = operation.audit;
            Route::Operation(operation)
        }
        Match::Passthrough(passthrough) => {
            exchange.operation = Some(Arc::clone(&passthrough.id));
            Route::Passthrough(passthrough)
        }
        // The edge's own documents give way to a contract, not to paths nobody named.
        other => match config.document(path) {
            Some((name, document)) => {
                exchange.operation = Some(Arc::clone(name));
                only_read(config, exchange, head)?;
                return Ok(Route::Document(document));
            }
            None => match own_route(config, exchange, head)? {
                Some(route) => route,
                None => unnamed(config, exchange, head, other)?,
            },
        },
    };
    if let Some(service) = route.destination(config) {
        name_service(exchange, service);
    }
    Ok(route)
}

/// A path that a built-in service answers.
fn own_route<'c>(
    config: &'c Config,
    exchange: &mut Exchange,
    head: &Parts,
) -> Result<Option<Route<'c>>, Problem> {
    let Some(own) = &config.own else { return Ok(None) };
    let Some(path) = own.find(head.uri.path()) else { return Ok(None) };
    exchange.operation = Some(Arc::clone(&path.name));
    only_read(config, exchange, head).map(|()| Some(Route::Own(&own.service)))
}

/// What the edge answers itself can be read, and a preflight asks whether it may be.
fn only_read(config: &Config, exchange: &Exchange, head: &Parts) -> Result<(), Problem> {
    let read = head.method == Method::GET || head.method == Method::HEAD;
    if read || cors::is_preflight(config, exchange.origin.as_ref(), head) {
        return Ok(());
    }
    Err(Problem::new(Code::MethodNotAllowed).with_header(header::ALLOW, READ_METHODS))
}

fn unnamed<'c>(
    config: &'c Config,
    exchange: &mut Exchange,
    head: &Parts,
    found: Match<'c>,
) -> Result<Route<'c>, Problem> {
    match found {
        Match::Options { service } => {
            name_shape(config, exchange, head, service);
            Ok(Route::Options { service })
        }
        Match::Unknown { service } => {
            name_shape(config, exchange, head, service);
            Ok(Route::Unknown { service })
        }
        Match::MethodNotAllowed { allow } => {
            let allow =
                HeaderValue::from_str(&allow.to_string()).unwrap_or(HeaderValue::from_static(""));
            Err(Problem::new(Code::MethodNotAllowed).with_header(header::ALLOW, allow))
        }
        // It never carries the header of a version, so that it means all of them.
        _ if cors::is_preflight(config, exchange.origin.as_ref(), head) => {
            let service = config.router.service_at(head.uri.path());
            let service = service.ok_or_else(|| Problem::new(Code::NotFound))?;
            name_shape(config, exchange, head, service);
            Ok(Route::Options { service })
        }
        _ => Err(Problem::new(Code::NotFound)),
    }
}

fn name_shape(config: &Config, exchange: &mut Exchange, head: &Parts, service: u16) {
    if let Some(routed) = config.router.service(service) {
        let name = routed.names.name(head.method.as_str(), head.uri.path());
        exchange.operation = Some(Arc::clone(name));
    }
}

pub(crate) fn name_service(exchange: &mut Exchange, service: &Service) {
    exchange.service = Some(Arc::clone(&service.name));
    exchange.release = Some(Arc::clone(&service.release.id));
}
