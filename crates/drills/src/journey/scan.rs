//! A text, read from left to right, with the place of every character.

use std::path::Path;

use plimsoll_manifest::Fault;

/// A place in a file: line and column, both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Wrong {
    place: Place,
    message: String,
    expected: Option<String>,
    suggestion: Option<String>,
}

impl Wrong {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), expected: None, suggestion: None }
    }

    pub(super) fn expecting(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn suggesting(mut self, suggestion: Option<&str>) -> Self {
        self.suggestion = suggestion.map(str::to_owned);
        self
    }

    /// Of Hurl, but not of the subset.
    pub(super) fn outside(place: Place, what: &str, instead: impl Into<String>) -> Self {
        let message = format!("{what} is Hurl's, but not of the subset that journeys have");
        Self::new(place, message).expecting(instead)
    }

    pub(super) fn in_file(self, file: &Path) -> Fault {
        let mut fault = Fault::of_file(file, self.message);
        (fault.line, fault.column) = (Some(self.place.line), Some(self.place.column));
        (fault.expected, fault.suggestion) = (self.expected, self.suggestion);
        fault
    }
}

pub(super) type Read<T> = Result<T, Wrong>;

/// A reader.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
    place: Place,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, place: Place { line: 1, column: 1 } }
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// What was read since `from`.
    pub(super) fn since(&self, from: usize) -> &'t str {
        self.text.get(from..self.at).unwrap_or_default()
    }

    pub(super) fn ended(&self) -> bool {
        self.at >= self.text.len()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        if next == '\n' {
            self.place = Place { line: self.place.line + 1, column: 1 };
        } else {
            self.place.column += 1;
        }
        Some(next)
    }

    /// Whether the text goes on with `word`, which is read then.
    pub(super) fn eat(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            for _ in word.chars() {
                self.next();
            }
        }
        found
    }

    /// Reads while characters fit.
    pub(super) fn while_it(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        let from = self.at;
        while self.peek().is_some_and(&fits) {
            self.next();
        }
        self.since(from)
    }

    pub(super) fn spaces(&mut self) -> bool {
        !self.while_it(|one| one == ' ' || one == '\t').is_empty()
    }

    /// The rest of the line, without reading it.
    pub(super) fn line(&self) -> &'t str {
        self.rest().split('\n').next().unwrap_or_default().trim_end_matches('\r')
    }

    pub(super) fn skip_line(&mut self) {
        self.while_it(|one| one != '\n');
        self.next();
    }

    /// Lines with nothing but blanks or a comment.
    pub(super) fn blank_lines(&mut self) {
        loop {
            let mut ahead = self.clone();
            ahead.spaces();
            match ahead.peek() {
                Some('#') => ahead.skip_line(),
                Some('\r' | '\n') => ahead.skip_line(),
                None => {
                    *self = ahead;
                    return;
                }
                Some(_) => return,
            }
            *self = ahead;
        }
    }

    /// The end of what a line says; a comment may follow.
    pub(super) fn line_ends(&mut self) -> Read<()> {
        self.spaces();
        match self.peek() {
            None => Ok(()),
            Some('#' | '\n') => {
                self.skip_line();
                Ok(())
            }
            Some('\r') if self.line().is_empty() => {
                self.skip_line();
                Ok(())
            }
            Some(_) => {
                let more = shown(self.line());
                let wrong = Wrong::new(self.place, format!("`{more}` is too much on this line"));
                Err(wrong.expecting("the end of the line, or a comment after `#`"))
            }
        }
    }
}

/// A text of somebody else's, short enough for a message.
pub(super) fn shown(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let mut short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.retain(|one| !one.is_control());
    short
}
