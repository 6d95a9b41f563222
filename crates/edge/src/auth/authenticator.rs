//! Who is asking: the verified-token cache in front of verification.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::HeaderValue;
use plimsoll_base::SharedClock;
use plimsoll_manifest::Algorithm;
use plimsoll_outbound::Outbound;
use plimsoll_snapshot::RevocationKeys;
use tokio::runtime::Handle;

use super::bearer::Challenger;
use super::cache::TokenCache;
use super::claims::{self, ClaimRules, Claims};
use super::error::{AuthError, Refusal};
use super::fetch::well_known_urls;
use super::jws::{self, Compact};
use super::keys::Key;
use super::options::{AuthOptions, AuthSetupError, IssuerOptions, KeyLocation};
use super::source::{KeySource, SourceSpec};
use super::status::IssuerStatus;
use super::verified::{CallerKey, Interner, Scopes, Verified};

/// What the authenticator works with.
#[derive(Clone)]
pub struct AuthParts {
    /// Fetches keys.
    pub outbound: Outbound,
    /// Tells how old keys are.
    pub clock: SharedClock,
    /// Where fetching runs; never an edge core.
    pub control: Handle,
    /// Makes caller hashes. The same for as long as authenticators are built from one another.
    pub caller_key: CallerKey,
    /// Spreads fetches of many edges in time.
    pub seed: u64,
    /// Told of every fetch whether it went well.
    pub on_refresh: Arc<dyn Fn(bool) + Send + Sync>,
}

impl fmt::Debug for AuthParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthParts").finish_non_exhaustive()
    }
}

/// How a token of one issuer is judged. Its id is new whenever the rules are, so that what was
/// verified by other rules is not taken for verified by these.
#[derive(Debug)]
struct Issuer {
    rules_id: u64,
    options: IssuerOptions,
    claims: ClaimRules,
    name: Arc<str>,
    source: Arc<KeySource>,
}

/// Verifies bearer tokens. Made anew at each reload; what did not change goes over.
#[derive(Debug)]
pub struct Authenticator {
    issuers: Vec<Issuer>,
    /// Shared by all that stem from one another, so that no two sets of rules get one id.
    rules_ids: Arc<AtomicU64>,
    cache: Arc<TokenCache>,
    strings: Arc<Interner>,
    challenger: Challenger,
    caller_key: CallerKey,
}

impl Authenticator {
    /// Builds from `options`. Cheap: it fetches nothing but key files, and takes over from
    /// `previous` the keys of every issuer whose keys are in the same place, and the cache. Tokens
    /// in the cache stay verified where their issuer's whole entry is unchanged.
    ///
    /// `previous` goes on working beside it until it is dropped.
    ///
    /// # Errors
    /// What in the options cannot be worked with; nothing has changed then.
    pub fn build(
        options: &AuthOptions,
        parts: &AuthParts,
        previous: Option<&Self>,
    ) -> Result<Self, AuthSetupError> {
        let challenger = Challenger::new(&options.realm).ok_or(AuthSetupError::Realm)?;
        check(&options.issuers)?;
        let (cache, strings) = match previous {
            Some(p) => (Arc::clone(&p.cache), Arc::clone(&p.strings)),
            None => (Arc::new(TokenCache::new(options.token_cache_max)), Arc::default()),
        };
        let mut built = Self {
            issuers: Vec::with_capacity(options.issuers.len()),
            rules_ids: previous.map_or_else(Arc::default, |p| Arc::clone(&p.rules_ids)),
            cache,
            strings,
            challenger,
            caller_key: parts.caller_key.clone(),
        };
        for issuer in &options.issuers {
            built.add(issuer, parts, previous);
        }
        built.cache.resize(options.token_cache_max);
        Ok(built)
    }

    fn add(&mut self, options: &IssuerOptions, parts: &AuthParts, previous: Option<&Self>) {
        let before = previous.and_then(|p| p.issuers.iter().find(|i| *i.name == *options.issuer));
        let name = before.map_or_else(|| Arc::from(&*options.issuer), |b| Arc::clone(&b.name));
        let spec = SourceSpec {
            issuer: Arc::clone(&name),
            location: options.keys.clone(),
            refresh: options.refresh,
            stale_max: options.stale_max,
            allow_private: options.allow_private,
        };
        let source = match before {
            Some(b) if *b.source.spec() == spec => Arc::clone(&b.source),
            _ => Arc::new(KeySource::start(spec, parts, before.map(|b| &*b.source))),
        };
        let rules_id = match before {
            Some(b) if b.options == *options => b.rules_id,
            _ => self.rules_ids.fetch_add(1, Ordering::Relaxed),
        };
        let claims = ClaimRules {
            audience: options.audience.clone(),
            skew_s: options.skew.as_secs(),
            tenant_claim: options.tenant_claim.clone(),
            scope_claim: options.scope_claim.clone(),
        };
        let options = options.clone();
        self.issuers.push(Issuer { rules_id, options, claims, name, source });
    }

