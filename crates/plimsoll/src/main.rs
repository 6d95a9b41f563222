//! Plimsoll: one binary in front of a mobile app's backend.
//!
//! This crate reads the command line and puts the parts together. It holds no business logic, no
//! SQL and no HTTP parsing.

mod banner;
mod cli;
mod commands;
mod data_dir;
mod exit;
mod inherited;
mod journeys;
mod memory;
mod node;
mod observe;
mod setup;
mod smoke;
mod telemetry;
mod watch;

use clap::Parser as _;

use crate::cli::{Cli, Command, Dev};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The allocator asks for huge pages, of which each thread would hold some for a few KiB: an idle
/// edge took 28 MiB more. Where the system does not know of it, nothing is lost.
fn take_small_pages() {
    #[cfg(target_os = "linux")]
    let _unknown = rustix::thread::disable_transparent_huge_pages(true);
}

fn main() -> std::process::ExitCode {
    take_small_pages();
    let outcome = match Cli::parse().command {
        Command::Up(arguments) => commands::up::run(&arguments),
        Command::Init(arguments) => commands::init::run(&arguments),
        Command::Check(arguments) => commands::check::run(&arguments),
        Command::Schema => commands::schema::run(),
        Command::Doctor(arguments) => commands::doctor::run(&arguments),
        Command::Ready(arguments) => commands::ready::run(&arguments),
        Command::Nodes(arguments) => commands::nodes::run(&arguments),
        Command::Revoke(arguments) => commands::revoke::run(&arguments),
        Command::Plan(command) => commands::plan::run(&command),
        Command::Ledger(command) => commands::ledger::run(&command),
        Command::Keys(command) => commands::keys::run(&command),
        Command::Evidence(command) => commands::evidence::run(&command),
        Command::Journey(command) => commands::journey::run(&command),
        Command::Database(command) => commands::database::run(&command),
        Command::Backup(arguments) => commands::backup::backup(&arguments),
        Command::Restore(arguments) => commands::backup::restore(&arguments),
        Command::Dev(Dev::Token(arguments)) => commands::dev_token::run(&arguments),
        Command::Completions { shell } => commands::completions::run(shell),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
