//! Authenticate: who is asking. Fails closed; see `auth` for how a token is verified.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, header};
use plimsoll_base::failpoint;
use plimsoll_http_kit::Problem;
use plimsoll_http_kit::hygiene::Fields;
use plimsoll_snapshot::Security;
use plimsoll_telemetry::{AuthOutcome, CacheResult, Counter};

use crate::auth::{AuthError, Presented, Token, Verified};
use crate::config::Config;
use crate::exchange::Exchange;
use crate::steps::route::Route;

/// When to ask again while revocations are not known: the follower tries twice a second.
const REVOCATIONS_AGAIN: Duration = Duration::from_secs(2);

/// What a request presents, and what is known of it without a signature being checked.
#[derive(Debug)]
pub(crate) enum Credentials<'r> {
    /// No issuer is configured, or nothing is asked of the caller: credentials are not read.
    Unread,
    /// A token that was verified before and still is good.
    Known(Arc<Verified>),
    /// A token that must be verified.
    Token(Token<'r>),
    /// None, or of a scheme that is not ours to read.
    None,
}

impl Credentials<'_> {
    /// Whether the caller is anonymous as far as is known now: unverified credentials never lift
    /// the limit by address.
    pub(crate) fn is_anonymous(&self) -> bool {
        !matches!(self, Self::Known(_))
    }

    /// Whether a signature will have to be checked.
    pub(crate) fn must_be_verified(&self) -> bool {
        matches!(self, Self::Token(_))
    }
}

/// What a route asks of its caller.
fn security<'c>(config: &'c Config, route: Route<'c>) -> &'c Security {
    match route {
        Route::Operation(operation) => &operation.security,
        Route::Passthrough(passthrough) => &passthrough.security,
        // A CORS preflight carries no credentials (Fetch standard); documents and what our own
        // services answer here are public.
        Route::Options { .. } | Route::Document(_) | Route::Own(_) => &Security::Public,
        Route::Unknown { .. } => &config.any_token,
    }
}

/// Reads the credentials and looks them up among the verified ones.
pub(crate) fn credentials<'r>(
    config: &Config,
    exchange: &Exchange,
    route: Route<'_>,
    fields: &Fields<'r>,
) -> Result<Credentials<'r>, Problem> {
    let Some(auth) = &config.auth else { return Ok(Credentials::Unread) };
    let shard = &exchange.context.core.shard;
    let public = matches!(security(config, route), Security::Public | Security::PassThrough);
    // A token that was verified before was looked over then; only others need a closer look.
    let text = crate::auth::bearer_text(fields.authorization);
    let now = exchange.started_unix_ms / 1000;
    if let Some(verified) = text.and_then(|text| auth.cached(text, now)) {
        return known(config, exchange, verified, public);
    }
    let presented = match crate::auth::presented(fields.authorization) {
        Ok(presented) => presented,
        // What a public operation is sent is the backend's affair.
        Err(_) if public => return Ok(Credentials::None),
        Err(error) => return Err(refusal(config, exchange, error, &[])),
    };
    let Presented::Bearer(token) = presented else { return Ok(Credentials::None) };
    let cached = if text.is_some() { None } else { auth.cached(token.as_str(), now) };
    match cached {
        Some(verified) => known(config, exchange, verified, public),
        None if public => Ok(Credentials::None),
        None => {
            shard.count(Counter::TokenCache(CacheResult::Miss));
            Ok(Credentials::Token(token))
        }
    }
}

/// A token that was verified before: good unless it was revoked meanwhile.
fn known<'r>(
    config: &Config,
    exchange: &Exchange,
    verified: Arc<Verified>,
    public: bool,
) -> Result<Credentials<'r>, Problem> {
    exchange.context.core.shard.count(Counter::TokenCache(CacheResult::Hit));
    match is_revoked(exchange, &verified) {
        false => Ok(Credentials::Known(verified)),
        true if public => Ok(Credentials::None),
        true => Err(refusal(config, exchange, AuthError::Revoked, &[])),
    }
}

/// Whether the token was revoked: asked for every request, because that may happen while it is
/// remembered.
fn is_revoked(exchange: &Exchange, verified: &Verified) -> bool {
    exchange.context.core.shared.deny.names(verified.revocation())
}

/// Whether the operation must not go on with what is known of revocations.
fn revocations_unknown(config: &Config, exchange: &Exchange, route: Route<'_>) -> bool {
    let strict = matches!(route, Route::Operation(operation) if operation.revocation_strict);
    let deny = &exchange.context.core.shared.deny;
    strict && deny.is_older_than(config.revocation_staleness_max, exchange.started)
}

/// Verifies what must be verified and checks the scopes.
pub(crate) async fn verify(
    config: &Config,
    exchange: &mut Exchange,
    route: Route<'_>,
    head: &Parts,
    credentials: Credentials<'_>,
) -> Result<(), Problem> {
    let Some(auth) = &config.auth else { return Ok(()) };
    if failpoint::hit("edge.authenticate").is_err() {
        return Ok(());
    }
    let now = exchange.started_unix_ms / 1000;
    let verified = match credentials {
        Credentials::Known(verified) => Some(verified),
        // A box, because this is rare and large.
        Credentials::Token(token) => match Box::pin(auth.verify(token.as_str(), now)).await {
            Ok(verified) if is_revoked(exchange, &verified) => {
                return Err(refusal(config, exchange, AuthError::Revoked, &[]));
            }
            Ok(verified) => Some(verified),
            Err(error) => return Err(refusal(config, exchange, error, &[])),
        },
        Credentials::Unread | Credentials::None => None,
    };
    if verified.is_some() && revocations_unknown(config, exchange, route) {
        let error = AuthError::RevocationsUnknown { retry_after: REVOCATIONS_AGAIN };
        return Err(refusal(config, exchange, error, &[]));
    }
    exchange.verified = verified;
    exchange.verifies = matches!(security(config, route), Security::Token { .. });
    let outcome = match (security(config, route), &exchange.verified) {
        (Security::Public, _) => AuthOutcome::Public,
        (Security::PassThrough, _) => AuthOutcome::PassedThrough,
        (Security::Token { any_of, .. }, Some(verified)) => {
            if !verified.scopes().meet_any(any_of) {
                return Err(refusal(config, exchange, AuthError::InsufficientScope, any_of));
            }
            AuthOutcome::Verified
        }
        (Security::Token { optional, pass_through, .. }, None) => {
            let nothing_sent = !head.headers.contains_key(header::AUTHORIZATION);
            if *pass_through {
                AuthOutcome::PassedThrough
            } else if *optional && nothing_sent {
                AuthOutcome::Public
            } else {
                return Err(refusal(config, exchange, AuthError::Missing, &[]));
            }
        }
    };
    exchange.context.core.shard.count(Counter::Auth(outcome));
    Ok(())
}

fn refusal(
    config: &Config,
    exchange: &Exchange,
    error: AuthError,
    any_of: &[Vec<String>],
) -> Problem {
    exchange.context.core.shard.count(Counter::Auth(error.outcome()));
    let mut problem = Problem::new(error.code()).with_detail(error.description());
    if let AuthError::Unavailable { retry_after } | AuthError::RevocationsUnknown { retry_after } =
        error
    {
        problem = problem.with_retry_after(retry_after.as_secs().max(1));
    }
    let challenge: Option<HeaderValue> =
        config.auth.as_ref().and_then(|auth| auth.challenge(error, any_of));
    match challenge {
        Some(challenge) => problem.with_header(header::WWW_AUTHENTICATE, challenge),
        None => problem,
    }
}
