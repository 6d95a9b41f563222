//! A cluster that starts, stops and starts again.

use plimsoll_base::{Clock as _, SystemClock};
use plimsoll_store::cluster::{Cluster, ClusterOptions};
use plimsoll_store::{DATABASE, RUNTIME_ROLE};
use sqlx::{Connection as _, PgConnection};

#[tokio::test]
async fn it_starts_cold_and_warm_and_keeps_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SystemClock::new();
    for run in 0..3 {
        let began = clock.now();
        let cluster = Cluster::start(ClusterOptions::new(folder.path())).await.unwrap();
        println!("start {run}: {:?}", clock.now().since(began));
        let options = cluster.connect_options(RUNTIME_ROLE, DATABASE);
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        connection.ping().await.unwrap();
        connection.close().await.unwrap();
        let began = clock.now();
        cluster.stop().await;
        println!("stop {run}: {:?}", clock.now().since(began));
    }
}
