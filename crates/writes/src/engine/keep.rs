//! What goes on beside the requests: leases are renewed, what has expired goes, records are
//! counted.

use std::sync::PoisonError;
use std::time::Duration;

use plimsoll_store::PgPool;
use tokio::sync::watch;

use super::{Standing, millis};
use crate::model::WriteId;
use crate::service::{LEASE, Writes};
use crate::store;
use crate::trial::PROBE;

/// How often leases are renewed, and how many at once.
const RENEW_EVERY: Duration = Duration::from_millis(1_250);
const RENEW_MAX: usize = 1_000;

/// How often what has expired is removed, how much at once, and how often in a row.
const EXPIRE_EVERY: Duration = Duration::from_secs(30);
const EXPIRE_MAX: i64 = 1_000;
const EXPIRE_ROUNDS_MAX: usize = 100;

/// How often records are counted, and how many of those that were answered.
const COUNT_EVERY: Duration = Duration::from_secs(5);
pub(crate) const COUNT_MAX: i64 = 20_000;

/// True when it was time to stop.
async fn stopped_within(stop: &mut watch::Receiver<bool>, wait: Duration) -> bool {
    tokio::time::timeout(wait, stop.wait_for(|stop| *stop)).await.is_ok()
}

pub(super) async fn renew(writes: &Writes, pool: &PgPool, mut stop: watch::Receiver<bool>) {
    while !stopped_within(&mut stop, RENEW_EVERY).await {
        let held: Vec<(WriteId, u128)> =
            writes.leases().iter().map(|(id, (owner, _))| (*id, *owner)).collect();
        for some in held.chunks(RENEW_MAX) {
            let made = writes.0.clock.now();
            let renewed = async {
                let mut connection = pool.acquire().await?;
                store::renew(&mut connection, some, millis(LEASE)).await
            };
            match tokio::time::timeout(RENEW_EVERY, renewed).await {
                Ok(Ok(renewed)) => {
                    let mut leases = writes.leases();
                    for id in renewed {
                        if let Some(lease) = leases.get_mut(&id) {
                            lease.1 = made;
                        }
                    }
                }
                Ok(Err(error)) => tracing::debug!(%error, "leases cannot be renewed"),
                Err(_) => tracing::debug!("leases cannot be renewed in time"),
            }
        }
    }
}

pub(super) async fn expire(pool: &PgPool, mut stop: watch::Receiver<bool>) {
    while !stopped_within(&mut stop, EXPIRE_EVERY).await {
        for _ in 0..EXPIRE_ROUNDS_MAX {
            match expire_some(pool).await {
                Ok(removed) if removed >= EXPIRE_MAX.unsigned_abs() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::debug!(%error, "keyed writes that have expired stay until the next look");
                    break;
                }
            }
        }
    }
}

/// Removes one batch of what has expired, and says how many that were.
async fn expire_some(pool: &PgPool) -> sqlx::Result<u64> {
    let mut connection = pool.acquire().await?;
    store::expire(&mut connection, EXPIRE_MAX).await
}

pub(super) async fn count(writes: &Writes, pool: &PgPool, mut stop: watch::Receiver<bool>) {
    loop {
        let counted = async {
            let mut connection = pool.acquire().await?;
            store::count(&mut connection, PROBE, COUNT_MAX).await
        };
        match counted.await {
            Ok((executing, unknown, answered)) => {
                let now = Standing { known: true, executing, unknown, answered };
                *writes.0.standing.lock().unwrap_or_else(PoisonError::into_inner) = now;
            }
            Err(error) => tracing::debug!(%error, "keyed writes cannot be counted"),
        }
        if stopped_within(&mut stop, COUNT_EVERY).await {
            return;
        }
    }
}
