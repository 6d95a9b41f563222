//! `mvp`: the example backend (`serve`), its switches (`break`, `mend`) and the simulator of its
//! apps (`traffic`).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program speaks")]

mod cli;

use std::process::ExitCode;

use clap::Parser;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()).await {
        Ok(code) => code,
        Err(refused) => {
            eprintln!("mvp: {refused}");
            ExitCode::FAILURE
        }
    }
}
