//! What is expected of an answer: version, status, fields, captures, asserts.

use plimsoll_manifest::closest;

use crate::journey::LINES_MAX;
use crate::journey::model::{
    Assert, Capture, Expected, Filter, Operand, Predicate, Query, Type, Version,
};
use crate::journey::path::Path;
use crate::journey::scan::{Place, Read, Scanner, Wrong, shown};
use crate::journey::value::{Value, is_name, plain};

use super::entry::{field, is_request, next_field, section_name};
use super::text::{self, first_word};

const QUERIES: [&str; 11] = [
    "status", "version", "url", "header", "cookie", "body", "bytes", "jsonpath", "regex",
    "variable", "duration",
];
const QUERIES_OUTSIDE: [&str; 7] =
    ["xpath", "sha256", "md5", "certificate", "ip", "redirects", "rawbytes"];
const FILTERS: [&str; 13] = [
    "count",
    "first",
    "last",
    "nth",
    "jsonpath",
    "regex",
    "replace",
    "split",
    "toInt",
    "toFloat",
    "toString",
    "urlEncode",
    "urlDecode",
];
const FILTERS_OUTSIDE: [&str; 20] = [
    "base64Decode",
    "base64Encode",
    "base64UrlSafeDecode",
    "base64UrlSafeEncode",
    "charsetDecode",
    "dateFormat",
    "daysAfterNow",
    "daysBeforeNow",
    "decode",
    "format",
    "htmlEscape",
    "htmlUnescape",
    "location",
    "replaceRegex",
    "toDate",
    "toHex",
    "urlQueryParam",
    "utf8Decode",
    "utf8Encode",
    "xpath",
];
const PREDICATES: [&str; 22] = [
    "==",
    "!=",
    ">",
    ">=",
    "<",
    "<=",
    "startsWith",
    "endsWith",
    "contains",
    "includes",
    "matches",
    "exists",
    "isEmpty",
    "isInteger",
    "isFloat",
    "isNumber",
    "isBoolean",
    "isString",
    "isCollection",
    "isList",
    "isObject",
    "isIsoDate",
];
const PREDICATES_OUTSIDE: [&str; 4] = ["isDate", "isIpv4", "isIpv6", "isUuid"];

pub(super) fn read(scan: &mut Scanner<'_>) -> Read<Expected> {
    let line = scan.place().line;
    let version = version(scan)?;
    scan.spaces();
    let status = status(scan)?;
    scan.line_ends()?;
    let mut expected = Expected {
        line,
        version,
        status,
        headers: Vec::new(),
        captures: Vec::new(),
        asserts: Vec::new(),
    };
    while let Some(place) = next_field(scan, false) {
        if expected.headers.len() == LINES_MAX {
            return Err(Wrong::new(place, format!("more than {LINES_MAX} lines")));
        }
        expected.headers.push((place.line, field(scan)?));
    }
    let mut seen = Vec::new();
    loop {
        scan.blank_lines();
        scan.spaces();
        let place = scan.place();
        match section_name(scan) {
            Some(name) if seen.contains(&name) => {
                return Err(Wrong::new(place, format!("[{name}] is there already")));
            }
            Some(name @ ("Captures" | "Asserts")) => {
                seen.push(name);
                scan.eat(&format!("[{name}]"));
                scan.line_ends()?;
                section(scan, name, &mut expected)?;
            }
            Some(name) => {
                let wrong =
                    Wrong::new(place, format!("there is no section [{}] here", shown(name)));
                return Err(wrong.expecting("[Captures] or [Asserts]"));
            }
            None => break,
        }
    }
    if scan.ended() || is_request(scan) {
        return Ok(expected);
    }
    let instead = "[Asserts] with `body` or `jsonpath`, or the next request";
    Err(Wrong::outside(scan.place(), "a whole body that is expected", instead))
}

