//! A contract as it was read: one value, always OpenAPI 3.x.

use plimsoll_manifest::Fault;
use serde_json::{Map, Value};

use crate::bounds::DOCUMENT_BYTES_MAX;
use crate::check::{check, shown};
use crate::faults::{Faults, fault};
use crate::{convert, json, yaml};

/// A contract, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub(crate) value: Value,
    pub(crate) dialect: Dialect,
}

/// What a contract was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Swagger 2.0; the document is the OpenAPI 3.0 that it was converted to.
    Swagger2,
    /// OpenAPI 3.0.
    OpenApi30,
    /// OpenAPI 3.1.
    OpenApi31,
}

const DIALECTS_EXPECTED: &str = "`openapi: 3.0.x`, `openapi: 3.1.x` or `swagger: \"2.0\"`";

impl Document {
    /// The document as OpenAPI 3.x.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// What it was written in.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// `info.title`, if it says one.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.value.pointer("/info/title")?.as_str().map(str::trim).filter(|title| !title.is_empty())
    }
}

/// Reads a contract: JSON or YAML; OpenAPI 3.0, 3.1 or Swagger 2.0, which is converted to 3.0.
///
/// Any bytes may be given: size, nesting, alias expansion, references and patterns are bounded,
/// and nothing is fetched.
///
/// # Errors
///
/// Every fault found, with its JSON pointer as key and, for a text that cannot be read, its line.
/// The file is left empty; [`crate::load()`] knows it.
pub fn parse_document(bytes: &[u8]) -> Result<Document, Vec<Fault>> {
    let value = read(bytes).map_err(|fault| vec![*fault])?;
    let Value::Object(root) = &value else {
        return Err(vec![fault("#", "a contract is an object").expecting(DIALECTS_EXPECTED)]);
    };
    let dialect = dialect(root).map_err(|fault| vec![*fault])?;
    let mut faults = Faults::default();
    check(&value, &mut faults);
    check_paths(root, &mut faults);
    let value = faults.or(value)?;
    match dialect {
        Dialect::Swagger2 => Ok(Document { value: convert::to_openapi(&value)?, dialect }),
        Dialect::OpenApi30 | Dialect::OpenApi31 => Ok(Document { value, dialect }),
    }
}

fn read(bytes: &[u8]) -> Result<Value, Box<Fault>> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        let expected = format!("at most {DOCUMENT_BYTES_MAX} bytes (16 MiB)");
        return Err(fault("#", format!("{} bytes", bytes.len())).expecting(expected).into());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let mut fault = fault("#", "the text is not UTF-8");
        fault.line = Some(1 + before.iter().filter(|byte| **byte == b'\n').count());
        Box::new(fault)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // YAML may start with a brace too, but no tool writes a contract that way.
    if text.trim_start().starts_with('{') { json::read(text) } else { yaml::read(text) }
}

fn dialect(root: &Map<String, Value>) -> Result<Dialect, Box<Fault>> {
    // `swagger: 2.0` and `openapi: 3.1` without quotes are numbers in YAML.
    let version = |key: &str| match root.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        other => Some(other.to_string()),
    };
    let (key, said) = match (version("openapi"), version("swagger")) {
        (Some(said), None) => ("openapi", said),
        (None, Some(said)) => ("swagger", said),
        (Some(_), Some(_)) => {
            let message = "a contract that is both `openapi` and `swagger`";
            return Err(fault("#", message).expecting(DIALECTS_EXPECTED).into());
        }
        (None, None) => {
            let message = "neither an OpenAPI nor a Swagger document";
            return Err(fault("#", message).expecting(DIALECTS_EXPECTED).into());
        }
    };
    let minor = said.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    match (key, minor.as_str()) {
        ("swagger", "2.0" | "2") => Ok(Dialect::Swagger2),
        ("openapi", "3.0" | "3") => Ok(Dialect::OpenApi30),
        ("openapi", "3.1") => Ok(Dialect::OpenApi31),
        _ => {
            let message = format!("version `{}` is not supported", shown(&said));
            Err(fault(format!("#/{key}"), message).expecting(DIALECTS_EXPECTED).into())
        }
    }
}

/// The shapes that everything after this relies on.
fn check_paths(root: &Map<String, Value>, faults: &mut Faults) {
    let Some(paths) = root.get("paths") else {
        return;
    };
    let Value::Object(paths) = paths else {
        faults.at("#/paths", "`paths` is an object");
        return;
    };
    for (path, item) in paths.iter().filter(|(path, _)| !path.starts_with("x-")) {
        let pointer = format!("#/paths/{}", crate::pointer::escape(path));
        let Value::Object(item) = item else {
            faults.at(pointer, "a path is an object with a field for each method");
            continue;
        };
        for method in crate::METHODS {
            if item.get(method).is_some_and(|operation| !operation.is_object()) {
                faults.at(format!("{pointer}/{method}"), "an operation is an object");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse_document(text.as_bytes()).unwrap_err()[0].to_string()
    }

    #[test]
    fn versions_are_told_apart() {
        for (text, expected) in [
            ("openapi: 3.0.3", Dialect::OpenApi30),
            ("openapi: 3.1.0", Dialect::OpenApi31),
            ("openapi: 3.1", Dialect::OpenApi31),
            ("swagger: 2.0", Dialect::Swagger2),
            ("\u{feff}{\"swagger\": \"2.0\"}", Dialect::Swagger2),
            (" \n{\"openapi\": \"3.0.0\"}", Dialect::OpenApi30),
        ] {
            assert_eq!(parse_document(text.as_bytes()).unwrap().dialect(), expected, "{text}");
        }
        for text in ["openapi: 3.2.0", "openapi: 4.0.0", "swagger: '1.2'", "openapi: [3]"] {
            let said = refused(text);
            assert!(said.contains("is not supported; expected `openapi: 3.0.x`"), "{said}");
        }
        assert!(refused("info: {}").contains("neither"));
        assert!(refused("{\"openapi\": \"3.0.0\", \"swagger\": \"2.0\"}").contains("both"));
        assert!(refused("- a").contains("is an object"));
    }

    #[test]
    fn what_is_no_text_of_ours_is_refused() {
        assert!(refused("").contains("empty"));
        let fault = &parse_document(b"openapi: 3.0.0\n\xff").unwrap_err()[0];
        assert_eq!((fault.line, &*fault.message), (Some(2), "the text is not UTF-8"));
        let big = vec![b' '; DOCUMENT_BYTES_MAX + 1];
        assert!(parse_document(&big).unwrap_err()[0].message.contains("16777217 bytes"));
    }

    #[test]
    fn shapes_are_checked_before_they_are_relied_on() {
        let said = refused("openapi: 3.0.0\npaths: []");
        assert!(said.contains("#/paths: `paths` is an object"), "{said}");
        let said = refused("openapi: 3.0.0\npaths:\n  /a: 3");
        assert!(said.contains("#/paths/~1a: a path is an object"), "{said}");
        let said = refused("swagger: '2.0'\npaths:\n  /a: {get: x}");
        assert!(said.contains("#/paths/~1a/get: an operation is an object"), "{said}");
    }
}
