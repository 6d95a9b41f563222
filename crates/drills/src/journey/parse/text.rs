//! Texts with variables in them: values, keys, strings in quotes.

use crate::journey::model::{Given, Pattern, Piece, Text};
use crate::journey::scan::{Place, Read, Scanner, Wrong, shown};
use crate::journey::value::is_name;

/// The largest program that a regular expression may become, bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// `{{ … }}`, its opening not yet read.
pub(super) fn given(scan: &mut Scanner<'_>) -> Read<Given> {
    scan.eat("{{");
    scan.spaces();
    let place = scan.place();
    let name = scan.while_it(|one| one.is_ascii_alphanumeric() || matches!(one, '_' | '-'));
    if !is_name(name) {
        let wrong = Wrong::new(place, "there is no name of a variable between `{{` and `}}`");
        return Err(wrong.expecting("a name such as `{{order_id}}`, or `{{newUuid}}`"));
    }
    scan.spaces();
    if !scan.eat("}}") {
        let place = scan.place();
        if scan.peek().is_some_and(char::is_alphabetic) {
            let instead = "`}}`; filters stand behind a query in [Captures]";
            return Err(Wrong::outside(place, "a filter inside `{{ }}`", instead));
        }
        return Err(Wrong::new(place, "this variable is not closed").expecting("`}}`"));
    }
    Ok(match name {
        "newUuid" => Given::NewUuid,
        "newDate" => Given::NewDate,
        _ => Given::Variable { name: name.to_owned(), line: place.line },
    })
}

/// How a text is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// To the end of the line or a comment.
    Value,
    /// A name before a colon or an equals sign.
    Key,
    /// Between double quotes.
    Quoted,
    /// Between backticks, on one line.
    OneLine,
}

/// Characters that a name may hold without an escape.
fn is_key(one: char) -> bool {
    one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.' | '[' | ']' | '@' | '$')
}

impl Form {
    fn ends(self, one: char) -> bool {
        match self {
            Self::Value => matches!(one, '#' | '\n'),
            Self::Key => !is_key(one) && one != '\\',
            Self::Quoted => one == '"',
            Self::OneLine => matches!(one, '`' | '\n'),
        }
    }

    /// What a backslash may stand before, beside `\`, `b`, `f`, `n`, `r`, `t` and `u`.
    const fn escaped(self) -> &'static [char] {
        match self {
            Self::Value => &['#'],
            Self::Key => &['#', ':'],
            Self::Quoted => &['"'],
            Self::OneLine => &['`', '#'],
        }
    }
}

