//! Why a request's credentials were not accepted, and how that is told.

use std::time::Duration;

use plimsoll_http_kit::Code;
use plimsoll_telemetry::AuthOutcome;

/// Why a token was refused. None of these ever carries a part of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// Longer than [`super::TOKEN_BYTES_MAX`].
    TooLarge,
    /// Not three base64url parts, or its header or claims are not a JSON object.
    NotAJwt,
    /// A member of the header or a claim stands in it twice.
    Duplicate,
    /// `alg` is missing, unknown, unsigned, a shared secret, or not allowed for the issuer.
    Algorithm,
    /// The header has `crit`: it demands an extension, and none is understood (RFC 7515 §4.1.11).
    Critical,
    /// `typ` is not the one the issuer's entry asks for, or names another kind of token.
    Type,
    /// `iss` is missing or names nobody who is configured.
    Issuer,
    /// A claim is not of the type it has to be, or holds what no claim may.
    Claim(&'static str),
    /// A claim that has to be there is not.
    ClaimMissing(&'static str),
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` lies in the future.
    NotYetValid,
    /// `aud` does not name this edge.
    Audience,
    /// It is bound to a key by `cnf` (RFC 7800), and that its sender holds the key is not checked.
    Bound,
    /// The issuer publishes no key that could have signed it.
    UnknownKey,
    /// More than one key of the issuer could have signed it; it has to name one.
    AmbiguousKey,
    /// The key it names is not for that algorithm or not for signatures.
    KeyMismatch,
    /// The signature is not the key's.
    Signature,
}

impl Refusal {
    /// What is wrong, for the client: fixed text in the characters that RFC 6750 §3 allows in
    /// `error_description`.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::TooLarge => "the token is longer than 8192 bytes",
            Self::NotAJwt => "the token is not a signed JWT in compact form",
            Self::Duplicate => "a header member or claim stands in the token twice",
            Self::Algorithm => "the token is unsigned or its algorithm is not allowed",
            Self::Critical => "the token demands an extension that is not understood",
            Self::Type => "the token is of another type",
            Self::Issuer => "the token was issued by nobody who is trusted here",
            Self::Claim(_) => "a claim of the token is malformed",
            Self::ClaimMissing(_) => "a claim that is needed is missing from the token",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::Audience => "the token was issued for another audience",
            Self::Bound => {
                "the token is bound to a key (cnf), and no proof of that key is taken here"
            }
            Self::UnknownKey => "the issuer publishes no key that the token names",
            Self::AmbiguousKey => "the token does not say which key of the issuer signed it",
            Self::KeyMismatch => "the key that the token names is not for its algorithm",
            Self::Signature => "the signature of the token does not verify",
        }
    }

    /// The claim at fault, when it is one claim.
    #[must_use]
    pub fn claim(self) -> Option<&'static str> {
        match self {
            Self::Claim(claim) | Self::ClaimMissing(claim) => Some(claim),
            _ => None,
        }
    }
}

/// Why a request's credentials were not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthError {
    /// No bearer token was sent.
    Missing,
    /// More than one `Authorization` field was sent.
    Ambiguous,
    /// The token was refused.
    Refused(Refusal),
    /// The token is good, but does not hold the scope.
    InsufficientScope,
    /// The token was good until it was revoked.
    Revoked,
    /// It is not known which tokens were revoked of late, and the operation insists.
    RevocationsUnknown {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The issuer's keys cannot be had, so nothing is known about the token. The request is
    /// refused all the same: closed, not open.
    Unavailable {
        /// When to ask again.
        retry_after: Duration,
    },
}

impl From<Refusal> for AuthError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl AuthError {
    /// The problem that the client is told; its status comes with it.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::Missing => Code::TokenMissing,
            Self::Ambiguous => Code::CredentialsAmbiguous,
            Self::InsufficientScope => Code::InsufficientScope,
            Self::Revoked => Code::TokenRevoked,
            Self::RevocationsUnknown { .. } => Code::RevocationsUnknown,
            Self::Unavailable { .. } => Code::AuthKeysUnavailable,
            Self::Refused(refusal) => match refusal {
                Refusal::Expired => Code::TokenExpired,
                Refusal::NotYetValid => Code::TokenNotYetValid,
                Refusal::Issuer => Code::TokenIssuer,
                Refusal::Audience => Code::TokenAudience,
                Refusal::Bound => Code::TokenBound,
                Refusal::Algorithm | Refusal::KeyMismatch => Code::TokenAlgorithm,
                Refusal::Signature => Code::TokenSignature,
                Refusal::UnknownKey | Refusal::AmbiguousKey => Code::TokenKey,
                Refusal::Type | Refusal::Critical => Code::TokenType,
                Refusal::TooLarge
                | Refusal::NotAJwt
                | Refusal::Duplicate
                | Refusal::Claim(_)
                | Refusal::ClaimMissing(_) => Code::TokenMalformed,
            },
        }
    }

    /// How it is counted.
    #[must_use]
    pub fn outcome(self) -> AuthOutcome {
        match self {
            Self::Missing => AuthOutcome::Missing,
            Self::Ambiguous => AuthOutcome::Refused,
            Self::InsufficientScope => AuthOutcome::ScopeMissing,
            Self::Revoked => AuthOutcome::Revoked,
            Self::RevocationsUnknown { .. } | Self::Unavailable { .. } => AuthOutcome::Unavailable,
            Self::Refused(refusal) => match refusal {
                Refusal::Expired | Refusal::NotYetValid => AuthOutcome::Expired,
                Refusal::Issuer => AuthOutcome::UnknownIssuer,
                Refusal::Audience => AuthOutcome::WrongAudience,
                Refusal::Algorithm | Refusal::KeyMismatch => AuthOutcome::WrongAlgorithm,
                Refusal::Signature => AuthOutcome::BadSignature,
                Refusal::UnknownKey | Refusal::AmbiguousKey => AuthOutcome::UnknownKey,
                Refusal::Type | Refusal::Critical | Refusal::Bound => AuthOutcome::Refused,
                Refusal::TooLarge
                | Refusal::NotAJwt
                | Refusal::Duplicate
                | Refusal::Claim(_)
                | Refusal::ClaimMissing(_) => AuthOutcome::Malformed,
            },
        }
    }

    /// The detail for the client, fixed text.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Missing => "no bearer token was sent",
            Self::Ambiguous => "more than one Authorization field was sent",
            Self::InsufficientScope => "the token does not hold a scope that is needed",
            Self::Revoked => "the token was revoked",
            Self::RevocationsUnknown { .. } => "revoked tokens are not known at the moment",
            Self::Unavailable { .. } => "the keys of the token issuer cannot be had at the moment",
            Self::Refused(refusal) => refusal.description(),
        }
    }
}
