//! `plimsoll database`: databases for the team's own programs, on the private server.

use std::path::Path;
use std::time::Duration;

use http::Method;
use plimsoll_base::{Clock as _, SystemClock};
use plimsoll_console::client::{self, AskError};
use plimsoll_store::cluster::{Cluster, RunningCluster};
use serde_json::{Map, json};

use crate::cli::{Create, Database, Output};
use crate::commands::acts::{Done, tell};
use crate::commands::ask::{data_dir, runtime, say, say_json};
use crate::exit::Failure;

/// How long a Plimsoll that runs may take until its Postgres accepts connections: it serves before.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) fn run(command: &Database) -> Result<(), Failure> {
    match command {
        Database::Create(arguments) => create(arguments),
    }
}

fn create(arguments: &Create) -> Result<(), Failure> {
    let directory = data_dir(arguments.running.data_dir.as_deref())?;
    let url = runtime()?.block_on(async {
        let cluster = running(&directory).await?;
        let url = cluster.create_database(&arguments.name).await.map_err(Failure::failed)?;
        let (subject, detail) = (arguments.name.clone(), Map::new());
        tell(&directory, Done { act: "database.create", subject, detail }).await;
        Ok::<_, Failure>(url)
    })?;
    if arguments.running.output == Output::Json {
        return say_json(&json!({ "database": arguments.name, "url": url }));
    }
    say(url)
}

/// The private Postgres of the Plimsoll that runs there, as soon as it accepts connections.
async fn running(directory: &Path) -> Result<RunningCluster, Failure> {
    let clock = SystemClock::new();
    let began = clock.now();
    loop {
        if let Some(cluster) = Cluster::of_running(directory) {
            return Ok(cluster);
        }
        // Whatever else it says, somebody is there who may be starting it.
        let asked = client::ask(directory, Method::GET, "/api/v1/nodes", None).await;
        if let Err(error @ AskError::NotRunning { .. }) = asked {
            return Err(Failure::failed(error));
        }
        if clock.now().since(began) >= READY_WITHIN {
            return Err(Failure::Failed(format!(
                "the Plimsoll with the data directory {} runs no private Postgres that accepts \
                 connections; with DATABASE_URL make the database on that server, else see \
                 postgres/log there",
                directory.display()
            )));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
