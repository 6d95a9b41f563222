//! Journeys, in a stated subset of the syntax of Hurl 8 (`docs/journeys.md` has the table). What is
//! of Hurl and not of the subset is refused by its name, so that no file means less here than
//! there.
//!
//! [`parse`] turns a text into a [`Journey`] or into its faults. A [`Runner`] sends its steps one
//! after the other and holds each answer against what the step expects; the first step that fails
//! ends the journey. Everything between the text and the wire is pure: templates, cookies, queries,
//! filters and predicates.

mod answer;
mod cookies;
mod filter;
mod model;
mod parse;
mod path;
mod predicate;
mod query;
mod render;
mod report;
mod run;
mod scan;
mod secrets;
mod touched;
mod value;

pub use model::{Journey, Step};
pub use parse::{parse, read};
pub use report::{Failed, Ran, StepRan, Word, junit};
pub use run::{BaseError, Runner, RunnerOptions};
pub use secrets::{Secrets, is_secret_name};
pub use touched::touched;
pub use value::{NameFault, Value, Variables, secret, text, variable};

/// The largest file that is read, bytes.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// The most steps of one journey.
pub const STEPS_MAX: usize = 200;
/// The most lines of one section, and of the fields before it.
pub const LINES_MAX: usize = 200;
/// How deep a JSON body may go.
pub const JSON_DEPTH_MAX: usize = 64;
/// The most variables at once, given and captured.
pub const VARIABLES_MAX: usize = 256;
/// How often a step is tried again at most.
pub const RETRIES_MAX: u32 = 100;
/// The longest wait before a step or between its tries.
pub const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(60);
/// The longest that one try may take.
pub const TRY_MAX: std::time::Duration = std::time::Duration::from_secs(300);
/// The largest answer that is read, bytes.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most faults that are told of one file.
pub const FAULTS_MAX: usize = 20;
