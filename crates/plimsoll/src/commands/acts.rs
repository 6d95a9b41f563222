//! What a command did itself, told to the ledger: to the Plimsoll that runs; where none does, left
//! on disk for the next one.

use std::io::{self, Write as _};
use std::path::Path;

use http::Method;
use plimsoll_base::{Clock as _, SystemClock};
use plimsoll_console::client;
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
    if client::ask(data_dir, Method::POST, "/api/v1/acts", Some(&told)).await.is_ok() {
        return;
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
        // Nobody may read it; there is nothing else to be done.
        let _unread = writeln!(io::stderr(), "the ledger will not say that this was done: {why}");
    }
}
