//! Running a journey: one step after the other, each answer held against what the step expects.

use std::time::Duration;

use plimsoll_base::{Deadline, SharedClock};
use plimsoll_outbound::{CallOptions, Outbound};
use url::Url;

use super::ANSWER_BYTES_MAX;
use super::answer::Answer;
use super::cookies::Cookies;
use super::model::{Capture, Expected, Journey, Step, Version};
use super::predicate::judge;
use super::query::{look, version};
use super::render::{self, Random, Scope};
use super::report::{Failed, Ran, StepRan, Word, milliseconds};
use super::secrets::{Secrets, is_secret_name};
use super::value::{Value, Variables, plain};

/// How long one try may take where the step does not say.
const TRY_USUAL: Duration = Duration::from_secs(30);
/// How long a whole journey may take.
const JOURNEY_MAX: Duration = Duration::from_secs(600);
/// The wait between two tries where the step does not say.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The most characters of an unexpected answer that are shown.
const BODY_SHOWN_CHARS_MAX: usize = 300;

/// Why journeys cannot run there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no place for a journey: an http or https URL without a query is expected")]
pub struct BaseError(String);

/// What a runner needs.
#[derive(Clone, Debug)]
pub struct RunnerOptions {
    /// Where the journeys run: what `{{base}}` stands for.
    pub base: String,
    /// Lets steps go to private addresses that are not `base`'s. Those of `base` may be private.
    pub private_elsewhere: bool,
    /// Makes the calls.
    pub outbound: Outbound,
    /// Where time comes from.
    pub clock: SharedClock,
}

/// Runs journeys.
#[derive(Clone, Debug)]
pub struct Runner {
    base: Url,
    options: RunnerOptions,
}

/// What one step leaves to the next.
struct State<'r> {
    variables: Variables,
    cookies: Cookies,
    secrets: Secrets,
    random: Random<'r>,
    deadline: Deadline,
}

/// What one try came to.
#[derive(Default)]
struct Tried {
    status: Option<u16>,
    took: Duration,
    failed: Vec<Failed>,
    broken: bool,
    captures: Vec<(String, Value)>,
}

impl Runner {
    /// A runner for one place.
    ///
    /// # Errors
    /// A base that is no such URL.
    pub fn new(options: RunnerOptions) -> Result<Self, BaseError> {
        let refused = || BaseError(options.base.clone());
        let base: Url = options.base.parse().map_err(|_| refused())?;
        let is_place = matches!(base.scheme(), "http" | "https")
            && base.has_host()
            && base.query().is_none()
            && base.fragment().is_none()
            && base.username().is_empty()
            && base.password().is_none();
        if is_place { Ok(Self { base, options }) } else { Err(refused()) }
    }

    /// Runs a journey to its end, or to the first step that fails. `given` are its variables
    /// beside `base`; what `secrets` hide is hidden in the answer, and so is what is captured under
    /// the name of a secret. `random` gives 128 bits each time.
    pub async fn run(
        &self,
        name: &str,
        journey: &Journey,
        given: Variables,
        secrets: Secrets,
        random: &mut (dyn FnMut() -> u128 + Send),
    ) -> Ran {
        let begun = self.options.clock.now();
        let deadline = Deadline::after(begun, JOURNEY_MAX);
        let mut state =
            State { variables: given, cookies: Cookies::default(), secrets, random, deadline };
        let base = self.base.as_str().trim_end_matches('/').to_owned();
        // A name that is known to be one; where there are too many variables, `{{base}}` says so.
        let _told_by_its_absence = state.variables.set("base", Value::Text(base)).is_ok();
        let mut steps: Vec<StepRan> = Vec::with_capacity(journey.steps.len());
        let mut going_on = true;
        for step in &journey.steps {
            let ran = if going_on {
                self.step(step, &mut state).await
            } else {
                told(step, Word::NotRun, 0, Tried::default(), &state.secrets)
            };
            going_on = going_on && matches!(ran.word, Word::Passed | Word::Skipped);
            steps.push(ran);
        }
        Ran::new(name, self.options.clock.now().since(begun), steps)
    }

    async fn step(&self, step: &Step, state: &mut State<'_>) -> StepRan {
        let options = &step.options;
        if options.skip {
            return told(step, Word::Skipped, 0, Tried::default(), &state.secrets);
        }
        wait(options.delay).await;
        let mut tries = 0;
        loop {
            tries += 1;
            let tried = self.try_once(step, state).await;
            let over = state.deadline.left(self.options.clock.now()).is_zero();
            if tried.failed.is_empty() || tries > options.retry || over {
                let word = match (tried.failed.is_empty(), tried.broken) {
                    (true, _) => Word::Passed,
                    (false, false) => Word::Failed,
                    (false, true) => Word::Broken,
                };
                return told(step, word, tries, tried, &state.secrets);
            }
            wait(options.retry_interval.unwrap_or(RETRY_INTERVAL)).await;
        }
    }

