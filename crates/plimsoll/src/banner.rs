//! What a person sees when it starts.

use std::io::{self, Write as _};

use crate::node::{Node, weaknesses};

/// Says where everything is, and what is weak, on standard error: standard output is the access
/// log's.
pub(crate) fn print(node: &Node) {
    let mut text = String::from("plimsoll: up\n");
    let config = node.edge.config();
    let scheme = if config.manifest().edge.tls.is_some() { "https" } else { "http" };
    for address in &node.facts.listeners {
        text.push_str(&format!("  edge     {scheme}://{address}\n"));
    }
    text.push_str(&format!("  console  http://{}/\n", node.facts.ops));
    text.push_str(&format!("  board    http://{}/board\n", node.facts.ops));
    for service in &config.manifest().services {
        let urls: Vec<String> = service
            .active_release()
            .map(|release| release.urls.iter().map(ToString::to_string).collect())
            .unwrap_or_default();
        let contract = match &service.contract {
            Some(path) => format!("contract {}", path.display()),
            None => "no contract".to_owned(),
        };
        text.push_str(&format!(
            "  service  {} -> {} ({contract})\n",
            service.name,
            urls.join(", ")
        ));
    }
    text.push_str(&format!("  data     {}\n", node.facts.data_dir.display()));
    for weak in weaknesses(&config) {
        text.push_str(&format!("  note     {}: {} -> {}\n", weak.title, weak.why, weak.next));
    }
    // A closed standard error is no reason not to serve.
    let _told = io::stderr().write_all(text.as_bytes()).is_ok();
}
