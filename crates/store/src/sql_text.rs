//! SQL cut into statements and words, as far as the linter needs it: comments are left out,
//! strings and bodies of functions are one word each.

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// The line it begins on, from 1.
    pub(crate) line: usize,
    /// Its words in lower case; what stands in double quotes as it is, without them.
    pub(crate) words: Vec<String>,
}

/// The statements of a text, in order.
pub(crate) fn statements(sql: &str) -> Vec<Statement> {
    let mut reader = Reader { rest: sql, line: 1 };
    let mut found = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut line = 1;
    while let Some((at, word)) = reader.word() {
        if words.is_empty() {
            line = at;
        }
        if word == ";" {
            if !words.is_empty() {
                found.push(Statement { line, words: std::mem::take(&mut words) });
            }
        } else {
            words.push(word);
        }
    }
    if !words.is_empty() {
        found.push(Statement { line, words });
    }
    found
}

/// The comment lines before the first statement, without their dashes.
pub(crate) fn leading_comments(sql: &str) -> impl Iterator<Item = &str> {
    sql.lines()
        .map(str::trim)
        .take_while(|line| line.is_empty() || line.starts_with("--"))
        .map(|line| line.trim_start_matches('-').trim())
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    fn word(&mut self) -> Option<(usize, String)> {
        self.skip_blanks_and_comments();
        let first = self.rest.chars().next()?;
        let line = self.line;
        let word = match first {
            '\'' => {
                self.quoted('\'');
                "'…'".to_owned()
            }
            '"' => self.quoted('"'),
            '$' if self.dollar_tag().is_some() => {
                self.dollar_quoted();
                "$…$".to_owned()
            }
            c if is_word(c) => {
                let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                self.take(end).to_lowercase()
            }
            c => self.take(c.len_utf8()),
        };
        Some((line, word))
    }

    fn take(&mut self, bytes: usize) -> String {
        let (taken, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken.to_owned()
    }

    fn skip_blanks_and_comments(&mut self) {
        loop {
            let blanks = self.rest.len() - self.rest.trim_start().len();
            self.take(blanks);
            if self.rest.starts_with("--") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.take(end);
            } else if self.rest.starts_with("/*") {
                self.block_comment();
            } else {
                return;
            }
        }
    }

    /// Block comments nest in Postgres.
    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            if self.rest.starts_with("/*") {
                depth += 1;
                self.take(2);
            } else if self.rest.starts_with("*/") {
                depth -= 1;
                self.take(2);
            } else if let Some(c) = self.rest.chars().next() {
                self.take(c.len_utf8());
            } else {
                return;
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// What stands between two quotes; a doubled one stands for one.
    fn quoted(&mut self, quote: char) -> String {
        self.take(1);
        let mut text = String::new();
        loop {
            let end = self.rest.find(quote).unwrap_or(self.rest.len());
            text.push_str(&self.take(end));
            self.take(1);
            if !self.rest.starts_with(quote) {
                return text;
            }
            text.push(quote);
            self.take(1);
        }
    }

    /// `$$` or `$name$` at the place we are.
    fn dollar_tag(&self) -> Option<String> {
        let inner = self.rest.strip_prefix('$')?;
        let end = inner.find('$')?;
        let name = inner.get(..end)?;
        let plain = name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit());
        plain.then(|| format!("${name}$"))
    }

    fn dollar_quoted(&mut self) {
        let Some(tag) = self.dollar_tag() else { return };
        self.take(tag.len());
        let end = self.rest.find(&tag).map_or(self.rest.len(), |at| at + tag.len());
        self.take(end);
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_where_postgres_cuts_it() {
        let sql = "-- first; comment\ncreate table \"Odd Name\" (a int); /* ; /* nested; */ */\n\
                   select 'it''s; fine', $x$ a; b $x$;\n\nDROP TABLE b";
        let found = statements(sql);
        let text: Vec<String> = found.iter().map(|s| s.words.join(" ")).collect();
        assert_eq!(text, ["create table Odd Name ( a int )", "select '…' , $…$", "drop table b"]);
        assert_eq!(found.iter().map(|s| s.line).collect::<Vec<_>>(), [2, 3, 5]);
    }

    #[test]
    fn a_text_that_ends_too_early_ends_the_last_statement() {
        for sql in ["select 'open", "select $$ open", "/* open", "select \"open", "select $1"] {
            assert!(statements(sql).len() <= 1, "{sql}");
        }
    }
}