fn version(scan: &mut Scanner<'_>) -> Read<Option<Version>> {
    let place = scan.place();
    let word = scan.while_it(|one| !matches!(one, ' ' | '\t' | '\n' | '\r' | '#'));
    match word {
        "HTTP" => Ok(None),
        "HTTP/1.0" => Ok(Some(Version::Http10)),
        "HTTP/1.1" => Ok(Some(Version::Http11)),
        "HTTP/2" => Ok(Some(Version::Http2)),
        "HTTP/3" => Ok(Some(Version::Http3)),
        _ => {
            let wrong = Wrong::new(place, format!("`{}` is no version of HTTP", shown(word)));
            Err(wrong.expecting("`HTTP`, which is any, or `HTTP/1.1`"))
        }
    }
}

fn status(scan: &mut Scanner<'_>) -> Read<Option<u16>> {
    let place = scan.place();
    let word = first_word(scan);
    if scan.eat("*") {
        return Ok(None);
    }
    let digits = scan.while_it(|one| one.is_ascii_digit());
    let status = digits.parse().ok().filter(|status| (100..=999).contains(status));
    status.map(Some).ok_or_else(|| {
        let wrong = Wrong::new(place, format!("`{word}` is no status"));
        wrong.expecting("a status such as `200`, or `*` for any")
    })
}

fn section(scan: &mut Scanner<'_>, name: &str, expected: &mut Expected) -> Read<()> {
    loop {
        scan.blank_lines();
        scan.spaces();
        if scan.ended() || section_name(scan).is_some() || is_request(scan) {
            return Ok(());
        }
        if matches!(scan.peek(), Some('{' | '[' | '`' | '<')) {
            return Ok(());
        }
        let full = expected.captures.len().max(expected.asserts.len()) >= LINES_MAX;
        if full {
            return Err(Wrong::new(scan.place(), format!("more than {LINES_MAX} lines")));
        }
        if name == "Captures" {
            let capture = capture(scan)?;
            expected.captures.push(capture);
        } else {
            let assert = assert(scan)?;
            expected.asserts.push(assert);
        }
    }
}

fn capture(scan: &mut Scanner<'_>) -> Read<Capture> {
    let place = scan.place();
    let name = text::key(scan)?;
    let name = text::literal(&name, place, "the name of a capture")?;
    if !is_name(&name) || matches!(name.as_str(), "newUuid" | "newDate") {
        let wrong = Wrong::new(place, format!("`{}` cannot be a variable", shown(&name)));
        return Err(wrong.expecting("a letter, then letters, digits, `_` and `-`"));
    }
    scan.spaces();
    if !scan.eat(":") {
        let wrong = Wrong::new(scan.place(), "`:` is missing behind the name");
        return Err(wrong.expecting("`name: jsonpath \"$.id\"`"));
    }
    scan.spaces();
    let query = query(scan)?;
    let mut capture =
        Capture { line: place.line, name, query, filters: Vec::new(), redacted: false };
    while let Some((word, place)) = word(scan) {
        if word == "redact" {
            capture.redacted = true;
            scan.eat(word);
            break;
        }
        let filter = filter(scan, word, place)?;
        capture.filters.push(filter);
    }
    scan.line_ends()?;
    Ok(capture)
}

fn assert(scan: &mut Scanner<'_>) -> Read<Assert> {
    let (from, line) = (scan.at(), scan.place().line);
    let query = query(scan)?;
    let mut filters = Vec::new();
    let mut negated = false;
    loop {
        let Some((word, place)) = word(scan) else {
            let wrong = Wrong::new(scan.place(), "there is nothing that has to hold");
            return Err(wrong.expecting("`==`, `contains`, `exists` and the like"));
        };
        if FILTERS.contains(&word) || FILTERS_OUTSIDE.contains(&word) {
            filters.push(filter(scan, word, place)?);
            continue;
        }
        if word == "not" && !negated {
            scan.eat(word);
            negated = true;
            continue;
        }
        let predicate = predicate(scan, word, place)?;
        let source = scan.since(from).trim_end().to_owned();
        scan.line_ends()?;
        return Ok(Assert { line, source, query, filters, negated, predicate });
    }
}

