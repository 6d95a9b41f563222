//! The breakers before operations, and what is answered while one is open. Breakers are kept over
//! reloads as long as their operation stands in the contract.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use plimsoll_manifest::{Breaker, Manifest};
use plimsoll_snapshot::OperationName;

use super::{Config, ConfigError, ConfigInput};
use crate::router::{Operation, Router};
use crate::upstream::{Circuit, Pace, Trip};

/// The largest document that stands in for an answer, bytes.
const FALLBACK_BYTES_MAX: usize = 1024 * 1024;

/// The breaker before one operation.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) circuit: Arc<Circuit>,
    /// What it is told to do once this configuration is in force.
    pub(crate) trip: Trip,
    /// The operation that stands in for it.
    pub(crate) operation: Option<Arc<Operation>>,
    /// Media type and document that stand in for an answer.
    pub(crate) document: Option<(HeaderValue, Bytes)>,
}

/// By the operation's index.
pub(super) fn guards(
    input: &ConfigInput,
    router: &Router,
    cores: usize,
    before: Option<&Config>,
) -> Result<Vec<Option<Guard>>, ConfigError> {
    let known: HashMap<(&str, &str), &Arc<Circuit>> = before
        .into_iter()
        .flat_map(|before| before.router.operations().iter().zip(&before.guards))
        .filter_map(|(operation, guard)| Some((name(operation), &guard.as_ref()?.circuit)))
        .collect();
    let guard = |operation: &Arc<Operation>| {
        let Some(section) = section(&input.manifest, operation) else { return Ok(None) };
        let trip = trip(&section);
        let circuit = known
            .get(&name(operation))
            .map_or_else(|| Arc::new(Circuit::new(trip, cores)), |circuit| Arc::clone(circuit));
        let document = match &operation.fallback_file {
            Some(file) => Some(read(&input.base.join(file))?),
            None => None,
        };
        let other = match &operation.fallback_operation {
            Some(named) => Some(find(router, named)?),
            None => None,
        };
        Ok(Some(Guard { circuit, trip, operation: other, document }))
    };
    router.operations().iter().map(guard).collect()
}

/// By the operation's index, how fast it is answered.
pub(super) fn paces(router: &Router, before: Option<&Config>) -> Vec<Option<Arc<Pace>>> {
    let known: HashMap<(&str, &str), &Arc<Pace>> = before
        .into_iter()
        .flat_map(|before| before.router.operations().iter().zip(&before.paces))
        .filter_map(|(operation, pace)| Some((name(operation), pace.as_ref()?)))
        .collect();
    let pace = |operation: &Arc<Operation>| {
        let known = known.get(&name(operation)).map(|pace| Arc::clone(pace));
        operation.hedge.then(|| known.unwrap_or_default())
    };
    router.operations().iter().map(pace).collect()
}

fn name(operation: &Operation) -> (&str, &str) {
    (&operation.service_name, &operation.id)
}

fn find(router: &Router, named: &OperationName) -> Result<Arc<Operation>, ConfigError> {
    let is_it = |operation: &&Arc<Operation>| {
        *operation.service_name == *named.service && *operation.id == *named.id
    };
    let found = router.operations().iter().find(is_it);
    found.cloned().ok_or_else(|| ConfigError::NoFallback(named.id.clone()))
}

fn section(manifest: &Manifest, operation: &Operation) -> Option<Breaker> {
    let of_service = manifest.service(&operation.service_name)?.breaker.clone();
    match operation.breaker {
        Some(false) => None,
        Some(true) => Some(of_service.unwrap_or_default()),
        None => of_service,
    }
}

fn trip(section: &Breaker) -> Trip {
    Trip {
        consecutive: section.consecutive_failures,
        success_percent_min: section.success_percent_min,
        requests_min: section.requests_min,
        window: section.window.0,
        open: section.open.0,
        open_max: section.open_max.0,
        slow_start: section.slow_start.0,
        poor_in_row: true,
    }
}

/// What opens the breaker of one URL: `[service.ejection]`, and the share of `[service.breaker]`.
pub(super) fn url_trip(service: &plimsoll_manifest::Service) -> Trip {
    let ejection = &service.ejection;
    let breaker = service.breaker.as_ref();
    Trip {
        consecutive: ejection.consecutive_failures,
        success_percent_min: breaker.map_or(0, |breaker| breaker.success_percent_min),
        requests_min: breaker.map_or(1, |breaker| breaker.requests_min),
        window: breaker.map_or(Trip::NEVER.window, |breaker| breaker.window.0),
        open: ejection.duration.0,
        open_max: ejection.duration_max.0,
        slow_start: breaker.map_or(Duration::ZERO, |breaker| breaker.slow_start.0),
        poor_in_row: false,
    }
}

fn read(path: &Path) -> Result<(HeaderValue, Bytes), ConfigError> {
    let fault = |why: String| ConfigError::Fallback { file: path.display().to_string(), why };
    let bytes = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
    if bytes.len() > FALLBACK_BYTES_MAX {
        return Err(fault(format!("it is larger than {FALLBACK_BYTES_MAX} bytes")));
    }
    let kind = match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("html") => "text/html; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    Ok((HeaderValue::from_static(kind), bytes.into()))
}
