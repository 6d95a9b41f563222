//! What a command did itself, told to the ledger: to the Plimsoll that runs; where none does, left
//! on disk for the next one.

use std::io::{self, Write as _};
use std::path::Path;

use http::{Method, StatusCode};
use plimsoll_base::{Clock as _, SystemClock};
use plimsoll_console::client::{self, AskError};
use plimsoll_ledger::{Fact, OwnEntry, SUBJECT_BYTES_MAX};
use serde_json::{Map, Value, json};

use crate::memory;

/// One act.
pub(crate) struct Done {
    pub(crate) act: &'static str,
    /// On what.
    pub(crate) subject: String,
    /// What else there is to say, without personal data.
    pub(crate) detail: Map<String, Value>,
}

/// The act was done, so nothing here makes it fail: what cannot be told is said.
pub(crate) async fn tell(data_dir: &Path, done: Done) {
    let subject = &done.subject;
    let subject = subject.get(..subject.floor_char_boundary(SUBJECT_BYTES_MAX)).unwrap_or_default();
    let told = json!({ "act": done.act, "subject": subject, "detail": done.detail });
    match client::ask(data_dir, Method::POST, "/api/v1/acts", Some(&told)).await {
        Ok(_) => return,
        Err(error) if !may_wait(&error) => return unsaid(&error),
        Err(_away) => {}
    }
    let own = OwnEntry {
        operator: Some(format!("local:{}", rustix::process::geteuid().as_raw())),
        fact: Fact::OperatorAct {
            act: done.act.to_owned(),
            subject: subject.to_owned(),
            detail: done.detail,
        },
        at_unix_ms: SystemClock::new().unix_ms(),
    };
    let left = if data_dir.is_dir() {
        memory::leave(data_dir, own).await.map_err(|error| error.to_string())
    } else {
        Err(format!("there is no data directory {}", data_dir.display()))
    };
    if let Err(why) = left {
        unsaid(&why);
    }
}

/// Whether the act is to wait on disk: where nobody is there to write it down, or the one who is
/// has no database yet. What was refused would be refused again, and what broke off may be written.
fn may_wait(error: &AskError) -> bool {
    match error {
        AskError::NotRunning { .. } => true,
        AskError::Refused { status, .. } => *status == StatusCode::SERVICE_UNAVAILABLE,
        _ => false,
    }
}

fn unsaid(why: &dyn std::fmt::Display) {
    // Nobody may read it; there is nothing else to be done.
    let _unread = writeln!(io::stderr(), "the ledger will not say that this was done: {why}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_waits_for_who_is_away_and_not_for_who_refuses() {
        let refused = |status| AskError::Refused { status, says: String::new() };
        let away = io::Error::from(io::ErrorKind::NotFound);
        assert!(may_wait(&AskError::NotRunning { path: "/data".into(), source: away }));
        assert!(may_wait(&refused(StatusCode::SERVICE_UNAVAILABLE)));
        assert!(!may_wait(&refused(StatusCode::BAD_REQUEST)));
        assert!(!may_wait(&AskError::Broken("in the middle".into())));
    }
}
