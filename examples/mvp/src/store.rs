//! The state of the backend: in memory, bounded, gone with the process.
//!
//! Every table has a limit. Posts, orders and media make room by dropping the oldest; sign-up is
//! refused when it is full, because nobody should lose a profile to a stranger.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{
    MediaInfo, NewOrder, NewPost, Order, OrderState, PRODUCTS, Person, Post, ProfileChange, SignUp,
    timestamp,
};
use crate::refusal::Refusal;
use bytes::Bytes;

/// The most people. Unit: profiles.
pub const PEOPLE_MAX: usize = 10_000;
/// The most posts kept; the oldest goes. Unit: posts.
pub const POSTS_MAX: usize = 5_000;
/// The most likes one post counts apart. Unit: people.
pub const LIKES_PER_POST_MAX: usize = 1_000;
/// The most orders kept; the oldest goes. Unit: orders.
pub const ORDERS_MAX: usize = 10_000;
/// The most media kept together; the oldest goes. Unit: bytes.
pub const MEDIA_TOTAL_BYTES_MAX: usize = 64 << 20;
/// The largest single upload. Unit: bytes.
pub const MEDIA_BYTES_MAX: usize = 8 << 20;

/// Where the time of day comes from: milliseconds since 1970.
pub type WallClock = fn() -> u64;

/// A part of a list, newest first.
#[derive(Clone, Debug)]
pub struct Slice<T> {
    /// The entries.
    pub items: Vec<T>,
    /// The number below which the next part starts; `None` at the end.
    pub next: Option<u64>,
}

struct StoredPost {
    number: u64,
    post: Post,
    liked_by: HashSet<String>,
}

struct StoredMedia {
    info: MediaInfo,
    content: Bytes,
}

#[derive(Default)]
struct Tables {
    people: HashMap<String, Person>,
    posts: VecDeque<StoredPost>,
    orders: VecDeque<(u64, Order)>,
    media: VecDeque<StoredMedia>,
    media_bytes: usize,
    last_number: u64,
}

impl Tables {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn post_mut(&mut self, id: &str) -> Option<&mut StoredPost> {
        self.posts.iter_mut().rev().find(|stored| stored.post.id == id)
    }
}

/// The state of the backend.
pub struct Store {
    tables: Mutex<Tables>,
    unix_ms: WallClock,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// A store with a few people and posts in it, so that the first feed is not empty.
    #[must_use]
    pub fn seeded(unix_ms: WallClock) -> Self {
        let store = Self { tables: Mutex::default(), unix_ms };
        for (handle, name) in [("ava", "Ava"), ("noor", "Noor"), ("kenji", "Kenji")] {
            let sign_up = SignUp { handle: handle.to_owned(), display_name: name.to_owned() };
            // An empty store has room for these, and no two have one handle.
            drop(store.sign_up(sign_up));
            for cup in 1..=15 {
                let text = format!("{name}'s cup number {cup} of the day");
                drop(store.create_post(handle, NewPost { text, media_id: None }));
            }
        }
        store
    }

