//! How a journey went: for people, for scripts, and as JUnit XML.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;

/// How a step or a journey ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// As it should.
    Passed,
    /// The answer was not what was expected.
    Failed,
    /// There was no answer, or nothing could be asked.
    Broken,
    /// Its own options say so.
    Skipped,
    /// A step before it failed.
    NotRun,
}

impl Word {
    /// As people read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Broken => "BROKE OFF",
            Self::Skipped => "skipped",
            Self::NotRun => "not run",
        }
    }
}

/// Something that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Its line in the file, from 1.
    pub line: usize,
    /// What it says there.
    pub what: String,
    /// What was expected; none where the step could not be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What came, or why nothing did.
    pub came: String,
}

/// How a step went. Nothing of it holds a secret that was given.
#[derive(Clone, Debug, Serialize)]
pub struct StepRan {
    /// The line of its request, from 1.
    pub line: usize,
    /// Its method.
    pub method: String,
    /// Its URL as it was written, variables and all.
    pub url: String,
    /// How it ended.
    pub word: Word,
    /// The status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How often it was tried.
    pub tries: u32,
    /// How long the last try took, milliseconds.
    pub took_ms: u64,
    /// What did not hold.
    pub failed: Vec<Failed>,
    /// What was captured, by name.
    pub captures: Vec<(String, Json)>,
}

/// How a journey went.
#[derive(Clone, Debug, Serialize)]
pub struct Ran {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub word: Word,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// Its steps, those that were not run too.
    pub steps: Vec<StepRan>,
}

impl Ran {
    pub(super) fn new(name: &str, took: Duration, steps: Vec<StepRan>) -> Self {
        let mut bad = steps.iter().map(|step| step.word);
        let word = bad.rfind(|word| matches!(word, Word::Failed | Word::Broken));
        let word = word.unwrap_or(Word::Passed);
        Self { name: name.to_owned(), word, took_ms: milliseconds(took), steps }
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.word == Word::Passed
    }

    /// The first thing that did not hold, with its step.
    #[must_use]
    pub fn first_failed(&self) -> Option<(&StepRan, &Failed)> {
        self.steps.iter().find_map(|step| Some((step, step.failed.first()?)))
    }

    /// For people: a line for the journey, one for each step, and below a step that failed what
    /// did not hold.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines =
            vec![format!("{}: {} in {} ms", self.name, self.word.as_str(), self.took_ms)];
        for (number, step) in (1..).zip(&self.steps) {
            let status = step.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
            let tries = match step.tries {
                0 | 1 => String::new(),
                tries => format!(", tried {tries} times"),
            };
            lines.push(format!(
                "  {number:>2}. {:<9} {status:>3} {:>6} ms  {} {}{tries}",
                step.word.as_str(),
                step.took_ms,
                step.method,
                step.url,
            ));
            lines.extend(step.failed.iter().flat_map(Failed::lines));
        }
        lines
    }
}

impl Failed {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("      line {}: {}", self.line, self.what)];
        if let Some(expected) = &self.expected {
            lines.push(format!("        expected: {expected}"));
        }
        lines.push(format!("        came:     {}", self.came));
        lines
    }
}

pub(super) fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// JUnit's XML, a test case for each journey, as `plimsoll evidence add` and most CI systems read
/// it.
#[must_use]
pub fn junit(all: &[Ran]) -> String {
    let count = |word: Word| all.iter().filter(|ran| ran.word == word).count();
    let took = all.iter().map(|ran| ran.took_ms).fold(0_u64, u64::saturating_add);
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{}\"",
        all.len(),
        count(Word::Failed),
        count(Word::Broken),
        seconds(took),
    );
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  \
         <testsuite name=\"journeys\" {counts}>\n"
    );
    for ran in all {
        let (name, time) = (escaped(&ran.name), seconds(ran.took_ms));
        let open = format!("    <testcase classname=\"journeys\" name=\"{name}\" time=\"{time}\"");
        out.push_str(&open);
        let element = if ran.word == Word::Broken { "error" } else { "failure" };
        match ran.first_failed() {
            Some((step, failed)) => {
                let message = format!("{} {}: {}", step.method, step.url, failed.what);
                let text = ran.lines().join("\n");
                out.push_str(&format!(
                    ">\n      <{element} message=\"{}\">{}</{element}>\n    </testcase>\n",
                    escaped(&message),
                    escaped(&text)
                ));
            }
            None => out.push_str("/>\n"),
        }
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1_000, milliseconds % 1_000)
}

/// Without what XML 1.0 has no form for.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(one),
            one if one.is_control() || matches!(one, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            one => out.push(one),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(word: Word, failed: Vec<Failed>) -> StepRan {
        StepRan {
            line: 3,
            method: "GET".into(),
            url: "{{base}}/feed".into(),
            word,
            status: Some(500),
            tries: 2,
            took_ms: 12,
            failed,
            captures: Vec::new(),
        }
    }

    fn failed(what: &str) -> Failed {
        let (expected, came) = (Some("== 200".to_owned()), "500 <b> & \u{0}".to_owned());
        Failed { line: 4, what: what.to_owned(), expected, came }
    }

    #[test]
    fn a_run_is_told_in_lines() {
        let steps = vec![step(Word::Failed, vec![failed("HTTP 200")]), step(Word::NotRun, vec![])];
        let ran = Ran::new("feed", Duration::from_millis(15), steps);
        let lines = ran.lines().join("\n");
        let expected = "feed: FAILED in 15 ms\n   1. FAILED    500     12 ms  GET {{base}}/feed, \
                        tried 2 times\n      line 4: HTTP 200\n        expected: == 200\n        \
                        came:     500 <b> & \u{0}\n";
        assert!(lines.starts_with(expected), "{lines}");
        assert!(lines.contains("not run"), "{lines}");
    }

    #[test]
    fn junit_counts_what_failed_and_what_broke_and_escapes() {
        let ran = |name: &str, word, failed| {
            Ran::new(name, Duration::from_millis(1_500), vec![step(word, failed)])
        };
        let all = [
            ran("a", Word::Passed, vec![]),
            ran("b", Word::Failed, vec![failed("status == \"x\"")]),
            ran("c", Word::Broken, vec![failed("no answer")]),
        ];
        let xml = junit(&all);
        for part in [
            "<testsuites tests=\"3\" failures=\"1\" errors=\"1\" time=\"4.500\">",
            "<testcase classname=\"journeys\" name=\"a\" time=\"1.500\"/>",
            "<failure message=\"GET {{base}}/feed: status == &quot;x&quot;\">",
            "500 &lt;b&gt; &amp; ?",
            "<error message=",
        ] {
            assert!(xml.contains(part), "{part}\n{xml}");
        }
    }
}
