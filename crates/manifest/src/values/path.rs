//! Path prefixes and path templates.

use std::fmt;
use std::str::FromStr;

use super::{ValueError, shown, text_value};

const PATH_BYTES_MAX: usize = 1024;
const PREFIX_EXPECTED: &str =
    "a path prefix such as \"/ws\": a leading `/`, whole segments, no trailing `/`, no `*`, no `%`";
const TEMPLATE_EXPECTED: &str = "a path template such as \"/orders/{id}\"";

/// Whether a byte may stand in a path as it is (RFC 3986 section 3.3 `pchar` without escapes).
fn is_plain(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b)
}

/// `*` is plain in a path, but in a prefix it is somebody's wildcard.
fn is_prefix_segment(segment: &str) -> bool {
    let plain = |b: u8| is_plain(b) && b != b'*';
    !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain)
}

/// Whole leading segments of a path: `/ws` covers `/ws` and `/ws/a`, not `/wsx`. `/` covers all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPrefix(Box<str>);

impl PathPrefix {
    /// The prefix as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `/`, which covers every path.
    #[must_use]
    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }

    /// Whether `path` is this prefix or lies below it.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        self.is_root()
            || path
                .strip_prefix(&*self.0)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether some path lies under both.
    #[must_use]
    pub fn overlaps(&self, other: &PathPrefix) -> bool {
        self.covers(&other.0) || other.covers(&self.0)
    }
}

impl FromStr for PathPrefix {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "/" {
            return Ok(Self(text.into()));
        }
        let whole =
            text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_prefix_segment));
        if whole && text.len() <= PATH_BYTES_MAX {
            return Ok(Self(text.into()));
        }
        let wrong =
            ValueError::new(format!("`{}` is no path prefix", shown(text)), PREFIX_EXPECTED);
        let mended = format!("/{}", text.trim_end_matches('*').trim_matches('/'));
        let can = mended != text && mended.len() > 1 && mended.parse::<Self>().is_ok();
        Err(if can { wrong.suggest(mended) } else { wrong })
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    PathPrefix,
    "Whole leading segments of a path: \"/ws\" covers /ws and everything below /ws/.",
    r"^/([A-Za-z0-9._~!$&'()+,;=:@-]+(/[A-Za-z0-9._~!$&'()+,;=:@-]+)*)?$"
);

/// A path with parameters in braces, as OpenAPI writes it: `/orders/{id}`, `/files/{name}.json`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathTemplate(Box<str>);

impl PathTemplate {
    /// The template as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The template with every parameter name left out: two templates of the same shape match the
    /// same paths.
    #[must_use]
    pub fn shape(&self) -> String {
        let mut shape = String::with_capacity(self.0.len());
        let mut inside = false;
        for c in self.0.chars() {
            match c {
                '{' => inside = true,
                '}' => {
                    inside = false;
                    shape.push_str("{}");
                }
                _ if inside => {}
                _ => shape.push(c),
            }
        }
        shape
    }
}

impl FromStr for PathTemplate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let refuse =
            |what: &str| ValueError::new(format!("`{}` {what}", shown(text)), TEMPLATE_EXPECTED);
        let Some(rest) = text.strip_prefix('/') else {
            return Err(refuse("does not start with `/`").suggest(format!("/{text}")));
        };
        if text.len() > PATH_BYTES_MAX {
            return Err(refuse("is longer than 1024 bytes"));
        }
        let mut names: Vec<&str> = Vec::new();
        for segment in rest.split('/') {
            check_segment(segment, &mut names).map_err(|what| refuse(&what))?;
        }
        Ok(Self(text.into()))
    }
}

/// Checks one segment of a template and notes the parameters it names.
fn check_segment<'t>(segment: &'t str, names: &mut Vec<&'t str>) -> Result<(), String> {
    let mut left = segment;
    while let Some((literal, after)) = left.split_once('{') {
        let (name, next) = after.split_once('}').ok_or("has a `{` without `}`")?;
        let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if name.is_empty() || !name.bytes().all(named) {
            return Err(format!("has a parameter `{{{}}}` that is no name", shown(name)));
        }
        if names.contains(&name) {
            return Err(format!("names the parameter `{name}` twice"));
        }
        if next.starts_with('{') {
            return Err("has two parameters with nothing between them".to_owned());
        }
        check_literal(literal)?;
        names.push(name);
        left = next;
    }
    if matches!(left, "." | "..") && left.len() == segment.len() {
        return Err("has a `.` or `..` segment".to_owned());
    }
    check_literal(left)
}

fn check_literal(literal: &str) -> Result<(), String> {
    match literal.bytes().find(|b| !is_plain(*b) && *b != b'%') {
        None => Ok(()),
        Some(b'}') => Err("has a `}` without `{`".to_owned()),
        Some(b'?' | b'#') => Err("has a query or fragment, which is no part of a path".to_owned()),
        Some(_) => Err("has a character that cannot stand in a path".to_owned()),
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    PathTemplate,
    "A path with parameters in braces: \"/orders/{id}\", \"/files/{name}.json\".",
    r"^/[^?#\s]*$"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> PathPrefix {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_covers_whole_segments() {
        for (p, path, covers) in [
            ("/ws", "/ws", true),
            ("/ws", "/ws/", true),
            ("/ws", "/ws/a", true),
            ("/ws", "/wsx", false),
            ("/ws", "/", false),
            ("/", "/anything", true),
        ] {
            assert_eq!(prefix(p).covers(path), covers, "{p} {path}");
        }
        assert!(prefix("/a").overlaps(&prefix("/a/b")));
        assert!(prefix("/a/b").overlaps(&prefix("/a")));
        assert!(!prefix("/a").overlaps(&prefix("/ab")));
    }

    #[test]
    fn a_wrong_prefix_is_put_right_where_it_can_be_told() {
        for (text, suggestion) in [
            ("/ws/", Some("/ws")),
            ("ws", Some("/ws")),
            ("/ws/*", Some("/ws")),
            ("/a//b", None),
            ("/a/../b", None),
            ("/a%2Fb", None),
            ("/a?b", None),
            ("/{id}", None),
            ("", None),
        ] {
            let error = text.parse::<PathPrefix>().unwrap_err();
            assert_eq!(error.suggestion.as_deref(), suggestion, "{text}");
        }
    }

    #[test]
    fn templates_are_as_openapi_writes_them() {
        for good in ["/", "/a", "/a/", "/a/{b}", "/{a}.{ext}", "/a/{b-c}.json", "/v1.0/x:y"] {
            assert!(good.parse::<PathTemplate>().is_ok(), "{good}");
        }
        for bad in
            ["", "a", "/{", "/}", "/{}", "/{a}{b}", "/{a}/{a}", "/a?b", "/a b", "/..", "/{a b}"]
        {
            assert!(bad.parse::<PathTemplate>().is_err(), "{bad}");
        }
        let template: PathTemplate = "/a/{b}.{c}/d".parse().unwrap();
        assert_eq!(template.shape(), "/a/{}.{}/d");
    }
}
