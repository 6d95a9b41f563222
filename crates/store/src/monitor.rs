//! What keeps watch over the database: connects, migrates once, then asks again and again whether
//! it still answers, and says so in words.

use std::time::Duration;

use plimsoll_base::SharedClock;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::Room;
use crate::cluster::ClusterState;
use crate::connect::SERVER_MAJOR_MIN;
use crate::error::StoreError;
use crate::migrate::{Migrated, migrate};
use crate::store::StoreState;

/// Between two questions while it answers.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take before the database counts as down.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long the supervisor may take to say why the connection broke.
const CAUSE_WITHIN: Duration = Duration::from_millis(500);
/// Before the second attempt to connect; each further waits twice as long …
const BACK_OFF: Duration = Duration::from_millis(50);
/// … up to this.
const BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// Between two attempts when a person has to act first: a migration that is refused, a server that
/// is too old.
const PERSON_EVERY: Duration = Duration::from_secs(15);

/// Where the database is.
pub(crate) enum Source {
    /// Ours; its supervisor knows first when it dies.
    Private {
        /// What the supervisor says.
        cluster: watch::Receiver<ClusterState>,
    },
    /// Somebody else's.
    Outside {
        /// Whom to grant to.
        runtime_role: String,
    },
}

/// One task on the control runtime.
pub(crate) struct Monitor {
    pub(crate) options: PgConnectOptions,
    pub(crate) owner: PgPool,
    pub(crate) rooms: Vec<Room>,
    pub(crate) single_role: bool,
    pub(crate) clock: SharedClock,
    pub(crate) source: Source,
    pub(crate) migrated: watch::Sender<Option<Migrated>>,
}

impl Monitor {
    /// Runs it on that runtime until the task is aborted.
    pub(crate) fn start(
        self,
        control: &Handle,
        first: StoreState,
    ) -> (watch::Receiver<StoreState>, JoinHandle<()>) {
        let (state, seen) = watch::channel(first);
        (seen, control.spawn(self.run(state)))
    }

    async fn run(mut self, state: watch::Sender<StoreState>) {
        let mut wait = BACK_OFF;
        loop {
            let (why, next) = match self.reach().await {
                Ok(connection) => {
                    wait = BACK_OFF;
                    if state.send_if_modified(|now| replace(now, StoreState::Ready)) {
                        tracing::info!("the database answers");
                    }
                    let why = self.watch(connection).await;
                    (why, BACK_OFF)
                }
                Err(error) if needs_a_person(&error) => (error.to_string(), PERSON_EVERY),
                // What it connected to may have died meanwhile.
                Err(error) => (self.cause().await.unwrap_or_else(|| error.to_string()), wait),
            };
            self.down(&state, why);
            sleep(jittered(next)).await;
            wait = match self.source {
                Source::Private { .. } => BACK_OFF,
                Source::Outside { .. } => (wait * 2).min(BACK_OFF_MAX),
            };
        }
    }

    fn down(&self, state: &watch::Sender<StoreState>, why: String) {
        state.send_if_modified(|now| {
            let since = match now {
                // Still down: since then, though maybe for another reason by now.
                StoreState::Down { since_unix_ms, .. } => *since_unix_ms,
                _ => {
                    tracing::warn!(why, "the database is down");
                    self.clock.unix_ms()
                }
            };
            replace(now, StoreState::Down { since_unix_ms: since, why })
        });
    }

