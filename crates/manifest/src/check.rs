//! What single values cannot show: names used twice or not at all, addresses and paths that
//! collide, settings that contradict each other, files that are not there.

mod auth;
mod compression;
mod cors;
mod files;
mod journeys;
mod limits;
mod listeners;
mod objectives;
mod operations;
mod paths;
mod services;
mod telemetry;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use crate::shape::RawFault;
use crate::tree::{Node, Value};
use crate::{Manifest, Overrides};

/// Every fault of a manifest as a whole. The file system is looked at only when there is a
/// directory that relative paths start from.
pub(crate) fn check(
    manifest: &Manifest,
    tree: Option<&Node>,
    names: &Names,
    overrides: &Overrides,
    base_dir: Option<&Path>,
) -> Vec<RawFault> {
    let mut cx = Context { manifest, tree, names, overrides, faults: Vec::new() };
    listeners::check(&mut cx);
    services::check(&mut cx);
    paths::check(&mut cx);
    auth::check(&mut cx);
    cors::check(&mut cx);
    compression::check(&mut cx);
    limits::check(&mut cx);
    operations::check(&mut cx);
    journeys::check(&mut cx);
    objectives::check(&mut cx);
    telemetry::check(&mut cx);
    if let Some(base_dir) = base_dir {
        files::check(&mut cx, base_dir);
    }
    cx.faults
}

/// Names as the text has them, also those of tables too faulty to be read: what refers to them is
/// no fault of its own.
#[derive(Debug, Default)]
pub(crate) struct Names {
    services: BTreeSet<String>,
    operations: BTreeSet<String>,
}

impl Names {
    pub(crate) fn of(root: &Node) -> Self {
        let all = |table: &str, key: &str| {
            let list = root.as_table().and_then(|root| root.get(table)).and_then(Node::as_array);
            let items = list.into_iter().flat_map(|list| &list.items);
            items
                .filter_map(|(_, item)| item.as_table()?.get(key)?.as_text())
                .map(str::to_owned)
                .collect()
        };
        Self { services: all("service", "name"), operations: all("operation", "id") }
    }

    pub(crate) fn of_manifest(manifest: &Manifest) -> Self {
        let services = manifest.services.iter().map(|s| s.name.as_str().to_owned()).collect();
        let operations = manifest.operations.iter().filter_map(|o| o.id.clone()).collect();
        Self { services, operations }
    }
}

/// The manifest, the tree it was read from, and the faults so far.
struct Context<'a> {
    manifest: &'a Manifest,
    /// None for a manifest that was not read from a text.
    tree: Option<&'a Node>,
    names: &'a Names,
    overrides: &'a Overrides,
    faults: Vec<RawFault>,
}

