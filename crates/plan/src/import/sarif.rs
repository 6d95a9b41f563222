//! SARIF 2.1.0 (OASIS): the results of every run, counted by the level that is in force for each.
//!
//! A result's level is its own, else that of its rule, else `warning` (§3.27.10). What is
//! suppressed (§3.27.23), gone since a baseline (`absent`), or no failure (`kind`) is not counted.

mod count;
mod form;

use crate::date::Date;
use crate::import::error::ImportError;
use crate::import::facts::Findings;
use crate::import::text::{day, is_name, json_fault, shown};

use count::Counted;
use form::{Component, Invocation, Level, Log, Run};

/// The only version that is read.
const VERSION: &str = "2.1.0";
pub(super) fn read(text: &str, sha256: String) -> Result<Findings, ImportError> {
    let log: Log = serde_json::from_str(text).map_err(|error| json_fault(&error))?;
    if log.version.as_deref() != Some(VERSION) {
        let found =
            log.version.map_or("none".to_owned(), |version| format!("`{}`", shown(&version)));
        return Err(ImportError::at("/version", format!("`{VERSION}` is expected, found {found}")));
    }
    let runs = log.runs.unwrap_or_default();
    if runs.is_empty() {
        let says = "there is no run: the tool looked at nothing, which is no evidence";
        return Err(ImportError::at("/runs", says));
    }
    let mut counted = Counted::default();
    let (mut tools, mut versions, mut dated) = (Vec::new(), Vec::new(), None::<Date>);
    let mut tool_errors = 0;
    for (index, run) in runs.iter().enumerate() {
        let at = format!("/runs/{index}");
        let (tool, version) = named(&run.tool.driver, &at)?;
        add_once(&mut tools, tool);
        version.into_iter().for_each(|version| add_once(&mut versions, version));
        for (index, invocation) in run.invocations().enumerate() {
            let at = format!("{at}/invocations/{index}");
            went_well(invocation, &at)?;
            tool_errors += invocation.errors();
            let day = made(invocation, &at)?;
            dated = [dated, day].into_iter().flatten().min();
        }
        counted.add(run, &at)?;
    }
    Ok(Findings {
        tool: joined(&tools).unwrap_or_default(),
        version: joined(&versions),
        results: counted.of(Level::Error) + counted.of(Level::Warning) + counted.of(Level::Note),
        errors: counted.of(Level::Error),
        warnings: counted.of(Level::Warning),
        notes: counted.of(Level::Note),
        suppressed: counted.suppressed,
        tool_errors,
        worst_rule: counted.worst_rule(),
        dated: dated.map(|day| day.to_string()),
        sha256,
    })
}

fn add_once(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) {
        names.push(name);
    }
}

/// All of them, or where that is too long the first.
fn joined(names: &[String]) -> Option<String> {
    Some(names.join(", ")).filter(|all| is_name(all)).or_else(|| names.first().cloned())
}

/// Name and version of what made a run.
fn named(driver: &Component, at: &str) -> Result<(String, Option<String>), ImportError> {
    let name = driver.name.trim();
    if !is_name(name) {
        let says = "the tool has to have a name of 1 to 64 bytes";
        return Err(ImportError::at(format!("{at}/tool/driver/name"), says));
    }
    let version = driver.semantic_version.as_deref().or(driver.version.as_deref());
    let version = version.map(str::trim).filter(|version| is_name(version));
    Ok((name.to_owned(), version.map(str::to_owned)))
}

fn went_well(invocation: &Invocation, at: &str) -> Result<(), ImportError> {
    if invocation.execution_successful == Some(false) {
        let says = "the tool says that its run failed, so what it has not found may be there all \
                    the same; mend that and run it again";
        return Err(ImportError::at(format!("{at}/executionSuccessful"), says));
    }
    Ok(())
}

/// The day on which a run ended, else began.
fn made(invocation: &Invocation, at: &str) -> Result<Option<Date>, ImportError> {
    let ended = invocation.end_time_utc.as_deref().map(|text| ("endTimeUtc", text));
    let began = invocation.start_time_utc.as_deref().map(|text| ("startTimeUtc", text));
    let Some((key, text)) = ended.or(began) else { return Ok(None) };
    let day = day(text).map_err(|says| ImportError::at(format!("{at}/{key}"), says))?;
    Ok(Some(day))
}

impl Run {
    fn invocations(&self) -> impl Iterator<Item = &Invocation> {
        self.invocations.iter().flatten()
    }

    /// Whether somebody changed the level of rules for this run, which is not followed up.
    fn overrides_levels(&self) -> bool {
        let all = self.invocations().flat_map(|one| one.rule_configuration_overrides.iter());
        all.flatten().any(|one| one.configuration.as_ref().is_some_and(|c| c.level.is_some()))
    }
}

impl Invocation {
    /// Errors of the tool itself, such as a file that it could not parse.
    fn errors(&self) -> u64 {
        let lists = [&self.tool_execution_notifications, &self.tool_configuration_notifications];
        let all = lists.into_iter().flatten().flatten();
        all.filter(|one| one.level == Some(Level::Error)).fold(0, |count, _| count + 1)
    }
}
