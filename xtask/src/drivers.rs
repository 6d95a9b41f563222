//! Drivers: heavy or dangerous dependencies that only named crates may touch.

use crate::finding::{Finding, line_starting};
use crate::house::House;
use crate::table::{DoorsTable, Driver};

/// A crate that touches a driver without leave, or has leave and does not use it: an allowance
/// nobody needs is a door left open. Dev-dependencies are free.
pub(crate) fn check(house: &House, table: &DoorsTable) -> Vec<Finding> {
    table.drivers.iter().flat_map(|driver| uses(house, driver)).collect()
}

fn uses(house: &House, driver: &Driver) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &house.members {
        let allowed = driver.only.contains(&member.word);
        let used = member.dependencies.iter().any(|one| !one.dev && one.package == driver.package);
        if used && !allowed {
            findings.push(Finding::error(
                member.manifest_path(),
                line_starting(&member.manifest, &driver.package),
                format!("`{}` depends on the driver `{}`", member.word, driver.package),
                format!(
                    "only {} may ({}); go through one of them, or move it to [dev-dependencies]",
                    driver.only.join(", "),
                    driver.reason
                ),
            ));
        }
        if allowed && !used {
            findings.push(Finding::error(
                "xtask/doors.toml",
                None,
                format!("`{}` may use `{}` and does not", member.word, driver.package),
                "take it off the driver's `only` list",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::fixture::Tree;

    fn table() -> DoorsTable {
        toml::from_str(
            "[beside]\ndev_only = []\nalone = []\n\
             [[floor]]\nname = \"ground\"\ninside = \"never\"\ncrates = []\n\
             [[driver]]\ncrate = \"hyper\"\nonly = [\"edge\"]\nreason = \"one parser\"\n",
        )
        .unwrap()
    }

    fn found(members: &[(&str, &str)]) -> Vec<String> {
        let tree = Tree::workspace("hyper = \"1\"", members);
        check(&tree.house(), &table()).iter().map(ToString::to_string).collect()
    }

    const USES: &str = "[dependencies]\nhyper.workspace = true\n";

    #[test]
    fn the_named_crate_and_every_test_may() {
        let dev = "[dev-dependencies]\nhyper.workspace = true\n";
        assert_eq!(found(&[("crates/edge", USES), ("crates/flags", dev)]), [""; 0]);
    }

    #[test]
    fn another_crate_may_not() {
        let found = found(&[("crates/edge", USES), ("crates/flags", USES)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("crates/flags/Cargo.toml:6"), "{}", found[0]);
        assert!(found[0].contains("only edge may (one parser)"), "{}", found[0]);
    }

    #[test]
    fn an_allowance_nobody_uses_is_taken_away() {
        let found = found(&[("crates/edge", "")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("`edge` may use `hyper` and does not"), "{}", found[0]);
    }
}
