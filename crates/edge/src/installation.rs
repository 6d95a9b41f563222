//! Installations: one installed copy of the app on one device, as the edge itself signed it.
//!
//! An app that says what it is gets one with an answer, keeps it, and sends it with every request
//! from then on. Behind one address of a carrier thousands of phones can so be told apart, before
//! anybody has signed in. An address gets a bounded number of them an hour: who throws them away
//! gets no new ones, and counts by his address as before.
//!
//! The mark is a keyed hash under the key that callers are counted by, which all nodes share and
//! rotation leaves as it is. It is compared in constant time. The id says nothing of the device,
//! and goes into no log and no figure.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderMap, HeaderName, Method, header};
use plimsoll_http_kit::ClientContext;
use plimsoll_http_kit::caching::CDN_CACHE_CONTROL;
use plimsoll_http_kit::hygiene::Fields;
use plimsoll_http_kit::installation::{ID_BYTES, PLIMSOLL_INSTALLATION, Presented};
use plimsoll_manifest::InstallationsSection;
use plimsoll_telemetry::{Counter, InstallationOutcome, Platform};

use crate::auth::CallerKey;
use crate::config::{Config, Environment};
use crate::exchange::Exchange;
use crate::limit::{Decision, LimitFault, LimitOptions, Limits, LimitsOptions, Per, Units};
use crate::steps::route::Route;

/// What the mark is for, and its version.
const DOMAIN: &str = "installation.v1";

/// How far the clock of the node that signed may go ahead of ours, seconds.
const AHEAD_MAX: u64 = 24 * 60 * 60;

/// Addresses whose installations are counted apart.
pub(crate) const ADDRESSES_MAX: u32 = 100_000;

const LIMIT: &str = "new-installations";

/// An installation whose mark is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Installation {
    pub(crate) id: [u8; ID_BYTES],
}

/// `[client.installations]` as requests need it.
#[derive(Debug)]
pub(crate) struct Installations {
    key: CallerKey,
    giving: Limits,
}

impl Installations {
    /// `None` where it is off.
    pub(crate) fn build(
        section: &InstallationsSection,
        environment: &Environment,
        before: Option<&Self>,
    ) -> Result<Option<Arc<Self>>, LimitFault> {
        if !section.enabled {
            return Ok(None);
        }
        let limit = LimitOptions {
            name: LIMIT.to_owned(),
            per: Per::Ip,
            quota: section.new_per_ip_max,
            window: section.window.0,
            burst: section.new_per_ip_max,
            units: Units::Requests,
            operations: Vec::new(),
            keys_max: ADDRESSES_MAX,
        };
        let options = LimitsOptions { limits: vec![limit], ..LimitsOptions::default() };
        let giving = Limits::build(&options, before.map(|b| &b.giving), &environment.seed)?;
        Ok(Some(Arc::new(Self { key: environment.auth.caller_key.clone(), giving })))
    }

    /// Addresses that were given some of late.
    pub(crate) fn addresses(&self) -> usize {
        self.giving.stats().iter().map(|limit| limit.keys).sum()
    }

    pub(crate) fn sweep(&self, now: plimsoll_base::Nanos) {
        self.giving.sweep(now);
    }

    fn mac(&self, id: &[u8; ID_BYTES], first_seen_unix_s: u64) -> [u8; ID_BYTES] {
        self.key.hash(DOMAIN, &[id, &first_seen_unix_s.to_be_bytes()]).as_u128().to_be_bytes()
    }

    fn verify(&self, presented: &Presented, now_unix_s: u64) -> Option<Installation> {
        let Presented { id, first_seen_unix_s, mac } = *presented;
        let right = self.mac(&id, first_seen_unix_s);
        let is_right = verify_slices_are_equal(&right, &mac).is_ok();
        let is_past = first_seen_unix_s <= now_unix_s.saturating_add(AHEAD_MAX);
        (is_right && is_past).then_some(Installation { id })
    }

    fn sign(&self, id: [u8; ID_BYTES], first_seen_unix_s: u64) -> Presented {
        Presented { id, first_seen_unix_s, mac: self.mac(&id, first_seen_unix_s) }
    }
}

/// What a request has of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Held {
    /// None, and none is to be given: it is no app, or nobody reads the answer.
    #[default]
    No,
    /// None that is right, and the app could keep one.
    Wanted,
    /// One that is right.
    Signed(Installation),
}

impl Held {
    pub(crate) fn signed(&self) -> Option<&Installation> {
        match self {
            Self::Signed(installation) => Some(installation),
            Self::No | Self::Wanted => None,
        }
    }
}

/// Verifies what the request presents, after the client context was read.
pub(crate) fn read(
    config: &Config,
    exchange: &mut Exchange,
    route: Route<'_>,
    fields: &Fields<'_>,
) {
    let Some(installations) = &config.installations else { return };
    let lines = fields.plimsoll_installation;
    if lines.count() > 0 {
        let presented = lines.only().and_then(|line| Presented::parse(line.as_bytes()));
        let now = exchange.started_unix_ms / 1_000;
        if let Some(known) = presented.and_then(|p| installations.verify(&p, now)) {
            exchange.installation = Held::Signed(known);
            return;
        }
        count(exchange, InstallationOutcome::Forged);
    }
    let to_a_service = matches!(route, Route::Operation(_) | Route::Unknown { .. });
    if to_a_service && says_it_is_an_app(config, &exchange.client, fields) {
        exchange.installation = Held::Wanted;
    }
}

