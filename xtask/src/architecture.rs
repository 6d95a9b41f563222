//! ARCHITECTURE.md names every crate, and no crate that does not exist.

use std::collections::BTreeSet;

use crate::CheckError;
use crate::finding::Finding;
use crate::house::{House, read_text};

const FILE: &str = "ARCHITECTURE.md";
/// The section whose table is the list of crates.
const SECTION: &str = "## The crates";

/// Compares the table of crates with the workspace.
pub(crate) fn check(house: &House) -> Result<Vec<Finding>, CheckError> {
    let text = read_text(&house.root.join(FILE))?;
    let named = named(&text);
    let mut findings = Vec::new();
    for member in &house.members {
        if !named.iter().any(|(_, dir)| *dir == member.dir) {
            findings.push(Finding::error(
                FILE,
                None,
                format!("it does not name `{}`", member.dir),
                format!("add a row to the table under `{SECTION}`: what it is, what it never does"),
            ));
        }
    }
    let mut seen = BTreeSet::new();
    for (line, dir) in named {
        if !house.members.iter().any(|member| member.dir == dir) {
            findings.push(Finding::error(
                FILE,
                Some(line),
                format!("it names `{dir}`, which is no crate of the workspace"),
                "remove the row, or give the crate back its name",
            ));
        }
        if !seen.insert(dir) {
            findings.push(Finding::error(
                FILE,
                Some(line),
                format!("it names `{dir}` twice"),
                "keep one row",
            ));
        }
    }
    Ok(findings)
}

/// Line and directory of each row: the first code span of its first cell.
fn named(text: &str) -> Vec<(usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .skip_while(|(_, line)| *line != SECTION)
        .skip(1)
        .take_while(|(_, line)| !line.starts_with("## "))
        .filter_map(|(index, line)| {
            let cell = line.strip_prefix('|')?.split('|').next()?;
            Some((index + 1, cell.split('`').nth(1)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::fixture::Tree;

    fn found(rows: &str) -> Vec<String> {
        let tree = Tree::workspace("", &[("crates/base", ""), ("crates/edge", "")]);
        let text = format!(
            "# Map\n\n| `crates/elsewhere` | not in the section |\n\n{SECTION}\n\n\
             | Crate | What |\n|---|---|\n{rows}\n## Next\n\n| `crates/after` | |\n"
        );
        tree.write(FILE, &text);
        check(&tree.house()).unwrap().iter().map(ToString::to_string).collect()
    }

    const BASE: &str = "| [`crates/base`](crates/base) | ground |\n";
    const EDGE: &str = "| `crates/edge` | uses `base` |\n";

    #[test]
    fn every_crate_once_is_right() {
        assert_eq!(found(&format!("{BASE}{EDGE}")), [""; 0]);
    }

    #[test]
    fn a_missing_crate_is_named() {
        let found = found(BASE);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("does not name `crates/edge`"), "{}", found[0]);
    }

    #[test]
    fn a_crate_that_is_gone_or_named_twice_is_named() {
        let found = found(&format!("{BASE}{EDGE}{EDGE}| `crates/gone` | |\n"));
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("names `crates/edge` twice"), "{}", found[0]);
        assert!(found[1].contains("ARCHITECTURE.md:12"), "{}", found[1]);
        assert!(found[1].contains("names `crates/gone`"), "{}", found[1]);
    }

    #[test]
    fn a_house_without_the_page_is_an_error() {
        let tree = Tree::workspace("", &[("crates/base", "")]);
        assert!(matches!(check(&tree.house()), Err(CheckError::Io { .. })));
    }
}
