//! A database statement without what stands in it: literals are data of persons, and two calls are
//! the same call when only their literals differ.
//!
//! Dialects disagree on where a text ends (backslashes, `"`, `#`, `--`). Where this reader cannot
//! be sure it keeps the first keyword and nothing else: showing less is right, guessing is not.

mod words;

use std::fmt::Write as _;

use words::{Dialect, KEYWORDS, dialect};

/// Bytes of a statement that are kept.
pub const STATEMENT_BYTES_MAX: usize = 512;
/// Bytes of a statement that are read; a longer one is not surely understood.
const READ_BYTES_MAX: usize = 64 * 1024;

/// What stands for a statement that says nothing.
pub(crate) const UNKNOWN: &str = "unknown";
/// What follows a keyword that stands for statements that may differ.
const AND_MORE: &str = " …";

/// What is known of a call, as its span says it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Said<'a> {
    pub(crate) system: &'a str,
    pub(crate) text: Option<&'a str>,
    pub(crate) operation: Option<&'a str>,
    pub(crate) collection: Option<&'a str>,
}

/// The statement without literals, 512 bytes at most; the first keyword and `…` where that is not
/// sure.
pub(crate) fn normalise(said: Said<'_>) -> String {
    let system = said.system.to_ascii_lowercase();
    let dialect = dialect(&system);
    let sql = said.text.filter(|_| dialect != Dialect::Other);
    if let Some(normal) = sql.and_then(|text| strip(text, dialect)).filter(|text| !text.is_empty())
    {
        return normal;
    }
    let mut short = String::new();
    for text in [said.text, said.operation].into_iter().flatten() {
        if let Some(keyword) = keyword(text) {
            short.push_str(keyword);
            break;
        }
    }
    if short.is_empty() {
        short.push_str(UNKNOWN);
    }
    if let Some(collection) = said.collection.filter(|name| plain_name(name)) {
        short.push(' ');
        short.push_str(collection);
    }
    // A keyword of SQL says little; without SQL an operation and its collection are all there is.
    let told = said.collection.is_some_and(plain_name) && sql.is_none();
    if dialect != Dialect::Other && short != UNKNOWN && !told {
        short.push_str(AND_MORE);
    }
    short
}

/// Whether two calls with this text made the same statement, as far as anyone can tell.
pub(crate) fn is_sure(normal: &str) -> bool {
    normal != UNKNOWN && !normal.ends_with(AND_MORE)
}

fn keyword(text: &str) -> Option<&'static str> {
    let word = text.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next()?;
    KEYWORDS.into_iter().find(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// A name of the schema and no key of a row: no digits, few characters.
fn plain_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '.';
    (1..=64).contains(&name.len()) && name.chars().all(word)
}

/// Reads a statement token by token; `None` where it is not surely understood.
fn strip(text: &str, dialect: Dialect) -> Option<String> {
    if text.len() > READ_BYTES_MAX {
        return None;
    }
    let mut reader = Sql { rest: text, dialect };
    let mut out = Normal::default();
    while let Some(token) = reader.token()? {
        if !out.put(&token) {
            break;
        }
    }
    let mut text = out.finish();
    text.truncate(crate::label::floor_char_boundary(&text, STATEMENT_BYTES_MAX));
    Some(text)
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    /// A name or a keyword, quotes included.
    Word(&'a str),
    /// A literal or a placeholder.
    Value,
    /// Anything else.
    Mark(char),
}

struct Sql<'a> {
    rest: &'a str,
    dialect: Dialect,
}

