//! `plimsoll completions SHELL`.

use std::io;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Failure;

pub(crate) fn run(shell: Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "plimsoll", &mut text);
    io::Write::write_all(&mut io::stdout(), &text).map_err(Failure::unwritten)
}
