//! Who waits for a slot, and who is next.
//!
//! Four classes share what becomes free by deficit round robin: each may take its weight a round,
//! the higher ones first, and what one does not need the others have (work-conserving). Inside a
//! class first tries go before those that come again, and callers take turns, hashed into a bounded
//! number of buckets, so that nobody has more of the queue's service by asking more often.
//!
//! Places are shared by the same weights. Whoever arrives at a full queue takes the place of the
//! newest request, of the bucket that has most, of the lowest class that has more than its share;
//! a critical request never goes for another class, and else there is no place.
//!
//! A class whose queue never ran empty for `interval` is *standing*: more comes than is served.
//! Then the newest goes first and nobody waits longer than `target`; before, the oldest goes first
//! and nobody waits longer than `interval` (CoDel's two figures and adaptive LIFO as in B. Maurer,
//! "Fail at Scale", ACM Queue 13(8), 2015).

use std::collections::VecDeque;
use std::time::Duration;

use plimsoll_base::Nanos;
use plimsoll_snapshot::Criticality;

/// What each class may take of a round, from the highest.
pub(super) const WEIGHTS: [u32; CLASSES] = [64, 16, 4, 1];

pub(super) const CLASSES: usize = Criticality::ALL.len();

/// Callers of a class that take turns.
pub(super) const BUCKETS: usize = 64;

/// First tries, and those that come again.
const TIERS: usize = 2;

const NONE: u32 = u32::MAX;

/// How long the queue may make somebody wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    pub(crate) target: Duration,
    pub(crate) interval: Duration,
}

/// How a request waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) class: Criticality,
    pub(super) again: bool,
    /// A hash of the caller.
    pub(super) caller: u64,
    pub(super) arrived: Nanos,
    /// When it is too late to begin.
    pub(super) latest: Nanos,
}

impl Waiting {
    fn tier(&self) -> usize {
        usize::from(self.again)
    }

    fn bucket(&self) -> usize {
        (self.caller % BUCKETS as u64) as usize
    }
}

/// A place in the queue; it is not another's once it was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    index: u32,
    stamp: u32,
}

#[derive(Debug)]
struct Entry<T> {
    waiting: Waiting,
    what: T,
    turn: Links,
    age: Links,
}

#[derive(Debug)]
struct Cell<T> {
    stamp: u32,
    entry: Option<Entry<T>>,
}

#[derive(Debug, Clone, Copy)]
struct Links {
    before: u32,
    after: u32,
}

/// A list through the cells, oldest first.
#[derive(Debug, Clone, Copy)]
struct List {
    oldest: u32,
    newest: u32,
    len: u32,
}

impl List {
    const EMPTY: Self = Self { oldest: NONE, newest: NONE, len: 0 };
}

/// Which of an entry's two lists.
#[derive(Debug, Clone, Copy)]
enum Thread {
    /// Its bucket's.
    Turn,
    /// Its class's.
    Age,
}

#[derive(Debug)]
struct Tier {
    buckets: Box<[List]>,
    /// Buckets that are not empty, in the order of their turns.
    turns: VecDeque<u8>,
}

#[derive(Debug)]
struct Class {
    tiers: [Tier; TIERS],
    age: List,
    credit: u32,
    /// When it was last empty.
    empty: Nanos,
}

