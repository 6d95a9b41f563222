//! Compression: an answer made smaller on its way to a client that can read it so.
//!
//! What the client takes is read with the rest of its head, before that is sent on; whether its
//! answer is one to compress is decided on the answer's head, in one pass ([`rules`]); the body is
//! compressed as it streams ([`body`]), and nothing of it is held back while the service pauses.
//!
//! It never touches what a service compressed itself, what is compressed by nature, an event
//! stream, gRPC, a part (206), what says `no-transform`, or what says what its bytes are
//! (`Content-Digest`, `Signature`). A strong entity tag becomes a weak one, because the bytes are
//! others ([`tags`]). The page: `docs/compression.md`.

mod body;
mod encoder;
mod rules;
mod tags;
mod trial;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use plimsoll_base::failpoint;
use plimsoll_http_kit::coding::{Accepted, Coding, negotiate};
use plimsoll_http_kit::hygiene::Fields;
use plimsoll_manifest::{CompressionSection, ContentCoding, Manifest};
use plimsoll_telemetry::{AnswerCoding, Counter, Shard};
use smallvec::SmallVec;

use crate::body::AnswerBody;
use crate::config::Config;
use crate::exchange::Exchange;
use crate::steps::route::Route;

pub(crate) use body::Compressed;
use encoder::Encoder;
use tags::TagForms;
pub use trial::CompressionTried;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// `[compression]` as answers need it.
#[derive(Debug)]
pub(crate) struct Compression {
    preferred: SmallVec<[Coding; 3]>,
    bytes_min: u64,
    memory: Memory,
    tags: TagForms,
}

impl Compression {
    /// `None` where it is off. What answers under way take of memory counts on after a reload, and
    /// how services form their tags is known on where they are the same.
    pub(crate) fn of(manifest: &Manifest, before: Option<&Self>) -> Option<Self> {
        let services: Vec<&str> = manifest.services.iter().map(|s| s.name.as_str()).collect();
        Self::new(&manifest.compression, &services, before)
    }

    fn new(section: &CompressionSection, services: &[&str], before: Option<&Self>) -> Option<Self> {
        let coding = |named: &ContentCoding| match named {
            ContentCoding::Br => Coding::Brotli,
            ContentCoding::Zstd => Coding::Zstd,
            ContentCoding::Gzip => Coding::Gzip,
        };
        section.enabled.then(|| Self {
            preferred: section.codings.iter().map(coding).collect(),
            bytes_min: section.bytes_min.0,
            memory: Memory {
                in_use: before.map(|b| Arc::clone(&b.memory.in_use)).unwrap_or_default(),
                max: usize::try_from(section.memory_max.0).unwrap_or(usize::MAX),
            },
            tags: TagForms::new(services, before.map(|before| &before.tags)),
        })
    }
}

/// What answers that are being compressed take of memory.
#[derive(Debug)]
struct Memory {
    in_use: Arc<AtomicUsize>,
    max: usize,
}

/// A part of it, given back when this is dropped.
#[derive(Debug)]
struct Held {
    in_use: Arc<AtomicUsize>,
    bytes: usize,
}

impl Memory {
    fn hold(&self, bytes: usize) -> Option<Held> {
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.max);
        self.in_use.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Held { in_use: Arc::clone(&self.in_use), bytes })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.in_use.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What a request said of it. All off until [`read`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// The route's answers may be compressed.
    open: bool,
    /// What the client takes; identity alone where it must not be compressed for it.
    accepted: Accepted,
    /// The operation's word that its answers hold no secret beside a stranger's text.
    declared: bool,
    /// It came with `If-Match` or `If-None-Match`.
    conditional: bool,
    /// With a weak tag in `If-None-Match`: perhaps one that we made weak.
    weak_tag: bool,
    /// The service's position.
    service: Option<u16>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            open: false,
            accepted: Accepted::IDENTITY,
            declared: false,
            conditional: false,
            weak_tag: false,
            service: None,
        }
    }
}

/// What the client takes, as far as it matters on this route.
pub(crate) fn read(
    config: &Config,
    exchange: &mut Exchange,
    route: Route<'_>,
    headers: &HeaderMap,
    fields: &Fields<'_>,
) {
    let Some(compression) = &config.compression else { return };
    let declared = match route {
        // What streams both ways, or is another protocol.
        Route::Passthrough(_) | Route::Options { .. } => return,
        Route::Operation(operation) => operation.compression,
        Route::Unknown { .. } | Route::Document(_) | Route::Own(_) => None,
    };
    if declared == Some(false) {
        return;
    }
    let declared = declared == Some(true);
    let mut accepted = match (fields.accept_encoding.only(), fields.accept_encoding.count()) {
        (_, 0) => Accepted::IDENTITY,
        (Some(line), _) => negotiate([line], &compression.preferred),
        _ => negotiate(headers.get_all(header::ACCEPT_ENCODING), &compression.preferred),
    };
    if accepted.coding.is_some() && !declared && is_foreign_page(headers) {
        accepted.coding = None;
    }
    let none_match = fields.if_none_match.first();
    exchange.compression = Asked {
        open: true,
        accepted,
        declared,
        conditional: none_match.is_some() || fields.if_match.count() > 0,
        weak_tag: none_match.is_some_and(tags::names_weak),
        service: route.service(),
    };
}

