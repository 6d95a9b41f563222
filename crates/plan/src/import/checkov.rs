//! `checkov --output json`: one object, or a list of one for each kind of file it looked at.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::import::REPORT_RULES_MAX;
use crate::import::error::ImportError;
use crate::import::facts::Infrastructure;
use crate::import::text::{is_name, json_fault, rule_name};

/// The longest name of a check that is read, bytes.
const CHECK_BYTES_MAX: usize = 512;

/// What it says of one kind of file. Where it found none, the summary stands alone and on top.
#[derive(Deserialize)]
struct Part {
    results: Option<Results>,
    summary: Option<Summary>,
    passed: Option<u64>,
    failed: Option<u64>,
    skipped: Option<u64>,
    checkov_version: Option<String>,
}

#[derive(Deserialize)]
struct Results {
    passed_checks: Option<Checks>,
    failed_checks: Option<Checks>,
    skipped_checks: Option<Checks>,
    parsing_errors: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Summary {
    passed: u64,
    failed: u64,
    skipped: u64,
    checkov_version: Option<String>,
}

/// Checks by name, counted while they are read.
#[derive(Debug, Default)]
struct Checks(HashMap<String, u64>);

#[derive(Deserialize)]
struct Check {
    check_id: String,
}

impl Checks {
    fn count(&self) -> u64 {
        self.0.values().sum()
    }
}

impl<'de> Deserialize<'de> for Checks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Checks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of checks")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Checks, A::Error> {
                let mut checks = HashMap::new();
                while let Some(Check { check_id }) = list.next_element()? {
                    let wrong = check_id.len() > CHECK_BYTES_MAX
                        || (checks.len() >= REPORT_RULES_MAX && !checks.contains_key(&check_id));
                    if wrong {
                        let says = format!(
                            "more than {REPORT_RULES_MAX} checks, or one with a name of more than \
                             {CHECK_BYTES_MAX} bytes"
                        );
                        return Err(A::Error::custom(says));
                    }
                    *checks.entry(check_id).or_default() += 1;
                }
                Ok(Checks(checks))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

pub(super) fn read(text: &str, sha256: String) -> Result<Infrastructure, ImportError> {
    let list = text.trim_start().starts_with('[');
    let parsed = if list {
        serde_json::from_str::<Vec<Part>>(text)
    } else {
        serde_json::from_str::<Part>(text).map(|part| vec![part])
    };
    let parts = parsed.map_err(|error| json_fault(&error))?;
    if parts.is_empty() {
        let says = "the list is empty: checkov looked at nothing, which is no evidence";
        return Err(ImportError::Refused(says.to_owned()));
    }
    let mut out = Infrastructure {
        tool: "checkov".to_owned(),
        version: None,
        passed: 0,
        failed: 0,
        skipped: 0,
        unread: 0,
        worst_rule: None,
        sha256,
    };
    let mut failed: HashMap<String, u64> = HashMap::new();
    for (index, part) in parts.into_iter().enumerate() {
        let at = if list { format!("/{index}") } else { String::new() };
        part.add(&at, &mut out, &mut failed)?;
    }
    let worst = failed.iter().max_by_key(|(name, count)| (**count, Reverse(*name)));
    out.worst_rule = worst.and_then(|(name, _)| rule_name(name));
    Ok(out)
}

impl Part {
    fn add(
        self,
        at: &str,
        out: &mut Infrastructure,
        failures: &mut HashMap<String, u64>,
    ) -> Result<(), ImportError> {
        let Some(results) = self.results else { return self.add_nothing(at, out) };
        let wants = |what: &str, says: &str| ImportError::at(format!("{at}/results/{what}"), says);
        let missing = |what: &str| {
            wants(what, "the list is missing: run checkov without --quiet, so that it lists all")
        };
        let passed = results.passed_checks.ok_or_else(|| missing("passed_checks"))?;
        let failed = results.failed_checks.ok_or_else(|| missing("failed_checks"))?;
        let skipped = results.skipped_checks.ok_or_else(|| missing("skipped_checks"))?;
        let Some(summary) = self.summary else {
            return Err(ImportError::at(format!("{at}/summary"), "it is missing"));
        };
        for (name, listed, said) in [
            ("passed", passed.count(), summary.passed),
            ("failed", failed.count(), summary.failed),
            ("skipped", skipped.count(), summary.skipped),
        ] {
            if listed != said {
                let says =
                    format!("it says {said}, and {listed} are listed: the report was changed");
                return Err(ImportError::at(format!("{at}/summary/{name}"), says));
            }
        }
        out.passed += passed.count();
        out.failed += failed.count();
        out.skipped += skipped.count();
        let unread = results.parsing_errors.map_or(0, |files| files.len());
        out.unread += u64::try_from(unread).unwrap_or(u64::MAX);
        for (name, count) in failed.0 {
            *failures.entry(name).or_default() += count;
        }
        out.version = summary.checkov_version.filter(|version| is_name(version));
        Ok(())
    }

    /// A summary alone holds nothing but zeros.
    fn add_nothing(self, at: &str, out: &mut Infrastructure) -> Result<(), ImportError> {
        if [self.passed, self.failed, self.skipped] != [Some(0); 3] {
            let says = "`results` and `summary` are expected, or a summary of nothing but zeros";
            return Err(ImportError::at(if at.is_empty() { "/" } else { at }, says));
        }
        let version = self.checkov_version.filter(|version| is_name(version));
        out.version = out.version.take().or(version);
        Ok(())
    }
}
