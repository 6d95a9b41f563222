//! Opening the database, now or as soon as it can be had, and starting what works on it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use plimsoll_ledger::{Checkpoints, Fact, Importer, Sealer, Spool, SpoolOptions};
use plimsoll_snapshot::{Dynamic, Followed, Following, NodeReport, follow, sweep};
use plimsoll_store::{Migrated, Room, Store, StoreError, StoreOptions};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::following::Obeyed;
use super::{Opening, Shared, checkpoints};
use crate::exit::Failure;

/// How long to wait before a database that could not be opened is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How often what has expired is taken out of the database.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Whose schemas there are, in the order in which they are migrated.
pub(crate) fn rooms() -> Vec<Room> {
    vec![plimsoll_snapshot::ROOM, plimsoll_events::ROOM, plimsoll_ledger::ROOM]
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
pub(super) fn spool(data_dir: &Path, report: &NodeReport) -> Result<(Spool, Importer), Failure> {
    let directory = spools(data_dir).join(report.id.to_string());
    let (spool, importer) = Spool::open(&SpoolOptions::new(&directory)).map_err(Failure::failed)?;
    Ok((spool, importer.named(&report.name)))
}

fn spools(data_dir: &Path) -> PathBuf {
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
        self.fill_rooms(&store);
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
        self.start(work, &mut tasks);
        while tasks.join_next().await.is_some() {}
    }

    fn start(self: &Arc<Self>, work: Work, tasks: &mut JoinSet<()>) {
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
        tasks.spawn(Arc::clone(self).note_migrations(store.migrated(), work.stop.clone()));
        tasks.spawn(Arc::clone(self).append_entries(pool.clone(), work.stop.clone()));
        tasks.spawn(sweeping(pool.clone(), work.stop.clone()));
        tasks.spawn(adopt_events(pool.clone(), work.stop.clone()));
        tasks.spawn(Arc::clone(self).look_at_nodes(pool.clone(), work.stop.clone()));
        tasks.spawn(Arc::clone(self).verify_now_and_then(pool.clone(), work.stop.clone()));
        let spool = self.data_dir.join("ledger/spool").join(work.report.borrow().id.to_string());
        tasks.spawn(Arc::clone(self).adopt(spool, pool.clone(), work.stop.clone()));
        tasks.spawn(work.importer.run(pool.clone(), self.ledger.clone(), work.stop.clone()));
        match Checkpoints::open(&checkpoints(&self.data_dir), Arc::clone(&self.keyring)) {
            Ok(checkpoints) => {
                let sealer = Sealer::new(pool, checkpoints, Arc::clone(&self.clock));
                let _set_before = self.sealer.set(sealer.state()).is_err();
                // It seals what the others leave, so it is told to stop after them.
                tasks.spawn(sealer.run(self.after_the_others(work.stop)));
            }
            Err(error) => tracing::error!(%error, "the ledger is not sealed"),
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

    async fn note_migrations(
        self: Arc<Self>,
        mut migrated: watch::Receiver<Option<Migrated>>,
        mut stop: watch::Receiver<bool>,
    ) {
        let done = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            done = migrated.wait_for(Option::is_some) => match done {
                Ok(done) => done.clone(),
                Err(_gone) => return,
            },
        };
        for room in done.into_iter().flat_map(|done| done.rooms) {
            for version in room.applied {
                let fact = Fact::MigrationRun {
                    room: room.room.to_owned(),
                    version,
                    description: String::new(),
                };
                self.entries.push(self.clock.unix_ms(), fact);
            }
        }
    }

    async fn append_entries(
        self: Arc<Self>,
        pool: plimsoll_store::PgPool,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            let stopping = *stop.borrow();
            match self.entries.append(&pool, &self.ledger).await {
                Ok(()) if stopping => return,
                Ok(()) => tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => {}
                    () = self.entries.wait() => {}
                },
                Err(error) if stopping => {
                    tracing::warn!(%error, "the last entries could not be written");
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "entries wait for the database");
                    let _stopped = stopped_within(&mut stop, AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Imports what processes before us left in their spools and takes the spools away.
    async fn adopt(
        self: Arc<Self>,
        ours: PathBuf,
        pool: plimsoll_store::PgPool,
        mut stop: watch::Receiver<bool>,
    ) {
        let Ok(folders) = std::fs::read_dir(spools(&self.data_dir)) else { return };
        let folders = folders.flatten().map(|entry| entry.path()).filter(|path| *path != ours);
        for folder in folders.collect::<Vec<_>>() {
            let (left, importer) = match Spool::open(&SpoolOptions::new(&folder)) {
                Ok(opened) => opened,
                Err(error) => {
                    tracing::error!(%error, "a spool that was left behind cannot be read");
                    continue;
                }
            };
            let (done, stopped) = watch::channel(false);
            let import = importer.run(pool.clone(), self.ledger.clone(), stopped);
            let empty = async {
                while left.figures().records > 0 {
                    tokio::time::sleep(AGAIN_AFTER / 10).await;
                }
                done.send_replace(true);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = import => {}
                () = empty => {}
            }
            if left.figures().records == 0
                && let Err(error) = std::fs::remove_dir_all(&folder)
            {
                tracing::warn!(%error, "an empty spool could not be removed");
            }
        }
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
