//! One walk over a JSON report before any of it is believed: how deep, how many, how long, and no
//! key twice. It keeps nothing but the keys on top, by which the format is known.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::import::error::ImportError;
use crate::import::text::{json_fault, shown, too_long};
use crate::import::{REPORT_DEPTH_MAX, REPORT_ELEMENTS_MAX};

/// Keys on top that are looked at.
const TOP_KEYS_MAX: usize = 64;

/// What stands on top.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// A list; else an object or a single value.
    pub(super) list: bool,
    /// The keys of the object.
    pub(super) keys: Vec<String>,
}

/// Walks over the whole of it.
pub(super) fn shape(text: &str) -> Result<Shape, ImportError> {
    let mut seen = Seen::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let walked = Walk(&mut seen).deserialize(&mut reader).and_then(|()| reader.end());
    walked.map_err(|error| json_fault(&error))?;
    Ok(seen.shape)
}

enum Step<'de> {
    Key(Cow<'de, str>),
    Item(usize),
}

#[derive(Default)]
struct Seen<'de> {
    values: usize,
    path: Vec<Step<'de>>,
    shape: Shape,
}

impl Seen<'_> {
    /// A JSON pointer to where the walk is.
    fn pointer(&self) -> String {
        let mut out = String::new();
        for step in &self.path {
            out.push('/');
            match step {
                Step::Key(key) => out.push_str(&key.replace('~', "~0").replace('/', "~1")),
                Step::Item(index) => out.push_str(&index.to_string()),
            }
        }
        shown(&out)
    }

    fn wrong<E: Error>(&self, says: &str) -> E {
        let pointer = self.pointer();
        let place = if pointer.is_empty() { "on top" } else { &pointer };
        E::custom(format_args!("{place}: {says}"))
    }

    fn value<E: Error>(&mut self) -> Result<(), E> {
        self.values += 1;
        if self.values > REPORT_ELEMENTS_MAX {
            let says = format!("the report has more than {REPORT_ELEMENTS_MAX} values");
            return Err(self.wrong(&says));
        }
        Ok(())
    }

    fn text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        too_long(text).map_or(Ok(()), |says| Err(self.wrong(&says)))
    }

    fn enter<E: Error>(&mut self) -> Result<(), E> {
        self.value()?;
        if self.path.len() >= REPORT_DEPTH_MAX {
            let says = format!("more than {REPORT_DEPTH_MAX} lists and objects inside each other");
            return Err(E::custom(says));
        }
        Ok(())
    }
}

struct Walk<'a, 'de>(&'a mut Seen<'de>);

impl<'de> DeserializeSeed<'de> for Walk<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.value()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.0.value()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.0.value()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.0.value()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.0.value()
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.text(text)?;
        self.0.value()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let seen = self.0;
        seen.shape.list |= seen.path.is_empty();
        seen.enter()?;
        let mut index = 0;
        loop {
            seen.path.push(Step::Item(index));
            let more = list.next_element_seed(Walk(&mut *seen))?;
            seen.path.pop();
            if more.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let seen = self.0;
        seen.enter()?;
        let mut keys: HashSet<Cow<'de, str>> = HashSet::new();
        while let Some(key) = map.next_key_seed(Key)? {
            seen.text(&key)?;
            if seen.path.is_empty() && seen.shape.keys.len() < TOP_KEYS_MAX {
                seen.shape.keys.push(key.to_string());
            }
            if keys.contains(&key) {
                return Err(seen.wrong(&format!("the key `{}` stands there twice", shown(&key))));
            }
            keys.insert(key.clone());
            seen.path.push(Step::Key(key));
            map.next_value_seed(Walk(&mut *seen))?;
            seen.path.pop();
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
