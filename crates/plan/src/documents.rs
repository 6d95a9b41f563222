//! The documents of the plan: a folder of Markdown files with a small front matter, each of a type
//! that says what it has to hold.
//!
//! [`read`] reads a folder into its [`Document`]s, what the board shows of them ([`PlanFacts`]) and
//! the evidence that gates are judged by; [`init`] writes the folder from our templates;
//! [`examine`] is the pure part, one document at a time. What is wrong is a [`Fault`] with file,
//! line and key.
//!
//! Owners are people: their names stand in the documents and in what [`read`] answers, never in
//! evidence. Reading blocks on the file system, is bounded everywhere, and never follows a symbolic
//! link out of the folder.
//!
//! [`PlanFacts`]: crate::PlanFacts
//! [`Fault`]: plimsoll_manifest::Fault

mod body;
mod catalogue;
mod check;
mod columns;
mod evidence;
mod examine;
mod finding;
mod folder;
mod front;
mod kinds;
mod links;
mod reference;
mod rules;
mod start;

pub use catalogue::{DOCUMENTS, KINDS};
pub use examine::{Document, Ground, examine};
pub use finding::Finding;
pub use folder::{DOCUMENTS_MAX, ENTRIES_MAX, Read, ReadError, read};
pub use front::{
    Entry, FRONT_BYTES_MAX, FrontMatter, Item, KEYS_MAX, LIST_ITEMS_MAX, VALUE_BYTES_MAX, Value,
};
pub use kinds::Kind;
pub use reference::reference_markdown;
pub use start::{InitError, Written, init};

/// The largest document that is read, bytes.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// The most faults that are told of one document.
pub const FAULTS_MAX: usize = 100;
/// The file that says when the plan starts.
pub const README: &str = "README.md";
