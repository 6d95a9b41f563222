//! `plimsoll-test-cluster DATA-DIR`: runs a private cluster as a server would, to be killed. Says
//! `ready PID` (the postmaster's) or `refused: why` on standard output; stops when standard input
//! ends.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use plimsoll_store::cluster::{Cluster, ClusterOptions};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(_nobody_reads) => ExitCode::FAILURE,
    }
}

fn run() -> io::Result<ExitCode> {
    let data_dir = std::env::args_os().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = runtime.block_on(Cluster::start(ClusterOptions::new(Path::new(&data_dir))));
    let mut out = io::stdout().lock();
    match started {
        Ok(cluster) => {
            writeln!(out, "ready {}", cluster.postmaster().unwrap_or_default())?;
            out.flush()?;
            io::stdin().read_to_end(&mut Vec::new())?;
            runtime.block_on(cluster.stop());
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            writeln!(out, "refused: {error}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}
