//! A dictionary of RFC 9651 (§4.2.2), read in one pass and in place: a value that stands in the
//! field as it is meant is borrowed, and only an escape or an odd number costs a copy.
//!
//! It takes and refuses exactly what the `sfv` crate does; a property test holds it to that. That
//! crate asks for 5,000 instructions a request where this one asks for a few hundred.

use std::borrow::Cow;

/// The field is no dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

type Parsed<T> = Result<T, Malformed>;

/// Reads a dictionary and hands over each entry in turn: its key, and its value where that reads as
/// text (a string, a token, a number, a display string). Parameters are checked and left out. What
/// was handed over counts only if the whole dictionary parses.
pub(super) fn read<'t>(
    text: &'t str,
    mut entry: impl FnMut(&'t str, Option<Cow<'t, str>>),
) -> Parsed<()> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_spaces();
    while reader.peek().is_some() {
        let key = reader.key()?;
        let value = if reader.take(b'=') { reader.member()? } else { None };
        if reader.peek() == Some(b';') {
            reader.parameters()?;
        }
        entry(key, value);
        reader.skip_white_space();
        if reader.peek().is_none() {
            return Ok(());
        }
        reader.expect(b',')?;
        reader.skip_white_space();
        if reader.peek().is_none() {
            return Err(Malformed);
        }
    }
    Ok(())
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8) -> Parsed<()> {
        if self.take(byte) { Ok(()) } else { Err(Malformed) }
    }

    /// The text from `start` to here.
    #[inline]
    fn since(&self, start: usize) -> &'t str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    #[inline]
    fn skip_while(&mut self, class: u8) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|byte| !is(*byte, class)).unwrap_or(rest.len());
    }

    fn skip_spaces(&mut self) {
        while self.take(b' ') {}
    }

    #[inline]
    fn skip_white_space(&mut self) {
        while self.take(b' ') || self.take(b'\t') {}
    }

    #[inline]
    fn key(&mut self) -> Parsed<&'t str> {
        let start = self.at;
        match self.peek() {
            Some(b'a'..=b'z' | b'*') => {
                self.skip_while(KEY);
                Ok(self.since(start))
            }
            _ => Err(Malformed),
        }
    }

    /// An item or an inner list; a list has no text.
    #[inline]
    fn member(&mut self) -> Parsed<Option<Cow<'t, str>>> {
        if self.take(b'(') { self.inner_list().map(|()| None) } else { self.bare_item() }
    }

    #[cold]
    fn inner_list(&mut self) -> Parsed<()> {
        loop {
            self.skip_spaces();
            if self.take(b')') {
                return Ok(());
            }
            self.bare_item()?;
            self.parameters()?;
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return Err(Malformed);
            }
        }
    }

    #[cold]
    fn parameters(&mut self) -> Parsed<()> {
        while self.take(b';') {
            self.skip_spaces();
            self.key()?;
            if self.take(b'=') {
                self.bare_item()?;
            }
        }
        Ok(())
    }

    fn bare_item(&mut self) -> Parsed<Option<Cow<'t, str>>> {
        match self.peek().ok_or(Malformed)? {
            b'"' => self.string().map(Some),
            b'a'..=b'z' | b'A'..=b'Z' | b'*' => {
                let start = self.at;
                self.skip_while(TOKEN);
                Ok(Some(Cow::Borrowed(self.since(start))))
            }
            b'-' | b'0'..=b'9' => self.number().map(|number| Some(number.text)),
            b'?' => {
                self.at += 1;
                if self.take(b'0') || self.take(b'1') { Ok(None) } else { Err(Malformed) }
            }
            b':' => self.byte_sequence().map(|()| None),
            b'@' => {
                self.at += 1;
                if self.number()?.is_integer { Ok(None) } else { Err(Malformed) }
            }
            b'%' => self.display_string().map(Some),
            _ => Err(Malformed),
        }
    }

    fn string(&mut self) -> Parsed<Cow<'t, str>> {
        self.expect(b'"')?;
        let start = self.at;
        self.skip_while(STRING);
        let plain = self.since(start);
        if self.take(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        self.escaped_string(plain).map(Cow::Owned)
    }

    /// The rest of a string from its first backslash on.
    #[cold]
    fn escaped_string(&mut self, plain: &str) -> Parsed<String> {
        let mut text = plain.to_owned();
        while self.take(b'\\') {
            let escaped = self.peek().filter(|byte| matches!(byte, b'"' | b'\\'));
            text.push(char::from(escaped.ok_or(Malformed)?));
            self.at += 1;
            let start = self.at;
            self.skip_while(STRING);
            text.push_str(self.since(start));
        }
        self.expect(b'"')?;
        Ok(text)
    }

    /// Percent escapes in lower case, and what they decode to must be UTF-8.
    #[cold]
    fn display_string(&mut self) -> Parsed<Cow<'t, str>> {
        self.expect(b'%')?;
        self.expect(b'"')?;
        let start = self.at;
        let mut bytes = Vec::new();
        let mut is_escaped = false;
        loop {
            let byte = self.peek().filter(|byte| matches!(byte, b' '..=b'~')).ok_or(Malformed)?;
            match byte {
                b'"' => break,
                b'%' => {
                    is_escaped = true;
                    self.at += 1;
                    let high = self.lower_hex()?;
                    bytes.push(high << 4 | self.lower_hex()?);
                }
                _ => {
                    self.at += 1;
                    bytes.push(byte);
                }
            }
        }
        let plain = self.since(start);
        self.at += 1;
        if is_escaped {
            return String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Malformed);
        }
        Ok(Cow::Borrowed(plain))
    }

    fn lower_hex(&mut self) -> Parsed<u8> {
        let digit = match self.peek() {
            Some(digit @ b'0'..=b'9') => digit - b'0',
            Some(digit @ b'a'..=b'f') => digit - b'a' + 10,
            _ => return Err(Malformed),
        };
        self.at += 1;
        Ok(digit)
    }

    /// Base64, whose padding may be short (RFC 9651 §4.2.7 lets it be missing).
    #[cold]
    fn byte_sequence(&mut self) -> Parsed<()> {
        self.expect(b':')?;
        let start = self.at;
        self.skip_while(BASE64);
        let symbols = self.at - start;
        let padding_max = match symbols % 4 {
            0 => 0,
            1 => return Err(Malformed),
            rest => 4 - rest,
        };
        let mut padding = 0;
        while padding < padding_max && self.take(b'=') {
            padding += 1;
        }
        self.expect(b':')
    }

    /// An integer of at most 15 digits, or a decimal of at most 12 before and 3 after the point.
    fn number(&mut self) -> Parsed<Number<'t>> {
        let start = self.at;
        let negative = self.take(b'-');
        let whole = self.digits();
        if self.take(b'.') {
            let fraction = self.digits();
            if !(1..=12).contains(&whole.len()) || !(1..=3).contains(&fraction.len()) {
                return Err(Malformed);
            }
            let shortest = fraction.len() == 1 || !fraction.ends_with('0');
            let zero = whole == "0" && fraction == "0";
            let plain = shortest && has_no_leading_zero(whole) && !(negative && zero);
            let text = if plain {
                Cow::Borrowed(self.since(start))
            } else {
                Cow::Owned(plain_decimal(negative, whole, fraction))
            };
            return Ok(Number { text, is_integer: false });
        }
        if !(1..=15).contains(&whole.len()) {
            return Err(Malformed);
        }
        let plain = has_no_leading_zero(whole) && !(negative && whole == "0");
        let text = if plain {
            Cow::Borrowed(self.since(start))
        } else {
            Cow::Owned(plain_integer(negative, whole))
        };
        Ok(Number { text, is_integer: true })
    }

    fn digits(&mut self) -> &'t str {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.since(start)
    }
}

