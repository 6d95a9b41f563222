//! Revoking: the entry in the ledger and the change that every edge obeys, in one transaction.

use plimsoll_base::Clock;
use plimsoll_ledger::{Actor, Append, Fact, Ledger};
use plimsoll_snapshot::{Change, Item, REVOCATIONS_ROOM, Revocation, RevocationKey, held, publish};
use plimsoll_store::PgPool;
use serde::{Deserialize as _, Serialize};
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
/// second of the commit. What was revoked before stays revoked at least as long as it would have.
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
    let fact = Fact::TokenRevoke { claim: asked.claim(), value: ledger.actor(asked.value()) };
    let entry = Append { personal: asked.reason.as_deref(), ..Append::ok(actor, fact) };
    let mut transaction = pool.begin().await?;
    ledger.append(&mut transaction, entry).await?;
    let before = held(&mut transaction, REVOCATIONS_ROOM, &key.item_key()).await?;
    let mut revoked = Revoked {
        epoch: 0,
        issued_until_unix_s,
        kept_until_unix_s: now.saturating_add(asked.kept_seconds),
    };
    if let Some(before) = before {
        revoked.build_on(&before);
    }
    let change = Change {
        room: REVOCATIONS_ROOM,
        key: key.item_key(),
        body: Some(json!(Revocation { issued_until_unix_s: revoked.issued_until_unix_s })),
        expires_unix_s: Some(revoked.kept_until_unix_s),
    };
    revoked.epoch = publish(&mut transaction, &[change]).await?;
    transaction.commit().await?;
    Ok(revoked)
}

impl Revoked {
    /// Takes nothing back of a revocation that stands: it may have been asked to last longer, or
    /// on a machine whose clock is ahead.
    fn build_on(&mut self, before: &Item) {
        let said = before.body.as_ref().map(Revocation::deserialize);
        if let Some(Ok(said)) = said {
            self.issued_until_unix_s = self.issued_until_unix_s.max(said.issued_until_unix_s);
        }
        let kept = before.expires_unix_s.unwrap_or_default();
        self.kept_until_unix_s = self.kept_until_unix_s.max(kept);
    }
}
