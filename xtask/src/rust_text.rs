//! Just enough reading of Rust to tell code from comments and strings, and to measure functions.

/// The source with the inside of every comment, string and character blanked. Line breaks stay, so
/// that line numbers do.
pub(crate) fn bare(source: &str) -> String {
    read(source, false)
}

/// The source with every string and character taken out and comments left in. Line breaks stay.
pub(crate) fn without_literals(source: &str) -> String {
    read(source, true)
}

/// The inside of every string of the source, as it is written there; not of its test module.
pub(crate) fn literals(source: &str) -> Vec<&str> {
    let mut reader = Reader::new(source, false);
    reader.run();
    let own = reader.out.find(TESTS).unwrap_or(reader.out.len());
    let before = reader.strings.into_iter().take_while(|(at, _)| *at < own);
    before.filter_map(|(_, text)| text.get(text.find('"')? + 1..text.rfind('"')?)).collect()
}

/// What a test module at the end of a file starts with.
pub(crate) const TESTS: &str = "#[cfg(test)]";

fn read(source: &str, for_width: bool) -> String {
    let mut reader = Reader::new(source, for_width);
    reader.run();
    reader.out
}

struct Reader<'a> {
    rest: &'a str,
    out: String,
    /// Every string with its quotes, and where it stood in `out`.
    strings: Vec<(usize, &'a str)>,
    /// Comments are kept and literals taken out, in place of both being blanked.
    for_width: bool,
}

impl<'a> Reader<'a> {
    fn new(source: &'a str, for_width: bool) -> Self {
        Self { rest: source, out: String::new(), strings: Vec::new(), for_width }
    }

    fn run(&mut self) {
        while !self.rest.is_empty() {
            self.step();
        }
    }

    fn step(&mut self) {
        let rest = self.rest;
        if rest.starts_with("//") {
            self.comment(rest.find('\n').unwrap_or(rest.len()));
        } else if rest.starts_with("/*") {
            self.comment(block_comment(rest));
        } else if let Some(length) = raw_string(rest).filter(|_| !self.inside_word()) {
            self.text(length);
        } else if rest.starts_with('"') {
            self.text(quoted(rest, '"'));
        } else if let Some(length) = character(rest) {
            self.literal(length);
        } else if let Some(next) = rest.chars().next() {
            self.out.push(next);
            self.rest = &rest[next.len_utf8()..];
        }
    }

    fn comment(&mut self, length: usize) {
        if self.for_width {
            let (kept, rest) = self.rest.split_at(length);
            self.out.push_str(kept);
            self.rest = rest;
        } else {
            self.blank(length);
        }
    }

    fn text(&mut self, length: usize) {
        self.strings.push((self.out.len(), &self.rest[..length]));
        self.literal(length);
    }

    fn literal(&mut self, length: usize) {
        if self.for_width {
            let (gone, rest) = self.rest.split_at(length);
            self.out.extend(gone.chars().filter(|one| *one == '\n'));
            self.rest = rest;
        } else {
            self.blank(length);
        }
    }

    /// Replaces the next `length` bytes by spaces, line breaks excepted.
    fn blank(&mut self, length: usize) {
        let (gone, rest) = self.rest.split_at(length);
        self.out.extend(gone.chars().map(|one| if one == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
    }

    fn inside_word(&self) -> bool {
        self.out.chars().next_back().is_some_and(is_word)
    }
}

fn is_word(one: char) -> bool {
    one.is_alphanumeric() || one == '_'
}

/// Length of a block comment, which may hold others.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Length of `r"…"`, `br#"…"#` and their like, when one starts here.
fn raw_string(rest: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|tail| tail.starts_with(['"', '#']))
    })?;
    let tail = &rest[prefix.len()..];
    let hashes = tail.len() - tail.trim_start_matches('#').len();
    let inside = tail[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = prefix.len() + hashes + 1;
    Some(inside.find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

/// Length of a quoted text with escapes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, one) in rest.char_indices().skip(1) {
        match one {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if one == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Length of a character literal; none for a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.strip_prefix('\'')?.chars();
    match chars.next()? {
        '\\' => Some(quoted(rest, '\'')),
        one if chars.next() == Some('\'') => Some(one.len_utf8() + 2),
        _ => None,
    }
}

/// Whether `name` stands in `code` as a whole word.
pub(crate) fn has_word(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(is_word)
            && !code[at + name.len()..].chars().next().is_some_and(is_word)
    })
}