impl<'a> Sql<'a> {
    /// The next token; `Some(None)` at the end, `None` where it is not sure.
    fn token(&mut self) -> Option<Option<Token<'a>>> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.comment()? {
                break;
            }
        }
        let Some(first) = self.rest.chars().next() else { return Some(None) };
        let token = match first {
            '\'' => self.text('\'', false)?,
            '"' if self.dialect == Dialect::Standard => self.quoted_name('"')?,
            '"' => self.text('"', false)?,
            '`' => self.quoted_name('`')?,
            '[' if self.dialect == Dialect::Loose => self.quoted_name(']')?,
            '$' => self.dollar()?,
            '?' => self.value(1),
            ':' | '@' | '%' => self.placeholder(first),
            c if c.is_ascii_digit() => self.number(),
            '.' if self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
            c if c.is_alphabetic() || c == '_' => self.word()?,
            c if c.is_control() || c == '\\' => return None,
            '<' | '>' | '=' | '!' | '|' | '&' | '~' => self.operator(0),
            '-' if self.rest[1..].starts_with('>') => self.operator(1),
            c => self.mark(c),
        };
        Some(Some(token))
    }

    fn mark(&mut self, mark: char) -> Token<'a> {
        self.rest = &self.rest[mark.len_utf8()..];
        Token::Mark(mark)
    }

    /// `<>`, `>=`, `->>`: one word.
    fn operator(&mut self, from: usize) -> Token<'a> {
        let part = |c: char| matches!(c, '<' | '>' | '=' | '!' | '|' | '&' | '~');
        let more = self.rest[from..].find(|c: char| !part(c));
        let (operator, rest) = self.rest.split_at(more.map_or(self.rest.len(), |more| from + more));
        self.rest = rest;
        Token::Word(operator)
    }

    fn value(&mut self, bytes: usize) -> Token<'a> {
        self.rest = &self.rest[bytes..];
        Token::Value
    }

    /// Skips one comment: it may hold anything, a trace's id at best.
    fn comment(&mut self) -> Option<bool> {
        if let Some(after) = self.rest.strip_prefix("--") {
            let blank = after.is_empty() || after.starts_with(char::is_whitespace);
            if self.dialect != Dialect::Standard && !blank {
                return None;
            }
            self.rest = after.split_once('\n').map_or("", |(_, rest)| rest);
            return Some(true);
        }
        if let Some(after) = self.rest.strip_prefix("/*") {
            let (inside, rest) = after.split_once("*/")?;
            // Some systems nest comments and some do not; some run what stands in `/*!`.
            if inside.contains("/*") || inside.starts_with(['!', '+', 'M']) {
                return None;
            }
            self.rest = rest;
            return Some(true);
        }
        if self.rest.starts_with('#') && self.dialect != Dialect::Standard {
            return None;
        }
        Some(false)
    }

    /// A text: the quote doubled stands for itself. A backslash means something in some systems and
    /// settings and nothing in others, so that a text with one has no sure end.
    fn text(&mut self, quote: char, escapes: bool) -> Option<Token<'a>> {
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, c)) = characters.next() {
            if c == '\\' {
                if !escapes {
                    return None;
                }
                characters.next()?;
            } else if c == quote {
                let after = &self.rest[at + quote.len_utf8()..];
                if after.starts_with(quote) {
                    characters.next();
                } else {
                    self.rest = after;
                    return Some(Token::Value);
                }
            }
        }
        None
    }

    fn quoted_name(&mut self, quote: char) -> Option<Token<'a>> {
        let end = self.rest[1..].find(quote)? + 2;
        let (name, rest) = self.rest.split_at(end);
        // A name of the schema is short and has no blanks, lines or at-signs in it.
        let inside = &name[1..end - 1];
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '.');
        if inside.len() > 64 || !inside.chars().all(plain) || rest.starts_with(quote) {
            return None;
        }
        self.rest = rest;
        Some(Token::Word(name))
    }

    /// `$1`, or a text between `$tag$` and `$tag$`.
    fn dollar(&mut self) -> Option<Token<'a>> {
        let after = &self.rest[1..];
        if after.starts_with(|c: char| c.is_ascii_digit()) {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            return Some(self.value(1 + digits));
        }
        let tag = 1 + after.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
        if !self.rest[tag..].starts_with('$') || self.dialect != Dialect::Standard {
            return None;
        }
        let (mark, body) = self.rest.split_at(tag + 1);
        self.rest = &body[body.find(mark)? + mark.len()..];
        Some(Token::Value)
    }

    /// `:name`, `@name` and `%s` stand for a value; `::` casts, alone they are marks.
    fn placeholder(&mut self, first: char) -> Token<'a> {
        let after = &self.rest[1..];
        if first == ':' && after.starts_with([':', '=']) {
            self.rest = &self.rest[1..];
            let Some(second) = self.rest.chars().next() else { return Token::Mark(':') };
            self.rest = &self.rest[1..];
            return if second == ':' { Token::Word("::") } else { Token::Word(":=") };
        }
        if first == '%' && after.starts_with('(') {
            let end = after.find(")s").filter(|end| plain_name(&after[1..*end]));
            return end.map_or(Token::Mark('%'), |end| self.value(end + 3)).or_mark(self, '%');
        }
        let name = after.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(after.len());
        if name == 0 || (first == '%' && &after[..name] != "s") {
            return self.mark(first);
        }
        self.value(1 + name)
    }

    fn number(&mut self) -> Token<'a> {
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let mut end = self.rest.find(|c: char| !word(c)).unwrap_or(self.rest.len());
        let exponent = self.rest[..end].ends_with(['e', 'E']);
        if exponent && self.rest[end..].starts_with(['+', '-']) {
            let digits = self.rest[end + 1..].bytes().take_while(u8::is_ascii_digit).count();
            end += 1 + digits;
        }
        self.value(end)
    }

    fn word(&mut self) -> Option<Token<'a>> {
        let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
        let end = self.rest.find(|c: char| !inside(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        // A prefix makes the text after it a literal of another kind: `E'…'`, `N'…'`, `X'…'`.
        if rest.starts_with('\'') {
            let escapes = match word.to_ascii_uppercase().as_str() {
                "E" if self.dialect == Dialect::Standard => true,
                // Oracle lets such a text end at a mark of the author's choice.
                "Q" | "NQ" => return None,
                "N" | "X" | "B" | "R" | "_UTF8MB4" | "_UTF8" | "DATE" | "TIME" | "TIMESTAMP"
                | "INTERVAL" => false,
                // `like'x'` is allowed, too; but then the word is no prefix and stays.
                _ => {
                    self.rest = rest;
                    return Some(Token::Word(word));
                }
            };
            self.rest = rest;
            return self.text('\'', escapes);
        }
        // A quoted name beyond ASCII may be anything; a bare one is a name.
        self.rest = rest;
        Some(Token::Word(word))
    }
}

