//! What changes while an edge runs: items of rooms, all under one epoch.
//!
//! A change is one transaction that raises the epoch by one. A node that has applied epoch `n` has
//! applied every change up to `n`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::format::{SnapshotError, read};

/// The format of [`Dynamic::to_json`] that this version writes and reads.
pub const DYNAMIC_FORMAT: u32 = 1;

const SECTION: &str = "dynamic";

/// Items in force at once, all rooms together. A change that would exceed it is refused.
pub const ITEMS_MAX: usize = 200_000;

/// The longest body of an item as JSON, bytes.
pub const ITEM_BYTES_MAX: usize = 64 * 1024;

/// One item of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The room it belongs to, such as `identity`.
    pub room: String,
    /// Its name within the room.
    pub key: String,
    /// The epoch of its last change.
    pub epoch: u64,
    /// What it says; none once it is gone.
    pub body: Option<serde_json::Value>,
    /// When it stops to count, in seconds since 1970-01-01T00:00:00Z.
    pub expires_unix_s: Option<u64>,
}

/// Every item in force, as of one epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dynamic {
    epoch: u64,
    items: BTreeMap<(String, String), Item>,
}

/// The form on disk and on the wire.
#[derive(Serialize, Deserialize)]
struct Form {
    format: u32,
    epoch: u64,
    items: Vec<Item>,
}

impl Dynamic {
    /// Everything as of `epoch`.
    #[must_use]
    pub fn whole(epoch: u64, items: Vec<Item>) -> Self {
        let mut dynamic = Self::default();
        dynamic.apply(epoch, items);
        dynamic
    }

    /// The epoch; zero before the first change.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Takes over what changed up to `epoch`. An older change of an item never undoes a newer one.
    pub fn apply(&mut self, epoch: u64, changes: Vec<Item>) {
        for change in changes {
            let place = (change.room.clone(), change.key.clone());
            match self.items.get(&place) {
                Some(known) if known.epoch > change.epoch => {}
                _ if change.body.is_none() => drop(self.items.remove(&place)),
                _ => drop(self.items.insert(place, change)),
            }
        }
        self.epoch = self.epoch.max(epoch);
    }

    /// Drops the items that have expired at `now_unix_s`; true when there were any.
    pub fn expire(&mut self, now_unix_s: u64) -> bool {
        let before = self.items.len();
        self.items.retain(|_, item| item.expires_unix_s.is_none_or(|expires| expires > now_unix_s));
        self.items.len() < before
    }

    /// The items of a room that count at `now_unix_s`, in the order of their keys.
    pub fn of_room<'d>(
        &'d self,
        room: &'d str,
        now_unix_s: u64,
    ) -> impl Iterator<Item = &'d Item> + 'd {
        let from = (room.to_owned(), String::new());
        self.items
            .range(from..)
            .map(|(_, item)| item)
            .take_while(move |item| item.room == room)
            .filter(move |item| item.expires_unix_s.is_none_or(|expires| expires > now_unix_s))
    }

    /// How many items there are, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// As JSON.
    ///
    /// # Errors
    /// [`SnapshotError::Decode`] when it cannot be written.
    pub fn to_json(&self) -> Result<Vec<u8>, SnapshotError> {
        let items = self.items.values().cloned().collect();
        let form = Form { format: DYNAMIC_FORMAT, epoch: self.epoch, items };
        serde_json::to_vec(&form)
            .map_err(|source| SnapshotError::Decode { section: SECTION, source })
    }

    /// From JSON.
    ///
    /// # Errors
    /// [`SnapshotError::Format`] for another version's, [`SnapshotError::Decode`] for what is none.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let form: Form = read(SECTION, DYNAMIC_FORMAT, bytes)?;
        Ok(Self::whole(form.epoch, form.items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &str, epoch: u64, body: Option<u32>) -> Item {
        Item {
            room: "identity".into(),
            key: key.into(),
            epoch,
            body: body.map(Into::into),
            expires_unix_s: None,
        }
    }

    #[test]
    fn changes_are_taken_over_and_older_ones_undo_nothing() {
        let mut dynamic = Dynamic::whole(3, vec![item("a", 1, Some(1)), item("b", 3, Some(1))]);
        dynamic.apply(5, vec![item("a", 4, None), item("b", 2, Some(0)), item("c", 5, Some(9))]);
        assert_eq!(dynamic.epoch(), 5);
        let keys: Vec<_> = dynamic.of_room("identity", 0).map(|i| (&*i.key, i.epoch)).collect();
        assert_eq!(keys, [("b", 3), ("c", 5)]);
    }

    #[test]
    fn what_has_expired_does_not_count_and_other_rooms_are_apart() {
        let mut mortal = item("m", 1, Some(1));
        mortal.expires_unix_s = Some(100);
        let mut other = item("o", 1, Some(1));
        other.room = "identityx".into();
        let dynamic = Dynamic::whole(1, vec![mortal, other]);
        assert_eq!(dynamic.of_room("identity", 99).count(), 1);
        assert_eq!(dynamic.of_room("identity", 100).count(), 0);
        assert_eq!(dynamic.of_room("ident", 0).count(), 0);
    }

    #[test]
    fn what_has_expired_is_dropped_and_the_epoch_stays() {
        let mut mortal = item("m", 1, Some(1));
        mortal.expires_unix_s = Some(100);
        let mut dynamic = Dynamic::whole(2, vec![mortal, item("a", 2, Some(1))]);
        assert!(!dynamic.expire(99));
        assert!(dynamic.expire(100) && !dynamic.expire(100));
        assert_eq!((dynamic.len(), dynamic.epoch()), (1, 2));
    }

    #[test]
    fn it_comes_back_from_its_own_form_and_refuses_another() {
        let dynamic = Dynamic::whole(7, vec![item("a", 7, Some(1))]);
        let text = dynamic.to_json().unwrap();
        assert_eq!(Dynamic::from_json(&text).unwrap(), dynamic);
        let newer = String::from_utf8(text).unwrap().replacen("\"format\":1", "\"format\":2", 1);
        let refused = Dynamic::from_json(newer.as_bytes());
        assert!(matches!(refused, Err(SnapshotError::Format { .. })));
        assert!(Dynamic::from_json(b"{").is_err());
    }
}