/// A function and its length.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    /// Line of `fn`, counted from one.
    pub(crate) line: usize,
    /// From the line of `fn` to that of the closing brace, both counted.
    pub(crate) lines: usize,
}

/// Every function with a body in code that [`bare`] made.
pub(crate) fn functions(code: &str) -> Vec<Function<'_>> {
    let starts = code
        .match_indices("fn ")
        .filter(|(at, _)| !code[..*at].chars().next_back().is_some_and(is_word));
    starts
        .filter_map(|(at, _)| {
            let after = code[at + 3..].trim_start();
            let name = &after[..after.find(|one| !is_word(one)).unwrap_or(after.len())];
            let end = body_end(&code[at..])?;
            let count = |text: &str| text.matches('\n').count() + 1;
            let lines = count(&code[at..at + end]);
            (!name.is_empty()).then(|| Function { name, line: count(&code[..at]), lines })
        })
        .collect()
}

/// Where the body of the function that starts here ends; nothing for a mere signature.
fn body_end(code: &str) -> Option<usize> {
    let (mut braces, mut round) = (0_usize, 0_usize);
    for (at, one) in code.char_indices() {
        match one {
            '(' | '[' if braces == 0 => round += 1,
            ')' | ']' if braces == 0 => round = round.saturating_sub(1),
            ';' if braces == 0 && round == 0 => return None,
            '{' => braces += 1,
            '}' if braces <= 1 => return Some(at),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_blank() {
        let source = "a /* b /* c */ d */ e // f\ng \"h\\\"i\" 'j' '\\'' 'k r#\"l\"m\"# br\"n\" o";
        let bare = bare(source);
        let words: Vec<&str> = bare.split_whitespace().collect();
        assert_eq!(words, ["a", "e", "g", "'k", "o"]);
        assert_eq!(bare.matches('\n').count(), 1);
    }

    #[test]
    fn width_counts_comments_and_no_literals() {
        assert_eq!(without_literals("a(\"b\nc\"); // \"d\" 'e'"), "a(\n); // \"d\" 'e'");
    }

    #[test]
    fn an_identifier_that_ends_in_r_is_no_raw_string() {
        assert_eq!(bare("str\"x\" for").split_whitespace().collect::<Vec<_>>(), ["str", "for"]);
    }

    #[test]
    fn what_never_ends_is_blank_to_the_end() {
        for open in ["\"a", "/* a", "r#\"a\"", "'\\"] {
            assert_eq!(bare(open).trim(), "", "{open}");
        }
    }

    #[test]
    fn strings_are_read_as_they_stand_and_not_those_of_tests() {
        let source = "a(\"b\"); // \"no\"\nc(r#\"d\"e\"#, b\"f\", '\"', \"g\\n\", \"\");\n\
                      #[cfg(test)]\nmod tests { const H: &str = \"h\"; }";
        assert_eq!(literals(source), ["b", "d\"e", "f", "g\\n", ""]);
        assert_eq!(literals("\"é\" \"never ends"), ["é"]);
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let code = "trait A { fn none(&self, x: [u8; 2]); }\npub fn one() {\n  {}\n}\n\
                    type F = fn(u8) -> u8;\nasync fn two(a: fn(u8)) -> [u8; 2]\nwhere A: B,\n{ }\n";
        let found = functions(code);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], Function { name: "one", line: 2, lines: 3 });
        assert_eq!(found[1], Function { name: "two", line: 6, lines: 3 });
    }
}
