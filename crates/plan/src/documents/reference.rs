//! The part of docs/plan.md that is made from the types.

use std::fmt::Write as _;

use super::KINDS;
use super::kinds::{Cell, Column, Form, Kind, NEVER, Table};
use super::rules;

/// Every document and every table, as Markdown.
#[must_use]
pub fn reference_markdown() -> String {
    let mut out = String::from(
        "## The documents\n\n\
         | File | What it is for | `state` | Keys of its own |\n|---|---|---|---|\n",
    );
    for kind in KINDS {
        let keys: Vec<String> = kind
            .keys
            .iter()
            .map(|key| {
                format!("`{}`: {}, from `{}` on", key.name, form(key.form), state(kind, key.from))
            })
            .collect();
        let words = kind.words_max.map(|max| format!(" ({max} words at most)")).unwrap_or_default();
        let states: Vec<String> = kind.states.iter().map(|state| format!("`{state}`")).collect();
        line(
            &mut out,
            &format!(
                "| `{}` | {}{words} | {} | {} |",
                kind.file(),
                kind.purpose,
                states.join(", "),
                keys.join("; ")
            ),
        );
    }
    line(&mut out, "\n## The tables\n\nA column in *italics* may stay empty.");
    for kind in KINDS.iter().filter(|kind| !kind.tables.is_empty()) {
        line(&mut out, &format!("\n### `{}`", kind.file()));
        for table in kind.tables {
            one_table(&mut out, kind, table);
        }
    }
    out
}

fn one_table(out: &mut String, kind: &Kind, table: &Table) {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let rows = match table.rows_min {
        0 => "rows, or a sentence".to_owned(),
        1 => "one row or more".to_owned(),
        more => format!("{more} rows or more"),
    };
    line(
        out,
        &format!(
            "\nBelow `## {}`, {rows} once it is `{}`:\n\n```text\n| {} |\n```\n",
            table.section,
            state(kind, 1),
            names.join(" | ")
        ),
    );
    for column in table.columns {
        line(out, &format!("- {}", one_column(kind, column)));
    }
    if let Some((column, each)) = table.covers {
        line(out, &format!("\nIn `{column}` stands, at least once each: {}.", each.join(", ")));
    }
}

fn one_column(kind: &Kind, column: &Column) -> String {
    let what = match column.cell {
        Cell::Text => "a text".to_owned(),
        other => rules::expected(other),
    };
    match column.from {
        NEVER => format!("*{}*: {what}", column.name),
        0 => format!("**{}**: {what}", column.name),
        from => format!("**{}**: {what}; from `{}` on", column.name, state(kind, from)),
    }
}

fn state(kind: &Kind, step: usize) -> &'static str {
    kind.states.get(step).copied().unwrap_or("never")
}

fn form(form: Form) -> String {
    match form {
        Form::Text => "a text".to_owned(),
        Form::Date => "a day".to_owned(),
        Form::Weekday => "a day of the week".to_owned(),
        Form::Link => "a path or an https URL".to_owned(),
        Form::Number(max) => format!("a whole number, {max} at most"),
    }
}

fn line(out: &mut String, text: &str) {
    // Writing into a String cannot fail.
    let _written = writeln!(out, "{text}");
}