    async fn try_once(&self, step: &Step, state: &mut State<'_>) -> Tried {
        let clock = &self.options.clock;
        let made = self.request(step, state);
        let request = match made {
            Ok(request) => request,
            Err(why) => return broken(step, why, Duration::ZERO),
        };
        let left = state.deadline.left(clock.now());
        let options = CallOptions {
            deadline: step.options.max_time.unwrap_or(TRY_USUAL).min(left),
            bytes_max: ANSWER_BYTES_MAX,
            allow_private: self.options.private_elsewhere
                || request.url.origin() == self.base.origin(),
        };
        let begun = clock.now();
        let sent = self.options.outbound.send(request.url.as_str(), &request.call, options).await;
        let took = clock.now().since(begun);
        let answer = match sent {
            Ok(answered) => Answer::new(answered, request.url.as_str().to_owned(), took),
            Err(error) => return broken(step, error.to_string(), took),
        };
        let now = i64::try_from(clock.unix_seconds()).unwrap_or(i64::MAX);
        for set in answer.answered.headers.get_all(http::header::SET_COOKIE) {
            if let Ok(text) = set.to_str() {
                state.cookies.keep(&request.url, text, now);
            }
        }
        self.hold(step, &answer, state)
    }

    fn request(&self, step: &Step, state: &mut State<'_>) -> Result<render::Request, String> {
        for (name, text, is_plain) in &step.options.variables {
            let said = self.scope(state).text(text)?;
            let value = plain(&said).filter(|_| *is_plain);
            let value = value.unwrap_or_else(|| Value::Text(said.clone()));
            if is_secret_name(name) {
                state.secrets.hide(&said);
                state.secrets.hide_value(&value);
            }
            state.variables.set(name, value).map_err(|error| error.to_string())?;
        }
        let State { variables, cookies, random, secrets, .. } = state;
        let clock = &self.options.clock;
        let mut scope = Scope { variables, clock, random: &mut **random, secrets };
        let request = render::request(step, cookies, &mut scope)?;
        request.secrets.iter().for_each(|one| state.secrets.hide(one));
        Ok(request)
    }

    fn scope<'s>(&'s self, state: &'s mut State<'_>) -> Scope<'s> {
        let State { variables, random, secrets, .. } = state;
        Scope { variables, clock: &self.options.clock, random: &mut **random, secrets }
    }

    /// First version and status, then what is captured, then what else has to hold: an answer of
    /// another status has other things in it.
    fn hold(&self, step: &Step, answer: &Answer, state: &mut State<'_>) -> Tried {
        let mut tried = Tried {
            status: Some(answer.answered.status.as_u16()),
            took: answer.took,
            ..Tried::default()
        };
        let Some(expected) = &step.expected else { return tried };
        self.conceal(expected, answer, state);
        tried.failed = at_first(expected, answer, &state.secrets);
        if !tried.failed.is_empty() {
            return tried;
        }
        for capture in &expected.captures {
            let found = look(&capture.query, &capture.filters, answer, &mut self.scope(state));
            let set = match found {
                Ok(Some(value)) => {
                    if capture.is_secret() {
                        state.secrets.hide_value(&value);
                    }
                    tried.captures.push((capture.name.clone(), value.clone()));
                    state.variables.set(&capture.name, value).map_err(|error| error.to_string())
                }
                Ok(None) => Err("nothing was found".to_owned()),
                Err(why) if capture.is_secret() => Err(self.without(capture, answer, state, why)),
                Err(why) => Err(why),
            };
            if let Err(came) = set {
                let what = format!("capture `{}`", capture.name);
                let expected = Some("a value".to_owned());
                tried.failed.push(Failed { line: capture.line, what, expected, came });
                // All or none, as with Hurl.
                tried.captures.clear();
                return tried;
            }
        }
        tried.failed = self.fields(expected, answer, state);
        for assert in &expected.asserts {
            let mut scope = self.scope(state);
            let found = look(&assert.query, &assert.filters, answer, &mut scope);
            let (expected, came) = match found {
                Ok(found) => {
                    let held = judge(&assert.predicate, assert.negated, found.as_ref(), &mut scope);
                    let Err(expected) = held else { continue };
                    let came =
                        found.map_or_else(|| "nothing".to_owned(), |one| one.shown(&state.secrets));
                    (Some(expected), came)
                }
                Err(why) => (None, why),
            };
            let what = assert.source.clone();
            tried.failed.push(Failed { line: assert.line, what, expected, came });
        }
        tried
    }

    /// Hides what will be captured as a secret. An answer of another status often has it as well,
    /// and then it is shown without being captured.
    fn conceal(&self, expected: &Expected, answer: &Answer, state: &mut State<'_>) {
        for capture in expected.captures.iter().filter(|one| one.is_secret()) {
            let found = look(&capture.query, &capture.filters, answer, &mut self.scope(state));
            if let Ok(Some(value)) = found {
                state.secrets.hide_value(&value);
            }
        }
    }

    /// Why a secret cannot be captured, without what a filter could not take: it is in that.
    fn without(
        &self,
        capture: &Capture,
        answer: &Answer,
        state: &mut State<'_>,
        why: String,
    ) -> String {
        for taken in 0..capture.filters.len() {
            let filters = capture.filters.get(..taken).unwrap_or_default();
            if let Ok(Some(value)) = look(&capture.query, filters, answer, &mut self.scope(state)) {
                state.secrets.hide_value(&value);
            }
        }
        let again = look(&capture.query, &capture.filters, answer, &mut self.scope(state));
        again.err().unwrap_or(why)
    }

    /// Fields that have to be there.
    fn fields(&self, expected: &Expected, answer: &Answer, state: &mut State<'_>) -> Vec<Failed> {
        let mut failed = Vec::new();
        let mut fails = |line, what: &str, expected: String, came: String| {
            failed.push(Failed { line, what: what.to_owned(), expected: Some(expected), came });
        };
        for (line, field) in &expected.headers {
            let mut scope = self.scope(state);
            let wanted = scope.text(&field.name).and_then(|name| {
                let value = scope.text(&field.value)?;
                Ok((name, value))
            });
            let (name, value) = match wanted {
                Ok(wanted) => wanted,
                Err(why) => {
                    fails(*line, &field.name.source, "a value".to_owned(), why);
                    continue;
                }
            };
            let values = answer.answered.headers.get_all(name.as_str());
            let values: Vec<String> = values
                .iter()
                .map(|one| String::from_utf8_lossy(one.as_bytes()).into_owned())
                .collect();
            if !values.contains(&value) {
                let came =
                    if values.is_empty() { "nothing".to_owned() } else { values.join(" | ") };
                fails(*line, &format!("{name}:"), value, came);
            }
        }
        failed
    }
}

