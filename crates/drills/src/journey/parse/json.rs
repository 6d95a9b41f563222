//! A JSON body (RFC 8259) with variables in its strings and in place of its values.

use crate::journey::JSON_DEPTH_MAX;
use crate::journey::model::JsonPiece;
use crate::journey::scan::{Read, Scanner, Wrong};

use super::text::{first_word, given};

/// One value, its shape checked; what stands between variables is kept as it is written.
pub(super) fn body(scan: &mut Scanner<'_>) -> Read<Vec<JsonPiece>> {
    let mut out = Out::default();
    value(scan, &mut out, 0)?;
    out.close();
    Ok(out.pieces)
}

#[derive(Default)]
struct Out {
    pieces: Vec<JsonPiece>,
    raw: String,
}

impl Out {
    fn close(&mut self) {
        if !self.raw.is_empty() {
            self.pieces.push(JsonPiece::Raw(std::mem::take(&mut self.raw)));
        }
    }

    fn piece(&mut self, piece: JsonPiece) {
        self.close();
        self.pieces.push(piece);
    }
}

fn wrong(scan: &Scanner<'_>, expected: &str) -> Wrong {
    let message = format!("`{}` is no JSON here", first_word(scan));
    Wrong::new(scan.place(), message).expecting(expected)
}

fn blanks(scan: &mut Scanner<'_>, out: &mut Out) {
    out.raw.push_str(scan.while_it(|one| matches!(one, ' ' | '\t' | '\r' | '\n')));
}

fn mark(scan: &mut Scanner<'_>, out: &mut Out, mark: &str) -> bool {
    let found = scan.eat(mark);
    if found {
        out.raw.push_str(mark);
    }
    found
}

fn value(scan: &mut Scanner<'_>, out: &mut Out, depth: usize) -> Read<()> {
    if depth > JSON_DEPTH_MAX {
        let message = format!("this JSON is more than {JSON_DEPTH_MAX} deep");
        return Err(Wrong::new(scan.place(), message));
    }
    if scan.rest().starts_with("{{") {
        let given = given(scan)?;
        out.piece(JsonPiece::Value(given));
        return Ok(());
    }
    match scan.peek() {
        Some('{') => object(scan, out, depth),
        Some('[') => array(scan, out, depth),
        Some('"') => string(scan, out),
        Some(one) if one == '-' || one.is_ascii_digit() => number(scan, out),
        _ => {
            let word = ["true", "false", "null"].into_iter().find(|word| mark(scan, out, word));
            word.map(drop).ok_or_else(|| wrong(scan, "a value"))
        }
    }
}

fn object(scan: &mut Scanner<'_>, out: &mut Out, depth: usize) -> Read<()> {
    mark(scan, out, "{");
    blanks(scan, out);
    if mark(scan, out, "}") {
        return Ok(());
    }
    loop {
        if scan.peek() != Some('"') {
            return Err(wrong(scan, "a name in double quotes"));
        }
        string(scan, out)?;
        blanks(scan, out);
        if !mark(scan, out, ":") {
            return Err(wrong(scan, "`:` and a value"));
        }
        blanks(scan, out);
        value(scan, out, depth + 1)?;
        blanks(scan, out);
        if mark(scan, out, "}") {
            return Ok(());
        }
        if !mark(scan, out, ",") {
            return Err(wrong(scan, "`,` or `}`"));
        }
        blanks(scan, out);
    }
}

fn array(scan: &mut Scanner<'_>, out: &mut Out, depth: usize) -> Read<()> {
    mark(scan, out, "[");
    blanks(scan, out);
    if mark(scan, out, "]") {
        return Ok(());
    }
    loop {
        value(scan, out, depth + 1)?;
        blanks(scan, out);
        if mark(scan, out, "]") {
            return Ok(());
        }
        if !mark(scan, out, ",") {
            return Err(wrong(scan, "`,` or `]`"));
        }
        blanks(scan, out);
    }
}

fn string(scan: &mut Scanner<'_>, out: &mut Out) -> Read<()> {
    let place = scan.place();
    mark(scan, out, "\"");
    loop {
        if scan.rest().starts_with("{{") {
            let given = given(scan)?;
            out.piece(JsonPiece::InString(given));
            continue;
        }
        match scan.peek() {
            Some('"') => {
                mark(scan, out, "\"");
                return Ok(());
            }
            Some('\\') => escape(scan, out)?,
            Some(one) if !one.is_control() => {
                out.raw.push(one);
                scan.next();
            }
            _ => return Err(Wrong::new(place, "this string is not closed").expecting("`\"`")),
        }
    }
}

fn escape(scan: &mut Scanner<'_>, out: &mut Out) -> Read<()> {
    let place = scan.place();
    let from = scan.at();
    scan.next();
    let good = match scan.next() {
        Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => true,
        Some('u') => (0..4).all(|_| scan.next().is_some_and(|one| one.is_ascii_hexdigit())),
        _ => false,
    };
    if !good {
        let wrong = Wrong::new(place, "JSON has no such escape");
        return Err(wrong.expecting("`\\\"`, `\\\\`, `\\/`, `\\n`, `\\t` or `\\u0000`"));
    }
    out.raw.push_str(scan.since(from));
    Ok(())
}

fn number(scan: &mut Scanner<'_>, out: &mut Out) -> Read<()> {
    let place = scan.place();
    let text =
        scan.while_it(|one| one.is_ascii_digit() || matches!(one, '-' | '+' | '.' | 'e' | 'E'));
    // What a parser of JSON takes for a number is one.
    if serde_json::from_str::<serde_json::Number>(text).is_err() {
        let message = format!("`{text}` is no number of JSON");
        return Err(Wrong::new(place, message).expecting("a number such as `-1.5`"));
    }
    out.raw.push_str(text);
    Ok(())
}
