//! `scorecard --format json` of OpenSSF Scorecard, version 4 and later.

use serde::Deserialize;

use crate::import::error::ImportError;
use crate::import::facts::{Scorecard, is_commit};
use crate::import::text::{day, is_name, json_fault};

/// Checks that a report may hold; there are about twenty.
const CHECKS_MAX: usize = 500;
/// The most points.
const POINTS_MAX: f64 = 10.0;
/// A check with fewer points is low.
const LOW_BELOW: i64 = 5;
/// What stands for no result.
const INCONCLUSIVE: i64 = -1;

#[derive(Deserialize)]
struct Form {
    date: Option<String>,
    repo: Option<Repository>,
    scorecard: Program,
    score: f64,
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Repository {
    commit: Option<String>,
}

#[derive(Deserialize)]
struct Program {
    version: Option<String>,
}

#[derive(Deserialize)]
struct Check {
    score: i64,
}

pub(super) fn read(text: &str, sha256: String) -> Result<Scorecard, ImportError> {
    let form: Form = serde_json::from_str(text).map_err(|error| json_fault(&error))?;
    if !(0.0..=POINTS_MAX).contains(&form.score) {
        let says = "a score of 0 to 10 is expected; -1 says that Scorecard came to none";
        return Err(ImportError::at("/score", says));
    }
    if form.checks.is_empty() || form.checks.len() > CHECKS_MAX {
        return Err(ImportError::at("/checks", format!("1 to {CHECKS_MAX} checks are expected")));
    }
    let (mut low, mut inconclusive) = (0, 0);
    for (index, check) in form.checks.iter().enumerate() {
        match check.score {
            INCONCLUSIVE => inconclusive += 1,
            0..LOW_BELOW => low += 1,
            LOW_BELOW..=10 => {}
            other => {
                let says = format!("a score of -1 to 10 is expected, found {other}");
                return Err(ImportError::at(format!("/checks/{index}/score"), says));
            }
        }
    }
    let dated = form.date.as_deref().map(day).transpose();
    let dated = dated.map_err(|says| ImportError::at("/date", says))?;
    Ok(Scorecard {
        score_tenths: tenths(form.score),
        checks: u64::try_from(form.checks.len()).unwrap_or(u64::MAX),
        low,
        inconclusive,
        version: form.scorecard.version.filter(|version| is_name(version)),
        commit: form.repo.and_then(|repo| repo.commit).filter(|commit| is_commit(commit)),
        dated: dated.map(|day| day.to_string()),
        sha256,
    })
}

/// Of points between 0 and 10.
fn tenths(points: f64) -> u64 {
    (points * 10.0).round() as u64
}
