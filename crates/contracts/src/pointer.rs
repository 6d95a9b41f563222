//! JSON pointers (RFC 6901): made while walking a document, and followed.

use std::fmt;

use serde_json::Value;

/// Where a walk stands, as a list that lives on the walk's own stack; its text is made only for a
/// fault.
#[derive(Clone, Copy)]
pub(crate) enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    pub(crate) const fn key(&'p self, key: &'p str) -> Self {
        Self::Key(self, key)
    }

    pub(crate) const fn index(&'p self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("#"),
            Self::Key(parent, key) => write!(f, "{parent}/{}", escape(key)),
            Self::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

/// A key as it stands in a pointer.
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A key as it stands in a document.
pub(crate) fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// The tokens of a `$ref` into the same document, percent escapes decoded (RFC 6901 §6), still
/// `~`-escaped. `None` for a reference that leads elsewhere or is no pointer.
pub(crate) fn local(reference: &str) -> Option<String> {
    let fragment = reference.strip_prefix('#')?;
    let decoded = percent_decode(fragment)?;
    (decoded.is_empty() || decoded.starts_with('/')).then_some(decoded)
}

/// What a `$ref` into the same document leads to.
pub(crate) fn follow<'d>(root: &'d Value, reference: &str) -> Option<&'d Value> {
    root.pointer(&local(reference)?)
}

fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = plimsoll_snapshot::template::next_byte(rest) {
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_a_pointer_that_leads_back() {
        let root = json!({ "paths": { "/a~b": [ { "x": 7 } ] } });
        let paths = Path::Root.key("paths");
        let path = paths.key("/a~b");
        let index = path.index(0);
        let text = index.key("x").to_string();
        assert_eq!(text, "#/paths/~1a~0b/0/x");
        assert_eq!(follow(&root, &text), Some(&json!(7)));
    }

    #[test]
    fn references_are_decoded() {
        let root = json!({ "d": { "Page«Order»": 1, "a/b": 2 } });
        assert_eq!(follow(&root, "#/d/Page%C2%ABOrder%C2%BB"), Some(&json!(1)));
        assert_eq!(follow(&root, "#/d/a~1b"), Some(&json!(2)));
        assert_eq!(follow(&root, "#/d/a%2Fb"), None);
        assert_eq!(follow(&root, "#"), Some(&root));
        assert_eq!(follow(&root, "#name"), None);
        assert_eq!(follow(&root, "other.json#/d"), None);
        assert_eq!(unescape(&escape("~1/")), "~1/");
    }
}