/// A number as RFC 9651 §4.1.4 and §4.1.5 would write it.
struct Number<'t> {
    text: Cow<'t, str>,
    is_integer: bool,
}

fn has_no_leading_zero(digits: &str) -> bool {
    digits.len() == 1 || !digits.starts_with('0')
}

#[cold]
fn plain_integer(negative: bool, digits: &str) -> String {
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits if negative => format!("-{digits}"),
        digits => digits.to_owned(),
    }
}

#[cold]
fn plain_decimal(negative: bool, whole: &str, fraction: &str) -> String {
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if whole.is_empty() && fraction.is_empty() {
        return "0.0".to_owned();
    }
    let or_zero = |digits: &str| if digits.is_empty() { "0".to_owned() } else { digits.to_owned() };
    format!("{}{}.{}", if negative { "-" } else { "" }, or_zero(whole), or_zero(fraction))
}

const KEY: u8 = 1;
const TOKEN: u8 = 2;
const STRING: u8 = 4;
const BASE64: u8 = 8;

#[inline]
fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// What may follow in a key, a token, a string without an escape, and a byte sequence.
const CLASSES: [u8; 256] = {
    let mut classes = [0u8; 256];
    let mut byte = 0u8;
    loop {
        let mut class = 0;
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || among(byte, b"_-*.") {
            class |= KEY;
        }
        if byte.is_ascii_alphanumeric() || among(byte, b"!#$%&'*+-.^_`|~:/") {
            class |= TOKEN;
        }
        if byte >= b' ' && byte <= b'~' && byte != b'"' && byte != b'\\' {
            class |= STRING;
        }
        if byte.is_ascii_alphanumeric() || among(byte, b"+/") {
            class |= BASE64;
        }
        classes[byte as usize] = class;
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    classes
};

const fn among(byte: u8, bytes: &[u8]) -> bool {
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests;