    /// The caller behind `token`, when that very token was verified before and still holds: its
    /// times, its key, and the rules for its issuer. Never waits.
    #[must_use]
    pub fn cached(&self, token: &str, now_unix_s: u64) -> Option<Arc<Verified>> {
        let verified = self.cache.get(token)?;
        if !verified.holds(now_unix_s) {
            self.cache.remove(token, &verified);
            return None;
        }
        let current = self.issuers.iter().any(|issuer| issuer.rules_id == verified.rules_id);
        current.then_some(verified)
    }

    /// Verifies `token`, on the calling core, and remembers it. It waits, for three seconds at
    /// most, only where the issuer's keys have to be fetched first. It does not ask the cache:
    /// see [`Self::cached`].
    ///
    /// # Errors
    /// [`AuthError::Refused`], or [`AuthError::Unavailable`] while keys are missing.
    pub async fn verify(&self, token: &str, now_unix_s: u64) -> Result<Arc<Verified>, AuthError> {
        let compact = Compact::parse(token)?;
        let header = compact.header()?;
        let object = jws::object(&compact.payload)?;
        let name = claims::issuer(&object)?;
        // By the token's own word, which is not verified: it only picks among those we know.
        let issuer = self.issuers.iter().find(|issuer| *issuer.name == *name);
        let issuer = issuer.ok_or(Refusal::Issuer)?;
        issuer.check_algorithm(header.algorithm)?;
        header.check_type(issuer.options.type_header.as_deref())?;
        let claims = issuer.claims.judge(&object, now_unix_s)?;
        let key_id = header.key_id.as_deref();
        let key = issuer.source.find(key_id, header.algorithm, now_unix_s).await?;
        if !key.public.verify(header.algorithm, compact.signed, &compact.signature) {
            return Err(Refusal::Signature.into());
        }
        let verified = Arc::new(self.verified(issuer, claims, key));
        self.cache.insert(token, Arc::clone(&verified));
        Ok(verified)
    }

    fn verified(&self, issuer: &Issuer, claims: Claims, key: Arc<Key>) -> Verified {
        let who = [issuer.name.as_bytes(), claims.tenant.as_bytes(), claims.subject.as_bytes()];
        let not_before = claims.not_before_unix_s.unwrap_or(0);
        let revocation = RevocationKeys::of_token(
            &issuer.name,
            &claims.subject,
            claims.token_id.as_deref(),
            claims.issued_unix_s,
        );
        Verified {
            revocation,
            caller: self.caller_key.hash("verified", &who),
            issuer: Arc::clone(&issuer.name),
            tenant: self.strings.get(&claims.tenant),
            scopes: Scopes::new(claims.scopes.iter().map(|scope| self.strings.get(scope))),
            subject: claims.subject.into(),
            token_id: claims.token_id.map(Into::into),
            expires_unix_s: claims.expires_unix_s,
            not_before_unix_s: claims.not_before_unix_s,
            good_until_unix_s: claims.expires_unix_s.saturating_add(issuer.claims.skew_s),
            good_from_unix_s: not_before.saturating_sub(issuer.claims.skew_s),
            rules_id: issuer.rules_id,
            key,
        }
    }

    /// The `WWW-Authenticate` value that goes with `error`; none with [`AuthError::Unavailable`].
    /// `any_of` are the operation's scope alternatives: the first is named where a scope is what
    /// is missing.
    #[must_use]
    pub fn challenge(&self, error: AuthError, any_of: &[Vec<String>]) -> Option<HeaderValue> {
        self.challenger.challenge(error, any_of.first().map_or(&[], Vec::as_slice))
    }

    /// Waits until the keys of every issuer are there or were looked for once, or for `wait_max`.
    /// Between building and swapping in, so that no request has to wait for the first fetch.
    pub async fn settled(&self, wait_max: Duration) {
        join_all(self.issuers.iter().map(|issuer| issuer.source.settled(wait_max))).await;
    }

    /// How the keys of each issuer are, in the order of the manifest.
    #[must_use]
    pub fn status(&self) -> Vec<IssuerStatus> {
        self.issuers.iter().map(|issuer| issuer.source.status()).collect()
    }

    /// How many tokens the cache holds.
    #[must_use]
    pub fn cached_tokens(&self) -> usize {
        self.cache.len()
    }
}

impl Issuer {
    fn check_algorithm(&self, algorithm: Algorithm) -> Result<(), Refusal> {
        if self.options.algorithms.contains(&algorithm) { Ok(()) } else { Err(Refusal::Algorithm) }
    }
}

fn check(issuers: &[IssuerOptions]) -> Result<(), AuthSetupError> {
    for (at, issuer) in issuers.iter().enumerate() {
        let name = || issuer.issuer.clone();
        if issuers[..at].iter().any(|earlier| earlier.issuer == issuer.issuer) {
            return Err(AuthSetupError::TwiceTheIssuer(name()));
        }
        if issuer.audience.is_empty() {
            return Err(AuthSetupError::NoAudience(name()));
        }
        if issuer.algorithms.is_empty() {
            return Err(AuthSetupError::NoAlgorithm(name()));
        }
        if issuer.keys == KeyLocation::WellKnown && well_known_urls(&issuer.issuer).is_none() {
            return Err(AuthSetupError::NotAUrl(name()));
        }
    }
    Ok(())
}
