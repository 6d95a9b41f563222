//! How a command fails: a message for people on standard error, and an exit code for scripts.

use std::io;
use std::process::ExitCode;

use crate::data_dir::DataDirError;

/// Why a command failed. Its exit codes are listed in `plimsoll --help`.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit code 1.
    Failed(String),
    /// Exit code 3: faults of the manifest or a contract.
    Faults {
        /// What people are shown, one line each.
        lines: Vec<String>,
        /// How many there are.
        count: usize,
    },
    /// Exit code 3, already told on standard output.
    FaultsTold,
    /// Exit code 4: a port or the data directory.
    Unavailable(String),
    /// Exit code 141, as of a program that SIGPIPE ends: whoever read the output has seen enough.
    /// Not 0, which would say that nothing was wrong with what nobody read.
    Unheard,
}

impl Failure {
    /// Faults that are all shown.
    pub(crate) fn faults(lines: Vec<String>) -> Self {
        Self::Faults { count: lines.len(), lines }
    }

    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// Output that could not be written.
    pub(crate) fn unwritten(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unheard,
            _ => Self::failed(error),
        }
    }

    #[expect(clippy::print_stderr, reason = "the binary's own voice")]
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Failed(message) => {
                eprintln!("plimsoll: {message}");
                ExitCode::from(1)
            }
            Self::Faults { lines, count } => {
                for line in &lines {
                    eprintln!("{line}");
                }
                let noun = if count == 1 { "fault" } else { "faults" };
                eprintln!("plimsoll: {count} {noun}; nothing was started");
                ExitCode::from(3)
            }
            Self::FaultsTold => ExitCode::from(3),
            Self::Unavailable(message) => {
                eprintln!("plimsoll: {message}");
                ExitCode::from(4)
            }
            Self::Unheard => ExitCode::from(141),
        }
    }
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