    /// A panic while the lock was held leaves plain data behind that is still whole.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> String {
        timestamp((self.unix_ms)())
    }

    /// Makes a profile.
    pub fn sign_up(&self, new: SignUp) -> Result<Person, Refusal> {
        let mut tables = self.tables();
        if tables.people.contains_key(&new.handle) {
            return Err(Refusal::HandleTaken);
        }
        if tables.people.len() >= PEOPLE_MAX {
            return Err(Refusal::Full);
        }
        let person = Person {
            handle: new.handle.clone(),
            display_name: new.display_name,
            bio: String::new(),
            created_at: self.now(),
        };
        tables.people.insert(new.handle, person.clone());
        Ok(person)
    }

    /// A profile by its handle.
    pub fn person(&self, handle: &str) -> Result<Person, Refusal> {
        self.tables().people.get(handle).cloned().ok_or(Refusal::NotFound)
    }

    /// Changes the caller's own profile.
    pub fn update_profile(&self, caller: &str, change: ProfileChange) -> Result<Person, Refusal> {
        let mut tables = self.tables();
        let person = tables.people.get_mut(caller).ok_or(Refusal::NotSignedUp)?;
        if let Some(display_name) = change.display_name {
            person.display_name = display_name;
        }
        if let Some(bio) = change.bio {
            person.bio = bio;
        }
        Ok(person.clone())
    }

    /// A page of the feed, newest first, from below the post number `before`.
    #[must_use]
    pub fn feed(&self, before: Option<u64>, limit: usize) -> Slice<Post> {
        let tables = self.tables();
        let below = before.unwrap_or(u64::MAX);
        let rows = tables.posts.iter().rev().filter(|stored| stored.number < below);
        slice(rows.map(|stored| (stored.number, &stored.post)), limit)
    }

    /// One post.
    pub fn post(&self, id: &str) -> Result<Post, Refusal> {
        self.tables().post_mut(id).map(|stored| stored.post.clone()).ok_or(Refusal::NotFound)
    }

    /// Adds a post.
    pub fn create_post(&self, caller: &str, new: NewPost) -> Result<Post, Refusal> {
        let created_at = self.now();
        let mut tables = self.tables();
        if !tables.people.contains_key(caller) {
            return Err(Refusal::NotSignedUp);
        }
        if let Some(id) = &new.media_id
            && !tables.media.iter().any(|media| media.info.id == *id)
        {
            return Err(Refusal::NotFound);
        }
        let number = tables.next_number();
        let post = Post {
            id: format!("post_{number}"),
            author: caller.to_owned(),
            text: new.text,
            media_id: new.media_id,
            likes: 0,
            created_at,
        };
        let liked_by = HashSet::new();
        tables.posts.push_back(StoredPost { number, post: post.clone(), liked_by });
        if tables.posts.len() > POSTS_MAX {
            tables.posts.pop_front();
        }
        Ok(post)
    }

    /// Likes a post (`liked`), or takes the like back. Twice is as good as once.
    pub fn set_like(&self, caller: &str, id: &str, liked: bool) -> Result<Post, Refusal> {
        let mut tables = self.tables();
        let stored = tables.post_mut(id).ok_or(Refusal::NotFound)?;
        if !liked {
            stored.liked_by.remove(caller);
        } else if stored.liked_by.len() < LIKES_PER_POST_MAX {
            stored.liked_by.insert(caller.to_owned());
        }
        stored.post.likes = stored.liked_by.len() as u64;
        Ok(stored.post.clone())
    }

    /// Places an order.
    pub fn create_order(&self, caller: &str, new: NewOrder) -> Result<Order, Refusal> {
        let price = |sku: &str| PRODUCTS.iter().find(|p| p.sku == sku).map(|p| p.price_cents);
        let mut total_cents = 0;
        for line in &new.lines {
            let each = price(&line.sku).ok_or(Refusal::UnknownProduct)?;
            total_cents += each * u64::from(line.quantity);
        }
        let created_at = self.now();
        let mut tables = self.tables();
        let number = tables.next_number();
        let order = Order {
            id: format!("order_{number}"),
            owner: caller.to_owned(),
            lines: new.lines,
            total_cents,
            state: OrderState::Open,
            created_at,
        };
        tables.orders.push_back((number, order.clone()));
        if tables.orders.len() > ORDERS_MAX {
            tables.orders.pop_front();
        }
        Ok(order)
    }

    /// A page of the caller's orders, newest first, from below the order number `before`.
    #[must_use]
    pub fn orders(&self, caller: &str, before: Option<u64>, limit: usize) -> Slice<Order> {
        let tables = self.tables();
        let below = before.unwrap_or(u64::MAX);
        let rows = tables.orders.iter().rev();
        let own = rows.filter(|(number, order)| *number < below && order.owner == caller);
        slice(own.map(|(number, order)| (*number, order)), limit)
    }

    /// One order of the caller's.
    pub fn order(&self, caller: &str, id: &str) -> Result<Order, Refusal> {
        let tables = self.tables();
        let mut rows = tables.orders.iter().rev();
        let found = rows.find(|(_, order)| order.id == id && order.owner == caller);
        found.map(|(_, order)| order.clone()).ok_or(Refusal::NotFound)
    }

    /// Pays an order of the caller's, once.
    pub fn pay(&self, caller: &str, id: &str, payment_token: &str) -> Result<Order, Refusal> {
        let mut tables = self.tables();
        let mut rows = tables.orders.iter_mut().rev();
        let found = rows.find(|(_, order)| order.id == id && order.owner == caller);
        let (_, order) = found.ok_or(Refusal::NotFound)?;
        if order.state == OrderState::Paid {
            return Err(Refusal::AlreadyPaid);
        }
        if payment_token == "declined" {
            return Err(Refusal::Declined);
        }
        order.state = OrderState::Paid;
        Ok(order.clone())
    }

    /// Stores a picture of at most [`MEDIA_BYTES_MAX`], which the caller has checked.
    #[must_use]
    pub fn add_media(&self, content_type: String, content: Bytes) -> MediaInfo {
        let mut tables = self.tables();
        let number = tables.next_number();
        let info = MediaInfo { id: format!("media_{number}"), content_type, bytes: content.len() };
        tables.media_bytes += content.len();
        tables.media.push_back(StoredMedia { info: info.clone(), content });
        while tables.media_bytes > MEDIA_TOTAL_BYTES_MAX {
            let Some(oldest) = tables.media.pop_front() else {
                break;
            };
            tables.media_bytes -= oldest.content.len();
        }
        info
    }

    /// A picture.
    pub fn media(&self, id: &str) -> Result<(MediaInfo, Bytes), Refusal> {
        let tables = self.tables();
        let found = tables.media.iter().find(|media| media.info.id == id);
        found.map(|m| (m.info.clone(), m.content.clone())).ok_or(Refusal::NotFound)
    }
}

