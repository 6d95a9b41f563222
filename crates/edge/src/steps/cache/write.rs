//! A write on its way to the service: what it invalidates, and that its writer is shown nothing
//! older.

use std::sync::Arc;

use http::request::Parts;
use http::uri::Uri;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use plimsoll_http_kit::Problem;
use plimsoll_http_kit::caching::groups::{CACHE_GROUP_INVALIDATION, read};
use plimsoll_http_kit::caching::storing::Rules;
use plimsoll_http_kit::hygiene::host_of;

use super::Answered;
use super::read::{PLIMSOLL_FRESH, Read};
use crate::cache::{Cache, Held, Identity, Mark, Stamped, Telling, Writer};
use crate::conn::ConnContext;
use crate::exchange::Exchange;
use crate::router::Operation;
use crate::steps::forward::Passed;

/// A write that was, or will be, sent.
pub(crate) struct Write {
    host: Box<str>,
    target: Box<str>,
    operation: Option<Arc<Operation>>,
    wrote: Wrote,
    /// A POST whose own answer may say what a GET of its target would be answered.
    shows: Option<Box<Read>>,
}

/// The writer is stamped when this is dropped, whatever became of the write: it may have been
/// carried out.
struct Wrote {
    held: Arc<Held>,
    writer: Option<Writer>,
}

impl Wrote {
    fn stamp(mut self, marks: Vec<Mark>) -> (Stamped, Option<Telling>) {
        let writer = self.writer.take();
        self.held.write(marks, writer)
    }
}

impl Drop for Wrote {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            // Nobody was told that it is done, so nobody waits until the others know.
            drop(self.held.write(Vec::new(), Some(writer)));
        }
    }
}

impl Write {
    /// `None` where the request says no host, so that nothing can be stored for it either.
    pub(super) fn new(
        context: &ConnContext,
        cache: &Cache,
        exchange: &Exchange,
        operation: Option<&Arc<Operation>>,
        head: &Parts,
    ) -> Option<Self> {
        let host = host_of(&head.uri, &head.headers)?;
        let held = Arc::clone(&cache.held);
        let verified = exchange.subject().map(|verified| &**verified);
        let identity = Identity::of(&held.keys, &cache.key_fields, verified, &head.headers);
        // Where operations are named, the GET of the same target may have rules of its own.
        let habit = held.habits.of(exchange.operation());
        let may_show =
            head.method == Method::POST && operation.is_none() && !held.habits.is_dormant(habit);
        let rules = cache.rules(None).filter(|_| may_show);
        let shows = rules.map(|rules| {
            let rules = Rules { heuristic: false, ttl: None, ..rules };
            Box::new(Read::new(context, cache, exchange, None, rules, host, head))
        });
        Some(Self {
            host: host.into(),
            target: exchange.target.as_ref().map_or("*", |target| target.as_str()).into(),
            operation: operation.cloned(),
            wrote: Wrote { held, writer: identity.writer() },
            shows,
        })
    }

    /// Invalidates what the write changed before its answer is passed on (RFC 9111 §4.4). Whoever
    /// has the answer and asks again is never shown what was before.
    pub(super) fn answered(
        mut self,
        context: &ConnContext,
        outcome: Result<Passed, Problem>,
        reached: bool,
    ) -> Answered {
        let (mut answer, begun, limits, tee) = match outcome {
            Ok(Passed::Upstream { answer, begun, limits, tee }) => (answer, begun, limits, tee),
            Err(problem) if reached => {
                // Nobody knows whether it was carried out.
                return Answered { outcome: Err(problem), telling: self.done() };
            }
            other => return other.into(),
        };
        let status = answer.response.status();
        let changed = status.is_success() || status.is_redirection();
        let headers = answer.response.headers();
        let marks = if changed { self.marks(headers) } else { Vec::new() };
        let shown = self.shows.take().map(|read| (read, self.shows_its_target(status, headers)));
        let (stamped, telling) = self.wrote.stamp(marks);
        let now = HeaderValue::from(context.core.clock.unix_ms());
        let tee = match shown {
            Some((read, true)) => read.shown(context, &answer, stamped).or(tee),
            Some((read, false)) => {
                read.held.habits.note(read.habit, false);
                tee
            }
            None => tee,
        };
        answer.response.headers_mut().insert(PLIMSOLL_FRESH, now);
        Answered { outcome: Ok(Passed::Upstream { answer, begun, limits, tee }), telling }
    }

