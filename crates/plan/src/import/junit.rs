//! JUnit's XML. There is no standard for it, so what is counted are the test cases themselves; what
//! a suite claims about them has to agree.

use std::borrow::Cow;

use crate::date::Date;
use crate::import::error::ImportError;
use crate::import::facts::Tests;
use crate::import::text::{day, shown};
use crate::import::xml::{self, Node};

type Attributes<'a> = &'a [(&'a str, Cow<'a, str>)];

pub(super) fn read(text: &str, sha256: String) -> Result<Tests, ImportError> {
    let mut walk = Walk::default();
    xml::read(text, |node| match node {
        Node::Open { name, attributes } => walk.open(name, attributes),
        Node::Close => walk.close(),
    })?;
    let Counts { tests, failures, errors, skipped } = walk.all;
    let dated = walk.dated.map(|day| day.to_string());
    Ok(Tests { tests, failures, errors, skipped, dated, sha256 })
}

/// How a case ended; of several marks the worst counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Passed,
    Skipped,
    Error,
    Failure,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    tests: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.tests += other.tests;
        self.failures += other.failures;
        self.errors += other.errors;
        self.skipped += other.skipped;
    }

    fn of(end: End) -> Self {
        let one = |is: bool| u64::from(is);
        Self {
            tests: 1,
            failures: one(end == End::Failure),
            errors: one(end == End::Error),
            skipped: one(end == End::Skipped),
        }
    }
}

/// What a suite says of itself. What it says of skipped tests is not looked at: tools name them
/// `skipped` or `disabled`, at one level or at each, and some mean tests that they do not list.
#[derive(Clone, Copy, Debug, Default)]
struct Claimed {
    tests: Option<u64>,
    failures: Option<u64>,
    errors: Option<u64>,
}

impl Claimed {
    fn read(attributes: Attributes<'_>) -> Result<Self, String> {
        let number = |name: &str| {
            let found = attributes.iter().find(|(key, _)| *key == name);
            let parsed = found.map(|(_, value)| {
                let wrong = || format!("`{name}` is `{}`; a count is expected", shown(value));
                value.trim().parse::<u64>().map_err(|_| wrong())
            });
            parsed.transpose()
        };
        Ok(Self {
            tests: number("tests")?,
            failures: number("failures")?,
            errors: number("errors")?,
        })
    }

    /// The first claim that does not agree: its name, the claim, the count.
    fn wrong(&self, counted: Counts) -> Option<(&'static str, u64, u64)> {
        // pytest lists a test twice that fails and whose tear-down breaks off, and claims it once.
        let twice = counted.failures.min(counted.errors);
        let tests = self
            .tests
            .filter(|claimed| *claimed > counted.tests || counted.tests - claimed > twice);
        let differs = |claimed: Option<u64>, counted: u64| claimed.filter(|one| *one != counted);
        let failures = differs(self.failures, counted.failures);
        let errors = differs(self.errors, counted.errors);
        tests
            .map(|claimed| ("tests", claimed, counted.tests))
            .or(failures.map(|claimed| ("failures", claimed, counted.failures)))
            .or(errors.map(|claimed| ("errors", claimed, counted.errors)))
    }
}

/// Where the walk is.
enum Frame {
    Suite { claimed: Claimed, direct: Counts, all: Counts },
    Case(End),
    Other,
}

#[derive(Default)]
struct Walk {
    frames: Vec<Frame>,
    all: Counts,
    dated: Option<Date>,
}

impl Walk {
    fn open(&mut self, name: &str, attributes: Attributes<'_>) -> Result<(), String> {
        let suite = matches!(name, "testsuites" | "testsuite");
        let mark = mark(name);
        let frame = match self.frames.last_mut() {
            None if suite => self.suite(attributes)?,
            None => {
                let name = shown(name);
                return Err(format!("<testsuites> or <testsuite> is expected, found <{name}>"));
            }
            Some(Frame::Suite { .. }) if suite => self.suite(attributes)?,
            Some(Frame::Suite { .. }) if name == "testcase" => Frame::Case(not_run(attributes)),
            Some(Frame::Case(end)) if mark.is_some() => {
                *end = mark.map_or(*end, |mark| mark.max(*end));
                Frame::Other
            }
            Some(_) if suite || name == "testcase" => {
                return Err(format!("a <{name}> inside of what is no suite"));
            }
            Some(Frame::Suite { .. }) if mark.is_some() => {
                return Err(format!("a <{name}> that is of no <testcase>"));
            }
            Some(_) => Frame::Other,
        };
        self.frames.push(frame);
        Ok(())
    }

    fn suite(&mut self, attributes: Attributes<'_>) -> Result<Frame, String> {
        let claimed = Claimed::read(attributes)?;
        let time = attributes.iter().find(|(key, _)| *key == "timestamp");
        if let Some((_, time)) = time.filter(|(_, time)| !time.trim().is_empty()) {
            let day = day(time.trim()).map_err(|says| format!("`timestamp`: {says}"))?;
            self.dated = Some(self.dated.map_or(day, |before| before.min(day)));
        }
        Ok(Frame::Suite { claimed, direct: Counts::default(), all: Counts::default() })
    }

    fn close(&mut self) -> Result<(), String> {
        match self.frames.pop() {
            Some(Frame::Case(end)) => {
                let counts = Counts::of(end);
                if let Some(Frame::Suite { direct, all, .. }) = self.frames.last_mut() {
                    direct.add(counts);
                    all.add(counts);
                }
            }
            Some(Frame::Suite { claimed, direct, all: counted }) => {
                // Some count the suites inside, some do not.
                if claimed.wrong(direct).is_some()
                    && let Some((what, claim, count)) = claimed.wrong(counted)
                {
                    return Err(format!(
                        "the suite that ends here says {claim} `{what}`, and {count} are listed: \
                         the report is not whole, or counts something other than test cases"
                    ));
                }
                match self.frames.last_mut() {
                    Some(Frame::Suite { all, .. }) => all.add(counted),
                    _ => self.all = counted,
                }
            }
            Some(Frame::Other) | None => {}
        }
        Ok(())
    }
}

/// What an element inside a case says of it.
fn mark(name: &str) -> Option<End> {
    match name {
        "failure" => Some(End::Failure),
        "error" => Some(End::Error),
        "skipped" | "disabled" => Some(End::Skipped),
        _ => None,
    }
}

/// Google Test and CTest say by an attribute that a test was not run.
fn not_run(attributes: Attributes<'_>) -> End {
    let status = attributes.iter().find(|(key, _)| *key == "status");
    match status.map(|(_, status)| status.as_ref()) {
        Some("notrun" | "disabled" | "skipped") => End::Skipped,
        _ => End::Passed,
    }
}