    /// A connection to a database that is new enough and migrated.
    async fn reach(&mut self) -> Result<PgConnection, StoreError> {
        let place = self.place();
        if let Source::Private { cluster } = &mut self.source {
            // Told already that it is down: the supervisor says when that changes.
            if matches!(*cluster.borrow(), ClusterState::Down { .. })
                && !cluster.has_changed().unwrap_or(true)
            {
                let _gone = cluster.changed().await;
            }
            let why = match &*cluster.borrow_and_update() {
                ClusterState::Down { why } => Some(why.clone()),
                ClusterState::Stopped => Some("the private database was stopped".to_owned()),
                ClusterState::Starting | ClusterState::Ready => None,
            };
            if let Some(why) = why {
                let source = sqlx::Error::Configuration(why.into());
                return Err(StoreError::Connect { place, source });
            }
        }
        let connecting = timeout(ANSWER_WITHIN, PgConnection::connect_with(&self.options));
        let mut connection = match connecting.await {
            Ok(Ok(connection)) => connection,
            Ok(Err(source)) => return Err(StoreError::Connect { place, source }),
            Err(_) => {
                return Err(StoreError::Silent { place, within_s: ANSWER_WITHIN.as_secs() });
            }
        };
        let refused = |source| StoreError::Connect { place: self.place(), source };
        check_version(&mut connection).await.map_err(refused)??;
        if let Source::Outside { runtime_role } = &self.source
            && self.migrated.borrow().is_none()
        {
            let role = (!self.single_role).then_some(runtime_role.as_str());
            let done = migrate(&self.owner, &self.rooms, role).await?;
            self.migrated.send_replace(Some(done));
        }
        Ok(connection)
    }

    /// Asks until there is no answer; says why. On a connection of its own: a busy pool is not a
    /// database that is down.
    async fn watch(&mut self, mut connection: PgConnection) -> String {
        loop {
            if let Source::Private { cluster } = &mut self.source {
                tokio::select! {
                    () = sleep(ASK_EVERY) => {}
                    changed = cluster.changed() => {
                        if changed.is_ok()
                            && let ClusterState::Down { why } = &*cluster.borrow_and_update()
                        {
                            return why.clone();
                        }
                    }
                }
            } else {
                sleep(ASK_EVERY).await;
            }
            let said = match timeout(ANSWER_WITHIN, connection.ping()).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", ANSWER_WITHIN.as_secs()),
            };
            return match self.cause().await {
                Some(why) => why,
                None => format!("{}: {said}", self.place()),
            };
        }
    }

    /// What the supervisor of a private database knows; it hears of a death a little after the
    /// connection broke.
    async fn cause(&mut self) -> Option<String> {
        let Source::Private { cluster } = &mut self.source else { return None };
        let down = cluster.wait_for(|state| matches!(state, ClusterState::Down { .. }));
        match &*timeout(CAUSE_WITHIN, down).await.ok()?.ok()? {
            ClusterState::Down { why } => Some(why.clone()),
            _ => None,
        }
    }

    fn place(&self) -> String {
        if let Source::Private { .. } = self.source {
            return "the private database".to_owned();
        }
        match self.options.get_socket() {
            Some(socket) => format!("the database at {}", socket.display()),
            None => {
                format!("the database at {}:{}", self.options.get_host(), self.options.get_port())
            }
        }
    }
}

async fn check_version(
    connection: &mut PgConnection,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    let (number, version): (i32, String) = sqlx::query_as(
        "select current_setting('server_version_num')::int4, current_setting('server_version')",
    )
    .fetch_one(connection)
    .await?;
    let major = u32::try_from(number / 10_000).unwrap_or_default();
    if major < SERVER_MAJOR_MIN {
        let min = SERVER_MAJOR_MIN;
        return Ok(Err(StoreError::ServerTooOld { found: version, min }));
    }
    Ok(Ok(()))
}

fn needs_a_person(error: &StoreError) -> bool {
    use crate::migrate::MigrateError as Migrate;
    match error {
        StoreError::Migrate(error) => {
            !matches!(error, Migrate::Database { .. } | Migrate::Locked { .. })
        }
        StoreError::ServerTooOld { .. } | StoreError::OtherDatabase { .. } => true,
        _ => false,
    }
}

/// Many nodes that lost the same database must not all come back in the same instant.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.75 + 0.5 * fastrand::f64())
}

fn replace(now: &mut StoreState, next: StoreState) -> bool {
    let changed = *now != next;
    *now = next;
    changed
}
