//! From a step to a request: variables, parameters, forms, bodies, cookies.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode,
};
use plimsoll_base::SharedClock;
use plimsoll_outbound::Call;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use super::cookies::Cookies;
use super::model::{Body, Field, Given, JsonPiece, Piece, Step, Text};
use super::secrets::Secrets;
use super::value::{Value, Variables};

/// Where chance comes from: 128 bits each time.
pub(super) type Random<'r> = &'r mut (dyn FnMut() -> u128 + Send);

/// What a text may speak of.
pub(super) struct Scope<'s> {
    pub(super) variables: &'s Variables,
    pub(super) clock: &'s SharedClock,
    pub(super) random: Random<'s>,
    /// What no message may hold.
    pub(super) secrets: &'s Secrets,
}

impl Scope<'_> {
    pub(super) fn value(&mut self, given: &Given) -> Result<Value, String> {
        match given {
            Given::Variable { name, line } => self.variables.get(name).cloned().ok_or_else(|| {
                let known: Vec<&str> = self.variables.names().collect();
                format!(
                    "line {line}: there is no variable `{name}`; known are {}",
                    known.join(", ")
                )
            }),
            Given::NewUuid => {
                let uuid = uuid::Builder::from_random_bytes((self.random)().to_be_bytes());
                Ok(Value::Text(uuid.into_uuid().to_string()))
            }
            Given::NewDate => {
                let nanos = i128::from(self.clock.unix_ms()) * 1_000_000;
                let now = OffsetDateTime::from_unix_timestamp_nanos(nanos)
                    .map_err(|error| format!("the clock is beyond any date: {error}"))?;
                let text = now.format(&Rfc3339);
                text.map(Value::Text).map_err(|error| format!("no date: {error}"))
            }
        }
    }

    fn rendered(&mut self, given: &Given) -> Result<String, String> {
        let value = self.value(given)?;
        let kind = value.kind();
        value.rendered().ok_or_else(|| match given {
            Given::Variable { name, line } => {
                format!("line {line}: `{name}` is a {kind}, which has no form in a text")
            }
            _ => format!("a {kind} has no form in a text"),
        })
    }

    pub(super) fn text(&mut self, text: &Text) -> Result<String, String> {
        let mut all = String::new();
        for piece in &text.pieces {
            match piece {
                Piece::Literal(text) => all.push_str(text),
                Piece::Given(given) => all.push_str(&self.rendered(given)?),
            }
        }
        Ok(all)
    }

    fn pairs(&mut self, fields: &[Field]) -> Result<Vec<(String, String)>, String> {
        fields.iter().map(|one| Ok((self.text(&one.name)?, self.text(&one.value)?))).collect()
    }

    fn json(&mut self, pieces: &[JsonPiece]) -> Result<String, String> {
        let mut all = String::new();
        for piece in pieces {
            match piece {
                JsonPiece::Raw(text) => all.push_str(text),
                JsonPiece::InString(given) => {
                    let quoted = serde_json::Value::from(self.rendered(given)?).to_string();
                    all.push_str(quoted.trim_start_matches('"').strip_suffix('"').unwrap_or(""));
                }
                JsonPiece::Value(given) => {
                    let text = self.rendered(given)?;
                    let bare = text.parse::<serde_json::Number>().is_ok()
                        || matches!(text.as_str(), "true" | "false" | "null");
                    if !bare {
                        return Err(
                            "a variable in place of a JSON value has to be a number, true, false \
                             or null; put a text into quotes: \"{{name}}\""
                                .to_owned(),
                        );
                    }
                    all.push_str(&text);
                }
            }
        }
        Ok(all)
    }
}

/// A request, ready to be sent.
pub(super) struct Request {
    pub(super) url: Url,
    pub(super) call: Call,
    /// What of it is a secret by what it is for, whatever it was made of.
    pub(super) secrets: Vec<String>,
}

/// Makes the request of a step.
///
/// # Errors
/// A variable that is not there, or a URL that none is.
pub(super) fn request(
    step: &Step,
    cookies: &Cookies,
    scope: &mut Scope<'_>,
) -> Result<Request, String> {
    let mut url = scope.text(&step.url)?;
    let query = encoded(&scope.pairs(&step.query)?);
    if !query.is_empty() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&query);
    }
    let url: Url = url.parse().map_err(|_| {
        "this is no whole URL: start with `{{base}}`, which is where the journey runs".to_owned()
    })?;
    let method = Method::from_bytes(step.method.as_bytes())
        .map_err(|_| format!("`{}` is no method", step.method))?;
    let mut headers = scope.pairs(&step.headers)?;
    let (body, kind) = body(step, scope)?;
    let says = |headers: &[(String, String)], name: &str| {
        headers.iter().any(|(one, _)| one.eq_ignore_ascii_case(name))
    };
    if let Some(kind) = kind
        && !says(&headers, "content-type")
    {
        headers.push(("Content-Type".to_owned(), kind.to_owned()));
    }
    let mut secrets = Vec::new();
    if let Some(basic) = &step.basic {
        let (user, password) = (scope.text(&basic.name)?, scope.text(&basic.value)?);
        let pair = format!("{user}:{password}");
        let basic = STANDARD.encode(&pair);
        headers.push(("Authorization".to_owned(), format!("Basic {basic}")));
        secrets.extend([pair, password]);
    }
    let now = i64::try_from(scope.clock.unix_seconds()).unwrap_or(i64::MAX);
    // Those that were kept come first, as with Hurl.
    let mut sent = cookies.for_url(&url, now);
    sent.extend(scope.pairs(&step.cookies)?.iter().map(|(name, value)| format!("{name}={value}")));
    add_cookies(&mut headers, &sent);
    Ok(Request { url, call: Call { method, headers, body: body.into() }, secrets })
}

