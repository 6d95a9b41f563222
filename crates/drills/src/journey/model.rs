//! What a journey's file says. Places are kept, so that whatever fails later can be found.

use std::collections::BTreeSet;
use std::time::Duration;

use regex::Regex;

use super::path::Path;
use super::secrets::is_secret_name;
use super::value::Value;

/// A journey as it was written.
#[derive(Clone, Debug)]
pub struct Journey {
    /// Its steps, in order; at least one.
    pub steps: Vec<Step>,
    /// Every name of a variable in it, be it given or captured on the way.
    pub names: BTreeSet<String>,
}

/// One request and what is expected of its answer.
#[derive(Clone, Debug)]
pub struct Step {
    /// The line of the request, from 1.
    pub line: usize,
    /// The method.
    pub method: String,
    pub(super) url: Text,
    pub(super) headers: Vec<Field>,
    pub(super) query: Vec<Field>,
    pub(super) form: Option<Vec<Field>>,
    pub(super) cookies: Vec<Field>,
    pub(super) basic: Option<Field>,
    pub(super) options: Options,
    pub(super) body: Option<Body>,
    pub(super) expected: Option<Expected>,
}

impl Step {
    /// The URL as it was written, variables and all.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url.source
    }
}

/// A name and a value.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: Text,
    pub(super) value: Text,
}

/// A text that may hold variables.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    pub(super) pieces: Vec<Piece>,
    /// As it was written.
    pub(super) source: String,
}

impl Text {
    /// The text, where it holds no variable.
    pub(super) fn literal(&self) -> Option<String> {
        let mut all = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => all.push_str(text),
                Piece::Given(_) => return None,
            }
        }
        Some(all)
    }
}

/// A part of a [`Text`].
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Literal(String),
    Given(Given),
}

/// What stands between `{{` and `}}`.
#[derive(Clone, Debug)]
pub(super) enum Given {
    Variable {
        name: String,
        line: usize,
    },
    /// A new UUID (RFC 9562, version 4).
    NewUuid,
    /// The time now (RFC 3339), in UTC.
    NewDate,
}

/// What goes with the request.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Json(Vec<JsonPiece>),
    Text { text: Text, json: bool },
}

/// A part of a JSON body. Its shape was checked when it was read.
#[derive(Clone, Debug)]
pub(super) enum JsonPiece {
    /// As it stands.
    Raw(String),
    /// Inside a string: escaped as JSON wants it.
    InString(Given),
    /// For a whole value: a number, a truth value or null.
    Value(Given),
}

/// `[Options]`.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) delay: Duration,
    /// How often the step is tried again.
    pub(super) retry: u32,
    pub(super) retry_interval: Option<Duration>,
    pub(super) max_time: Option<Duration>,
    pub(super) skip: bool,
    /// Variables that are set before the request is made, by name; whether they are numbers and the
    /// like.
    pub(super) variables: Vec<(String, Text, bool)>,
}

/// What is expected of an answer.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) line: usize,
    pub(super) version: Option<Version>,
    pub(super) status: Option<u16>,
    pub(super) headers: Vec<(usize, Field)>,
    pub(super) captures: Vec<Capture>,
    pub(super) asserts: Vec<Assert>,
}

/// A version of HTTP that is asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
    Http2,
    Http3,
}

/// Something of the answer under a name.
#[derive(Clone, Debug)]
pub(super) struct Capture {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) query: Query,
    pub(super) filters: Vec<Filter>,
    /// Said to be never shown.
    pub(super) redacted: bool,
}

impl Capture {
    /// Whether what it captures is never shown: it says so, or its name does.
    pub(super) fn is_secret(&self) -> bool {
        self.redacted || is_secret_name(&self.name)
    }
}

/// Something that has to hold.
#[derive(Clone, Debug)]
pub(super) struct Assert {
    pub(super) line: usize,
    /// As it was written.
    pub(super) source: String,
    pub(super) query: Query,
    pub(super) filters: Vec<Filter>,
    pub(super) negated: bool,
    pub(super) predicate: Predicate,
}

/// What of an answer is looked at.
#[derive(Clone, Debug)]
pub(super) enum Query {
    Status,
    Version,
    Url,
    Header(Text),
    Cookie(Text),
    Body,
    Bytes,
    JsonPath(Path),
    Regex(Pattern),
    Variable(Text),
    Duration,
}

/// What is made of what was found.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    Count,
    First,
    Last,
    Nth(i64),
    JsonPath(Path),
    Regex(Pattern),
    Replace(Text, Text),
    Split(Text),
    ToInt,
    ToFloat,
    ToText,
    UrlEncode,
    UrlDecode,
}

/// What it has to be.
#[derive(Clone, Debug)]
pub(super) enum Predicate {
    Equal(Operand),
    NotEqual(Operand),
    Greater(Operand),
    GreaterOrEqual(Operand),
    Less(Operand),
    LessOrEqual(Operand),
    StartsWith(Operand),
    EndsWith(Operand),
    Contains(Operand),
    /// Said of lists alone.
    Includes(Operand),
    Matches(Pattern),
    Exists,
    IsEmpty,
    Is(Type),
}

/// A kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Integer,
    Float,
    Number,
    Boolean,
    Text,
    List,
    Object,
    /// A list or an object.
    Collection,
    IsoDate,
}

/// What a value is compared with.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Value(Value),
    Text(Text),
    Given(Given),
}

/// A regular expression, compiled when it was read.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) source: String,
    pub(super) regex: Regex,
}
