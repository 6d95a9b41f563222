//! Checks of the house: `cargo xtask check [doors|drivers|gates|tidy]`.
//!
//! * **doors**: which crate may depend on which, by the floors of `doors.toml`;
//! * **drivers**: which crate may touch a heavy or dangerous dependency;
//! * **gates**: every capability brings the evidence its readiness gates ask for, by
//!   `crates/plan/gates.toml`;
//! * **tidy**: sizes, words, links and the form of documents, by `tidy.toml`.
//!
//! Every finding names a file and says what to do. Exit code 0: nothing found (warnings do not
//! count); 1: something found; 2: the check itself could not run.

mod architecture;
mod documents;
mod doors;
mod drivers;
mod finding;
mod gates;
mod house;
mod rust_text;
mod table;
mod tidy;
mod unused;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use finding::{Finding, Severity};
use house::House;
use table::{DoorsTable, TidyTable};

/// Why a check could not run at all.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("cargo metadata: {0}")]
    Metadata(#[from] cargo_metadata::Error),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    Toml { path: PathBuf, source: Box<toml::de::Error> },
    #[error("unknown argument `{0}`: the checks are doors, drivers, gates, tidy")]
    Argument(String),
}

/// Which checks to run; without a name, all.
const CHECKS: [&str; 4] = ["doors", "drivers", "gates", "tidy"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().map(String::as_str) != Some("check") {
        say("usage: cargo xtask check [doors] [drivers] [gates] [tidy]");
        return ExitCode::from(2);
    }
    match run(Path::new("."), &arguments[1..]) {
        Ok(findings) => verdict(&findings),
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Runs the named checks (all, when none is named) on the workspace that holds `here`.
fn run(here: &Path, names: &[String]) -> Result<Vec<Finding>, CheckError> {
    if let Some(unknown) = names.iter().find(|name| !CHECKS.contains(&name.as_str())) {
        return Err(CheckError::Argument(unknown.clone()));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|given| given == name);
    let house = House::read(here)?;
    let doors: DoorsTable = table::read(&house.root.join("xtask/doors.toml"))?;
    let mut findings = Vec::new();
    if wanted("doors") {
        findings.extend(doors::check(&house, &doors)?);
        findings.extend(architecture::check(&house)?);
        findings.extend(unused::check(&house)?);
    }
    if wanted("drivers") {
        findings.extend(drivers::check(&house, &doors));
    }
    if wanted("gates") {
        findings.extend(gates::check(&house, &doors)?);
    }
    if wanted("tidy") {
        let rules: TidyTable = table::read(&house.root.join("xtask/tidy.toml"))?;
        findings.extend(tidy::check(&house.root, &rules)?);
    }
    Ok(findings)
}

fn verdict(findings: &[Finding]) -> ExitCode {
    for finding in findings {
        say(&finding.to_string());
    }
    let errors = findings.iter().filter(|one| one.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    say(&format!("checks of the house: {errors} to mend, {warnings} to think about"));
    if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stdout, reason = "the output of a command-line tool")]
fn say(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The house keeps its own rules: this is how the test run fails on a door left open.
    #[test]
    fn this_workspace_passes_every_check() {
        let findings = run(Path::new("."), &[]).unwrap();
        let errors: Vec<String> = findings
            .iter()
            .filter(|one| one.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        assert!(errors.is_empty(), "{}", errors.join("\n"));
    }

    #[test]
    fn an_unknown_check_is_refused() {
        let refused = run(Path::new("."), &["dors".to_owned()]);
        assert!(matches!(refused, Err(CheckError::Argument(name)) if name == "dors"));
    }
}