/// RFC 6265 §5.4: one field for all of them.
fn add_cookies(headers: &mut Vec<(String, String)>, sent: &[String]) {
    if sent.is_empty() {
        return;
    }
    let all = sent.join("; ");
    match headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("cookie")) {
        Some((_, value)) => value.push_str(&format!("; {all}")),
        None => headers.push(("Cookie".to_owned(), all)),
    }
}

/// The body and the type that it has by itself.
fn body(step: &Step, scope: &mut Scope<'_>) -> Result<(String, Option<&'static str>), String> {
    const JSON: Option<&str> = Some("application/json");
    if let Some(form) = &step.form {
        let form = encoded(&scope.pairs(form)?);
        return Ok((form, Some("application/x-www-form-urlencoded")));
    }
    Ok(match &step.body {
        None => (String::new(), None),
        Some(Body::Json(pieces)) => (scope.json(pieces)?, JSON),
        Some(Body::Text { text, json }) => (scope.text(text)?, JSON.filter(|_| *json)),
    })
}

fn encoded(pairs: &[(String, String)]) -> String {
    let one = |(name, value): &(String, String)| {
        format!("{}={}", percent_encoded(name), percent_encoded(value))
    };
    pairs.iter().map(one).collect::<Vec<_>>().join("&")
}

/// RFC 3986 §2.3: what is unreserved stays, all else is escaped.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn percent_encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, &ESCAPED)
}

/// None where the bytes are no text.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plimsoll_base::ManualClock;

    use super::*;
    use crate::journey::parse;

    fn made(text: &str, set: &[(&str, Value)]) -> Result<Request, String> {
        let journey = parse(text, std::path::Path::new("a.hurl")).unwrap();
        let mut variables = Variables::default();
        variables.set("base", Value::Text("http://localhost:1".into())).unwrap();
        for (name, value) in set {
            variables.set(name, value.clone()).unwrap();
        }
        let clock: SharedClock = Arc::new(ManualClock::at_unix_ms(1_795_000_000_000));
        let (random, secrets) = (&mut || 7_u128, &Secrets::default());
        let mut scope = Scope { variables: &variables, clock: &clock, random, secrets };
        request(&journey.steps[0], &Cookies::default(), &mut scope)
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    #[test]
    fn parameters_are_escaped_and_stand_behind_those_of_the_url() {
        let made = made(
            "GET {{base}}/a?x=1\n[Query]\nq: a b&c\nid: {{id}}\n",
            &[("id", Value::Integer(7))],
        );
        assert_eq!(made.unwrap().url.as_str(), "http://localhost:1/a?x=1&q=a%20b%26c&id=7");
    }

    #[test]
    fn a_json_body_is_filled_in_as_json_wants_it() {
        let body = "POST {{base}}/a\n{ \"a\": \"<{{t}}>\", \"n\": {{n}}, \"z\": null }\n";
        let given = [("t", text("say \"x\"\n")), ("n", Value::Float(2.0))];
        let made = made(body, &given).unwrap();
        let sent = std::str::from_utf8(&made.call.body).unwrap();
        assert_eq!(sent, r#"{ "a": "<say \"x\"\n>", "n": 2.0, "z": null }"#);
        assert_eq!(made.call.headers, [("Content-Type".to_owned(), "application/json".to_owned())]);
        let refused = self::made(body, &[("t", text("a")), ("n", text("seven"))]);
        assert!(refused.err().unwrap().contains("\"{{name}}\""));
    }

    #[test]
    fn forms_cookies_and_basic_become_fields() {
        let made = made(
            "POST {{base}}/login\nX-Trace: {{newUuid}}\n[BasicAuth]\nme: secret\n[Form]\n\
             a: 1 2\nb: ä\n[Cookies]\nc: d\ne: f\n",
            &[],
        )
        .unwrap();
        assert_eq!(&made.call.body[..], b"a=1%202&b=%C3%A4");
        let find = |name: &str| {
            let found = made.call.headers.iter().find(|(one, _)| one == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(find("Content-Type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(find("Authorization"), Some("Basic bWU6c2VjcmV0"));
        assert_eq!(find("Cookie"), Some("c=d; e=f"));
        assert_eq!(find("X-Trace"), Some("00000000-0000-4000-8000-000000000007"));
    }

    #[test]
    fn what_is_not_known_is_named() {
        let missing = made("GET {{base}}/{{id}}\n", &[]).err().unwrap();
        assert!(missing.contains("line 1: there is no variable `id`; known are base"), "{missing}");
        let relative = made("GET /feed\n", &[]).err().unwrap();
        assert!(relative.contains("start with `{{base}}`"), "{relative}");
        let list = made("GET {{base}}/{{l}}\n", &[("l", Value::List(Vec::new()))]).err().unwrap();
        assert!(list.contains("`l` is a list"), "{list}");
    }

    #[test]
    fn escapes_come_back() {
        assert_eq!(percent_decoded("a%20b%C3%A4%zz%").as_deref(), Some("a bä%zz%"));
        assert_eq!(percent_decoded("%ff"), None);
    }
}
