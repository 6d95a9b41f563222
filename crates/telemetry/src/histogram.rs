//! Latency buckets: log-linear in decades, with one edge exactly at the objective.

use std::time::Duration;

/// Steps within a decade. Neighbouring edges lie at most 25 % apart, so a value read from a bucket
/// is off by at most that, and by half of it on average. The decimal steps make every exposed
/// boundary an edge, so that what is exposed is exact.
const STEPS: [u64; 16] =
    [100, 120, 140, 160, 180, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 900];
/// Decades from 100 microseconds to 100 seconds.
const DECADES: u32 = 6;
/// The first edge, in nanoseconds, is 100 microseconds.
const UNIT_NS: u64 = 1_000;
/// Every edge, the objective's own among them when it lies between two others.
const EDGES_MAX: usize = STEPS.len() * DECADES as usize + 2;
/// Buckets: one up to each edge, one beyond the last.
pub(crate) const BUCKETS: usize = EDGES_MAX + 1;

/// Boundaries that are exposed beside the objective, in milliseconds.
const EXPOSED_MS: [u64; 12] = [5, 10, 25, 50, 100, 200, 300, 500, 1_000, 2_000, 5_000, 10_000];
/// Exposed boundaries with the objective's own.
pub(crate) const EXPOSED_MAX: usize = EXPOSED_MS.len() + 1;

/// Of these, the ones that are exposed by device model, where there are many series.
const FEW_MS: [u64; 8] = [50, 100, 200, 300, 500, 1_000, 2_000, 5_000];

/// A cell of the look-up grid is one of eight equal parts of a power of two: 12.5 % wide at most,
/// so that finding a bucket takes a shift and two or three comparisons.
const GRID: usize = 64 * 8;

/// Which latency falls in which bucket. A bucket holds what is at most its edge, as Prometheus's
/// `le` does.
#[derive(Debug)]
pub(crate) struct Layout {
    edges_ns: Vec<u64>,
    grid: [u8; GRID],
    exposed_ns: Vec<u64>,
    /// For each bucket the first exposed boundary that holds it; `exposed_ns.len()` for `+Inf`.
    exposed_of: [u8; BUCKETS],
    objective_ns: u64,
}

impl Layout {
    pub(crate) fn new(objective: Duration) -> Self {
        let objective_ns = nanos(objective).max(1);
        let mut edges_ns: Vec<u64> = (0..DECADES)
            .flat_map(|decade| STEPS.map(|step| step * UNIT_NS * 10u64.pow(decade)))
            .collect();
        edges_ns.push(STEPS[0] * UNIT_NS * 10u64.pow(DECADES));
        edges_ns.push(objective_ns);
        let mut exposed_ns: Vec<u64> = EXPOSED_MS.iter().map(|ms| ms * 1_000_000).collect();
        exposed_ns.push(objective_ns);
        for list in [&mut edges_ns, &mut exposed_ns] {
            list.sort_unstable();
            list.dedup();
        }
        let mut layout =
            Self { edges_ns, grid: [0; GRID], exposed_ns, exposed_of: [0; BUCKETS], objective_ns };
        for cell in 0..GRID {
            layout.grid[cell] = small(first_holding(&layout.edges_ns, cell_floor(cell)));
        }
        for bucket in 0..BUCKETS {
            let edge = layout.edges_ns.get(bucket).copied().unwrap_or(u64::MAX);
            layout.exposed_of[bucket] = small(first_holding(&layout.exposed_ns, edge));
        }
        layout
    }

    /// The bucket of a latency in nanoseconds.
    #[inline]
    pub(crate) fn bucket(&self, ns: u64) -> usize {
        let mut bucket = usize::from(self.grid[cell(ns)]);
        while self.edges_ns.get(bucket).is_some_and(|edge| ns > *edge) {
            bucket += 1;
        }
        bucket
    }

    #[inline]
    pub(crate) fn within_objective(&self, ns: u64) -> bool {
        ns <= self.objective_ns
    }

    pub(crate) fn objective_ns(&self) -> u64 {
        self.objective_ns
    }

    /// The exposed boundaries in nanoseconds, ascending, without `+Inf`.
    pub(crate) fn exposed_ns(&self) -> &[u64] {
        &self.exposed_ns
    }

    /// The few boundaries of a device model's series in nanoseconds, the objective among them.
    pub(crate) fn few_ns(&self) -> Vec<u64> {
        self.exposed_ns.iter().copied().filter(|ns| self.is_of_few(*ns)).collect()
    }

    /// Counts by exposed boundary, not cumulative, as counts by the few; `+Inf` last.
    pub(crate) fn few(&self, exposed: &[u64; EXPOSED_MAX + 1]) -> Vec<u64> {
        let mut few = Vec::with_capacity(FEW_MS.len() + 2);
        let mut sum = 0;
        for (index, count) in exposed.iter().enumerate() {
            sum += count;
            if self.exposed_ns.get(index).is_some_and(|ns| self.is_of_few(*ns)) {
                few.push(std::mem::take(&mut sum));
            }
        }
        few.push(sum);
        few
    }

    fn is_of_few(&self, ns: u64) -> bool {
        ns == self.objective_ns || FEW_MS.iter().any(|ms| ms * 1_000_000 == ns)
    }

    /// The exposed bucket a fine bucket lies in; the number of boundaries for `+Inf`.
    pub(crate) fn exposed_bucket(&self, bucket: usize) -> usize {
        usize::from(self.exposed_of[bucket])
    }

