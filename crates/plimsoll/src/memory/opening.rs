//! Opening the database, now or as soon as it can be had, and starting what works on it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use plimsoll_ledger::{Importer, Leftover, Sealer, SealerDoor, Spool, SpoolOptions};
use plimsoll_snapshot::{Dynamic, Followed, Following, NodeReport, follow, sweep};
use plimsoll_store::{Room, Store, StoreError, StoreOptions};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::following::Obeyed;
use super::{MemoryOptions, Opening, Shared, checkpoints};
use crate::exit::Failure;

/// How long to wait before a database that could not be opened is tried again.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How often what has expired is taken out of the database.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Whose schemas there are, in the order in which they are migrated.
pub(crate) fn rooms() -> Vec<Room> {
    vec![
        plimsoll_snapshot::ROOM,
        plimsoll_events::ROOM,
        plimsoll_ledger::ROOM,
        plimsoll_writes::ROOM,
    ]
}

/// What the work on the database is started with.
pub(super) struct Work {
    pub(super) importer: Importer,
    pub(super) said: watch::Sender<Followed>,
    pub(super) obeyed: Arc<Obeyed>,
    pub(super) owned: watch::Receiver<bool>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) report: watch::Receiver<NodeReport>,
}

/// The spool of this process: a folder of its own, because the process before us may still write to
/// its one.
pub(super) fn spool(options: &MemoryOptions<'_>) -> Result<(Spool, Importer), Failure> {
    let directory = spools(options.data_dir).join(options.report.id.to_string());
    let bounds =
        SpoolOptions { bytes_max: options.spool_bytes_max, ..SpoolOptions::new(&directory) };
    let (spool, importer) = Spool::open(&bounds).map_err(Failure::failed)?;
    Ok((spool, importer.named(&options.report.name)))
}

/// The folders of spools, by the time at which their processes started.
pub(super) fn spools(data_dir: &Path) -> PathBuf {
    data_dir.join("ledger/spool")
}

impl Shared {
    /// Opens the store once.
    pub(super) async fn open_store(&self, control: &Handle) -> Result<(), StoreError> {
        if self.store.get().is_some() {
            return Ok(());
        }
        let store = Store::start(StoreOptions {
            data_dir: self.data_dir.clone(),
            database_url: self.outside.database_url.clone(),
            owner_url: self.outside.owner_url.clone(),
            postgres_bin: self.outside.postgres_bin.clone(),
            clock: Arc::clone(&self.clock),
            rooms: rooms(),
            control: control.clone(),
        })
        .await?;
        let store = Arc::new(store);
        let sealer = Sealer::signing_in(
            store.pool().clone(),
            checkpoints(&self.data_dir),
            Arc::clone(&self.keyring),
            Arc::clone(&self.clock),
        );
        if store.migrated().borrow().is_some() {
            self.fill_rooms(&store, sealer.door());
        }
        *self.sealer_at_rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(sealer);
        let _filled_before = self.store.set(store).is_err();
        self.opening(Opening::Open);
        Ok(())
    }

    fn opening(&self, opening: Opening) {
        *self.opening.lock().unwrap_or_else(PoisonError::into_inner) = opening;
    }

    /// Waits until the data directory is ours, opens the store, and runs what works on it until it
    /// is told to stop.
    pub(super) async fn work(self: Arc<Self>, mut work: Work) {
        tokio::select! {
            _ = work.stop.wait_for(|stop| *stop) => return,
            owned = work.owned.wait_for(|owned| *owned) => if owned.is_err() { return },
        }
        let leftovers = self.leftovers().await;
        let mut why = None;
        while self.store.get().is_none() {
            self.opening(Opening::Trying { why: why.clone() });
            match self.open_store(&Handle::current()).await {
                Ok(()) => break,
                Err(error) => {
                    if why.as_deref() != Some(&*error.to_string()) {
                        tracing::error!(%error, "no database; serving from the last snapshot");
                    }
                    why = Some(error.to_string());
                }
            }
            self.opening(Opening::Trying { why: why.clone() });
            if stopped_within(&mut work.stop, AGAIN_AFTER).await {
                return;
            }
        }
        let mut tasks = JoinSet::new();
        self.start(work, leftovers, &mut tasks);
        while tasks.join_next().await.is_some() {}
    }

