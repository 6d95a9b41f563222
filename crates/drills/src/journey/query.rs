//! Looking at an answer.

use std::time::Duration;

use http::header::SET_COOKIE;
use http::{HeaderMap, Version};

use super::answer::Answer;
use super::cookies::pair;
use super::filter;
use super::model::{Filter, Query};
use super::render::Scope;
use super::value::Value;

/// What a query and its filters find: a value, nothing, or why they cannot be asked.
pub(super) fn look(
    query: &Query,
    filters: &[Filter],
    answer: &Answer,
    scope: &mut Scope<'_>,
) -> Result<Option<Value>, String> {
    let mut found = find(query, answer, scope)?;
    for one in filters {
        let value = found.ok_or_else(|| filter::missing(one))?;
        found = filter::apply(one, value, scope)?;
    }
    Ok(found)
}

fn find(query: &Query, answer: &Answer, scope: &mut Scope<'_>) -> Result<Option<Value>, String> {
    let answered = &answer.answered;
    Ok(match query {
        Query::Status => Some(Value::Integer(i64::from(answered.status.as_u16()))),
        Query::Version => Some(Value::Text(version(answered.version).to_owned())),
        Query::Url => Some(Value::Text(answer.url.clone())),
        Query::Header(name) => header(&answered.headers, &scope.text(name)?),
        Query::Cookie(name) => cookie(&answered.headers, &scope.text(name)?),
        Query::Body => Some(Value::Text(answer.text()?)),
        Query::Bytes => Some(Value::Bytes(answered.body.clone())),
        Query::JsonPath(path) => path.find(answer.json()?),
        Query::Regex(pattern) => filter::first_group(pattern, &answer.text()?),
        Query::Variable(name) => scope.variables.get(&scope.text(name)?).cloned(),
        Query::Duration => Some(Value::Integer(milliseconds(answer.took))),
    })
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

/// One field's value, or the values of several in a list.
fn header(headers: &HeaderMap, name: &str) -> Option<Value> {
    let mut values = headers
        .get_all(name)
        .iter()
        .map(|value| Value::Text(String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let first = values.next()?;
    let mut all = vec![first];
    all.extend(values);
    if all.len() == 1 { all.pop() } else { Some(Value::List(all)) }
}

/// The value of a cookie that this answer sets.
fn cookie(headers: &HeaderMap, name: &str) -> Option<Value> {
    let set = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = set.filter_map(|text| pair(text.split(';').next().unwrap_or_default()));
    let mut found = pairs.filter(|(set, _)| *set == name);
    found.next().map(|(_, value)| Value::Text(value.to_owned()))
}
