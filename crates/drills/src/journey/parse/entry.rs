//! A step: the request, its fields, sections and body, and what is expected of the answer.

use plimsoll_manifest::closest;

use crate::journey::LINES_MAX;
use crate::journey::model::{Body, Field, Options, Step};
use crate::journey::scan::{Place, Read, Scanner, Wrong, shown};

use super::{expectation, json, options, text};

/// The sections of a request, and the longer names that some of them had before.
const SECTIONS: [&str; 7] =
    ["Options", "Query", "QueryStringParams", "Form", "FormParams", "Cookies", "BasicAuth"];
/// Those of Hurl that are not of the subset.
const OUTSIDE: [&str; 2] = ["Multipart", "MultipartFormData"];
/// Those of an answer.
const OF_ANSWERS: [&str; 2] = ["Captures", "Asserts"];

pub(super) fn step(scan: &mut Scanner<'_>) -> Read<Step> {
    scan.spaces();
    let place = scan.place();
    if scan.line().starts_with("HTTP") {
        let wrong = Wrong::new(place, "an answer is expected before anything was asked");
        return Err(wrong.expecting("a request such as `GET {{base}}/feed` before it"));
    }
    let method = scan.while_it(|one| one.is_ascii_uppercase());
    if method.is_empty() || !scan.spaces() {
        let message = format!("`{}` is no request", shown(scan.line()));
        return Err(Wrong::new(place, message).expecting("a method in capitals and a URL"));
    }
    let url_place = scan.place();
    let url = text::value(scan)?;
    if url.pieces.is_empty() {
        let wrong = Wrong::new(url_place, "there is no URL");
        return Err(wrong.expecting("a URL such as `{{base}}/feed`"));
    }
    scan.line_ends()?;
    let mut step = Step {
        line: place.line,
        method: method.to_owned(),
        url,
        headers: fields(scan, false)?,
        query: Vec::new(),
        form: None,
        cookies: Vec::new(),
        basic: None,
        options: Options::default(),
        body: None,
        expected: None,
    };
    sections(scan, &mut step)?;
    body(scan, &mut step)?;
    scan.blank_lines();
    scan.spaces();
    if is_answer(scan) {
        step.expected = Some(expectation::read(scan)?);
    }
    Ok(step)
}

/// Goes on to where the next request may begin.
pub(super) fn skip_to_request(scan: &mut Scanner<'_>) {
    while !scan.ended() && !is_request(scan) {
        scan.skip_line();
    }
}

/// Whether the line is a request.
pub(super) fn is_request(scan: &Scanner<'_>) -> bool {
    let line = scan.line().trim_start();
    let rest = line.trim_start_matches(|one: char| one.is_ascii_uppercase());
    // A field or a capture may have a name in capitals, and blanks before its colon.
    let is_field = rest.trim_start_matches([' ', '\t']).starts_with(':');
    rest.len() < line.len() && rest.starts_with([' ', '\t']) && !is_field && !is_answer_line(line)
}

fn is_answer(scan: &Scanner<'_>) -> bool {
    is_answer_line(scan.line())
}

fn is_answer_line(line: &str) -> bool {
    line.strip_prefix("HTTP").is_some_and(|rest| rest.starts_with(['/', ' ', '\t']))
}

/// The name of the section that begins here.
pub(super) fn section_name<'t>(scan: &Scanner<'t>) -> Option<&'t str> {
    let (name, _) = scan.line().trim_start().strip_prefix('[')?.split_once(']')?;
    let is_word = name.bytes().next().is_some_and(|first| first.is_ascii_uppercase())
        && name.bytes().all(|one| one.is_ascii_alphabetic());
    is_word.then_some(name)
}

/// `Name: value`, line for line, up to what is none.
pub(super) fn fields(scan: &mut Scanner<'_>, in_section: bool) -> Read<Vec<Field>> {
    let mut all = Vec::new();
    while let Some(place) = next_field(scan, in_section) {
        if all.len() == LINES_MAX {
            return Err(Wrong::new(place, format!("more than {LINES_MAX} lines")));
        }
        all.push(field(scan)?);
    }
    Ok(all)
}

