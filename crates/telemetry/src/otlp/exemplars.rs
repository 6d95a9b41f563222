//! One request as an example for each latency series: the slowest that was kept since figures were
//! last exported. Made by the exporter from the spans it collects, so that a core does nothing.

use std::collections::HashMap;
use std::time::Duration;

use crate::histogram::nanos;
use crate::otlp::keep::{Detail, KeptSpan};
use crate::registry::{Family, KeyRef, Registry, SeriesId};
use crate::sample::Platform;

/// Series with an example in one export; a further one goes without.
pub const EXEMPLARS_MAX: usize = 4_096;

/// One request of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exemplar {
    pub(crate) trace: [u8; 16],
    /// The edge's own span of the request.
    pub(crate) span: [u8; 8],
    /// When it was over, in nanoseconds since 1970-01-01T00:00:00Z.
    pub(crate) unix_ns: u64,
    pub(crate) latency: Duration,
}

/// By series.
#[derive(Debug, Default)]
pub(crate) struct Exemplars(HashMap<SeriesId, Exemplar>);

impl Exemplars {
    pub(crate) fn note(&mut self, kept: &[KeptSpan], registry: &Registry) {
        for span in kept {
            let Some(detail) = &span.detail else { continue };
            let exemplar = Exemplar {
                trace: span.trace.trace_id().bytes(),
                span: detail.span,
                unix_ns: detail
                    .started_unix_ms
                    .saturating_mul(1_000_000)
                    .saturating_add(nanos(detail.latency)),
                latency: detail.latency,
            };
            for key in keys(span, detail) {
                // Under which series a request without one of its own counted is not looked for.
                if let Some(id) = registry.find(&key) {
                    self.slowest(id, exemplar);
                }
            }
        }
    }

    fn slowest(&mut self, id: SeriesId, exemplar: Exemplar) {
        let room = self.0.len() < EXEMPLARS_MAX;
        match self.0.get_mut(&id) {
            Some(known) if known.latency < exemplar.latency => *known = exemplar,
            Some(_) => {}
            None if room => drop(self.0.insert(id, exemplar)),
            None => {}
        }
    }

    pub(crate) fn get(&self, id: SeriesId) -> Option<&Exemplar> {
        self.0.get(&id)
    }
}

/// The request's series in both families.
fn keys<'a>(span: &'a KeptSpan, detail: &'a Detail) -> [KeyRef<'a>; 2] {
    let requests = KeyRef {
        family: Family::Requests,
        service: &span.service,
        operation: &span.operation,
        release: &detail.release,
        platform: detail.platform,
        detail: &detail.app_version,
        shared: None,
    };
    let devices = KeyRef {
        family: Family::Devices,
        release: "",
        platform: Platform::Unknown,
        detail: &detail.device_model,
        ..requests
    };
    [requests, devices]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exemplar(ms: u64) -> Exemplar {
        Exemplar { trace: [1; 16], span: [2; 8], unix_ns: ms, latency: Duration::from_millis(ms) }
    }

    #[test]
    fn the_slowest_of_a_series_stays_and_the_number_of_series_is_bounded() {
        let mut exemplars = Exemplars::default();
        for ms in [3, 9, 5] {
            exemplars.slowest(7, exemplar(ms));
        }
        assert_eq!(exemplars.get(7), Some(&exemplar(9)));
        for id in 0..SeriesId::try_from(EXEMPLARS_MAX).unwrap() + 100 {
            exemplars.slowest(id, exemplar(1));
        }
        assert_eq!(exemplars.0.len(), EXEMPLARS_MAX);
        exemplars.slowest(7, exemplar(10));
        assert_eq!(exemplars.get(7), Some(&exemplar(10)), "one that is there can still change");
    }
}