/// Why somebody was taken out without a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// It waited as long as anybody may.
    TooLong,
    /// There is no time left for it.
    TooLate,
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Queue<T> {
    cells: Vec<Cell<T>>,
    free: Vec<u32>,
    classes: [Class; CLASSES],
    len: u32,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let tier = || Tier { buckets: vec![List::EMPTY; BUCKETS].into(), turns: VecDeque::new() };
        let class = |weight| Class {
            tiers: [tier(), tier()],
            age: List::EMPTY,
            credit: weight,
            empty: Nanos(0),
        };
        Self { cells: Vec::new(), free: Vec::new(), classes: WEIGHTS.map(class), len: 0 }
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// How many of a class wait.
    pub(super) fn len_of(&self, class: Criticality) -> u32 {
        self.classes[class.index()].age.len
    }

    /// How long the one that waits longest has waited.
    pub(super) fn longest(&self, now: Nanos) -> Duration {
        let oldest = |class: &Class| Some(now.since(self.entry(class.age.oldest)?.waiting.arrived));
        self.classes.iter().filter_map(oldest).max().unwrap_or_default()
    }

    /// How long nobody of a class waits longer than.
    pub(super) fn patience(&self, class: Criticality, patience: Patience, now: Nanos) -> Duration {
        match self.is_standing(class.index(), patience, now) {
            true => patience.target.min(patience.interval),
            false => patience.interval,
        }
    }

    fn is_standing(&self, class: usize, patience: Patience, now: Nanos) -> bool {
        let class = &self.classes[class];
        class.age.len > 0 && now.since(class.empty) > patience.interval
    }

    pub(super) fn push(&mut self, waiting: Waiting, what: T) -> Place {
        let class = waiting.class.index();
        if self.classes[class].age.len == 0 {
            self.classes[class].empty = waiting.arrived;
        }
        let alone = Links { before: NONE, after: NONE };
        let entry = Some(Entry { waiting, what, turn: alone, age: alone });
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.cells.push(Cell { stamp: 0, entry: None });
                (self.cells.len() - 1) as u32
            }
        };
        let cell = &mut self.cells[index as usize];
        cell.entry = entry;
        let place = Place { index, stamp: cell.stamp };
        let tier = &mut self.classes[class].tiers[waiting.tier()];
        if tier.buckets[waiting.bucket()].len == 0 {
            tier.turns.push_back(waiting.bucket() as u8);
        }
        let turn = self.append(tier_list(waiting), Thread::Turn, index);
        self.classes[class].tiers[waiting.tier()].buckets[waiting.bucket()] = turn;
        let age = self.append(ListOf::Age(class), Thread::Age, index);
        self.classes[class].age = age;
        self.len += 1;
        place
    }

    /// Takes out whoever is at a place, if he is still there.
    pub(super) fn leave(&mut self, place: Place, now: Nanos) -> Option<T> {
        let cell = self.cells.get(place.index as usize)?;
        (cell.stamp == place.stamp && cell.entry.is_some())
            .then(|| self.take(place.index, now))?
            .map(|(_, what)| what)
    }

    /// The next one who gets a slot.
    pub(super) fn pop(&mut self, patience: Patience, now: Nanos) -> Option<(Waiting, T)> {
        let class = self.choose()?;
        let newest_first = self.is_standing(class, patience, now);
        let tiers = &mut self.classes[class].tiers;
        let tier = tiers.iter_mut().find(|tier| !tier.turns.is_empty())?;
        let bucket = tier.turns.front().copied()?;
        // To the end of the turns; `take` removes it where it is empty.
        tier.turns.rotate_left(1);
        let list = tier.buckets[usize::from(bucket)];
        self.take(if newest_first { list.newest } else { list.oldest }, now)
    }

    /// Takes out one who may not wait any longer. Latest times are looked at where they stand
    /// first: who waits behind such a one has a timer of his own.
    pub(super) fn expired(&mut self, patience: Patience, now: Nanos) -> Option<(Waiting, T, Gone)> {
        for class in Criticality::ALL {
            let oldest = self.classes[class.index()].age.oldest;
            let Some(entry) = self.entry(oldest) else { continue };
            let waited = now.since(entry.waiting.arrived);
            let gone = if waited > self.patience(class, patience, now) {
                Gone::TooLong
            } else if entry.waiting.latest < now {
                Gone::TooLate
            } else {
                continue;
            };
            return self.take(oldest, now).map(|(waiting, what)| (waiting, what, gone));
        }
        None
    }

    /// Makes room in a full queue of that depth for one like this: whoever is to go instead, or
    /// `None` when it is he himself.
    pub(super) fn evict(
        &mut self,
        arriving: &Waiting,
        depth_max: u32,
        now: Nanos,
    ) -> Option<(Waiting, T)> {
        let own = arriving.class.index();
        let class = self.gives_up(own, depth_max)?;
        let tiers = &self.classes[class].tiers;
        let tier = (0..TIERS).rev().find(|tier| !tiers[*tier].turns.is_empty())?;
        let buckets = &tiers[tier].buckets;
        let list = buckets.iter().max_by_key(|list| list.len)?;
        let behind = tier < arriving.tier();
        let has_most = tier == arriving.tier() && buckets[arriving.bucket()].len >= list.len;
        if class == own && (behind || has_most) {
            return None;
        }
        self.take(list.newest, now)
    }

    /// The class that gives up a place for one of class `own`: the lowest that has more than its
    /// share, not above `own`; above it, though never the highest, where `own` has less than its
    /// share; else the lowest.
    fn gives_up(&self, own: usize, depth_max: u32) -> Option<usize> {
        let all: u32 = WEIGHTS.iter().sum();
        let share = |class: usize| {
            let part = u64::from(depth_max) * u64::from(WEIGHTS[class]) / u64::from(all);
            u32::try_from(part).unwrap_or(u32::MAX).max(1)
        };
        let len = |class: usize| self.classes[class].age.len;
        let over = |class: &usize| len(*class) > share(*class);
        (own..CLASSES)
            .rev()
            .find(over)
            .or_else(|| (1..own).rev().find(over).filter(|_| len(own) < share(own)))
            .or_else(|| (own..CLASSES).rev().find(|class| len(*class) > 0))
    }

    /// The class that is next: the highest that has credit left in this round.
    fn choose(&mut self) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        loop {
            let waits = |class: &Class| class.age.len > 0 && class.credit > 0;
            if let Some(class) = self.classes.iter().position(waits) {
                self.classes[class].credit -= 1;
                return Some(class);
            }
            for (class, weight) in self.classes.iter_mut().zip(WEIGHTS) {
                class.credit = weight;
            }
        }
    }

    fn entry(&self, index: u32) -> Option<&Entry<T>> {
        self.cells.get(index as usize)?.entry.as_ref()
    }

    fn take(&mut self, index: u32, now: Nanos) -> Option<(Waiting, T)> {
        let waiting = self.entry(index)?.waiting;
        let class = waiting.class.index();
        let turn = self.unlink(tier_list(waiting), Thread::Turn, index);
        let age = self.unlink(ListOf::Age(class), Thread::Age, index);
        let held = &mut self.classes[class];
        held.age = age;
        if age.len == 0 {
            held.empty = now;
        }
        let tier = &mut held.tiers[waiting.tier()];
        tier.buckets[waiting.bucket()] = turn;
        if turn.len == 0 {
            tier.turns.retain(|bucket| usize::from(*bucket) != waiting.bucket());
        }
        self.len -= 1;
        let cell = self.cells.get_mut(index as usize)?;
        cell.stamp = cell.stamp.wrapping_add(1);
        self.free.push(index);
        cell.entry.take().map(|entry| (entry.waiting, entry.what))
    }

    fn list(&self, of: ListOf) -> List {
        match of {
            ListOf::Age(class) => self.classes[class].age,
            ListOf::Turn { class, tier, bucket } => self.classes[class].tiers[tier].buckets[bucket],
        }
    }

    fn links(&mut self, thread: Thread, index: u32) -> Option<&mut Links> {
        let entry = self.cells.get_mut(index as usize)?.entry.as_mut()?;
        Some(match thread {
            Thread::Turn => &mut entry.turn,
            Thread::Age => &mut entry.age,
        })
    }

    fn append(&mut self, of: ListOf, thread: Thread, index: u32) -> List {
        let list = self.list(of);
        if let Some(newest) = self.links(thread, list.newest) {
            newest.after = index;
        }
        if let Some(links) = self.links(thread, index) {
            *links = Links { before: list.newest, after: NONE };
        }
        let oldest = if list.len == 0 { index } else { list.oldest };
        List { oldest, newest: index, len: list.len + 1 }
    }

    fn unlink(&mut self, of: ListOf, thread: Thread, index: u32) -> List {
        let mut list = self.list(of);
        let Some(links) = self.links(thread, index).map(|links| *links) else { return list };
        match self.links(thread, links.before) {
            Some(before) => before.after = links.after,
            None => list.oldest = links.after,
        }
        match self.links(thread, links.after) {
            Some(after) => after.before = links.before,
            None => list.newest = links.before,
        }
        list.len -= 1;
        list
    }
}

#[derive(Debug, Clone, Copy)]
enum ListOf {
    Age(usize),
    Turn { class: usize, tier: usize, bucket: usize },
}

fn tier_list(waiting: Waiting) -> ListOf {
    let (class, tier, bucket) = (waiting.class.index(), waiting.tier(), waiting.bucket());
    ListOf::Turn { class, tier, bucket }
}
