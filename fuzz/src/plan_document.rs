//! Parser: `plimsoll_plan::documents::examine`. Input: a byte that chooses the type, then the text
//! of a document. What is wrong must be told in one line, at a line that exists; what is right must
//! be so by the type.

use std::path::Path;
use std::sync::LazyLock;

use plimsoll_plan::documents::{FAULTS_MAX, Ground, KINDS, examine};
use plimsoll_plan::{Date, Gates};

static GATES: LazyLock<Gates> = LazyLock::new(|| Gates::shipped().expect("our own gates"));

/// Feeds the parser.
pub fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    let kind = &KINDS[usize::from(*choice) % KINDS.len()];
    let today = Date::of_unix_ms(1_796_000_000_000);
    let exists = |path: &str| path.len() % 2 == 0;
    let ground = Ground { today, gates: &GATES, exists: &exists };
    let document = examine(kind, Path::new("plan/a.md"), text, &ground);
    let lines = text.split('\n').count();
    assert!(document.faults.len() <= FAULTS_MAX);
    for fault in &document.faults {
        assert!(fault.line.is_none_or(|line| (1..=lines).contains(&line)), "{fault}");
        assert!(!fault.to_string().contains('\n'), "a fault of several lines: {fault}");
        serde_json::to_string(fault).expect("a fault cannot be told as JSON");
    }
    assert!(document.date.is_none_or(|date| date <= today), "a day in the future");
    if document.faults.is_empty() {
        assert!(document.owner.is_some() && document.date.is_some() && document.state().is_some());
    }
}