/// A page elsewhere had the browser send this with the user's cookies: whoever made the page could
/// choose text, see lengths, and so guess a secret beside it, letter by letter (BREACH).
fn is_foreign_page(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site")
        && headers.contains_key(header::COOKIE)
}

/// Takes the `W/` off the tags that a client sends back, where it may be ours: to a service that
/// compares strongly, or byte by byte, they are the tags it gave.
pub(crate) fn restore_tags(config: &Config, exchange: &Exchange, head: &mut Parts) {
    let asked = exchange.compression;
    if !asked.conditional {
        return;
    }
    let (Some(compression), Some(service)) = (&config.compression, asked.service) else { return };
    if compression.tags.are_weak(service, head.uri.path()) {
        return;
    }
    for name in [header::IF_NONE_MATCH, header::IF_MATCH] {
        tags::restore(&mut head.headers, &name);
    }
}

/// Decides what becomes of an answer, and says so in its head. `length` is the body's where the
/// head does not say it.
pub(crate) fn decide(
    config: &Config,
    exchange: &Exchange,
    status: StatusCode,
    headers: &mut HeaderMap,
    length: Option<u64>,
) -> Option<Plan> {
    let asked = exchange.compression;
    let compression = config.compression.as_ref().filter(|_| asked.open)?;
    if status == StatusCode::NOT_MODIFIED {
        if asked.weak_tag {
            tags::weaken(headers);
        }
        return None;
    }
    if status.is_informational() || has_no_body_of_its_own(status) {
        return None;
    }
    let (length, open) = {
        let facts = rules::Facts::of(headers, length);
        if let (Some(service), Some(weak)) = (asked.service, facts.tag_is_weak) {
            let path = exchange.target.as_ref().map_or("*", |target| target.path());
            compression.tags.note(service, path, weak);
        }
        let bytes_min = if asked.accepted.identity { compression.bytes_min } else { 1 };
        let open = !facts.sets_cookie || asked.declared;
        (facts.length, open && facts.is_compressible(bytes_min))
    };
    if !open {
        return None;
    }
    // Also where it stays as it is: what a cache keeps was chosen by this field.
    rules::vary_on_accept_encoding(headers);
    let coding = asked.accepted.coding?;
    failpoint::hit("edge.compression").ok()?;
    // HTTP/1.0 has no way to say where a body ends whose length is not known.
    if exchange.version < Version::HTTP_11 {
        return None;
    }
    let shard = &exchange.context.core.shard;
    let held = compression.memory.hold(Encoder::bytes_max(coding));
    let Some(held) = held else {
        shard.count(Counter::CompressionSkipped);
        return None;
    };
    let encoder = Encoder::new(coding, length).ok()?;
    rules::say(headers, coding);
    if exchange.method == Method::HEAD {
        return None;
    }
    count(shard, coding);
    Some(Plan { encoder, held })
}

fn has_no_body_of_its_own(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT
    )
}

fn count(shard: &Shard, coding: Coding) {
    shard.count(Counter::Compressed(match coding {
        Coding::Brotli => AnswerCoding::Br,
        Coding::Zstd => AnswerCoding::Zstd,
        Coding::Gzip => AnswerCoding::Gzip,
    }));
}

/// An answer's body is to be compressed.
pub(crate) struct Plan {
    encoder: Encoder,
    held: Held,
}

impl Plan {
    /// The body as the client gets it.
    pub(crate) fn carry_out(plan: Option<Self>, version: Version, body: AnswerBody) -> AnswerBody {
        match plan {
            None => body,
            Some(Self { encoder, held }) => {
                AnswerBody::Compressed(Box::new(Compressed::new(body, encoder, held, version)))
            }
        }
    }
}

/// A field's value as text; nothing where it is none.
fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_takes_memory_after_a_reload_too() {
        let section = CompressionSection::default();
        let before = Compression::new(&section, &[], None).unwrap();
        let most = before.memory.max;
        let held = before.memory.hold(most).unwrap();
        let after = Compression::new(&section, &[], Some(&before)).unwrap();
        assert!(after.memory.hold(1).is_none());
        drop(held);
        assert!(after.memory.hold(most).is_some());
    }
}