impl Context<'_> {
    fn refuse(&mut self, key: &str, message: impl Into<String>, expected: impl Into<String>) {
        let fault = self.fault(key, message).expecting(expected);
        self.faults.push(fault);
    }

    fn suggest(
        &mut self,
        key: &str,
        message: impl Into<String>,
        expected: impl Into<String>,
        suggestion: Option<impl Into<String>>,
    ) {
        let fault = self.fault(key, message).expecting(expected).suggesting(suggestion);
        self.faults.push(fault);
    }

    fn fault(&self, key: &str, message: impl Into<String>) -> RawFault {
        if let Some(argument) = self.argument(key) {
            return RawFault::new(None, argument, message);
        }
        let found = self.find(key);
        RawFault::new(found.span, &found.shown, message)
    }

    /// The argument that a value came from, if it came from one.
    fn argument(&self, key: &str) -> Option<&'static str> {
        let overridden = self.overrides;
        if key.starts_with("edge.listen") && !overridden.listen.is_empty() {
            Some("--listen")
        } else if key.starts_with("ops.listen") && overridden.ops_listen.is_some() {
            Some("--ops-listen")
        } else if self.tree.is_none() && key.starts_with("service[0].urls") {
            Some("--upstream")
        } else if self.tree.is_none() && key.starts_with("service[0].contract") {
            Some("--openapi")
        } else {
            None
        }
    }

    /// Whether the text itself says this key, so that it is the author's word and no default.
    fn written(&self, key: &str) -> bool {
        self.find(key).whole
    }

    /// Whether the table or list at `key` lost something (in a table: this entry) to a fault that
    /// is reported already.
    fn lost(&self, key: &str, entry: &str) -> bool {
        match self.find(key) {
            Found { node: Some(node), whole: true, .. } => match &node.value {
                Value::Table(table) => table.lost.contains(entry),
                Value::Array(array) => array.lost,
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether services, or what they say of contracts, were lost to faults.
    fn services_lost(&self) -> bool {
        self.lost("", "service")
            || self.lost("service", "")
            || (0..self.manifest.services.len())
                .any(|index| self.lost(&format!("service[{index}]"), "contract"))
    }

    /// Whether there is an issuer, be it one that is faulty.
    fn has_issuer(&self) -> bool {
        !self.manifest.auth.issuers.is_empty()
            || self.lost("", "auth")
            || self.lost("auth", "issuer")
            || self.lost("auth.issuer", "")
    }

    /// Follows a key such as `service[0].urls[1]`, with indices as the typed manifest has them.
    fn find(&self, key: &str) -> Found<'_> {
        let mut found =
            Found { node: self.tree, span: None, shown: String::new(), whole: self.tree.is_some() };
        found.span = self.tree.map(|root| root.span.clone());
        for part in key.split('.').filter(|part| !part.is_empty()) {
            let (name, indices) = part.split_once('[').unwrap_or((part, ""));
            found.step(name);
            for index in indices.split(['[', ']']).filter(|index| !index.is_empty()) {
                found.step_into(index.parse().unwrap_or(usize::MAX));
            }
        }
        found
    }

    /// Reports every name in `named` (key, name) that was there before.
    fn refuse_repeated(&mut self, what: &str, named: impl Iterator<Item = (String, String)>) {
        let mut first: BTreeMap<String, String> = BTreeMap::new();
        for (key, name) in named {
            match first.get(&name) {
                None => {
                    first.insert(name, key);
                }
                Some(other) => {
                    let other = self.find(other).shown;
                    let message = format!("the {what} `{name}` is there already, at {other}");
                    self.refuse(&key, message, format!("another {what}"));
                }
            }
        }
    }

    /// Reports names of operations that do not exist. With a contract they are known only once it
    /// is read; without one all are here.
    fn require_operations<'n>(&mut self, key: &str, named: impl Iterator<Item = &'n str>) {
        if self.manifest.has_contract() || self.services_lost() || self.lost("operation", "") {
            return;
        }
        for (index, id) in named.enumerate() {
            if self.names.operations.contains(id) {
                continue;
            }
            let known: Vec<&str> = self.names.operations.iter().map(String::as_str).collect();
            let suggestion = crate::similar::closest(id, known.iter().copied());
            let suggestion = suggestion.map(str::to_owned);
            let expected = if known.is_empty() {
                "a service with a contract, or an [[operation]] with id, method and path".to_owned()
            } else {
                format!("one of: {}", known.join(", "))
            };
            let message = format!("there is no operation `{}`", crate::values::shown(id));
            self.suggest(&format!("{key}[{index}]"), message, expected, suggestion);
        }
    }

    /// Reports a reference to a service that does not exist.
    fn require_service(&mut self, key: &str, name: &str) {
        if self.names.services.contains(name) || self.lost("service", "") {
            return;
        }
        let known: Vec<&str> = self.names.services.iter().map(String::as_str).collect();
        let suggestion = crate::similar::closest(name, known.iter().copied());
        let suggestion = suggestion.map(str::to_owned);
        let expected = format!("one of: {}", known.join(", "));
        self.suggest(key, format!("there is no service `{name}`"), expected, suggestion);
    }
}

/// How far a key could be followed.
struct Found<'t> {
    node: Option<&'t Node>,
    span: Option<Range<usize>>,
    shown: String,
    whole: bool,
}

impl Found<'_> {
    fn step(&mut self, name: &str) {
        self.shown = crate::tree::join(&self.shown, name);
        let entry = self.node.and_then(Node::as_table).and_then(|table| table.entry(name));
        self.node = entry.map(|entry| &entry.node);
        self.whole &= entry.is_some();
        self.span = entry.map(|entry| entry.node.span.clone()).or(self.span.take());
    }

    fn step_into(&mut self, index: usize) {
        let item = self.node.and_then(Node::as_array).and_then(|array| array.items.get(index));
        self.shown.push_str(&format!("[{}]", item.map_or(index, |(origin, _)| *origin)));
        self.node = item.map(|(_, node)| node);
        self.whole &= item.is_some();
        self.span = item.map(|(_, node)| node.span.clone()).or(self.span.take());
    }
}
