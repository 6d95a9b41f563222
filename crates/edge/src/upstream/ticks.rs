//! How many of something there were in the last ticks, on one core. What is counted on the way of
//! every request takes no lock: each core writes its own counts, and whoever wants to know adds
//! them up.

use std::sync::atomic::{AtomicU64, Ordering};

/// Ticks that are looked back to.
pub(super) const TICKS: u64 = 10;

/// Places for ticks; more than are looked back to, so that an old one is never read as a new one.
pub(super) const SLOTS: usize = 16;

const MASK: u64 = u32::MAX as u64;

/// Counts of one core by tick: the tick's number above, the count below.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Ticks([AtomicU64; SLOTS]);

impl Ticks {
    /// One of each core.
    pub(super) fn of_cores(cores: usize) -> Box<[Self]> {
        (0..cores.max(1)).map(|_| Self::default()).collect()
    }

    /// One more. Only the core itself calls this.
    pub(super) fn note(&self, tick: u64) {
        let tick = tick.wrapping_add(TICKS);
        let slot = &self.0[slot(tick)];
        let held = slot.load(Ordering::Relaxed);
        let count = if held >> 32 == tick & MASK { held & MASK } else { 0 };
        slot.store((tick & MASK) << 32 | (count + 1).min(MASK), Ordering::Relaxed);
    }

    /// How many there were in the tick and those before it.
    pub(super) fn of_late(&self, tick: u64) -> u64 {
        let tick = tick.wrapping_add(TICKS);
        let slots = self.0.iter().map(|slot| slot.load(Ordering::Relaxed));
        let recent = slots.filter(|held| (tick & MASK).wrapping_sub(held >> 32) & MASK < TICKS);
        recent.map(|held| held & MASK).sum()
    }
}

/// The same under a lock, for what is rare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts([(u64, u32); SLOTS]);

impl Counts {
    pub(super) fn note(&mut self, tick: u64) {
        let tick = tick.wrapping_add(TICKS);
        let slot = &mut self.0[slot(tick)];
        if slot.0 != tick {
            *slot = (tick, 0);
        }
        slot.1 = slot.1.saturating_add(1);
    }

    pub(super) fn of_late(&self, tick: u64) -> u32 {
        let tick = tick.wrapping_add(TICKS);
        let recent = self.0.iter().filter(|(at, _)| tick.saturating_sub(*at) < TICKS);
        recent.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

fn slot(tick: u64) -> usize {
    (tick % SLOTS as u64) as usize
}
