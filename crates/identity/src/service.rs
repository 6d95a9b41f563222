//! Revoking: the entry in the ledger and the change that every edge obeys, in one transaction.

use plimsoll_base::Clock;
use plimsoll_ledger::{Actor, Append, Fact, Ledger};
use plimsoll_snapshot::{Change, REVOCATIONS_ROOM, Revocation, RevocationKey, publish};
use plimsoll_store::PgPool;
use serde::Serialize;
use serde_json::json;

use crate::error::IdentityError;
use crate::model::{Revoke, RevokedName};

/// What a revocation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Revoked {
    /// The epoch with which every edge obeys it.
    pub epoch: u64,
    /// Tokens issued at or before this are refused, in seconds since 1970-01-01T00:00:00Z.
    pub issued_until_unix_s: u64,
    /// When it is forgotten, likewise.
    pub kept_until_unix_s: u64,
}

/// Revokes a token, or everything issued to a subject until now. Every edge obeys it within a
/// second of the commit.
///
/// # Errors
/// [`IdentityError`]; nothing was changed then.
pub async fn revoke(
    pool: &PgPool,
    ledger: &Ledger,
    clock: &dyn Clock,
    actor: Actor<'_>,
    asked: &Revoke,
) -> Result<Revoked, IdentityError> {
    asked.check()?;
    let now = clock.unix_seconds();
    let issuer = asked.issuer.as_deref();
    let (key, issued_until_unix_s) = match &asked.name {
        RevokedName::Sub(subject) => (RevocationKey::subject(issuer, subject), now),
        // One token is revoked whenever it was issued.
        RevokedName::Jti(id) => (RevocationKey::token(issuer, id), u64::MAX),
    };
    let kept_until_unix_s = now.saturating_add(asked.kept_seconds);
    let change = Change {
        room: REVOCATIONS_ROOM,
        key: key.item_key(),
        body: Some(json!(Revocation { issued_until_unix_s })),
        expires_unix_s: Some(kept_until_unix_s),
    };
    let fact = Fact::TokenRevoke { claim: asked.claim(), value: ledger.actor(asked.value()) };
    let entry = Append { personal: asked.reason.as_deref(), ..Append::ok(actor, fact) };
    let mut transaction = pool.begin().await?;
    ledger.append(&mut transaction, entry).await?;
    let epoch = publish(&mut transaction, &[change]).await?;
    transaction.commit().await?;
    Ok(Revoked { epoch, issued_until_unix_s, kept_until_unix_s })
}
