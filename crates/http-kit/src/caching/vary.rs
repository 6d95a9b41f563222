//! `Vary` (RFC 9111 §4.1): which requests a stored answer was selected for.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use smallvec::SmallVec;

use crate::hygiene::is_written_by_the_edge;

/// Fields that one answer may vary by; one with more is not stored.
pub const VARY_NAMES_MAX: usize = 16;
/// The longest value that is compared, bytes, all lines together; a longer one matches nothing.
const VALUE_BYTES_MAX: usize = 8 * 1024;

/// Whether the answer's `Vary` leaves anything to select by: no `*`, and not too many names.
#[must_use]
pub fn is_selectable(answer: &HeaderMap) -> bool {
    let mut count = 0;
    names(answer).all(|name| {
        count += 1;
        name.is_some() && count <= VARY_NAMES_MAX
    })
}

/// The names in `Vary`; `None` for `*`, for what is no name, and for what the service had from the
/// edge: the client's own field of that name says nothing of it.
fn names(answer: &HeaderMap) -> impl Iterator<Item = Option<HeaderName>> + '_ {
    let lines = answer.get_all(header::VARY).iter().map(HeaderValue::as_bytes);
    lines
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
        .map(|name| if name == b"*" { None } else { HeaderName::from_bytes(name).ok() })
        .map(|name| name.filter(|name| !is_written_by_the_edge(name.as_str())))
}

type Value = Option<Box<[u8]>>;

/// The request fields an answer was selected by, as they were.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Selection(SmallVec<[(HeaderName, Value); 2]>);

/// Values may be credentials.
impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Selection {
    /// What `answer` was selected by in `request`; `None` where no later request can be told to
    /// select the same.
    #[must_use]
    pub fn of(answer: &HeaderMap, request: &HeaderMap) -> Option<Self> {
        let mut fields = SmallVec::new();
        for name in names(answer) {
            let name = name?;
            if fields.len() == VARY_NAMES_MAX || is_too_long(request, &name) {
                return None;
            }
            let value = normal(request, &name).map(Vec::into_boxed_slice);
            fields.push((name, value));
        }
        Some(Self(fields))
    }

    /// Whether `request` selects `answer`, too.
    #[must_use]
    pub fn matches(&self, request: &HeaderMap, answer: &HeaderMap) -> bool {
        self.0.iter().all(|(name, held)| {
            is_same(request, name, held.as_deref())
                || (*name == header::ACCEPT_LANGUAGE && is_preferred(request, answer))
        })
    }

    /// The fields with their values in the form in which they are compared; `None` where the
    /// request had none.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&HeaderName, Option<&[u8]>)> {
        self.0.iter().map(|(name, value)| (name, value.as_deref()))
    }

    /// From what [`Selection::fields`] gave. `None` where they are too many.
    #[must_use]
    pub fn from_fields(fields: Vec<(HeaderName, Option<Vec<u8>>)>) -> Option<Self> {
        let boxed =
            |(name, value): (HeaderName, Option<Vec<u8>>)| (name, value.map(Vec::into_boxed_slice));
        (fields.len() <= VARY_NAMES_MAX).then(|| Self(fields.into_iter().map(boxed).collect()))
    }

    /// Bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let each = |(name, value): &(HeaderName, Value)| {
            name.as_str().len() + value.as_ref().map_or(0, |value| value.len())
        };
        self.0.iter().map(each).sum()
    }
}

fn is_same(request: &HeaderMap, name: &HeaderName, held: Option<&[u8]>) -> bool {
    let Some(held) = held else { return !request.contains_key(name) };
    let mut lines = request.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => false,
        (Some(only), None) if only.as_bytes() == held => true,
        _ => !is_too_long(request, name) && normal(request, name).as_deref() == Some(held),
    }
}

fn is_too_long(request: &HeaderMap, name: &HeaderName) -> bool {
    request.get_all(name).iter().map(HeaderValue::len).sum::<usize>() > VALUE_BYTES_MAX
}

/// The value with its lines joined and no white space around commas; where neither order nor case
/// means anything, in one order and one case.
fn normal(request: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    if !request.contains_key(name) {
        return None;
    }
    let lines = request.get_all(name).iter().map(HeaderValue::as_bytes);
    let members = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    if *name != header::ACCEPT_LANGUAGE && *name != header::ACCEPT_ENCODING {
        return Some(members.collect::<Vec<_>>().join(&b','));
    }
    let mut members: Vec<Vec<u8>> = members.map(<[u8]>::to_ascii_lowercase).collect();
    members.sort_unstable();
    Some(members.join(&b','))
}

