//! Cache groups (RFC 9875): names under which answers of one origin are invalidated together.

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, List, ListEntry, Parser};

/// The groups an answer belongs to.
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// The groups that a write's answer invalidates.
pub const CACHE_GROUP_INVALIDATION: HeaderName =
    HeaderName::from_static("cache-group-invalidation");

/// Groups of one answer that count; the rest are left out. RFC 9875 §2 asks for 32 at least.
pub const GROUPS_MAX: usize = 64;
/// The longest name of a group, bytes; RFC 9875 §2 asks for 32 at least.
pub const GROUP_BYTES_MAX: usize = 128;

/// The groups that `name` holds. A field that is no list says nothing, and members that are no
/// strings are left out.
#[must_use]
pub fn read(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let mut lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let Some(first) = lines.next() else { return Vec::new() };
    let mut text = first.to_vec();
    for line in lines {
        text.extend_from_slice(b", ");
        text.extend_from_slice(line);
    }
    let Ok(list) = Parser::new(&text).parse::<List>() else { return Vec::new() };
    let names = list.into_iter().filter_map(|member| match member {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::String(group) => Some(group.as_str().to_owned()),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    });
    names.filter(|group| group.len() <= GROUP_BYTES_MAX).take(GROUPS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_GROUPS, HeaderValue::from_str(line).unwrap());
        }
        read(&headers, &CACHE_GROUPS)
    }

    #[test]
    fn a_list_of_strings_is_read_and_nothing_else() {
        assert_eq!(of(&["\"feed\", \"user-1\";x=1"]), ["feed", "user-1"]);
        assert_eq!(of(&["\"a\"", "\"b\""]), ["a", "b"]);
        assert_eq!(of(&["\"a\", token, 1, (\"b\")"]), ["a"]);
        assert!(of(&["\"a\","]).is_empty() && of(&["feed user"]).is_empty() && of(&[]).is_empty());
        let long = format!("\"{}\", \"b\"", "x".repeat(GROUP_BYTES_MAX + 1));
        assert_eq!(of(&[&long]), ["b"]);
        let many: Vec<String> = (0..GROUPS_MAX + 9).map(|n| format!("\"{n}\"")).collect();
        assert_eq!(of(&[&many.join(", ")]).len(), GROUPS_MAX);
    }
}
