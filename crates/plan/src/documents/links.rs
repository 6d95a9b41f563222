//! Links: what they may lead to, and where they stand in a text.

use super::body::Line;

/// The most links of one document that are looked at.
pub(super) const LINKS_MAX: usize = 200;
/// The longest target, bytes; what is longer is no link.
const TARGET_BYTES_MAX: usize = 1_024;
/// The most marks of one line that are looked at.
const MARKS_MAX: usize = 4_096;

/// What a link has to be.
pub(super) const EXPECTED: &str =
    "a path from this folder to a file that is there, or an https URL";

/// What is wrong with a link. What it names elsewhere is never asked for; of a file here only
/// whether it is there.
pub(super) fn wrong(target: &str, exists: &dyn Fn(&str) -> bool) -> Option<&'static str> {
    let path = target.split(['#', '?']).next().unwrap_or_default();
    match scheme(target) {
        Some("https" | "http" | "mailto") => None,
        Some(_) => Some("leads to something that is no page"),
        None if path.is_empty() && target.starts_with('#') => None,
        None if path.is_empty() => Some("is empty"),
        None if path.starts_with('/') => Some("begins at the root of this machine"),
        None if exists(path) => None,
        None => Some("leads nowhere"),
    }
}

/// `https` of `https://…`; a drive letter or a file with a colon in it has none.
fn scheme(target: &str) -> Option<&str> {
    let (scheme, _) = target.split_once(':')?;
    let named = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    named.then_some(scheme)
}

/// Line and target of each `[text](target)` outside code.
pub(super) fn inline<'t>(lines: &[Line<'t>]) -> impl Iterator<Item = (usize, &'t str)> {
    let prose = lines.iter().filter(|line| !line.code);
    prose.flat_map(|line| targets(line.text).into_iter().map(|target| (line.number, target)))
}

/// The targets on one line, in one pass: a line may be as long as a document.
fn targets(text: &str) -> Vec<&str> {
    let (mut found, mut in_code) = (Vec::new(), false);
    for (at, mark) in text.match_indices(['`', ']']).take(MARKS_MAX) {
        if mark == "`" {
            in_code = !in_code;
            continue;
        }
        let Some(rest) = text[at..].strip_prefix("](").filter(|_| !in_code) else { continue };
        let end = rest.bytes().take(TARGET_BYTES_MAX).position(|b| matches!(b, b')' | b' '));
        found.extend(end.and_then(|end| rest.get(..end)));
        if found.len() > LINKS_MAX {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::body::Body;
    use super::*;

    #[test]
    fn links_lead_to_pages_and_to_files_that_are_there() {
        let there = |path: &str| path == "a.md";
        for fine in ["https://x.example", "mailto:a@x.example", "a.md", "a.md#b", "#b"] {
            assert_eq!(wrong(fine, &there), None, "{fine}");
        }
        for bad in ["b.md", "", "/etc/passwd", "javascript:alert(1)", "file:///a.md", "?x"] {
            assert!(wrong(bad, &there).is_some(), "{bad}");
        }
    }

    #[test]
    fn links_in_code_are_none() {
        let body = Body::of("[a](b.md) `[c](d)` ![e](f \"t\")\n```\n[g](h)\n```\n[i](j", 3);
        assert_eq!(inline(&body.lines).collect::<Vec<_>>(), [(3, "b.md"), (3, "f")]);
    }
}
