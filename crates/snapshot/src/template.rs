//! Path templates such as `/orders/{id}/lines.{format}`: one grammar for whoever checks them
//! (`contracts`) and whoever matches them (the edge's router).
//!
//! A template is split at `/` first. A segment is literal text, one parameter (`{id}`), or a mix
//! of both (`{id}.json`, `{from}..{to}`, `{id}:cancel`). Percent escapes in literal text are
//! decoded, as they are in the request's path before the two are compared: `/caf%C3%A9` and
//! `/café` are the same template. An escaped slash (`%2F`) never separates segments.

mod fill;

use std::fmt;

pub use fill::{filled, parameters, whole_parameters};

/// Longest template in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 2_048;

/// Most segments that a template may have.
pub const SEGMENTS_MAX: usize = 64;

/// Most pieces (literals and parameters) inside one segment.
pub const PIECES_MAX: usize = 16;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
}

/// One segment between two slashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// Literal text, percent-decoded; empty for the segment after a trailing slash.
    Literal(Box<[u8]>),
    /// Literal text and parameters mixed, in order: at least one of each, or several parameters.
    Mixed(Vec<Piece>),
    /// One parameter alone: matches any segment that is not empty.
    Parameter,
}

/// A piece of a [`Segment::Mixed`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Piece {
    /// Literal text, percent-decoded, never empty.
    Literal(Box<[u8]>),
    /// A parameter: matches one byte or more.
    Parameter,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It does not start at the root.
    #[error("a path template starts with `/`")]
    NotRooted,
    /// It is longer than [`TEMPLATE_BYTES_MAX`].
    #[error("a path template has at most {TEMPLATE_BYTES_MAX} bytes")]
    TooLong,
    /// It has more than [`SEGMENTS_MAX`] segments.
    #[error("a path template has at most {SEGMENTS_MAX} segments")]
    TooDeep,
    /// A segment has more than [`PIECES_MAX`] pieces.
    #[error("a segment has at most {PIECES_MAX} literals and parameters")]
    TooManyPieces,
    /// `{` without `}`, `}` without `{`, or one inside the other.
    #[error("the braces of segment `{0}` do not pair")]
    Braces(String),
    /// A query or a fragment is not part of a path.
    #[error("`{0}` does not belong in a path: the query is a parameter of the operation")]
    NotPath(char),
    /// `.` and `..` are resolved by clients and refused by the edge, so they can never match.
    #[error("the segment `{0}` can never be requested")]
    DotSegment(String),
    /// A control character, a space or a backslash.
    #[error("the character {0:?} cannot stand in a path")]
    Character(char),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// Says what a template may not hold.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::TooLong);
        }
        let rest = text.strip_prefix('/').ok_or(TemplateError::NotRooted)?;
        if rest.split('/').count() > SEGMENTS_MAX {
            return Err(TemplateError::TooDeep);
        }
        let segments = rest.split('/').map(segment).collect::<Result<_, _>>()?;
        Ok(Self { segments })
    }

    /// The segments, in order. Never empty: `/` has one empty literal.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

