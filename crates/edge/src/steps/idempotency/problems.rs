//! What clients are told of a keyed write that has no answer for them.

use std::time::Duration;

use plimsoll_http_kit::{Code, Problem};
use plimsoll_snapshot::UnknownOutcome;

use super::policy;
use crate::config::Config;
use crate::steps::route::Route;

/// Seconds after which to ask again: while another executes, while nothing can be recorded or kept,
/// and where asking again may find out.
const IN_PROGRESS_S: u64 = 1;
const UNRECORDED_S: u64 = 5;
const ASK_AGAIN_S: u64 = 2;

pub(super) fn in_progress() -> Problem {
    Problem::new(Code::KeyInUse).with_retry_after(IN_PROGRESS_S)
}

pub(super) fn unrecorded() -> Problem {
    Problem::new(Code::RecordUnavailable).with_retry_after(UNRECORDED_S)
}

pub(super) fn not_held() -> Problem {
    Problem::new(Code::BodyNotHeld).with_retry_after(UNRECORDED_S)
}

/// It may have been executed; how to find out, and for how long it has been so.
pub(super) fn unknown(config: &Config, route: Route<'_>, since: Option<Duration>) -> Problem {
    let mut problem = Problem::new(Code::OutcomeUnknown).with("outcome", "unknown");
    if let Some(since) = since {
        problem = problem.with("unknown_for_seconds", since.as_secs());
    }
    let Some(policy) = policy(route) else { return problem };
    let read = policy.find_out.as_deref().and_then(|id| super::ask::operation(config, route, id));
    problem = match read {
        Some(read) => problem.with("find_out", format!("{} {}", read.method, read.template)),
        None => problem.with(
            "find_out",
            "Read what the write would have changed, or ask the operator, by this request's id.",
        ),
    };
    match policy.unknown {
        UnknownOutcome::Hold => problem,
        UnknownOutcome::RetryUpstreamWithKey | UnknownOutcome::Ask => {
            problem.with_retry_after(ASK_AGAIN_S)
        }
    }
}
