//! Targeted cache control (RFC 9213): a field that speaks to this kind of cache alone and stands in
//! for `Cache-Control` and `Expires`.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::control::{DIRECTIVES_MAX, ResponseControl, SECONDS_MAX};

/// Speaks to this edge alone; it does not reach clients.
pub const PLIMSOLL_CACHE_CONTROL: HeaderName = HeaderName::from_static("plimsoll-cache-control");
/// Speaks to every cache that acts for the origin.
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The first of the targeted fields that is there, is a dictionary, and is not empty.
pub(super) fn of(headers: &HeaderMap) -> Option<ResponseControl> {
    [PLIMSOLL_CACHE_CONTROL, CDN_CACHE_CONTROL].iter().find_map(|name| read(headers, name))
}

fn read(headers: &HeaderMap, name: &HeaderName) -> Option<ResponseControl> {
    let mut lines = headers.get_all(name).iter();
    let mut text = lines.next()?.as_bytes().to_vec();
    for line in lines {
        text.extend_from_slice(b", ");
        text.extend_from_slice(line.as_bytes());
    }
    let dictionary: Dictionary = Parser::new(&text).parse().ok()?;
    if dictionary.is_empty() {
        return None;
    }
    let mut control = ResponseControl::default();
    if dictionary.len() > DIRECTIVES_MAX {
        control.no_store = true;
        return Some(control);
    }
    for (key, entry) in &dictionary {
        let ListEntry::Item(item) = entry else { continue };
        take(&mut control, key.as_str(), &item.bare_item);
    }
    Some(control)
}

/// A value of another type than the directive has is as if it were not there (RFC 9213 §2.1).
fn take(control: &mut ResponseControl, key: &str, value: &BareItem) {
    let seconds = match value {
        BareItem::Integer(number) => {
            Some(u64::try_from(i64::from(*number)).unwrap_or(0).min(SECONDS_MAX))
        }
        _ => None,
    };
    let said = matches!(value, BareItem::Boolean(true));
    match key {
        "max-age" => control.max_age = seconds,
        "s-maxage" => control.s_maxage = seconds,
        "stale-while-revalidate" => control.stale_while_revalidate = seconds,
        "stale-if-error" => control.stale_if_error = seconds,
        "no-cache" => control.no_cache = said,
        "no-store" => control.no_store = said,
        "private" => control.private = said,
        "public" => control.public = said,
        "must-revalidate" => control.must_revalidate = said,
        "proxy-revalidate" => control.proxy_revalidate = said,
        "must-understand" => control.must_understand = said,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of_cdn(lines: &[&str]) -> Option<ResponseControl> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CDN_CACHE_CONTROL, HeaderValue::from_str(line).unwrap());
        }
        of(&headers)
    }

    #[test]
    fn a_dictionary_speaks_and_anything_else_is_not_there() {
        assert_eq!(of_cdn(&["max-age=60"]).unwrap().max_age, Some(60));
        assert_eq!(
            of_cdn(&["max-age=60", "public"]).map(|c| (c.max_age, c.public)),
            Some((Some(60), true))
        );
        assert_eq!(
            of_cdn(&["max-age=60.5, no-store"]).map(|c| (c.max_age, c.no_store)),
            Some((None, true))
        );
        assert_eq!(of_cdn(&["max-age=-1"]).unwrap().max_age, Some(0));
        assert!(!of_cdn(&["no-store=?0"]).unwrap().no_store);
        for none in ["", "max-age=60,", "Max-Age=60", "max-age = 60", "\"x\""] {
            assert_eq!(of_cdn(&[none]), None, "{none}");
        }
        assert!(of_cdn(&[]).is_none());
    }

    #[test]
    fn the_narrower_field_comes_first() {
        let mut headers = HeaderMap::new();
        headers.insert(CDN_CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
        headers.insert(PLIMSOLL_CACHE_CONTROL, HeaderValue::from_static("max-age=2"));
        assert_eq!(of(&headers).unwrap().max_age, Some(2));
        headers.insert(PLIMSOLL_CACHE_CONTROL, HeaderValue::from_static("not a dictionary"));
        assert_eq!(of(&headers).unwrap().max_age, Some(1));
    }
}