/// The next word of the line, not yet read.
fn word<'t>(scan: &mut Scanner<'t>) -> Option<(&'t str, Place)> {
    scan.spaces();
    let line = scan.line();
    let end = line.find([' ', '\t', '#', '"']).unwrap_or(line.len());
    let word = line.get(..end).unwrap_or_default();
    (!word.is_empty()).then(|| (word, scan.place()))
}

fn query(scan: &mut Scanner<'_>) -> Read<Query> {
    let Some((word, place)) = word(scan) else {
        let wrong = Wrong::new(scan.place(), "it is not said what to look at");
        return Err(wrong.expecting(QUERIES.join(", ")));
    };
    if !QUERIES.contains(&word) {
        if QUERIES_OUTSIDE.contains(&word) {
            return Err(Wrong::outside(place, &format!("`{word}`"), QUERIES.join(", ")));
        }
        let wrong = Wrong::new(place, format!("`{}` is nothing to look at", shown(word)));
        return Err(wrong.expecting(QUERIES.join(", ")).suggesting(closest(word, QUERIES)));
    }
    scan.eat(word);
    let place = {
        scan.spaces();
        scan.place()
    };
    Ok(match word {
        "status" => Query::Status,
        "version" => Query::Version,
        "url" => Query::Url,
        "header" => Query::Header(text::quoted(scan)?),
        "cookie" => {
            let name = text::quoted(scan)?;
            if name.source.contains('[') {
                let instead = "`cookie \"name\"`, or `header \"Set-Cookie\"`";
                return Err(Wrong::outside(place, "an attribute of a cookie", instead));
            }
            Query::Cookie(name)
        }
        "body" => Query::Body,
        "bytes" => Query::Bytes,
        "jsonpath" => Query::JsonPath(path(scan, place)?),
        "regex" => Query::Regex(text::pattern(scan)?),
        "variable" => Query::Variable(text::quoted(scan)?),
        _ => Query::Duration,
    })
}

fn path(scan: &mut Scanner<'_>, place: Place) -> Read<Path> {
    let text = text::quoted(scan)?;
    Path::parse(&text::literal(&text, place, "a JSONPath")?, place)
}

fn filter(scan: &mut Scanner<'_>, word: &str, place: Place) -> Read<Filter> {
    if FILTERS_OUTSIDE.contains(&word) {
        return Err(Wrong::outside(place, &format!("the filter `{word}`"), FILTERS.join(", ")));
    }
    if !FILTERS.contains(&word) {
        let wrong = Wrong::new(place, format!("there is no filter `{}`", shown(word)));
        return Err(wrong.expecting(FILTERS.join(", ")).suggesting(closest(word, FILTERS)));
    }
    scan.eat(word);
    scan.spaces();
    let place = scan.place();
    Ok(match word {
        "count" => Filter::Count,
        "first" => Filter::First,
        "last" => Filter::Last,
        "nth" => {
            let digits = scan.while_it(|one| one == '-' || one.is_ascii_digit());
            let index = digits.parse().map_err(|_| {
                Wrong::new(place, "`nth` needs an index").expecting("a whole number, 0 the first")
            })?;
            Filter::Nth(index)
        }
        "jsonpath" => Filter::JsonPath(path(scan, place)?),
        "regex" => Filter::Regex(text::pattern(scan)?),
        "replace" => {
            let from = text::quoted(scan)?;
            scan.spaces();
            Filter::Replace(from, text::quoted(scan)?)
        }
        "split" => Filter::Split(text::quoted(scan)?),
        "toInt" => Filter::ToInt,
        "toFloat" => Filter::ToFloat,
        "toString" => Filter::ToText,
        "urlEncode" => Filter::UrlEncode,
        _ => Filter::UrlDecode,
    })
}

