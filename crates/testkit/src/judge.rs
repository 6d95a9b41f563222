//! The verdict over a run: what a client got, against what the origin's log says happened.
//!
//! A proxy under reload, drain or a dying upstream can fail in ways that status codes do not show:
//! it answers one request with another's body, sends a request twice, or answers what nobody sent.
//! Only ids and whole bodies show that.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::log::{Exchange, Outcome};

/// What a client got for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAnswer {
    /// The id it sent.
    pub id: String,
    /// What came.
    pub got: Got,
}

/// The kinds of end a request can have for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// An answer of the origin, by its id field.
    Answer {
        /// Status.
        status: u16,
        /// Value of the id field.
        echoed: String,
        /// Body bytes.
        body_bytes: u64,
        /// Where the body first differs from the id's own.
        differs_at: Option<u64>,
    },
    /// An answer that the proxy made itself (it has no id field).
    Problem {
        /// Status.
        status: u16,
        /// The problem's `code` or type, or the start of the body.
        what: String,
    },
    /// No answer.
    Failure(String),
}

/// What must hold besides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expect {
    /// Body bytes of each origin answer; not checked when `None`.
    pub body_bytes: Option<u64>,
    /// Whether the proxy's own problems are faults.
    pub no_problems: bool,
    /// Whether the origin may have seen an id more than once (a retry that was safe).
    pub repeats_allowed: bool,
}

/// Each list names the ids (and what was seen) of one kind of fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Answers judged.
    pub judged: usize,
    /// Answers of the origin that were right.
    pub right: usize,
    /// Requests that got no answer.
    pub failed: Vec<String>,
    /// Problems, where none may be; wherever problems are allowed they are only counted.
    pub problems: Vec<String>,
    /// Problems counted.
    pub problem_count: usize,
    /// Answers with another request's id.
    pub crossed: Vec<String>,
    /// Answers whose body is not the id's, or too short or long.
    pub altered: Vec<String>,
    /// Answers that the origin never gave.
    pub invented: Vec<String>,
    /// Ids that the origin saw more than once.
    pub repeated: Vec<String>,
    /// What the origin found wrong with requests.
    pub anomalies: Vec<String>,
}

impl Judgement {
    /// Whether nothing at all was wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults() == 0
    }

    /// How many faults.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.lists().iter().map(|(_, list)| list.len()).sum()
    }

    fn lists(&self) -> [(&'static str, &Vec<String>); 7] {
        [
            ("failed", &self.failed),
            ("problems", &self.problems),
            ("crossed", &self.crossed),
            ("altered", &self.altered),
            ("invented", &self.invented),
            ("repeated", &self.repeated),
            ("anomalies", &self.anomalies),
        ]
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} judged, {} right, {} problems", self.judged, self.right, self.problem_count)?;
        for (name, list) in self.lists() {
            if !list.is_empty() {
                let first = list.iter().take(5).cloned().collect::<Vec<_>>().join(" | ");
                write!(f, "; {} {name}: {first}", list.len())?;
            }
        }
        Ok(())
    }
}

/// Matches every answer with the origin's exchanges.
#[must_use]
pub fn judge(answers: &[ClientAnswer], exchanges: &[Exchange], expect: Expect) -> Judgement {
    let mut seen: HashMap<&str, Vec<&Exchange>> = HashMap::new();
    for exchange in exchanges {
        if let Some(id) = &exchange.id {
            seen.entry(id).or_default().push(exchange);
        }
    }
    let mut out = Judgement { judged: answers.len(), ..Judgement::default() };
    for answer in answers {
        let exchanges = seen.get(answer.id.as_str()).map_or(&[][..], Vec::as_slice);
        one(answer, exchanges, expect, &mut out);
    }
    if !expect.repeats_allowed {
        let sent: HashSet<&str> = answers.iter().map(|a| a.id.as_str()).collect();
        for (id, exchanges) in seen.iter().filter(|(id, all)| all.len() > 1 && sent.contains(*id)) {
            out.repeated.push(format!("{id} seen {} times", exchanges.len()));
        }
    }
    for exchange in exchanges.iter().filter(|e| !e.anomalies.is_empty()) {
        let id = exchange.id.as_deref().unwrap_or("without id");
        out.anomalies.push(format!("{id}: {}", exchange.anomalies.join(", ")));
    }
    out
}