impl<'a> Token<'a> {
    /// A mark that was recognised but not yet read.
    fn or_mark(self, sql: &mut Sql<'a>, mark: char) -> Self {
        if self == Token::Mark(mark) { sql.mark(mark) } else { self }
    }
}

/// The statement as it is written down: one blank between words, and lists of values as one.
#[derive(Default)]
struct Normal {
    text: String,
    /// Whether a blank belongs before the next word.
    blank: bool,
}

impl Normal {
    /// Says whether there is room for more.
    fn put(&mut self, token: &Token<'_>) -> bool {
        match token {
            Token::Word("::") => {
                self.text.push_str("::");
                self.blank = false;
            }
            Token::Word(word) => {
                self.before_word();
                self.text.push_str(word);
                self.blank = true;
            }
            Token::Value => {
                // `?, ?, ?` says no more than `?`, and how many there are changes with the call.
                if self.text.ends_with("?, ") {
                    self.text.truncate(self.text.len() - 2);
                } else {
                    self.before_word();
                    self.text.push('?');
                }
                self.blank = true;
            }
            Token::Mark(mark) => self.mark(*mark),
        }
        self.text.len() <= STATEMENT_BYTES_MAX * 2
    }

    fn before_word(&mut self) {
        if self.blank && !self.text.is_empty() {
            self.text.push(' ');
        }
    }

    fn mark(&mut self, mark: char) {
        match mark {
            ',' => {
                self.text.push_str(", ");
                self.blank = false;
            }
            '.' | '(' | '[' => {
                // A call of a function and a list look alike: neither has a blank before it.
                self.text.push(mark);
                self.blank = false;
            }
            ')' => {
                self.text.push(mark);
                // Rows of values: `(?), (?)` is `(?)`.
                if self.text.ends_with("(?), (?)") {
                    self.text.truncate(self.text.len() - ", (?)".len());
                }
                self.blank = true;
            }
            ';' => self.blank = true,
            mark => {
                self.before_word();
                let _written = self.text.write_char(mark).is_ok();
                self.blank = true;
            }
        }
    }

    fn finish(self) -> String {
        self.text.trim().to_owned()
    }
}

#[cfg(test)]
mod tests;
