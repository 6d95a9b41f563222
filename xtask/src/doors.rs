//! Doors: which crate may depend on which, and how a crate declares what it depends on.

use std::collections::HashMap;

use toml::{Table, Value};

use crate::CheckError;
use crate::finding::{Finding, line_starting};
use crate::house::{House, Member};
use crate::table::{DoorsTable, Inside};

/// Where a crate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Floor { floor: usize, position: usize },
    DevOnly,
    Alone,
}

/// Every fault of the doors and of the manifests.
pub(crate) fn check(house: &House, table: &DoorsTable) -> Result<Vec<Finding>, CheckError> {
    let places = places(table);
    let mut findings = Vec::new();
    for member in &house.members {
        findings.extend(name(member));
        findings.extend(declarations(house, member)?);
        match places.get(member.word.as_str()) {
            Some(place) => findings.extend(edges(house, table, &places, member, *place)),
            None => findings.push(Finding::error(
                member.manifest_path(),
                None,
                format!("`{}` has no place in the house", member.word),
                "give it a place in xtask/doors.toml, on the floor whose work it does",
            )),
        }
    }
    Ok(findings)
}

fn places(table: &DoorsTable) -> HashMap<&str, Place> {
    let mut places = HashMap::new();
    for (floor, row) in table.floors.iter().enumerate() {
        for (position, word) in row.crates.iter().enumerate() {
            places.insert(word.as_str(), Place::Floor { floor, position });
        }
    }
    let beside = &table.beside;
    places.extend(beside.dev_only.iter().map(|word| (word.as_str(), Place::DevOnly)));
    places.extend(beside.alone.iter().map(|word| (word.as_str(), Place::Alone)));
    places
}

/// The directory is the word, the package is `plimsoll-<word>`; only the binary is the word itself.
fn name(member: &Member) -> Option<Finding> {
    let word = member.dir.strip_prefix("crates/")?;
    let wanted =
        if word == "plimsoll" { word.to_owned() } else { format!("plimsoll-{}", member.word) };
    (member.package != wanted).then(|| {
        Finding::error(
            member.manifest_path(),
            line_starting(&member.manifest, "name"),
            format!("the package is named `{}`", member.package),
            format!("name it `{wanted}`: the directory is the word"),
        )
    })
}

fn edges(
    house: &House,
    table: &DoorsTable,
    places: &HashMap<&str, Place>,
    from: &Member,
    from_place: Place,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for dependency in &from.dependencies {
        let Some(to) = house.member(&dependency.package) else {
            continue;
        };
        let Some(&to_place) = places.get(to.word.as_str()) else {
            continue;
        };
        if let Some((why, todo)) = refusal(table, from_place, to_place, dependency.dev) {
            findings.push(Finding::error(
                from.manifest_path(),
                line_starting(&from.manifest, &dependency.package),
                format!("`{}` depends on `{}`: {why}", from.word, to.word),
                todo,
            ));
        }
    }
    findings
}

/// Why a door is shut, and what to do instead; nothing when it is open.
fn refusal(
    table: &DoorsTable,
    from: Place,
    to: Place,
    dev: bool,
) -> Option<(String, &'static str)> {
    const DATA: &str = "pass what it must know as data (a `snapshot` section), as an event, or as \
                        a value or closure from the composition root";
    match (from, to) {
        (_, Place::Alone) => Some(("nothing depends on it".to_owned(), "remove the dependency")),
        (_, Place::DevOnly) if dev => None,
        (_, Place::DevOnly) => Some((
            "it exists for tests".to_owned(),
            "move it to [dev-dependencies]; what production needs belongs on a floor",
        )),
        (Place::Alone, _) => {
            Some(("it knows nothing of the house".to_owned(), "remove the dependency"))
        }
        (Place::DevOnly, _) => None,
        (Place::Floor { floor: a, position: left }, Place::Floor { floor: b, position: right }) => {
            let (above, below) = (&table.floors[a], &table.floors[b]);
            if a > b || (a == b && above.inside == Inside::Leftward && left > right) {
                None
            } else if a == b {
                Some((format!("a sideways door on the floor `{}`", above.name), DATA))
            } else {
                Some((format!("upwards, from `{}` to `{}`", above.name, below.name), DATA))
            }
        }
    }
}

/// Lints and versions come from the workspace, so that one line changes them for all.
fn declarations(house: &House, member: &Member) -> Result<Vec<Finding>, CheckError> {
    let manifest: Table = toml::from_str(&member.manifest).map_err(|source| CheckError::Toml {
        path: house.root.join(member.manifest_path()),
        source: Box::new(source),
    })?;
    let mut findings = Vec::new();
    let inherits = manifest.get("lints").is_some_and(from_workspace);
    if !inherits {
        findings.push(Finding::error(
            member.manifest_path(),
            None,
            "it has lints of its own or none",
            "write `[lints]` with `workspace = true`",
        ));
    }
    let targets = manifest.get("target").and_then(Value::as_table);
    let sections = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    for section in std::iter::once(&manifest).chain(sections) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(entries) = section.get(kind).and_then(Value::as_table) else {
                continue;
            };
            for (name, entry) in entries {
                if !from_workspace(entry) {
                    findings.push(Finding::error(
                        member.manifest_path(),
                        line_starting(&member.manifest, name),
                        format!("`{name}` in [{kind}] does not come from the workspace"),
                        "name it in [workspace.dependencies] with its features, and write \
                         `workspace = true` here",
                    ));
                }
            }
        }
    }
    Ok(findings)
}