    /// It was, or may have been, carried out, and there is no answer that would say more.
    pub(super) fn done(self) -> Option<Telling> {
        let marks = self.marks(&HeaderMap::new());
        self.wrote.stamp(marks).1
    }

    /// Whether the answer to a POST is what a GET would be answered (RFC 9110 §9.3.3).
    fn shows_its_target(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        status == StatusCode::OK
            && self.named(headers, &header::CONTENT_LOCATION).as_deref() == Some(&*self.target)
    }

    fn marks(&self, headers: &HeaderMap) -> Vec<Mark> {
        let keys = &self.wrote.held.keys;
        let mut marks = vec![keys.target(&self.host, &self.target)];
        for name in [header::LOCATION, header::CONTENT_LOCATION] {
            marks.extend(self.named(headers, &name).map(|target| keys.target(&self.host, &target)));
        }
        let declared = self.operation.iter().flat_map(|operation| &operation.cache.invalidates);
        let said = read(headers, &CACHE_GROUP_INVALIDATION);
        marks.extend(declared.chain(&said).map(|group| keys.group(&self.host, group)));
        marks
    }

    /// The target that a field names, where it lies at the same host: of another's nothing is
    /// invalidated.
    fn named(&self, headers: &HeaderMap, name: &HeaderName) -> Option<String> {
        let text = headers.get(name)?.to_str().ok()?;
        resolve(text, &self.host, &self.target)
    }
}

/// A reference (RFC 3986 §5.2) as a target at `host`, seen from `base`.
fn resolve(reference: &str, host: &str, base: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default().trim();
    let base_path = base.split('?').next().unwrap_or_default();
    let absolute = if reference.starts_with("//") {
        format!("http:{reference}").parse::<Uri>().ok()
    } else if reference.contains("://") {
        reference.parse().ok()
    } else {
        None
    };
    if let Some(uri) = absolute {
        let same = uri.authority().is_some_and(|held| held.as_str().eq_ignore_ascii_case(host));
        return same.then(|| uri.path_and_query().map_or("/", |target| target.as_str()).to_owned());
    }
    if reference.is_empty() {
        return Some(base.to_owned());
    }
    if reference.starts_with('/') {
        return Some(without_dots(reference));
    }
    if reference.starts_with('?') {
        return Some(format!("{base_path}{reference}"));
    }
    let folder = base_path.rfind('/').map_or("/", |slash| &base_path[..=slash]);
    Some(without_dots(&format!("{folder}{reference}")))
}

/// A path without `.` and `..` (RFC 3986 §5.2.4).
fn without_dots(target: &str) -> String {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        match *segment {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    let path = format!("/{}", kept.join("/"));
    query.map_or(path.clone(), |query| format!("{path}?{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_a_target_at_the_same_host_or_none() {
        for (reference, expected) in [
            ("/a/b", Some("/a/b")),
            ("/a/../b?x=..", Some("/b?x=..")),
            ("7", Some("/orders/7")),
            ("./7", Some("/orders/7")),
            ("../users", Some("/users")),
            ("..", Some("/")),
            ("?page=2", Some("/orders/1?page=2")),
            ("", Some("/orders/1?x=y")),
            ("#part", Some("/orders/1?x=y")),
            ("http://Shop.example/z?q#f", Some("/z?q")),
            ("https://shop.example", Some("/")),
            ("//shop.example/z", Some("/z")),
            ("http://elsewhere.example/z", None),
            ("//elsewhere.example/z", None),
            ("http://shop.example:81/z", None),
        ] {
            let found = resolve(reference, "shop.example", "/orders/1?x=y");
            assert_eq!(found.as_deref(), expected, "{reference}");
        }
    }
}
