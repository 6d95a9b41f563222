//! A part of JSONPath (RFC 9535): names, indices and wildcards, one after the other from the root.

use serde_json::Value as Json;

use super::scan::{Place, Read, Wrong, shown};
use super::value::Value;

/// The most steps of one path.
const SEGMENTS_MAX: usize = 64;
/// The most values that one path may find.
const FOUND_MAX: usize = 10_000;

/// A path.
#[derive(Clone, Debug)]
pub(super) struct Path {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Name(String),
    Index(i64),
    Every,
}

impl Path {
    pub(super) fn parse(text: &str, place: Place) -> Read<Self> {
        let wrong = |message: &str| {
            Wrong::new(place, format!("`{}` {message}", shown(text)))
                .expecting("a path such as `$.items[0].id`, `$['a name']` or `$.items[*].id`")
        };
        let outside = |what: &str| {
            let instead =
                "names, indices and `*`; filters of a journey do the rest (`nth`, `count`)";
            Wrong::outside(place, what, instead)
        };
        let mut rest = text.strip_prefix('$').ok_or_else(|| wrong("does not start with `$`"))?;
        let mut segments = Vec::new();
        while !rest.is_empty() {
            if segments.len() == SEGMENTS_MAX {
                return Err(wrong("has too many parts"));
            }
            if rest.starts_with("..") {
                return Err(outside("a search at every depth (`..`)"));
            }
            let (segment, after) = if let Some(after) = rest.strip_prefix('.') {
                dotted(after).ok_or_else(|| wrong("has a `.` without a name"))?
            } else if let Some(inside) = rest.strip_prefix('[') {
                if inside.starts_with('?') {
                    return Err(outside("a filter in a JSONPath (`[?`)"));
                }
                bracketed(inside).ok_or_else(|| wrong("has brackets that say no name or index"))?
            } else {
                return Err(wrong("goes on with neither `.` nor `[`"));
            };
            segments.push(segment);
            rest = after;
        }
        Ok(Self { segments })
    }

    /// What stands there: nothing, a value, or several in a list.
    pub(super) fn find(&self, json: &Json) -> Option<Value> {
        let mut found = vec![json];
        for segment in &self.segments {
            found = found.into_iter().flat_map(|one| segment.of(one)).take(FOUND_MAX).collect();
        }
        match found.as_slice() {
            [] => None,
            [one] => Some(Value::of_json(one)),
            several => Some(Value::List(several.iter().map(|one| Value::of_json(one)).collect())),
        }
    }
}

impl Segment {
    fn of<'j>(&self, json: &'j Json) -> Vec<&'j Json> {
        match (self, json) {
            (Self::Name(name), Json::Object(map)) => map.get(name).into_iter().collect(),
            (Self::Index(index), Json::Array(items)) => {
                at(items.len(), *index).and_then(|at| items.get(at)).into_iter().collect()
            }
            (Self::Every, Json::Array(items)) => items.iter().collect(),
            (Self::Every, Json::Object(map)) => map.values().collect(),
            _ => Vec::new(),
        }
    }
}

/// An index that may count from the end.
pub(super) fn at(length: usize, index: i64) -> Option<usize> {
    let index = if index < 0 { i64::try_from(length).ok()?.checked_add(index)? } else { index };
    usize::try_from(index).ok().filter(|at| *at < length)
}

fn dotted(text: &str) -> Option<(Segment, &str)> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some((Segment::Every, rest));
    }
    // RFC 9535 §2.5.1.1: letters, `_`, what lies beyond ASCII; digits not first.
    let is_name = |one: char| one.is_ascii_alphanumeric() || one == '_' || !one.is_ascii();
    let end = text.find(|one| !is_name(one)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let first = name.chars().next()?;
    (!first.is_ascii_digit()).then(|| (Segment::Name(name.to_owned()), rest))
}

fn bracketed(inside: &str) -> Option<(Segment, &str)> {
    if let Some(rest) = inside.strip_prefix("*]") {
        return Some((Segment::Every, rest));
    }
    let quote = inside.chars().next().filter(|one| matches!(one, '\'' | '"'));
    if let Some(quote) = quote {
        let (name, rest) = inside.get(1..)?.split_once(quote)?;
        let rest = rest.strip_prefix(']')?;
        // An escape would need its own rules; no such name was ever asked for.
        return (!name.contains('\\')).then(|| (Segment::Name(name.to_owned()), rest));
    }
    let (index, rest) = inside.split_once(']')?;
    Some((Segment::Index(index.parse().ok()?), rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HERE: Place = Place { line: 1, column: 1 };

    #[test]
    fn a_path_finds_what_it_says() {
        let json = json!({ "items": [{ "id": 7 }, { "id": 8 }, {}], "a b": { "x": null } });
        let found = |path: &str| Path::parse(path, HERE).unwrap().find(&json);
        assert_eq!(found("$.items[0].id"), Some(Value::Integer(7)));
        assert_eq!(found("$.items[-2].id"), Some(Value::Integer(8)));
        assert_eq!(found("$['a b']['x']"), Some(Value::Null));
        assert_eq!(found("$.items[9].id"), None);
        assert_eq!(found("$.items.id"), None);
        let both = Value::List(vec![Value::Integer(7), Value::Integer(8)]);
        assert_eq!(found("$.items[*].id"), Some(both));
        assert_eq!(found("$.none[*]"), None);
        assert_eq!(found("$.items[0][*]"), Some(Value::Integer(7)), "one alone is no list");
        assert!(matches!(found("$"), Some(Value::Object(_))));
    }

    #[test]
    fn what_is_no_path_of_ours_is_refused() {
        for path in [
            "items",
            "$items",
            "$.",
            "$.1a",
            "$[",
            "$[a]",
            "$['a]",
            "$[]",
            "$.a b",
            "$..a",
            "$[?(@.a==1)]",
            "$[1:2]",
            "$[99999999999999999999]",
        ] {
            assert!(Path::parse(path, HERE).is_err(), "{path}");
        }
        let deep = format!("${}", ".a".repeat(65));
        assert!(Path::parse(&deep, HERE).is_err());
    }
}