/// The template without the names of its parameters: two templates with the same text match the
/// same paths.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            f.write_str("/")?;
            match segment {
                Segment::Literal(bytes) => write_literal(f, bytes)?,
                Segment::Parameter => f.write_str("{}")?,
                Segment::Mixed(pieces) => {
                    for piece in pieces {
                        match piece {
                            Piece::Literal(bytes) => write_literal(f, bytes)?,
                            Piece::Parameter => f.write_str("{}")?,
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn write_literal(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for &byte in bytes {
        // What a template may not hold as it is can only have come as an escape, and stays one.
        let plain = !matches!(byte, b'/' | b'%' | b'{' | b'}' | b'?' | b'#' | b'\\');
        if byte.is_ascii_graphic() && plain {
            write!(f, "{}", char::from(byte))?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

fn segment(text: &str) -> Result<Segment, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if pieces.len() == PIECES_MAX {
            return Err(TemplateError::TooManyPieces);
        }
        if let Some(inside) = rest.strip_prefix('{') {
            let end = inside.find('}').ok_or_else(|| TemplateError::Braces(text.to_owned()))?;
            if inside[..end].contains('{') {
                return Err(TemplateError::Braces(text.to_owned()));
            }
            pieces.push(Piece::Parameter);
            rest = &inside[end + 1..];
        } else {
            let end = rest.find('{').unwrap_or(rest.len());
            pieces.push(Piece::Literal(literal(&rest[..end], text)?));
            rest = &rest[end..];
        }
    }
    match pieces.as_mut_slice() {
        [] => Ok(Segment::Literal(Box::default())),
        [Piece::Parameter] => Ok(Segment::Parameter),
        [Piece::Literal(bytes)] => {
            if matches!(&**bytes, b"." | b"..") {
                return Err(TemplateError::DotSegment(text.to_owned()));
            }
            Ok(Segment::Literal(std::mem::take(bytes)))
        }
        _ => Ok(Segment::Mixed(pieces)),
    }
}

fn literal(text: &str, segment: &str) -> Result<Box<[u8]>, TemplateError> {
    for character in text.chars() {
        match character {
            '}' => return Err(TemplateError::Braces(segment.to_owned())),
            '?' | '#' => return Err(TemplateError::NotPath(character)),
            '\\' | ' ' => return Err(TemplateError::Character(character)),
            _ if character.is_control() => return Err(TemplateError::Character(character)),
            _ => {}
        }
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = next_byte(rest) {
        bytes.push(byte);
        rest = after;
    }
    Ok(bytes.into_boxed_slice())
}

/// The next byte of a path with its percent escape decoded (RFC 3986 §2.1), and what follows it.
/// A `%` that starts no escape stands for itself.
#[must_use]
#[inline]
pub fn next_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    match *text {
        [b'%', high, low, ref rest @ ..] => match (hex(high), hex(low)) {
            (Some(high), Some(low)) => Some((high << 4 | low, rest)),
            _ => Some((b'%', &text[1..])),
        },
        [byte, ref rest @ ..] => Some((byte, rest)),
        [] => None,
    }
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(text: &str) -> String {
        Template::parse(text).unwrap().to_string()
    }

    #[test]
    fn names_and_escapes_do_not_count() {
        assert_eq!(shape("/orders/{id}"), shape("/orders/{orderId}"));
        assert_eq!(shape("/%6Frders/{}"), "/orders/{}");
        assert_eq!(shape("/caf%c3%a9"), shape("/café"));
        assert_eq!(shape("/a%2Fb"), "/a%2Fb");
        assert_eq!(shape("/{id}.json"), "/{}.json");
        assert_eq!(shape("/100%"), "/100%25");
        assert_eq!(shape("/%5c%3f%23"), "/%5C%3F%23");
        assert_ne!(shape("/orders"), shape("/orders/"));
    }

    #[test]
    fn segments_are_what_they_look_like() {
        let parsed = Template::parse("/a/{b}/{c}.{d}/").unwrap();
        let dot = Piece::Literal(b".".as_slice().into());
        assert_eq!(
            parsed.segments(),
            [
                Segment::Literal(b"a".as_slice().into()),
                Segment::Parameter,
                Segment::Mixed(vec![Piece::Parameter, dot, Piece::Parameter]),
                Segment::Literal(Box::default()),
            ]
        );
    }

    #[test]
    fn what_can_never_match_is_refused() {
        use TemplateError as E;
        type Expected = fn(&TemplateError) -> bool;
        let wrong: [(&str, Expected); 13] = [
            ("", |e| matches!(e, E::NotRooted)),
            ("orders", |e| matches!(e, E::NotRooted)),
            ("/{id", |e| matches!(e, E::Braces(_))),
            ("/id}", |e| matches!(e, E::Braces(_))),
            ("/{a{b}}", |e| matches!(e, E::Braces(_))),
            ("/{a/b}", |e| matches!(e, E::Braces(_))),
            ("/a?x={y}", |e| matches!(e, E::NotPath('?'))),
            ("/a#Action", |e| matches!(e, E::NotPath('#'))),
            ("/a/../b", |e| matches!(e, E::DotSegment(_))),
            ("/a/%2e%2E", |e| matches!(e, E::DotSegment(_))),
            ("/a b", |e| matches!(e, E::Character(' '))),
            ("/a\\b", |e| matches!(e, E::Character('\\'))),
            ("/a\u{0}", |e| matches!(e, E::Character('\u{0}'))),
        ];
        for (text, expected) in wrong {
            let error = Template::parse(text).unwrap_err();
            assert!(expected(&error), "{text}: {error}");
        }
        assert_eq!(Template::parse(&"/a".repeat(SEGMENTS_MAX + 1)), Err(E::TooDeep));
        assert_eq!(Template::parse(&format!("/{}", "a".repeat(3_000))), Err(E::TooLong));
        assert_eq!(Template::parse(&format!("/{}", "{a}-".repeat(9))), Err(E::TooManyPieces));
        assert!(Template::parse(&"/a".repeat(SEGMENTS_MAX)).is_ok());
    }

    proptest! {
        #[test]
        fn a_shape_is_its_own_shape(text in "/[a-z{}%/.:25F-]{0,30}") {
            if let Ok(template) = Template::parse(&text) {
                prop_assert_eq!(Template::parse(&template.to_string()), Ok(template));
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,100}") {
            if let Ok(template) = Template::parse(&text) {
                prop_assert!(!template.segments().is_empty());
            }
        }
    }
}