fn pieces(scan: &mut Scanner<'_>, form: Form) -> Read<Text> {
    let from = scan.at();
    let mut text = Text::default();
    let mut literal = String::new();
    while let Some(one) = scan.peek() {
        if scan.rest().starts_with("{{") {
            if !literal.is_empty() {
                text.pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            text.pieces.push(Piece::Given(given(scan)?));
        } else if form.ends(one) {
            break;
        } else if one == '\\' {
            literal.push(escape(scan, form)?);
        } else {
            literal.push(one);
            scan.next();
        }
    }
    text.source = scan.since(from).to_owned();
    if form == Form::Value {
        literal.truncate(literal.trim_end().len());
        text.source.truncate(text.source.trim_end().len());
    }
    if !literal.is_empty() {
        text.pieces.push(Piece::Literal(literal));
    }
    Ok(text)
}

fn escape(scan: &mut Scanner<'_>, form: Form) -> Read<char> {
    let place = scan.place();
    scan.next();
    let wrong = || {
        let also: Vec<String> = form.escaped().iter().map(|one| format!("`\\{one}`")).collect();
        let known = format!("`\\\\`, `\\n`, `\\t`, `\\r`, `\\u{{…}}` or {}", also.join(", "));
        Wrong::new(place, "nothing is written so").expecting(known)
    };
    match scan.next() {
        Some('\\') => Ok('\\'),
        Some('b') => Ok('\u{8}'),
        Some('f') => Ok('\u{c}'),
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some('u') if scan.eat("{") => {
            let digits = scan.while_it(|one| one.is_ascii_hexdigit());
            let code = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
            code.filter(|_| scan.eat("}")).ok_or_else(wrong)
        }
        Some(one) if form.escaped().contains(&one) => Ok(one),
        _ => Err(wrong()),
    }
}

/// A value to the end of the line.
pub(super) fn value(scan: &mut Scanner<'_>) -> Read<Text> {
    pieces(scan, Form::Value)
}

/// A name before `:`.
pub(super) fn key(scan: &mut Scanner<'_>) -> Read<Text> {
    let place = scan.place();
    let text = pieces(scan, Form::Key)?;
    if text.pieces.is_empty() {
        let line = shown(scan.line());
        let wrong = Wrong::new(place, format!("`{line}` starts with no name"));
        return Err(wrong.expecting("`Name: value`"));
    }
    Ok(text)
}

/// `"…"`
pub(super) fn quoted(scan: &mut Scanner<'_>) -> Read<Text> {
    closed(scan, Form::Quoted, "\"", "a text in double quotes")
}

/// `` `…` ``
pub(super) fn one_line(scan: &mut Scanner<'_>) -> Read<Text> {
    closed(scan, Form::OneLine, "`", "a text in backticks")
}

fn closed(scan: &mut Scanner<'_>, form: Form, mark: &str, what: &str) -> Read<Text> {
    let place = scan.place();
    if !scan.eat(mark) {
        return Err(Wrong::new(place, format!("`{}` is none", first_word(scan))).expecting(what));
    }
    let text = pieces(scan, form)?;
    if !scan.eat(mark) {
        let wrong = Wrong::new(place, "this text is not closed");
        return Err(wrong.expecting(format!("{what}, closed by another `{mark}`")));
    }
    Ok(text)
}

/// A text of several lines between three backticks; the opening ones are not yet read.
pub(super) fn multiline(scan: &mut Scanner<'_>) -> Read<(Text, bool)> {
    const MARK: &str = "```";
    let place = scan.place();
    scan.eat(MARK);
    let kind_place = scan.place();
    let kind = scan.while_it(|one| one != '\n' && one != '`').trim();
    if !matches!(kind, "" | "json") {
        let what = format!("a text of kind `{}`", shown(kind));
        return Err(Wrong::outside(kind_place, &what, "no word behind the backticks, or `json`"));
    }
    let json = kind == "json";
    scan.eat("\n");
    let (from, mut text, mut literal) = (scan.at(), Text::default(), String::new());
    loop {
        if scan.rest().starts_with(MARK) {
            scan.since(from).clone_into(&mut text.source);
            scan.eat(MARK);
            break;
        }
        if scan.rest().starts_with("{{") {
            text.pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            text.pieces.push(Piece::Given(given(scan)?));
        } else if let Some(one) = scan.next() {
            literal.push(one);
        } else {
            let wrong = Wrong::new(place, "this text is not closed");
            return Err(wrong.expecting("three backticks at its end"));
        }
    }
    text.pieces.push(Piece::Literal(literal));
    Ok((text, json))
}

/// A text without variables, where none can be taken.
pub(super) fn literal(text: &Text, place: Place, what: &str) -> Read<String> {
    text.literal().ok_or_else(|| {
        let what = format!("a variable in {what}");
        Wrong::outside(place, &what, "a text without `{{`")
    })
}

/// A regular expression, in quotes or between slashes.
pub(super) fn pattern(scan: &mut Scanner<'_>) -> Read<Pattern> {
    let place = scan.place();
    let source = if scan.eat("/") {
        let mut source = String::new();
        loop {
            match scan.next() {
                Some('/') => break source,
                // The slash alone is Hurl's own escape; all others are the pattern's.
                Some('\\') if scan.peek() == Some('/') => {
                    scan.next();
                    source.push('/');
                }
                Some('\\') => {
                    source.push('\\');
                    source.extend(scan.next());
                }
                Some('\n') | None => {
                    let wrong = Wrong::new(place, "this pattern is not closed");
                    return Err(wrong.expecting("`/` at its end"));
                }
                Some(one) => source.push(one),
            }
        }
    } else {
        let text = quoted(scan)?;
        literal(&text, place, "a pattern")?
    };
    let regex = regex::RegexBuilder::new(&source).size_limit(REGEX_BYTES_MAX).build();
    let regex = regex.map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Wrong::new(place, format!("this is no regular expression: {why}"))
    })?;
    Ok(Pattern { source, regex })
}

/// The next word, for a message.
pub(super) fn first_word(scan: &Scanner<'_>) -> String {
    let word = scan.line().split([' ', '\t', '#']).next().unwrap_or_default();
    if word.is_empty() { "the end of the line".to_owned() } else { shown(word) }
}
