//! Reading JSON into a value, strictly: a key that stands twice is refused, because readers differ
//! in which of the two they take.

use std::cell::Cell;
use std::fmt;

use plimsoll_manifest::Fault;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::bounds::{DEPTH_MAX, NODES_MAX};
use crate::faults::fault;

/// Reads a JSON text.
pub(crate) fn read(text: &str) -> Result<Value, Box<Fault>> {
    let nodes = Cell::new(0);
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Strict { depth: 0, nodes: &nodes }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| {
        let said = error.to_string();
        // serde_json says the place at the end of its text; it has fields of its own here.
        let message = said.split_once(" at line ").map_or(said.as_str(), |(message, _)| message);
        let mut fault = fault("#", message);
        (fault.line, fault.column) = (Some(error.line()), Some(error.column().max(1)));
        fault.into()
    })
}

#[derive(Clone, Copy)]
struct Strict<'n> {
    depth: usize,
    nodes: &'n Cell<usize>,
}

impl Strict<'_> {
    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        let nodes = self.nodes.get() + 1;
        self.nodes.set(nodes);
        if nodes > NODES_MAX {
            return Err(E::custom(format!("more than {NODES_MAX} values")));
        }
        Ok(())
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` stands twice")));
            }
            let value = entries.next_value_seed(inner)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_serde_reads() {
        let text = r#"{"a": [1, -2, 2.5, 1e400, null, true, "x\u00e9"], "b": {}}"#;
        assert!(read(text).is_err(), "1e400 is no number that JSON values can hold");
        let text = text.replace("1e400", "18446744073709551615");
        assert_eq!(read(&text).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
    }

    #[test]
    fn a_key_twice_is_a_fault_with_its_line() {
        let fault = read("{\n \"get\": 1,\n \"get\": 2}").unwrap_err();
        assert_eq!(fault.message, "the key `get` stands twice");
        assert_eq!(fault.line, Some(3));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        for depth in [DEPTH_MAX + 1, 100_000] {
            let said = read(&nested(depth)).unwrap_err().message;
            assert_eq!(said, format!("nested deeper than {DEPTH_MAX} levels"));
        }
    }

    #[test]
    fn what_follows_the_value_is_refused() {
        assert_eq!(read("{} {}").unwrap_err().message, "trailing characters");
        assert_eq!(read("").unwrap_err().line, Some(1));
    }

    proptest! {
        #[test]
        fn a_value_comes_back(keys in prop::collection::btree_map(".{0,6}", any::<i64>(), 0..6)) {
            let value = json!({ "a": keys, "b": [keys] });
            prop_assert_eq!(read(&value.to_string()).unwrap(), value);
        }
    }
}