fn predicate(scan: &mut Scanner<'_>, word: &str, place: Place) -> Read<Predicate> {
    let kind = match word {
        "exists" => Some(Predicate::Exists),
        "isEmpty" => Some(Predicate::IsEmpty),
        "isInteger" => Some(Predicate::Is(Type::Integer)),
        "isFloat" => Some(Predicate::Is(Type::Float)),
        "isNumber" => Some(Predicate::Is(Type::Number)),
        "isBoolean" => Some(Predicate::Is(Type::Boolean)),
        "isString" => Some(Predicate::Is(Type::Text)),
        "isCollection" => Some(Predicate::Is(Type::Collection)),
        "isList" => Some(Predicate::Is(Type::List)),
        "isObject" => Some(Predicate::Is(Type::Object)),
        "isIsoDate" => Some(Predicate::Is(Type::IsoDate)),
        _ => None,
    };
    if let Some(kind) = kind {
        scan.eat(word);
        return Ok(kind);
    }
    if word == "matches" {
        scan.eat(word);
        scan.spaces();
        return Ok(Predicate::Matches(text::pattern(scan)?));
    }
    if !PREDICATES.contains(&word) {
        return Err(unknown_predicate(word, place));
    }
    scan.eat(word);
    scan.spaces();
    let place = scan.place();
    let operand = operand(scan)?;
    fitting(word, &operand, place)?;
    Ok(match word {
        "==" => Predicate::Equal(operand),
        "!=" => Predicate::NotEqual(operand),
        ">" => Predicate::Greater(operand),
        ">=" => Predicate::GreaterOrEqual(operand),
        "<" => Predicate::Less(operand),
        "<=" => Predicate::LessOrEqual(operand),
        "startsWith" => Predicate::StartsWith(operand),
        "endsWith" => Predicate::EndsWith(operand),
        "contains" => Predicate::Contains(operand),
        _ => Predicate::Includes(operand),
    })
}

/// Whether a predicate is said of such a value at all.
fn fitting(word: &str, operand: &Operand, place: Place) -> Read<()> {
    let (fits, expected) = match word {
        ">" | ">=" | "<" | "<=" => (
            !matches!(operand, Operand::Value(Value::Boolean(_) | Value::Null)),
            "a number or a text: nothing else has an order",
        ),
        "startsWith" | "endsWith" => (matches!(operand, Operand::Text(_)), "a text in quotes"),
        _ => return Ok(()),
    };
    if fits {
        return Ok(());
    }
    Err(Wrong::new(place, format!("`{word}` is not said of this")).expecting(expected))
}

fn unknown_predicate(word: &str, place: Place) -> Wrong {
    let known = PREDICATES.join(", ");
    if PREDICATES_OUTSIDE.contains(&word) {
        return Wrong::outside(place, &format!("`{word}`"), known);
    }
    let wrong = Wrong::new(place, format!("`{}` is neither a filter nor a predicate", shown(word)));
    let candidates = PREDICATES.into_iter().chain(FILTERS);
    wrong.expecting(known).suggesting(closest(word, candidates))
}

fn operand(scan: &mut Scanner<'_>) -> Read<Operand> {
    let place = scan.place();
    let rest = scan.rest();
    if rest.starts_with("{{") {
        return Ok(Operand::Given(text::given(scan)?));
    }
    if rest.starts_with("```") {
        return Ok(Operand::Text(text::multiline(scan)?.0));
    }
    match scan.peek() {
        Some('"') => return Ok(Operand::Text(text::quoted(scan)?)),
        Some('`') => return Ok(Operand::Text(text::one_line(scan)?)),
        _ => {}
    }
    let outside = ["base64,", "hex,", "file,"].into_iter().find(|mark| rest.starts_with(mark));
    if let Some(mark) = outside {
        let what = format!("a value of `{mark}…;`");
        return Err(Wrong::outside(place, &what, "a text in quotes"));
    }
    let word = scan.while_it(|one| !matches!(one, ' ' | '\t' | '\n' | '\r' | '#'));
    plain(word).map(Operand::Value).ok_or_else(|| {
        let word = if word.is_empty() { "nothing" } else { word };
        let wrong = Wrong::new(place, format!("`{}` is no value", shown(word)));
        wrong.expecting("a text in quotes, a number, true, false, null or `{{name}}`")
    })
}
