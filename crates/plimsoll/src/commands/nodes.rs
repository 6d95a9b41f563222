//! `plimsoll nodes`: every node, what it runs, and which epoch it has applied.

use http::Method;
use plimsoll_console::{NodesAnswer, nodes_differ};

use crate::cli::{Output, Running};
use crate::commands::ask::{ask, data_dir, say, say_json, span};
use crate::exit::Failure;

pub(crate) fn run(arguments: &Running) -> Result<(), Failure> {
    let directory = data_dir(arguments.data_dir.as_deref())?;
    let answer = ask(&directory, Method::GET, "/api/v1/nodes", None)?;
    if arguments.output == Output::Json {
        return say_json(&answer);
    }
    let answer: NodesAnswer = serde_json::from_value(answer).map_err(Failure::failed)?;
    say(format!("epoch {}", answer.epoch))?;
    let differ = nodes_differ(&answer.nodes);
    for node in &answer.nodes {
        let manifest = node.manifest_hash.get(..12).unwrap_or(&node.manifest_hash);
        let differs = match node.manifest_differs {
            true if differ => "  NODES DIFFER in their manifests",
            true => "  OTHER MANIFEST than most nodes",
            false => "",
        };
        say(format!(
            "{:<8} {}  {} {}  epoch {} applied {} ago  seen {} ago  manifest {manifest}{differs}",
            node.state,
            node.name,
            node.roles,
            node.version,
            node.epoch,
            span(node.applied_ago_ms),
            span(node.seen_ago_ms),
        ))?;
    }
    Ok(())
}