/// Whether the answer is in the language that the request wants most: no other could be better.
fn is_preferred(request: &HeaderMap, answer: &HeaderMap) -> bool {
    let Some(language) = answer.get(header::CONTENT_LANGUAGE) else { return false };
    let mut best: Option<(&[u8], u32)> = None;
    let lines = request.get_all(header::ACCEPT_LANGUAGE).iter().map(HeaderValue::as_bytes);
    for member in lines.flat_map(|line| line.split(|byte| *byte == b',')) {
        let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let tag = parts.next().unwrap_or_default();
        let weight = parts.next().map_or(Some(1000), weight).unwrap_or(0);
        if !tag.is_empty() && best.is_none_or(|(_, most)| weight > most) {
            best = Some((tag, weight));
        }
    }
    let is_one = !language.as_bytes().contains(&b',');
    best.is_some_and(|(tag, weight)| {
        is_one && weight > 0 && tag.eq_ignore_ascii_case(language.as_bytes())
    })
}

/// `q=0.5` in thousandths (RFC 9110 §12.4.2).
fn weight(parameter: &[u8]) -> Option<u32> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let text = std::str::from_utf8(value).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let part: u32 = if digits { format!("{part:0<3}").parse().ok()? } else { return None };
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn selects(vary: &str, first: &[(&'static str, &str)], then: &[(&'static str, &str)]) -> bool {
        let answer = headers(&[("vary", vary)]);
        let selection = Selection::of(&answer, &headers(first)).unwrap();
        selection.matches(&headers(then), &answer)
    }

    #[test]
    fn a_request_selects_by_the_named_fields_alone() {
        assert!(selects("foo", &[("foo", "1")], &[("foo", "1"), ("bar", "2")]));
        assert!(!selects("foo", &[("foo", "1")], &[("foo", "2")]));
        assert!(!selects("foo", &[("foo", "1")], &[]));
        assert!(!selects("foo", &[], &[("foo", "1")]));
        assert!(!selects("foo", &[], &[("foo", "")]));
        assert!(selects("foo, Bar", &[("foo", "1")], &[("foo", "1")]));
        assert!(!selects("foo, Bar", &[("foo", "1"), ("bar", "2")], &[("foo", "1")]));
        assert!(selects("", &[("foo", "1")], &[]));
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        assert!(selects("foo", &[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")]));
        assert!(selects("foo", &[("foo", "1,2")], &[("foo", " 1,  2 ")]));
        assert!(!selects("foo", &[("foo", "1,2")], &[("foo", "2,1")]));
        assert!(!selects("foo", &[("foo", "a")], &[("foo", "A")]));
        let language = "accept-language";
        assert!(selects(language, &[(language, "en, de")], &[(language, "DE,eN")]));
        assert!(!selects(language, &[(language, "en, de")], &[(language, "en")]));
    }

    #[test]
    fn the_language_wanted_most_is_never_the_wrong_one() {
        let answer = headers(&[("vary", "accept-language"), ("content-language", "de")]);
        let selection = Selection::of(&answer, &headers(&[("accept-language", "en, de")])).unwrap();
        for (wanted, fits) in [
            ("fr;q=0.5, de;q=1.0", true),
            ("DE", true),
            ("fr, de", false),
            ("de;q=0", false),
            ("de;q=0.5, fr;q=0.6", false),
            ("de;q=nonsense", false),
            ("*", false),
        ] {
            let request = headers(&[("accept-language", wanted)]);
            assert_eq!(selection.matches(&request, &answer), fits, "{wanted}");
        }
        assert!(!selection.matches(&HeaderMap::new(), &answer));
    }

    #[test]
    fn everything_and_too_much_select_nothing() {
        let many: Vec<String> = (0..=VARY_NAMES_MAX).map(|n| format!("f{n}")).collect();
        let ours = ["plimsoll-subject", "x-forwarded-for", "X-User-Id", "traceparent"];
        for vary in ["*", "a, *", ",*", "a b", many.join(",").as_str()].into_iter().chain(ours) {
            let answer = headers(&[("vary", vary)]);
            assert!(!is_selectable(&answer), "{vary}");
            assert!(Selection::of(&answer, &HeaderMap::new()).is_none(), "{vary}");
        }
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        let answer = headers(&[("vary", "foo")]);
        assert!(Selection::of(&answer, &headers(&[("foo", &long)])).is_none());
    }

    proptest! {
        #[test]
        fn a_request_selects_what_it_was_answered(
            values in prop::collection::vec(
                ("(foo|bar|accept-language)", "[a-z, ;=.0-9]{0,12}"),
                0..4,
            )
        ) {
            let answer = headers(&[("vary", "Foo, accept-language")]);
            let mut request = HeaderMap::new();
            for (name, value) in &values {
                request.append(
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                );
            }
            let selection = Selection::of(&answer, &request).unwrap();
            prop_assert!(selection.matches(&request, &answer));
            request.append("foo", HeaderValue::from_static("one more"));
            prop_assert!(!selection.matches(&request, &answer));
        }
    }
}