/// Version and status.
fn at_first(expected: &Expected, answer: &Answer, secrets: &Secrets) -> Vec<Failed> {
    let line = expected.line;
    let mut failed = Vec::new();
    let mut fails = |what: &str, expected: String, came: String| {
        failed.push(Failed { line, what: what.to_owned(), expected: Some(expected), came });
    };
    let came = answer.answered.version;
    if let Some(wanted) = expected.version
        && wanted.is() != came
    {
        fails("version", wanted.said().to_owned(), version(came).to_owned());
    }
    let status = answer.answered.status.as_u16();
    if let Some(wanted) = expected.status
        && wanted != status
    {
        fails("status", wanted.to_string(), format!("{status}{}", beginning(answer, secrets)));
    }
    failed
}

impl Version {
    const fn is(self) -> http::Version {
        match self {
            Self::Http10 => http::Version::HTTP_10,
            Self::Http11 => http::Version::HTTP_11,
            Self::Http2 => http::Version::HTTP_2,
            Self::Http3 => http::Version::HTTP_3,
        }
    }

    const fn said(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2 (journeys speak HTTP/1.1)",
            Self::Http3 => "3 (journeys speak HTTP/1.1)",
        }
    }
}

async fn wait(span: Duration) {
    if !span.is_zero() {
        tokio::time::sleep(span).await;
    }
}

/// How the body of an unexpected answer begins: most often it says why. Its secrets are hidden
/// before it is cut: the half of one would not be known again.
fn beginning(answer: &Answer, secrets: &Secrets) -> String {
    let Ok(text) = answer.text() else { return String::new() };
    let hidden = secrets.hidden(&text);
    let seen = hidden.chars().filter(|one| !one.is_control());
    let short: String = seen.take(BODY_SHOWN_CHARS_MAX).collect();
    if short.is_empty() { String::new() } else { format!(", {short}") }
}

fn broken(step: &Step, why: String, took: Duration) -> Tried {
    let what = format!("{} {}", step.method, step.url());
    let failed = vec![Failed { line: step.line, what, expected: None, came: why }];
    Tried { took, failed, broken: true, ..Tried::default() }
}

/// What is told of a step: nothing of it is a secret.
fn told(step: &Step, word: Word, tries: u32, tried: Tried, secrets: &Secrets) -> StepRan {
    let hidden = |text: String| secrets.hidden(&text);
    let failed = tried.failed.into_iter().map(|failed| Failed {
        line: failed.line,
        what: hidden(failed.what),
        expected: failed.expected.map(hidden),
        came: hidden(failed.came),
    });
    let captures = tried.captures.into_iter();
    StepRan {
        line: step.line,
        method: step.method.clone(),
        url: hidden(step.url().to_owned()),
        word,
        status: tried.status,
        tries,
        took_ms: milliseconds(tried.took),
        failed: failed.collect(),
        captures: captures
            .map(|(name, value)| (name, secrets.hidden_json(value.to_json())))
            .collect(),
    }
}
