//! Documents: links that lead somewhere, and the form of decision records.

use std::collections::BTreeSet;
use std::path::Path;

use crate::finding::Finding;
use crate::tidy::TextFile;

/// Where decision records live.
const DECISIONS: &str = "docs/adr/";
/// What each of them says, in this order.
const HEADINGS: [&str; 4] =
    ["## Context", "## Decision", "## Consequences", "## What would change our mind"];

/// Every local link of every Markdown file must lead to a file, and its anchor to a heading.
pub(crate) fn links(root: &Path, files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.has_extension("md")) {
        for (line, target) in targets(&file.text) {
            if let Some(what) = broken(root, files, file, target) {
                findings.push(Finding::error(
                    &file.path,
                    Some(line),
                    what,
                    "mend the link: it is relative to the file it stands in",
                ));
            }
        }
    }
    findings
}

fn broken(root: &Path, files: &[TextFile], file: &TextFile, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let resolved = if path.is_empty() { file.path.clone() } else { resolve(&file.path, path) };
    if !root.join(&resolved).exists() {
        return Some(format!("the link `{target}` leads nowhere"));
    }
    let page = files.iter().find(|one| one.path == resolved && one.has_extension("md"))?;
    let found = anchor.is_empty() || anchors(&page.text).contains(anchor);
    (!found).then(|| format!("the link `{target}` names a heading that `{resolved}` has not"))
}

/// `target` as seen from the directory of `from`, relative to the root; a target above the root
/// resolves to a path that does not exist.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Line and target of each link: `[text](target)`, `![text](target)` and `[name]: target`.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for (at, _) in line.match_indices("](").filter(|(at, _)| !in_code(line, *at)) {
            let rest = &line[at + 2..];
            if let Some(end) = rest.find([')', ' ']) {
                found.push((number, &rest[..end]));
            }
        }
        let definition = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        if let Some((_, target)) = definition.filter(|(name, _)| !name.contains(']')) {
            found.push((number, target.trim()));
        }
    }
    found
}

/// Whether a place of the line is inside a code span.
fn in_code(line: &str, at: usize) -> bool {
    line[..at].matches('`').count() % 2 == 1
}

/// Lines outside code fences, counted from one.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

/// The anchors that readers of Markdown make of headings: lower case, words joined by `-`.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter_map(|(_, line)| line.strip_prefix('#'));
    headings
        .map(|heading| {
            let title = heading.trim_start_matches('#').trim();
            let kept = title.chars().filter(|one| one.is_alphanumeric() || " -_".contains(*one));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
        .collect()
}

/// A decision record is named `YYYY-MM-DD-slug.md` and says four things.
pub(crate) fn decisions(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let Some(name) = file.path.strip_prefix(DECISIONS) else {
            continue;
        };
        if !is_record_name(name) {
            findings.push(Finding::error(
                &file.path,
                None,
                "a decision record is named by its date and a slug",
                "name it YYYY-MM-DD-words-of-the-decision.md",
            ));
        }
        let found: Vec<&str> = prose(&file.text)
            .map(|(_, line)| line)
            .filter(|line| line.starts_with("## "))
            .collect();
        if found != HEADINGS {
            findings.push(Finding::error(
                &file.path,
                None,
                "a decision record says four things, in order",
                format!("give it the headings {}", HEADINGS.join(", ")),
            ));
        }
    }
    findings
}

fn is_record_name(name: &str) -> bool {
    let Some((date, slug)) = name.strip_suffix(".md").and_then(|stem| stem.split_at_checked(11))
    else {
        return false;
    };
    let date_shape: String =
        date.chars().map(|one| if one.is_ascii_digit() { '0' } else { one }).collect();
    let plain = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
    date_shape == "0000-00-00-" && !slug.is_empty() && slug.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::fixture::Tree;

    fn files(list: &[(&str, &str)]) -> Vec<TextFile> {
        let file = |(path, text): &(&str, &str)| TextFile {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        list.iter().map(file).collect()
    }

    fn broken_links(list: &[(&str, &str)]) -> Vec<String> {
        let tree = Tree::new(list);
        links(tree.root(), &files(list)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_right() {
        let page = "[a](../b.md) ![b](x/c.png) [d](#a-b-c) [e](../b.md#top)\n\
                    [f](https://x.example)\n\
                    [g]: ../b.md\n## A: `b` c\n`[code](nowhere)`\n```\n[code](nowhere)\n```\n";
        let list = [("docs/a.md", page), ("b.md", "# Top\n"), ("docs/x/c.png", "")];
        assert_eq!(broken_links(&list), [""; 0]);
    }

    #[test]
    fn links_that_lead_nowhere_are_refused() {
        for (target, words) in [
            ("b.md", "leads nowhere"),
            ("../../outside.md", "leads nowhere"),
            ("#nothing", "names a heading"),
            ("../b.md#nothing", "names a heading"),
        ] {
            let page = format!("# A\n\n[a]({target})\n");
            let found = broken_links(&[("docs/a.md", &page), ("b.md", "# Top\n")]);
            assert_eq!(found.len(), 1, "{target}");
            assert!(found[0].contains("docs/a.md:3") && found[0].contains(words), "{}", found[0]);
        }
        assert_eq!(broken_links(&[("a.md", "[a]: gone.md\n")]).len(), 1);
    }

    const RECORD: &str = "# A\n\n## Context\n\n## Decision\n\n## Consequences\n\n\
                          ## What would change our mind\n";

    #[test]
    fn a_record_with_date_slug_and_four_headings_is_right() {
        assert_eq!(decisions(&files(&[("docs/adr/2026-11-22-a-b2.md", RECORD)])), []);
    }

    #[test]
    fn a_record_with_another_name_or_form_is_refused() {
        for name in ["0001-a.md", "2026-11-22.md", "2026-11-22-A.md", "2026-11-22-a.txt"] {
            let found = decisions(&files(&[(&format!("docs/adr/{name}"), RECORD)]));
            assert_eq!(found.len(), 1, "{name}");
            assert!(found[0].what.contains("named by its date"), "{name}");
        }
        let short = RECORD.replace("## Consequences\n", "");
        let found = decisions(&files(&[("docs/adr/2026-11-22-a.md", &short)]));
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("four things"), "{found:?}");
    }
}