    /// The nearest-rank quantile in seconds, interpolated inside its bucket; none without values.
    /// Beyond the last edge it is that edge: at least 100 s.
    pub(crate) fn quantile(&self, counts: &[u64; BUCKETS], q: f64) -> Option<f64> {
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * total as f64).ceil() as u64).clamp(1, total);
        let mut below = 0;
        for (bucket, count) in counts.iter().enumerate() {
            if below + count >= rank {
                return Some(self.interpolate(bucket, rank - below, *count));
            }
            below += count;
        }
        None
    }

    fn interpolate(&self, bucket: usize, rank: u64, count: u64) -> f64 {
        let floor = if bucket == 0 { 0 } else { self.edges_ns[bucket - 1] };
        let edge = self.edges_ns.get(bucket).copied().unwrap_or(floor);
        let part = rank as f64 / count as f64;
        ((edge - floor) as f64).mul_add(part, floor as f64) / 1e9
    }
}

/// The first edge that holds a value: `edges.len()` when none does.
fn first_holding(edges: &[u64], value: u64) -> usize {
    edges.partition_point(|edge| *edge < value)
}

/// A duration in nanoseconds, 584 years at most.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn small(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX)
}

#[inline]
fn cell(ns: u64) -> usize {
    if ns < 8 {
        return 0;
    }
    let octave = 63 - ns.leading_zeros();
    let part = (ns >> (octave - 3)) & 7;
    (octave as usize) * 8 + part as usize
}

/// The smallest value of a cell. Values below 8 ns share the first.
fn cell_floor(cell: usize) -> u64 {
    let octave = cell / 8;
    if octave < 3 { 0 } else { (8 + (cell as u64 % 8)) << (octave - 3) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout() -> Layout {
        Layout::new(Duration::from_millis(300))
    }

    #[test]
    fn the_objective_is_an_edge_to_the_nanosecond() {
        for ms in [1, 37, 300, 333, 99_999, 200_000] {
            let layout = Layout::new(Duration::from_millis(ms));
            let at = ms * 1_000_000;
            assert_ne!(layout.bucket(at), layout.bucket(at + 1), "{ms}");
            assert!(layout.within_objective(at) && !layout.within_objective(at + 1));
            assert!(layout.exposed_ns().contains(&at));
            let edge = layout.exposed_ns()[layout.exposed_bucket(layout.bucket(at))];
            assert_eq!(edge, at);
        }
    }

    #[test]
    fn every_exposed_boundary_is_an_edge() {
        let layout = layout();
        for boundary in layout.exposed_ns() {
            assert!(layout.edges_ns.contains(boundary), "{boundary}");
        }
        assert!(layout.edges_ns.len() <= EDGES_MAX && layout.exposed_ns.len() <= EXPOSED_MAX);
        for pair in layout.edges_ns.windows(2) {
            assert!(pair[1] * 4 <= pair[0] * 5, "{pair:?} lie more than 25 % apart");
        }
    }

    #[test]
    fn the_few_boundaries_hold_the_objective_and_lose_no_count() {
        for ms in [7, 300, 450, 20_000] {
            let layout = Layout::new(Duration::from_millis(ms));
            let few_ns = layout.few_ns();
            assert!(few_ns.contains(&(ms * 1_000_000)) && few_ns.len() <= FEW_MS.len() + 1);
            let mut exposed = [0; EXPOSED_MAX + 1];
            for (index, count) in exposed.iter_mut().take(layout.exposed_ns.len() + 1).enumerate() {
                *count = 1 << index;
            }
            let few = layout.few(&exposed);
            assert_eq!(few.len(), few_ns.len() + 1);
            assert_eq!(few.iter().sum::<u64>(), exposed.iter().sum::<u64>());
            let all = layout.exposed_ns.iter().zip(exposed);
            let below = all.filter(|(ns, _)| **ns <= few_ns[0]).map(|(_, count)| count);
            assert_eq!(few[0], below.sum::<u64>());
        }
    }

    #[test]
    fn extremes_have_a_bucket() {
        let layout = layout();
        assert_eq!(layout.bucket(0), 0);
        assert_eq!(layout.bucket(u64::MAX), layout.edges_ns.len());
        assert_eq!(layout.exposed_bucket(layout.bucket(u64::MAX)), layout.exposed_ns.len());
        assert_eq!(layout.quantile(&[0; BUCKETS], 0.5), None);
        let mut counts = [0; BUCKETS];
        counts[layout.bucket(u64::MAX)] = 1;
        assert_eq!(layout.quantile(&counts, 0.5), Some(100.0));
    }

    proptest! {
        #[test]
        fn a_bucket_is_the_first_whose_edge_holds_the_value(
            ns in prop_oneof![any::<u64>(), 0u64..200_000_000_000],
            objective in 1u64..100_000,
        ) {
            let layout = Layout::new(Duration::from_millis(objective));
            let expected = layout.edges_ns.partition_point(|edge| *edge < ns);
            prop_assert_eq!(layout.bucket(ns), expected);
        }

        #[test]
        fn quantiles_are_right_within_their_bucket(
            mut values in prop::collection::vec(1_000u64..100_000_000_000, 1..400),
            q in 0.0f64..=1.0,
        ) {
            let layout = layout();
            let mut counts = [0; BUCKETS];
            for value in &values {
                counts[layout.bucket(*value)] += 1;
            }
            values.sort_unstable();
            let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1] as f64 / 1e9;
            let estimate = layout.quantile(&counts, q).unwrap();
            // The first bucket reaches down to zero: 100 microseconds is its error.
            let allowed = (exact * 0.25).max(0.000_1) + 1e-12;
            prop_assert!((estimate - exact).abs() <= allowed, "{estimate} for {exact}");
        }
    }
}
