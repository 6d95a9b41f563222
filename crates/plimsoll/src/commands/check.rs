//! `plimsoll check`: every fault of a manifest and of the contracts it names.

use std::io::{self, Write as _};
use std::path::Path;

use plimsoll_edge::router::{Overlap, Router, RouterOptions};
use plimsoll_edge::shadowed;
use plimsoll_manifest::{Fault, Overrides};
use serde_json::json;

use crate::cli::{Check, Output};
use crate::exit::Failure;
use crate::journeys;
use crate::setup::{Setup, Source, failure};

pub(crate) fn run(arguments: &Check) -> Result<(), Failure> {
    let source = Source::File(arguments.manifest.clone());
    let checked = source
        .load(Path::new(""), &Overrides::default())
        .and_then(|setup| collisions(&arguments.manifest, &setup).map(|()| setup));
    let shown = arguments.manifest.display();
    let mut out = io::stdout();
    match (checked, arguments.output) {
        (Ok(setup), Output::Text) => {
            let services = setup.input.routes.services.len();
            let operations: usize =
                setup.input.routes.services.iter().map(|s| s.operations.len()).sum();
            writeln!(
                out,
                "{shown}: no faults ({services} {}, {operations} {})",
                plural(services, "service"),
                plural(operations, "operation"),
            )
            .map_err(Failure::unwritten)?;
            for notice in notices(&setup) {
                writeln!(out, "{shown}: note: {notice}").map_err(Failure::unwritten)?;
            }
            Ok(())
        }
        (Ok(setup), Output::Json) => {
            let answer = json!({
                "faults": [], "notices": notices(&setup), "hash": setup.input.hash,
            });
            writeln!(out, "{answer:#}").map_err(Failure::unwritten)
        }
        (Err(faults), Output::Text) => Err(failure(&faults)),
        (Err(faults), Output::Json) => {
            let answer = json!({ "faults": faults });
            writeln!(out, "{answer:#}").map_err(Failure::unwritten)?;
            Err(Failure::FaultsTold)
        }
    }
}

/// What is no fault, but may not be meant.
fn notices(setup: &Setup) -> Vec<String> {
    let options = RouterOptions::from_manifest(&setup.input.manifest);
    // A table that cannot be routed was refused as a fault.
    let Ok(router) = Router::build(&setup.input.routes, &options) else { return Vec::new() };
    let said = |overlap: &Overlap<'_>| {
        format!("{}: the operations keep their own policies", overlap.said())
    };
    let overlaps = router.overlaps();
    overlaps.iter().map(said).chain(journeys::notices(&setup.input.manifest)).collect()
}

/// Paths of our own that a contract or a passthrough has, too: those go first, so that what the
/// manifest switches on would never be reached.
fn collisions(manifest: &Path, setup: &Setup) -> Result<(), Vec<Fault>> {
    let shadowed = shadowed(&setup.input)
        .map_err(|error| vec![Fault::of_file(manifest, error.to_string())])?;
    let faults: Vec<Fault> = shadowed
        .into_iter()
        .map(|shadowed| Fault {
            key: "status.public".to_owned(),
            ..Fault::of_file(manifest, format!("{} is taken by {}", shadowed.path, shadowed.by))
                .expecting("`false`, or another path in the contract")
        })
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}