/// Where the next field starts, if there is one.
pub(super) fn next_field(scan: &mut Scanner<'_>, in_section: bool) -> Option<Place> {
    scan.blank_lines();
    scan.spaces();
    let next = scan.peek()?;
    let ends = section_name(scan).is_some()
        || is_request(scan)
        || is_answer(scan)
        || matches!(next, '{' | '[' | '"' | '`' | '<')
        || (!in_section && ["base64,", "hex,", "file,"].iter().any(|w| scan.rest().starts_with(w)));
    (!ends || scan.rest().starts_with("{{")).then(|| scan.place())
}

pub(super) fn field(scan: &mut Scanner<'_>) -> Read<Field> {
    let name = text::key(scan)?;
    scan.spaces();
    if !scan.eat(":") {
        let message = format!("`:` is missing behind `{}`", shown(&name.source));
        let place = scan.place();
        return Err(Wrong::new(place, message).expecting("`Name: value`, or the next section"));
    }
    scan.spaces();
    let value = text::value(scan)?;
    scan.line_ends()?;
    Ok(Field { name, value })
}

fn sections(scan: &mut Scanner<'_>, step: &mut Step) -> Read<()> {
    let mut seen: Vec<&str> = Vec::new();
    loop {
        scan.blank_lines();
        scan.spaces();
        let Some(name) = section_name(scan) else { return Ok(()) };
        let place = scan.place();
        // Both names of one section are one.
        let short = match name {
            "QueryStringParams" => "Query",
            "FormParams" => "Form",
            other => other,
        };
        if seen.contains(&short) {
            return Err(Wrong::new(place, format!("[{name}] is there already")));
        }
        seen.push(short);
        known(name, place)?;
        scan.eat(&format!("[{name}]"));
        scan.line_ends()?;
        match short {
            "Options" => step.options = options::read(scan)?,
            "Query" => step.query = fields(scan, true)?,
            "Form" => step.form = Some(fields(scan, true)?),
            "Cookies" => step.cookies = fields(scan, true)?,
            _ => step.basic = basic(scan, place)?,
        }
    }
}

fn known(name: &str, place: Place) -> Read<()> {
    if SECTIONS.contains(&name) {
        return Ok(());
    }
    if OUTSIDE.contains(&name) {
        let instead = "[Form], or a body";
        return Err(Wrong::outside(place, &format!("[{name}]"), instead));
    }
    if OF_ANSWERS.contains(&name) {
        let wrong = Wrong::new(place, format!("[{name}] is said of an answer"));
        return Err(wrong.expecting("a line such as `HTTP 200` before it"));
    }
    let wrong = Wrong::new(place, format!("there is no section [{}]", shown(name)));
    let all = SECTIONS.into_iter().chain(OF_ANSWERS);
    Err(wrong
        .expecting("[Options], [Query], [Form], [Cookies] or [BasicAuth]")
        .suggesting(closest(name, all)))
}

fn basic(scan: &mut Scanner<'_>, place: Place) -> Read<Option<Field>> {
    let mut all = fields(scan, true)?;
    match (all.pop(), all.is_empty()) {
        (Some(one), true) => Ok(Some(one)),
        _ => {
            Err(Wrong::new(place, "[BasicAuth] has one line").expecting("`{{user}}: {{password}}`"))
        }
    }
}

fn body(scan: &mut Scanner<'_>, step: &mut Step) -> Read<()> {
    scan.blank_lines();
    scan.spaces();
    let place = scan.place();
    let rest = scan.rest();
    let found = if rest.starts_with("```") {
        let (text, json) = text::multiline(scan)?;
        Body::Text { text, json }
    } else if rest.starts_with('`') {
        Body::Text { text: text::one_line(scan)?, json: false }
    } else if rest.starts_with(['{', '[', '"']) {
        Body::Json(json::body(scan)?)
    } else if let Some((_, what)) =
        [("<", "XML"), ("base64,", "base64"), ("hex,", "hex"), ("file,", "a file")]
            .into_iter()
            .find(|(mark, _)| rest.starts_with(mark))
    {
        let what = format!("a body of {what}");
        return Err(Wrong::outside(place, &what, "JSON, or a text in backticks"));
    } else {
        return Ok(());
    };
    if step.form.is_some() {
        return Err(Wrong::new(place, "a body beside [Form]").expecting("one of the two"));
    }
    scan.line_ends()?;
    step.body = Some(found);
    Ok(())
}
