//! `plimsoll journey`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Output, Running};

#[derive(Debug, Subcommand)]
pub(crate) enum Journey {
    /// Run journeys against the running edge, and say where one ends that should not
    Run(JourneyRun),
    /// List the journeys of a manifest with the operations they are made of
    List(JourneyList),
    /// Check the files of journeys; every fault at once
    Check(JourneyCheck),
}

#[derive(Debug, Args)]
#[command(after_help = "\
A journey is a file of Hurl's syntax (docs/journeys.md says which part of it) that the manifest
names. `{{base}}` in it is where it runs: the first listener of the Plimsoll that runs with this
data directory, or --base. It sends what its file says, writes too.

Other variables come from --variable, from --secret, or from the environment, which the list of
processes does not show: PLIMSOLL_JOURNEY_TOKEN, or a file named by PLIMSOLL_JOURNEY_TOKEN_FILE, is
`{{token}}`. What came from --secret or the environment, or has a name such as `token` or
`password`, is shown as ***, wherever it turns up.

Exit codes:
  0  every journey passed
  1  at least one failed or broke off; the lines say at which step, what was expected, what came
  3  the manifest or the file of a journey has faults

When every journey that must not fail was run, without --base and --file, the outcome is added as
evidence of smoke tests (`report.smoke-tests`) to the Plimsoll that runs: the board asks for it.

  plimsoll journey run
  plimsoll journey run order-and-pay --variable handle=smoke
  plimsoll journey run --base https://staging.example.com --junit smoke.xml
  plimsoll journey run --file sketch.hurl --base http://127.0.0.1:8080")]
pub(crate) struct JourneyRun {
    /// Which journeys [default: all that must not fail]
    #[arg(value_name = "NAME", conflicts_with = "file")]
    pub(crate) names: Vec<String>,
    /// Run this file instead of journeys of the manifest
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The manifest that names the journeys
    #[arg(long, value_name = "FILE", default_value = "plimsoll.toml", conflicts_with = "file")]
    pub(crate) manifest: PathBuf,
    /// Where to run them [default: the first listener of the running Plimsoll]
    #[arg(long, value_name = "URL")]
    pub(crate) base: Option<String>,
    /// A variable; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) variable: Vec<String>,
    /// A variable whose value is never shown; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) secret: Vec<String>,
    /// Write the outcome as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
pub(crate) struct JourneyList {
    /// The manifest
    #[arg(long, value_name = "FILE", default_value = "plimsoll.toml")]
    pub(crate) manifest: PathBuf,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is sent. What is of Hurl but not of the subset that journeys have is a fault, so that no
line is ever passed over. Exit code 3 where something is wrong.

  plimsoll journey check journeys/*.hurl")]
pub(crate) struct JourneyCheck {
    /// The files [default: those of the manifest's journeys, with the manifest]
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The manifest
    #[arg(long, value_name = "FILE", default_value = "plimsoll.toml")]
    pub(crate) manifest: PathBuf,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}
