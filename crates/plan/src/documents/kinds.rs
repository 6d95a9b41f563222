//! What a type of document has to hold, as data.

/// A type of document.
#[derive(Debug)]
pub struct Kind {
    /// Its name; the file is `<name>.md`.
    pub name: &'static str,
    /// The kind of its evidence, `document.<name>`.
    pub evidence: &'static str,
    /// As people read it.
    pub title: &'static str,
    /// What it is for, in one line.
    pub purpose: &'static str,
    /// What its `state` may be, in order; the first is that of a draft.
    pub states: &'static [&'static str],
    /// The most words, without those of the template.
    pub words_max: Option<usize>,
    pub(super) keys: &'static [Key],
    pub(super) tables: &'static [Table],
    pub(super) template: &'static str,
}

impl Kind {
    /// The type of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        super::KINDS.iter().find(|kind| kind.name == name)
    }

    /// The name of its file.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{}.md", self.name)
    }

    /// Its template, as [`init`](super::init) fills it: dated, without an owner.
    #[must_use]
    pub fn template(&self, today: crate::Date) -> String {
        self.template.replace("{today}", &today.to_string())
    }
}

/// The keys that every document has; `links` may be left out.
pub(super) const COMMON: [&str; 4] = ["owner", "date", "state", "links"];

/// A key of the front matter that only this type has.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// The first step of the states at which it has to be there.
    pub(super) from: usize,
}

/// What a key's text has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Date,
    /// A day of the week.
    Weekday,
    /// A relative path that exists, or an https URL.
    Link,
    /// A whole number from 1 to this.
    Number(u32),
}

/// A table that has to stand in a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    /// The heading of the section, which holds it as its first table.
    pub(super) section: &'static str,
    /// The fact that counts its rows.
    pub(super) count: &'static str,
    pub(super) columns: &'static [Column],
    /// Rows that have to be there past the draft. With none, a sentence may answer instead.
    pub(super) rows_min: usize,
    /// A column in which each of these has to stand past the draft.
    pub(super) covers: Option<(&'static str, &'static [&'static str])>,
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) cell: Cell,
    /// The first step at which each row needs it; `NEVER` may stay empty.
    pub(super) from: usize,
}

/// A step that no document reaches.
pub(super) const NEVER: usize = usize::MAX;

/// What a cell has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// Anything.
    Text,
    /// A name that stands once in its column.
    Name,
    /// As a name, in small letters, digits and `-`.
    Id,
    /// One person.
    Person,
    /// Any day.
    Day,
    /// A day that has begun.
    PastDay,
    Choice(&'static [&'static str]),
    /// Gates, with commas between; each exists.
    Gates,
    /// Names of operations, with commas between.
    Operations,
}