fn one(answer: &ClientAnswer, exchanges: &[&Exchange], expect: Expect, out: &mut Judgement) {
    let id = &answer.id;
    let (status, echoed, body_bytes, differs_at) = match &answer.got {
        Got::Failure(why) => return out.failed.push(format!("{id}: {why}")),
        Got::Problem { status, what } => {
            out.problem_count += 1;
            if expect.no_problems {
                out.problems.push(format!("{id}: {status} {what}"));
            }
            return;
        }
        Got::Answer { status, echoed, body_bytes, differs_at } => {
            (*status, echoed, *body_bytes, *differs_at)
        }
    };
    let faults = out.crossed.len() + out.altered.len() + out.invented.len();
    if echoed != id {
        out.crossed.push(format!("{id} got the answer of {echoed}"));
    }
    if let Some(at) = differs_at {
        out.altered.push(format!("{id}: differs at byte {at}"));
    } else if expect.body_bytes.is_some_and(|wanted| wanted != body_bytes) {
        out.altered.push(format!("{id}: {body_bytes} bytes"));
    }
    // The origin notes an answer after it has written it, so the client may be faster by a hair:
    // an exchange that is still pending counts as given, a broken or refused one does not.
    let given = exchanges.iter().any(|e| match &e.outcome {
        Outcome::Answered { status: s, .. } => *s == status,
        Outcome::Pending | Outcome::AsScripted => true,
        Outcome::Broken | Outcome::Refused => false,
    });
    if !given {
        let outcomes: Vec<_> = exchanges.iter().map(|e| &e.outcome).collect();
        out.invented.push(format!("{id}: {status}, but the origin has {outcomes:?}"));
    }
    if faults == out.crossed.len() + out.altered.len() + out.invented.len() {
        out.right += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Headers;

    fn exchange(id: &str, outcome: Outcome) -> Exchange {
        Exchange {
            connection: 0,
            sequence: 0,
            id: Some(id.into()),
            method: "GET".into(),
            target: "/".into(),
            headers: Headers::default(),
            body_bytes: 0,
            body_digest: None,
            anomalies: Vec::new(),
            outcome,
        }
    }

    fn answered() -> Outcome {
        Outcome::Answered { status: 200, body_bytes: 64 }
    }

    fn answer(id: &str, echoed: &str, body_bytes: u64, differs_at: Option<u64>) -> ClientAnswer {
        let echoed = echoed.into();
        ClientAnswer {
            id: id.into(),
            got: Got::Answer { status: 200, echoed, body_bytes, differs_at },
        }
    }

    const STRICT: Expect =
        Expect { body_bytes: Some(64), no_problems: true, repeats_allowed: false };

    #[test]
    fn a_clean_run_is_clean() {
        let judgement = judge(&[answer("a", "a", 64, None)], &[exchange("a", answered())], STRICT);
        assert!(judgement.is_clean(), "{judgement}");
        assert_eq!(judgement.right, 1);
    }

    #[test]
    fn each_way_of_lying_is_seen() {
        let good = exchange("a", answered());
        let fault = |answers: &[ClientAnswer], exchanges: &[Exchange]| {
            let judgement = judge(answers, exchanges, STRICT);
            assert!(!judgement.is_clean(), "{judgement}");
            judgement
        };
        let one = [good.clone()];
        assert_eq!(fault(&[answer("a", "b", 64, None)], &one).crossed.len(), 1);
        assert_eq!(fault(&[answer("a", "a", 63, None)], &one).altered.len(), 1);
        assert_eq!(fault(&[answer("a", "a", 64, Some(9))], &one).altered.len(), 1);
        assert_eq!(fault(&[answer("a", "a", 64, None)], &[]).invented.len(), 1);
        let broken = [exchange("a", Outcome::Broken)];
        assert_eq!(fault(&[answer("a", "a", 64, None)], &broken).invented.len(), 1);
        let twice = [good.clone(), good.clone()];
        assert_eq!(fault(&[answer("a", "a", 64, None)], &twice).repeated.len(), 1);
        let failure = ClientAnswer { id: "a".into(), got: Got::Failure("reset".into()) };
        assert_eq!(fault(&[failure], &one).failed.len(), 1);
        let problem = Got::Problem { status: 502, what: "PLM".into() };
        let problem = ClientAnswer { id: "a".into(), got: problem };
        assert_eq!(fault(&[problem], &one).problems.len(), 1);
        let mut odd = good;
        odd.anomalies.push("several content-length fields".into());
        assert_eq!(fault(&[answer("a", "a", 64, None)], &[odd]).anomalies.len(), 1);
    }
}
