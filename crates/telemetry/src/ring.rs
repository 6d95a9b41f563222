//! The last five minutes, second by second, small enough to keep.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::histogram::BUCKETS;
use crate::label::OTHER;
use crate::registry::{Family, Key};
use crate::sample::Platform;
use crate::shard::Counts;

/// Seconds kept.
pub(crate) const SECONDS_MAX: usize = 300;
/// Operations told apart within a second; the rest count as `other`.
const OPERATIONS_MAX: usize = 256;
/// Device models told apart within a second; the rest count as `other`.
const DEVICE_MODELS_MAX: usize = 128;

/// Figures added up.
#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub(crate) classes: [u64; 5],
    pub(crate) within_objective: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_saved: u64,
    pub(crate) buckets: [u64; BUCKETS],
}

impl Default for Aggregate {
    fn default() -> Self {
        Self {
            classes: [0; 5],
            within_objective: 0,
            bytes_in: 0,
            bytes_out: 0,
            bytes_saved: 0,
            buckets: [0; BUCKETS],
        }
    }
}

impl Aggregate {
    pub(crate) fn add(&mut self, counts: &Counts) {
        for (sum, more) in self.classes.iter_mut().zip(counts.classes) {
            *sum += u64::from(more);
        }
        for (sum, more) in self.buckets.iter_mut().zip(counts.buckets) {
            *sum += u64::from(more);
        }
        self.within_objective += u64::from(counts.within_objective);
        self.bytes_in = self.bytes_in.saturating_add(counts.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(counts.bytes_out);
        self.bytes_saved = self.bytes_saved.saturating_add(counts.bytes_saved);
    }

    pub(crate) fn add_packed(&mut self, packed: &Packed) {
        for (sum, more) in self.classes.iter_mut().zip(packed.classes) {
            *sum += more;
        }
        for (bucket, more) in &packed.buckets {
            self.buckets[usize::from(*bucket)] += more;
        }
        self.within_objective += packed.within_objective;
        self.bytes_in = self.bytes_in.saturating_add(packed.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(packed.bytes_out);
        self.bytes_saved = self.bytes_saved.saturating_add(packed.bytes_saved);
    }

    pub(crate) fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }

    fn pack(&self) -> Packed {
        let used = self.buckets.iter().zip(0..).filter(|(count, _)| **count > 0);
        Packed {
            classes: self.classes,
            within_objective: self.within_objective,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            bytes_saved: self.bytes_saved,
            buckets: used.map(|(count, bucket)| (bucket, *count)).collect(),
        }
    }
}

/// The same, with only the buckets that hold something.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    classes: [u64; 5],
    within_objective: u64,
    bytes_in: u64,
    bytes_out: u64,
    bytes_saved: u64,
    buckets: Box<[(u8, u64)]>,
}

/// Names an operation: its service and its id.
pub(crate) type OperationName = (Arc<str>, Arc<str>);

/// What was counted since the last tick.
#[derive(Debug, Default)]
pub(crate) struct Current {
    operations: HashMap<OperationName, Box<Aggregate>>,
    platforms: [Aggregate; Platform::ALL.len()],
    device_models: HashMap<Arc<str>, Box<Aggregate>>,
}

impl Current {
    pub(crate) fn add(&mut self, key: &Key, counts: &Counts) {
        match key.family {
            Family::Requests => {
                let name = (Arc::clone(&key.service), Arc::clone(&key.operation));
                let other = || (OTHER.into(), OTHER.into());
                bounded(&mut self.operations, name, OPERATIONS_MAX, other).add(counts);
                self.platforms[key.platform as usize].add(counts);
            }
            Family::Devices => {
                let model = Arc::clone(&key.detail);
                bounded(&mut self.device_models, model, DEVICE_MODELS_MAX, || OTHER.into())
                    .add(counts);
            }
        }
    }

    /// Packs what was counted and starts anew.
    pub(crate) fn take(&mut self, elapsed: Duration, load: Load) -> Slice {
        let mut total = Aggregate::default();
        let mut platforms = Vec::new();
        for (platform, figures) in Platform::ALL.into_iter().zip(&mut self.platforms) {
            if figures.requests() > 0 {
                let packed = std::mem::take(figures).pack();
                total.add_packed(&packed);
                platforms.push((platform, packed));
            }
        }
        let operations = self.operations.drain().map(|(name, sum)| (name, sum.pack()));
        let device_models = self.device_models.drain().map(|(name, sum)| (name, sum.pack()));
        Slice {
            elapsed,
            load,
            total: total.pack(),
            operations: operations.collect(),
            platforms: platforms.into(),
            device_models: device_models.collect(),
        }
    }
}

fn bounded<K: std::hash::Hash + Eq>(
    map: &mut HashMap<K, Box<Aggregate>>,
    key: K,
    max: usize,
    other: impl FnOnce() -> K,
) -> &mut Aggregate {
    let key = if map.len() < max || map.contains_key(&key) { key } else { other() };
    map.entry(key).or_default()
}

/// What was open at the end of a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) connections_open: u64,
    pub(crate) requests_in_flight: u64,
}

/// One second, or what passed between two ticks.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) elapsed: Duration,
    pub(crate) load: Load,
    pub(crate) total: Packed,
    pub(crate) operations: Box<[(OperationName, Packed)]>,
    pub(crate) platforms: Box<[(Platform, Packed)]>,
    pub(crate) device_models: Box<[(Arc<str>, Packed)]>,
}

/// The slices kept, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    slices: VecDeque<Slice>,
}

impl Ring {
    pub(crate) fn push(&mut self, slice: Slice) {
        if self.slices.len() >= SECONDS_MAX {
            self.slices.pop_front();
        }
        self.slices.push_back(slice);
    }

    /// Newest first, the slices that come nearest to covering `window`: one at least, and no
    /// further one for the few microseconds by which ticks are never quite a second apart.
    pub(crate) fn within(&self, window: Duration) -> impl Iterator<Item = &Slice> {
        let mut covered = Duration::ZERO;
        self.slices.iter().rev().take_while(move |slice| {
            let wanted = covered.is_zero() || covered + slice.elapsed / 2 <= window;
            covered += slice.elapsed;
            wanted
        })
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &Slice> {
        self.slices.iter()
    }
}