fn from_workspace(entry: &Value) -> bool {
    entry.get("workspace").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::fixture::Tree;

    const LINTS: &str = "[lints]\nworkspace = true\n";

    fn table() -> DoorsTable {
        toml::from_str(include_str!("../doors.toml")).unwrap()
    }

    /// Two crates of the house and one line of dependencies of the second.
    fn faults(lower: &str, upper: &str, section: &str) -> Vec<String> {
        let word = lower.rsplit('/').next().unwrap();
        let package =
            if lower.starts_with("crates/") { format!("plimsoll-{word}") } else { word.to_owned() };
        let tree = Tree::workspace(
            &format!("{package} = {{ path = \"{lower}\" }}\n[workspace.lints]"),
            &[
                (lower, LINTS),
                (upper, &format!("{LINTS}[{section}]\n{package}.workspace = true\n")),
            ],
        );
        found(&tree)
    }

    fn found(tree: &Tree) -> Vec<String> {
        let findings = check(&tree.house(), &table()).unwrap();
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_door_downwards_or_to_the_left_is_open() {
        assert_eq!(faults("crates/base", "crates/edge", "dependencies"), [""; 0]);
        assert_eq!(faults("crates/manifest", "crates/telemetry", "dependencies"), [""; 0]);
        assert_eq!(faults("crates/edge", "crates/console", "dependencies"), [""; 0]);
        assert_eq!(faults("crates/testkit", "crates/base", "dev-dependencies"), [""; 0]);
        assert_eq!(faults("crates/edge", "crates/testkit", "dependencies"), [""; 0]);
    }

    #[test]
    fn a_door_upwards_is_shut() {
        let found = faults("crates/edge", "crates/contracts", "dependencies");
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("crates/contracts/Cargo.toml:8"), "{}", found[0]);
        assert!(found[0].contains("upwards, from `rooms` to `faces`"), "{}", found[0]);
    }

    #[test]
    fn a_door_to_the_right_or_between_rooms_is_shut() {
        for (to, from) in [
            ("crates/telemetry", "crates/manifest"),
            ("crates/flags", "crates/delivery"),
            ("crates/delivery", "crates/flags"),
            ("crates/console", "crates/edge"),
        ] {
            let found = faults(to, from, "dependencies");
            assert_eq!(found.len(), 1, "{from} to {to}: {found:?}");
            assert!(found[0].contains("sideways"), "{}", found[0]);
        }
    }

    #[test]
    fn tests_do_not_open_a_shut_door() {
        assert_eq!(faults("crates/edge", "crates/contracts", "dev-dependencies").len(), 1);
    }

    #[test]
    fn testkit_is_for_tests_and_what_stands_alone_is_alone() {
        let found = faults("crates/testkit", "crates/edge", "dependencies");
        assert!(found[0].contains("exists for tests"), "{found:?}");
        let found = faults("crates/testkit", "crates/edge", "build-dependencies");
        assert!(found[0].contains("exists for tests"), "{found:?}");
        let found = faults("crates/base", "examples/mvp", "dependencies");
        assert!(found[0].contains("knows nothing of the house"), "{found:?}");
        let found = faults("xtask", "crates/testkit", "dependencies");
        assert!(found[0].contains("nothing depends on it"), "{found:?}");
    }

    #[test]
    fn a_crate_without_a_place_is_named() {
        let tree = Tree::workspace("[workspace.lints]", &[("crates/utils", LINTS)]);
        let found = found(&tree);
        assert!(found[0].contains("`utils` has no place"), "{found:?}");
        assert!(found[0].contains("xtask/doors.toml"), "{found:?}");
    }

    #[test]
    fn a_package_is_named_after_its_directory() {
        let tree = Tree::workspace("[workspace.lints]", &[("crates/base", LINTS)]);
        let manifest =
            "[package]\nname = \"ground\"\nedition = \"2024\"\n[lints]\nworkspace = true\n";
        tree.write("crates/base/Cargo.toml", manifest);
        assert!(found(&tree)[0].contains("name it `plimsoll-base`"));
    }

    #[test]
    fn lints_of_its_own_or_none_are_refused() {
        for rest in ["", "[lints.rust]\nunsafe_code = \"allow\"\n"] {
            let tree = Tree::workspace("[workspace.lints]", &[("crates/base", rest)]);
            let found = found(&tree);
            assert_eq!(found.len(), 1);
            assert!(found[0].contains("lints of its own or none"), "{found:?}");
        }
    }

    #[test]
    fn a_dependency_that_is_not_the_workspaces_is_refused() {
        for section in ["dependencies", "dev-dependencies", "target.'cfg(unix)'.dependencies"] {
            let rest = format!("{LINTS}[{section}]\nbytes = \"1\"\n");
            let tree = Tree::workspace("[workspace.lints]", &[("crates/base", &rest)]);
            let found = found(&tree);
            assert_eq!(found.len(), 1, "{section}");
            assert!(found[0].contains("`bytes`"), "{found:?}");
            assert!(found[0].contains("crates/base/Cargo.toml:8"), "{found:?}");
        }
    }
}
