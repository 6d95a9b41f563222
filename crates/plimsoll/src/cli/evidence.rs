//! `plimsoll evidence`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Running;

#[derive(Debug, Subcommand)]
pub(crate) enum Evidence {
    /// Read the report of another tool and add what it counts as evidence
    Add(EvidenceAdd),
    /// List the newest evidence of each kind: how old it is, and who brought it
    List(EvidenceList),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Read are SARIF 2.1.0, JUnit XML, checkov's JSON and OpenSSF Scorecard's JSON, 32 MiB at most; which
one it is, is known by the content. Of a report only counts are kept, the names of tool and rules,
a commit, the day it says it was made, and the file's SHA-256: no path, no message, no code. It
leaves an entry in the ledger (`evidence.add`) with you as its author. A report that says it is
older than 90 days, or of the future, is refused.

  plimsoll evidence add semgrep.sarif
  plimsoll evidence add zap.sarif --as dast
  plimsoll evidence add target/nextest/ci/junit.xml --as contract-tests

docs/evidence.md has the command that makes each report.")]
pub(crate) struct EvidenceAdd {
    /// The report; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What it is evidence of [default: what its tool makes; `tests` for JUnit]
    #[arg(long = "as", value_name = "KIND", value_parser = [
        "sast", "dast", "dependencies", "tests", "contract-tests", "smoke-tests", "infrastructure",
        "scorecard",
    ])]
    pub(crate) kind: Option<String>,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
pub(crate) struct EvidenceList {
    /// Only this kind, such as `report.sast` or `edge.limits`
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    #[command(flatten)]
    pub(crate) running: Running,
}