/// An app that only its `User-Agent` betrays knows nothing of us and would keep nothing.
fn says_it_is_an_app(config: &Config, client: &ClientContext, fields: &Fields<'_>) -> bool {
    matches!(client.platform(), Platform::Ios | Platform::Android)
        && (fields.plimsoll_client.count() > 0 || config.client_rules.says_platform())
}

/// Gives one with the answer of a service, where the app has none and nobody between keeps the
/// answer for others.
pub(crate) fn offer(config: &Config, exchange: &Exchange, headers: &mut HeaderMap) {
    if exchange.installation != Held::Wanted {
        return;
    }
    let Some(installations) = &config.installations else { return };
    if may_be_kept_for_others(&exchange.method, headers) {
        return;
    }
    let giving = &installations.giving;
    let of = giving.policies_for(None);
    let address = giving.hasher().ip(exchange.from.prefix());
    let decision = giving.check(of.by_ip, &of.keys(address, 0), 1, exchange.started);
    if matches!(decision, Decision::Refused(_)) {
        count(exchange, InstallationOutcome::Bounded);
        return;
    }
    let id = exchange.context.core.random().to_be_bytes();
    let given = installations.sign(id, exchange.started_unix_ms / 1_000);
    headers.insert(PLIMSOLL_INSTALLATION, given.header_value());
    count(exchange, InstallationOutcome::Given);
}

/// Whether a cache between may keep the answer for whoever asks next (RFC 9111 §3): with it,
/// everybody behind that cache would be one installation.
fn may_be_kept_for_others(method: &Method, headers: &HeaderMap) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    // A cache that acts for the origin obeys its own field, whatever stands beside it (RFC 9213
    // §2.2).
    let of_cdn = headers.get_all(CDN_CACHE_CONTROL).iter().next().is_some();
    if of_cdn && !forbids(headers, &CDN_CACHE_CONTROL) {
        return true;
    }
    let said = headers.contains_key(header::CACHE_CONTROL);
    if forbids(headers, &header::CACHE_CONTROL) {
        return false;
    }
    said || headers.contains_key(header::EXPIRES) || headers.contains_key(header::LAST_MODIFIED)
}

/// Whether a field says that no cache for others may keep the answer.
fn forbids(headers: &HeaderMap, name: &HeaderName) -> bool {
    let lines = headers.get_all(name).iter();
    let directives = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let names = directives.map(|one| one.split(|byte| matches!(byte, b'=' | b';')).next());
    names
        .flatten()
        .map(<[u8]>::trim_ascii)
        .any(|name| name.eq_ignore_ascii_case(b"private") || name.eq_ignore_ascii_case(b"no-store"))
}

fn count(exchange: &Exchange, outcome: InstallationOutcome) {
    exchange.context.core.shard.count(Counter::Installation(outcome));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installations(key: u8) -> Installations {
        let options = LimitsOptions::default();
        Installations {
            key: CallerKey::new(&[key; 32]),
            giving: Limits::build(&options, None, &[0; 16]).unwrap(),
        }
    }

    const NOW: u64 = 1_764_000_000;

    #[test]
    fn what_was_signed_is_known_and_nothing_else() {
        let ours = installations(1);
        let given = ours.sign([7; 16], NOW);
        let known = ours.verify(&given, NOW + 1).unwrap();
        assert_eq!(known, Installation { id: [7; 16] });
        assert!(installations(2).verify(&given, NOW).is_none());
        for at in 0..ID_BYTES {
            let (mut id, mut mac) = (given, given);
            id.id[at] ^= 1;
            mac.mac[at] ^= 1;
            assert!(ours.verify(&id, NOW).is_none() && ours.verify(&mac, NOW).is_none());
        }
        let older = Presented { first_seen_unix_s: NOW - 1, ..given };
        assert!(ours.verify(&older, NOW).is_none(), "nobody makes himself older");
        assert!(ours.verify(&given, NOW - AHEAD_MAX).is_some());
        assert!(ours.verify(&given, NOW - AHEAD_MAX - 1).is_none());
    }

    #[test]
    fn the_mark_is_what_python_makes_of_it() {
        let mac: String =
            installations(1).sign([7; 16], NOW).mac.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(mac, PYTHON);
    }

    /// hmac.digest(bytes([1]*32), b"".join(len(p).to_bytes(8, "big") + p for p in
    /// [b"installation.v1", bytes([7]*16), (1764000000).to_bytes(8, "big")]), "sha256")[:16]
    const PYTHON: &str = "0da391c31d623ccf94421adc246463dd";

    #[test]
    fn what_a_cache_between_may_keep_carries_none() {
        for (fields, kept) in [
            (&[][..], false),
            (&[("cache-control", "max-age=9")], true),
            (&[("cache-control", "no-cache, private")], false),
            (&[("cache-control", "max-age=9"), ("cache-control", "No-Store")], false),
            (&[("expires", "0")], true),
            (&[("cdn-cache-control", "max-age=9")], true),
            // The cache before us obeys the field that is its own.
            (&[("cache-control", "private"), ("cdn-cache-control", "max-age=9")], true),
            (&[("cache-control", "no-store"), ("cdn-cache-control", "public")], true),
            (&[("cache-control", "private"), ("cdn-cache-control", "no-store")], false),
            (&[("cache-control", "max-age=9"), ("cdn-cache-control", "private")], true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, http::HeaderValue::from_static(value));
            }
            assert_eq!(may_be_kept_for_others(&Method::GET, &headers), kept, "{fields:?}");
            assert!(!may_be_kept_for_others(&Method::POST, &headers));
        }
    }
}
