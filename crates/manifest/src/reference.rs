//! The reference page of the manifest, made from the same schema that checks it.

use std::fmt::Write as _;

use crate::schema::{Doc, Kind, Shape, choices, in_toml, shared};
use crate::tree::join;

const INTRODUCTION: &str = "\
# The manifest: `plimsoll.toml`

This page is made from the types that read the manifest; `PLIMSOLL_BLESS=1 cargo test -p
plimsoll-manifest` makes it again. The same as JSON Schema, for editors:
[`manifest.schema.json`](manifest.schema.json). `plimsoll check` reports every fault of a manifest
with line, key, what was expected and what was probably meant.

- `[name]` is a table, `[[name]]` a table that may stand several times.
- A key without a default is either *required* or *absent* unless it is set.
- Secrets never stand here: they come from the environment, as `NAME` or as `NAME_FILE`, a file
  that holds the value. A URL with `user:pass@` is refused.
- A relative path starts at the directory of the manifest.
- With `#:schema docs/manifest.schema.json` in its first line, editors that know TOML schemas
  complete and check the manifest while it is written.
";

/// More words than this are only listed below the table.
const WORDS_MAX: usize = 4;

/// The reference page, as Markdown: each key with type, default, unit, since and meaning.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    tables(&mut page, Shape::root(), "");
    page.push_str("\n## Forms of values\n\n| Form | What it is |\n|---|---|\n");
    let definitions = shared().get("$defs").and_then(serde_json::Value::as_object);
    for (name, definition) in definitions.into_iter().flatten() {
        let property = serde_json::json!({ "$ref": format!("#/$defs/{name}") });
        if let Kind::Form(form) = Shape::of(&property).kind() {
            let description = definition.get("description").and_then(serde_json::Value::as_str);
            let meaning = description.unwrap_or(crate::shape::form_expected(form));
            line(&mut page, &format!("| {} | {} |", form_name(form), cell(meaning)));
        }
    }
    page
}

/// A line of its own. Writing to a `String` cannot fail.
fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

/// The section of one table, then those of the tables inside it.
fn tables(page: &mut String, table: Shape, path: &str) {
    for (key, shape) in table.properties() {
        let inner = join(path, key);
        match shape.kind() {
            Kind::Table => section(page, shape, shape, &inner, &format!("[{inner}]")),
            Kind::ListOf(items) if matches!(items.kind(), Kind::Table) => {
                section(page, items, shape, &inner, &format!("[[{inner}]]"));
            }
            _ => {}
        }
    }
}

fn section(page: &mut String, table: Shape, property: Shape, path: &str, header: &str) {
    let doc = Doc::read(property.text("description").unwrap_or(""));
    line(page, &format!("\n## `{header}`\n\n{}", doc.meaning));
    // The first sentence of the table's own text says what the property said already.
    let own = Doc::read(table.target_description()).meaning;
    if let Some((_, more)) = own.split_once(". ") {
        line(page, &format!("\n{more}"));
    }
    if let Some(since) = doc.since {
        line(page, &format!("\nSince {since}."));
    }
    let mut rows = String::new();
    let mut words = String::new();
    for (key, shape) in table.properties() {
        if is_section(shape) {
            continue;
        }
        rows.push_str(&row(table, key, shape));
        let listed = match shape.kind() {
            Kind::ListOf(items) => items.kind(),
            kind => kind,
        };
        if let Kind::OneOf(all) = listed {
            words.push_str(&meanings(key, all));
        }
    }
    if !rows.is_empty() {
        page.push_str(
            "\n| Key | Type | Default | Unit | Since | Meaning |\n|---|---|---|---|---|---|\n",
        );
        page.push_str(&rows);
    }
    if !words.is_empty() {
        line(page, &format!("\n{}", words.trim_end()));
    }
    tables(page, table, path);
}

/// Whether a key is a table that has a section of its own.
fn is_section(shape: Shape) -> bool {
    match shape.kind() {
        Kind::Table => true,
        Kind::ListOf(items) => matches!(items.kind(), Kind::Table),
        _ => false,
    }
}

fn row(table: Shape, key: &str, shape: Shape) -> String {
    let doc = Doc::read(shape.text("description").unwrap_or(""));
    let default = if table.required().any(|name| name == key) {
        "*required*".to_owned()
    } else if let Some(value) = shape.facet("default") {
        format!("`{}`", cell(&in_toml(value)))
    } else {
        shape.text("x-default").map_or("*absent*".to_owned(), cell)
    };
    let mut row = String::new();
    // Writing to a `String` cannot fail.
    _ = writeln!(
        row,
        "| `{key}` | {} | {default} | {} | {} | {} |",
        cell(&type_of(shape)),
        doc.unit.as_deref().unwrap_or(""),
        doc.since.as_deref().unwrap_or(""),
        cell(&doc.meaning),
    );
    row
}

fn type_of(shape: Shape) -> String {
    let bounds = |least, most| {
        crate::shape::bounds(shape, least, most).map_or(String::new(), |b| format!(", {b}"))
    };
    match shape.kind() {
        Kind::Table => "table".to_owned(),
        Kind::ListOf(items) => format!("list of {}", type_of(items)),
        Kind::OneOf(all) if all.len() > WORDS_MAX => "one of the words below".to_owned(),
        Kind::OneOf(all) => {
            let words: Vec<String> =
                choices(all).map(|(word, _)| format!("`\"{word}\"`")).collect();
            words.join(" or ")
        }
        Kind::Integer => format!("whole number{}", bounds("minimum", "maximum")),
        Kind::Number => format!("number{}", bounds("minimum", "maximum")),
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Form(name) => format!("{}{}", form_name(name), bounds("x-min", "x-max")),
    }
}

fn form_name(name: &str) -> &str {
    match name {
        "ByteSize" => "size",
        "Duration" => "duration",
        "Name" => "name",
        "ListenAddr" => "listen address",
        "Cidr" => "network",
        "HeaderName" => "header name",
        "OriginUrl" => "origin URL",
        "HttpUrl" => "URL",
        "PathPrefix" => "path prefix",
        "PathTemplate" => "path template",
        "WebOrigin" => "origin",
        other => other,
    }
}

/// The words of a choice with their meaning, as a list.
fn meanings(key: &str, all: &[serde_json::Value]) -> String {
    let mut text = format!("`{key}`:\n\n");
    for (word, meaning) in choices(all) {
        text.push_str(&format!("- `\"{word}\"`: {}\n", Doc::read(meaning).meaning));
    }
    text.push('\n');
    text
}

/// A text that cannot break out of a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