/// The first `limit` rows, and the number of the last one when there are more.
fn slice<'a, T: Clone + 'a>(
    mut rows: impl Iterator<Item = (u64, &'a T)>,
    limit: usize,
) -> Slice<T> {
    let mut items = Vec::with_capacity(limit);
    let mut last = None;
    for (number, row) in rows.by_ref().take(limit) {
        items.push(row.clone());
        last = Some(number);
    }
    let next = rows.next().and(last);
    Slice { items, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        Store::seeded(|| 1_795_000_000_000)
    }

    #[test]
    fn pages_join_without_gap_or_double_while_posts_arrive() {
        let store = store();
        let all: Vec<String> = store.feed(None, 50).items.into_iter().map(|p| p.id).collect();
        assert_eq!(all.len(), 45);
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.feed(cursor, 7);
            seen.extend(page.items.into_iter().map(|p| p.id));
            let new = NewPost { text: "meanwhile".into(), media_id: None };
            store.create_post("ava", new).unwrap();
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn the_oldest_media_makes_room_and_the_bound_holds() {
        let store = store();
        let big = Bytes::from(vec![7; MEDIA_BYTES_MAX]);
        let first = store.add_media("image/png".into(), big.clone());
        for _ in 0..MEDIA_TOTAL_BYTES_MAX / MEDIA_BYTES_MAX {
            let _newer = store.add_media("image/png".into(), big.clone());
        }
        assert_eq!(store.media(&first.id).unwrap_err(), Refusal::NotFound);
        assert!(store.tables().media_bytes <= MEDIA_TOTAL_BYTES_MAX);
    }

    #[test]
    fn posts_are_bounded() {
        let store = store();
        for _ in 0..POSTS_MAX + 10 {
            let new = NewPost { text: "x".into(), media_id: None };
            store.create_post("ava", new).unwrap();
        }
        assert_eq!(store.tables().posts.len(), POSTS_MAX);
    }

    #[test]
    fn an_order_is_its_owners_and_is_paid_once() {
        let store = store();
        let lines = vec![crate::model::OrderLine { sku: "whisk".into(), quantity: 2 }];
        let order = store.create_order("ava", NewOrder { lines }).unwrap();
        assert_eq!(order.total_cents, 3_980);
        assert_eq!(store.order("noor", &order.id).unwrap_err(), Refusal::NotFound);
        assert_eq!(store.pay("noor", &order.id, "ok").unwrap_err(), Refusal::NotFound);
        assert_eq!(store.pay("ava", &order.id, "declined").unwrap_err(), Refusal::Declined);
        assert_eq!(store.pay("ava", &order.id, "ok").unwrap().state, OrderState::Paid);
        assert_eq!(store.pay("ava", &order.id, "ok").unwrap_err(), Refusal::AlreadyPaid);
    }
}