    fn start(self: &Arc<Self>, work: Work, leftovers: Vec<Leftover>, tasks: &mut JoinSet<()>) {
        let Some(store) = self.store.get() else { return };
        let pool = store.pool().clone();
        let following = Following {
            pool: pool.clone(),
            node: work.report.clone(),
            clock: Arc::clone(&self.clock),
            saved: self.saved.clone(),
        };
        let start = Dynamic::clone(&work.obeyed.dynamic());
        let obeyed = work.obeyed;
        let apply = move |changed: &Arc<Dynamic>| obeyed.obey(changed);
        tasks.spawn(follow(following, start, apply, work.said, work.stop.clone()));
        let (migrated, stop) = (store.migrated(), work.stop.clone());
        tasks.spawn(Arc::clone(self).note_migrations(pool.clone(), migrated, stop));
        tasks.spawn(sweeping(pool.clone(), work.stop.clone()));
        tasks.spawn(adopt_events(pool.clone(), work.stop.clone()));
        tasks.spawn(Arc::clone(self).look_at_nodes(pool.clone(), work.stop.clone()));
        tasks.spawn(Arc::clone(self).look_at_board(work.stop.clone()));
        tasks.spawn(Arc::clone(self).verify_now_and_then(pool.clone(), work.stop.clone()));
        if let Some(engine) = self.writes.engine() {
            tasks.spawn(engine.run(pool.clone(), work.stop.clone()));
        }
        let (ledger, stop) = (self.ledger.clone(), work.stop.clone());
        tasks.spawn(work.importer.run(leftovers, pool, ledger, stop));
        let sealer = self.sealer_at_rest.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sealer) = sealer {
            tasks.spawn(Arc::clone(self).open_rooms(sealer.door(), work.stop.clone()));
            let _set_before = self.sealer.set(sealer.state()).is_err();
            // It seals what the others leave, so it is told to stop after them.
            tasks.spawn(sealer.run(self.after_the_others(work.stop)));
        }
    }

    /// Nobody is let into a room before its tables are there and granted: until then it is the
    /// database that was not reached, and no right of ours that is missing.
    async fn open_rooms(self: Arc<Self>, sealer: SealerDoor, mut stop: watch::Receiver<bool>) {
        let Some(store) = self.store.get() else { return };
        let mut migrated = store.migrated();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            done = migrated.wait_for(Option::is_some) => if done.is_ok() {
                self.fill_rooms(store, sealer);
            }
        }
    }

    /// A stop that comes when the last entries have had their time.
    fn after_the_others(&self, mut stop: watch::Receiver<bool>) -> watch::Receiver<bool> {
        let (later, stopped) = watch::channel(false);
        #[expect(clippy::disallowed_methods, reason = "ends with the process that stops")]
        tokio::task::spawn(async move {
            let _told_or_gone = stop.wait_for(|stop| *stop).await.is_ok();
            tokio::time::sleep(LAST_ENTRIES).await;
            later.send_replace(true);
        });
        stopped
    }
}

/// What the last entries have before the ledger is sealed for the last time.
const LAST_ENTRIES: Duration = Duration::from_millis(300);

/// True when it was time to stop.
pub(super) async fn stopped_within(stop: &mut watch::Receiver<bool>, wait: Duration) -> bool {
    tokio::time::timeout(wait, stop.wait_for(|stop| *stop)).await.is_ok()
}

/// After a backup was restored into another cluster, consumers of events start anew from what is
/// there.
async fn adopt_events(pool: plimsoll_store::PgPool, mut stop: watch::Receiver<bool>) {
    loop {
        let adopted = match pool.acquire().await {
            Ok(mut connection) => plimsoll_events::adopt(&mut connection).await,
            Err(error) => Err(error.into()),
        };
        match adopted {
            Ok(true) => tracing::warn!("the events of a restored backup were adopted"),
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(%error, "events wait for the database");
                if stopped_within(&mut stop, AGAIN_AFTER).await {
                    return;
                }
                continue;
            }
        }
        return;
    }
}

async fn sweeping(pool: plimsoll_store::PgPool, mut stop: watch::Receiver<bool>) {
    while !stopped_within(&mut stop, SWEEP_EVERY).await {
        if let Err(error) = sweep(&pool).await {
            tracing::debug!(%error, "the snapshot could not be swept");
        }
    }
}
