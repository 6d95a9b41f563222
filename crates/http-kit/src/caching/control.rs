//! `Cache-Control` of answers and of requests (RFC 9111 §5.2), read tolerantly where that is safe.
//!
//! A directive counts once, the first time it stands there (§4.2.1). A number that is none makes
//! the answer stale at once. `max-age` inside another directive's quoted value is no `max-age`.

use http::{HeaderMap, HeaderName, header};
use smallvec::SmallVec;

/// Directives that are read in one message; an answer with more is not stored.
pub(super) const DIRECTIVES_MAX: usize = 64;
/// Fields that `no-cache="..."` may name.
const OMITTED_MAX: usize = 16;
/// Numbers beyond are taken for this one (RFC 9111 §1.2.2).
pub(super) const SECONDS_MAX: u64 = 1 << 31;

/// Fields that are not to be kept with the answer.
pub type Omitted = SmallVec<[HeaderName; 2]>;

/// What an answer says of its own caching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseControl {
    /// `max-age`, seconds.
    pub max_age: Option<u64>,
    /// `s-maxage`, seconds.
    pub s_maxage: Option<u64>,
    /// `no-cache` without a list of fields.
    pub no_cache: bool,
    /// `no-store`, or more directives than are read.
    pub no_store: bool,
    /// `private`, with or without a list of fields.
    pub private: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `stale-while-revalidate`, seconds.
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error`, seconds.
    pub stale_if_error: Option<u64>,
    /// What `no-cache="..."` names.
    pub omitted: Omitted,
}

impl ResponseControl {
    /// Reads the `Cache-Control` of an answer.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        let mut left = DIRECTIVES_MAX;
        for line in headers.get_all(header::CACHE_CONTROL) {
            for directive in Directives::of(line.as_bytes()) {
                let Some(rest) = left.checked_sub(1) else {
                    control.no_store = true;
                    return control;
                };
                left = rest;
                control.read(&directive);
            }
        }
        control
    }

    fn read(&mut self, directive: &Directive<'_>) {
        let mut buffer = [0_u8; LONGEST];
        match directive.lower(&mut buffer) {
            b"max-age" => first(&mut self.max_age, directive),
            b"s-maxage" => first(&mut self.s_maxage, directive),
            b"stale-while-revalidate" => first(&mut self.stale_while_revalidate, directive),
            b"stale-if-error" => first(&mut self.stale_if_error, directive),
            b"no-cache" => match directive.argument {
                Some(fields) if !fields.is_empty() => self.omit(fields),
                _ => self.no_cache = true,
            },
            b"no-store" => self.no_store = true,
            b"private" => self.private = true,
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            _ => {}
        }
    }

    /// What is no list of field names is read as `no-cache` alone.
    fn omit(&mut self, fields: &[u8]) {
        for name in fields.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            match HeaderName::from_bytes(name) {
                Ok(name) if self.omitted.len() < OMITTED_MAX => self.omitted.push(name),
                _ => self.no_cache = true,
            }
        }
    }

    /// Whether it says that a stale answer must not be used without asking (RFC 9111 §5.2.2.2,
    /// §5.2.2.8).
    #[must_use]
    pub fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache
    }
}

/// What a request says of the answers it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestControl {
    /// `no-cache`: only what was asked about just now.
    pub no_cache: bool,
    /// `no-store`: nothing of this exchange is to be kept.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `max-age`, seconds.
    pub max_age: Option<u64>,
    /// `min-fresh`, seconds.
    pub min_fresh: Option<u64>,
    /// `max-stale`, seconds; without a number, any staleness.
    pub max_stale: Option<u64>,
}

impl RequestControl {
    /// Reads the `Cache-Control` of a request.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        let lines = headers.get_all(header::CACHE_CONTROL).iter();
        let directives = lines.flat_map(|line| Directives::of(line.as_bytes()));
        for directive in directives.take(DIRECTIVES_MAX) {
            control.read(&directive);
        }
        control
    }

    fn read(&mut self, directive: &Directive<'_>) {
        let mut buffer = [0_u8; LONGEST];
        match directive.lower(&mut buffer) {
            b"no-cache" => self.no_cache = true,
            b"no-store" => self.no_store = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => first(&mut self.max_age, directive),
            b"min-fresh" => first(&mut self.min_fresh, directive),
            b"max-stale" if directive.argument.is_none() => self.max_stale = Some(SECONDS_MAX),
            b"max-stale" => first(&mut self.max_stale, directive),
            _ => {}
        }
    }
}

fn first(slot: &mut Option<u64>, directive: &Directive<'_>) {
    if slot.is_none() {
        *slot = Some(directive.argument.and_then(seconds).unwrap_or(0));
    }
}

/// Digits as seconds, as many as there are; `None` for anything else.
pub(super) fn seconds(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| (sum * 10 + u64::from(digit - b'0')).min(SECONDS_MAX);
    Some(digits.iter().fold(0, add))
}

/// The longest name that means something here, bytes.
const LONGEST: usize = 24;

/// One directive as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Directive<'v> {
    name: &'v [u8],
    /// What follows `=`, without its quotes.
    argument: Option<&'v [u8]>,
}

impl Directive<'_> {
    /// The name in lower case; empty where it is longer than any that is known.
    fn lower<'b>(&self, buffer: &'b mut [u8; LONGEST]) -> &'b [u8] {
        let Some(place) = buffer.get_mut(..self.name.len()) else { return b"" };
        place.copy_from_slice(self.name);
        place.make_ascii_lowercase();
        place
    }
}

/// The directives of one line: split at commas that stand in no quoted string.
struct Directives<'v>(&'v [u8]);

impl<'v> Directives<'v> {
    fn of(line: &'v [u8]) -> Self {
        Self(line)
    }
}

impl<'v> Iterator for Directives<'v> {
    type Item = Directive<'v>;

    fn next(&mut self) -> Option<Directive<'v>> {
        loop {
            if self.0.is_empty() {
                return None;
            }
            let end = member_end(self.0);
            let member = self.0[..end].trim_ascii();
            self.0 = self.0.get(end + 1..).unwrap_or_default();
            if !member.is_empty() {
                return Some(directive(member));
            }
        }
    }
}

/// Where the first comma outside a quoted string stands; an open quotation ends with the line.
fn member_end(line: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    line.len()
}

fn directive(member: &[u8]) -> Directive<'_> {
    let Some(equals) = member.iter().position(|byte| *byte == b'=') else {
        return Directive { name: member, argument: None };
    };
    let argument = &member[equals + 1..];
    let unquoted = argument.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    Directive { name: &member[..equals], argument: Some(unquoted.unwrap_or(argument)) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn response(lines: &[&str]) -> ResponseControl {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::CACHE_CONTROL, HeaderValue::from_str(line).unwrap());
        }
        ResponseControl::of(&headers)
    }

    #[test]
    fn numbers_are_digits_and_what_is_none_is_stale() {
        for (line, expected) in [
            ("max-age=60", Some(60)),
            ("MaX-AgE=60", Some(60)),
            ("max-age=003600", Some(3600)),
            ("max-age=\"60\"", Some(60)),
            ("max-age=99999999999999999999999", Some(SECONDS_MAX)),
            ("max-age='60'", Some(0)),
            ("max-age=-60", Some(0)),
            ("max-age=60.5", Some(0)),
            ("max-age=60a", Some(0)),
            ("max-age= 60", Some(0)),
            ("max-age=", Some(0)),
            ("max-age", Some(0)),
            ("max-age =60", None),
            ("max-age=1, max-age=60", Some(1)),
            ("extension=\"max-age=60\", max-age=1", Some(1)),
            ("max-age=1, extension=\"a, max-age=60\"", Some(1)),
            ("extension=\"a\\\", max-age=60\"", None),
            ("extension=\"open, max-age=60", None),
            ("", None),
            (", ,", None),
        ] {
            assert_eq!(response(&[line]).max_age, expected, "{line}");
        }
        assert_eq!(response(&["max-age=1", "s-maxage=2"]).s_maxage, Some(2));
    }

    #[test]
    fn no_cache_with_fields_names_what_is_left_out() {
        let control = response(&["no-cache=\"a, B\", max-age=60"]);
        assert!(!control.no_cache);
        let names: Vec<&str> = control.omitted.iter().map(HeaderName::as_str).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(response(&["no-cache=\"a b\""]).no_cache);
        assert!(response(&["no-cache"]).no_cache && response(&["no-cache=\"\""]).no_cache);
        assert!(response(&["private=\"x\""]).private);
    }

    #[test]
    fn more_than_is_read_is_not_stored() {
        assert!(!response(&[&"a,".repeat(DIRECTIVES_MAX)]).no_store);
        assert!(response(&[&"a,".repeat(DIRECTIVES_MAX + 1)]).no_store);
    }

    /// Splits with a regard for quotes, one character after the other.
    fn twin(line: &str) -> Vec<String> {
        let (mut members, mut quoted, mut escaped) = (vec![String::new()], false, false);
        for c in line.chars() {
            if c == ',' && !quoted {
                members.push(String::new());
                continue;
            }
            if escaped {
                escaped = false;
            } else if c == '\\' && quoted {
                escaped = true;
            } else if c == '"' {
                quoted = !quoted;
            }
            members.last_mut().unwrap().push(c);
        }
        let trimmed = members.iter().map(|member| member.trim_matches([' ', '\t']).to_owned());
        trimmed.filter(|member| !member.is_empty()).collect()
    }

    proptest! {
        #[test]
        fn members_are_those_of_the_twin(line in "[a-c=,\"\\\\ \t0-9]{0,40}") {
            let read: Vec<String> = Directives::of(line.as_bytes())
                .map(|directive| {
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    let (name, argument) = (text(directive.name), directive.argument.map(text));
                    argument.map_or(name.clone(), |argument| format!("{name}={argument}"))
                })
                .collect();
            let twins: Vec<String> = twin(&line)
                .into_iter()
                .map(|member| match member.split_once('=') {
                    Some((name, quoted))
                        if quoted.len() > 1 && quoted.starts_with('"') && quoted.ends_with('"') =>
                    {
                        format!("{name}={}", &quoted[1..quoted.len() - 1])
                    }
                    _ => member,
                })
                .collect();
            prop_assert_eq!(read, twins);
        }

        #[test]
        fn whatever_stands_there_is_read(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                let mut headers = HeaderMap::new();
                headers.insert(header::CACHE_CONTROL, value);
                let control = ResponseControl::of(&headers);
                prop_assert!(control.max_age.unwrap_or(0) <= SECONDS_MAX);
                prop_assert!(RequestControl::of(&headers).max_age.unwrap_or(0) <= SECONDS_MAX);
            }
        }
    }
}
