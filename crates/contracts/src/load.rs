//! From the manifest's services to the route table.

use std::collections::HashMap;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use plimsoll_manifest::{Fault, Loaded, Manifest, Service, VersionRule};
use plimsoll_snapshot::{ApiVersion, Routes, ServiceRoutes};
use serde_json::{Value, json};

use crate::bounds::DOCUMENT_BYTES_MAX;
use crate::check::shown;
use crate::document::{Document, parse_document};
use crate::faults::{self, Faults, fault};
use crate::operations::{self, Found};
use crate::policy;

/// The manifest and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// The file it was read from; `None` where there is none.
    pub file: Option<&'a FilePath>,
    /// The directory that its contracts are relative to.
    pub base_dir: &'a FilePath,
}

impl<'a> From<&'a Loaded> for Source<'a> {
    fn from(loaded: &'a Loaded) -> Self {
        Self {
            manifest: &loaded.manifest,
            file: loaded.path.as_deref(),
            base_dir: &loaded.base_dir,
        }
    }
}

/// A service on its way into the route table.
pub(crate) struct Loading {
    pub(crate) routes: ServiceRoutes,
    pub(crate) found: Vec<Found>,
    contract: Option<Contract>,
}

struct Contract {
    file: PathBuf,
    text: Vec<u8>,
    document: Value,
    /// The version prefix that was put before its paths.
    prefix: String,
}

/// Reads a contract file, and no more of it than may be used.
///
/// # Errors
///
/// What the operating system says.
pub fn read_contract(path: &FilePath) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    let bound = u64::try_from(DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::open(path)?.take(bound).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes the route table: reads each service's contract with `read` ([`read_contract`], or a fake),
/// and applies the manifest's `[[operation]]` policies.
///
/// # Errors
///
/// Every fault of every contract and of the policies, with file, JSON pointer (or the manifest's
/// key) and, where it can be told, the line.
pub fn load(
    source: Source<'_>,
    read: &dyn Fn(&FilePath) -> io::Result<Vec<u8>>,
) -> Result<Routes, Vec<Fault>> {
    let mut services = Vec::new();
    let mut wrong = Vec::new();
    for service in &source.manifest.services {
        match begin(service, source.base_dir, read) {
            Ok(loading) => services.push(loading),
            Err(faults) => wrong.extend(faults),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut faults = Faults::default();
    policy::apply(source.manifest, &mut services, &mut faults);
    wrong.extend(conflicts(&services, &mut faults));
    if let Err(faults) = faults.or(()) {
        let file = source.file.unwrap_or(FilePath::new(""));
        let text = source.file.and_then(|file| read(file).ok()).unwrap_or_default();
        wrong.extend(policy::place(faults, file, &String::from_utf8_lossy(&text)));
    }
    if wrong.is_empty() {
        Ok(Routes::new(services.into_iter().map(finish).collect()))
    } else {
        Err(wrong)
    }
}

fn begin(
    service: &Service,
    base_dir: &FilePath,
    read: &dyn Fn(&FilePath) -> io::Result<Vec<u8>>,
) -> Result<Loading, Vec<Fault>> {
    let version = service.version_rule().map(|rule| match rule {
        VersionRule::Prefix(prefix) => {
            ApiVersion::Prefix(prefix.as_str().trim_end_matches('/').to_owned())
        }
        VersionRule::Header { name, value } => {
            ApiVersion::Header { name: name.as_str().to_ascii_lowercase(), value: value.to_owned() }
        }
    });
    let routes = ServiceRoutes {
        service: service.name.as_str().to_owned(),
        version,
        has_contract: service.contract.is_some(),
        operations: Vec::new(),
        document: None,
    };
    let Some(contract) = &service.contract else {
        return Ok(Loading { routes, found: Vec::new(), contract: None });
    };
    let file = base_dir.join(contract);
    let text = read(&file).map_err(|error| {
        let message = format!("the contract of service `{}` cannot be read: {error}", service.name);
        vec![Fault::of_file(&file, message)]
    })?;
    let placed = |faults| faults::place(faults, &file, &text);
    let document = parse_document(&text).map_err(placed)?;
    let (found, prefix) = routed_operations(&document, routes.version.as_ref()).map_err(placed)?;
    let contract = Contract { document: document.value, prefix, file, text };
    Ok(Loading { routes, found, contract: Some(contract) })
}

/// The operations of a document on their own.
///
/// # Errors
///
/// Every fault of its operations.
pub(crate) fn routed_operations(
    document: &Document,
    version: Option<&ApiVersion>,
) -> Result<(Vec<Found>, String), Vec<Fault>> {
    let collect = |prefix: &str| {
        let mut faults = Faults::default();
        let found = operations::collect(&document.value, prefix, &mut faults);
        faults.or(found)
    };
    let found = collect("")?;
    let Some(ApiVersion::Prefix(prefix)) = version else {
        return Ok((found, String::new()));
    };
    // A contract whose paths all have the prefix already describes what clients call; one without
    // describes the backend, before which the prefix stands.
    let below = |found: &Found| {
        let rest = found.route.template.strip_prefix(prefix.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if found.iter().all(below) {
        return Ok((found, String::new()));
    }
    Ok((collect(prefix)?, prefix.clone()))
}

/// Operations of two services on the same method and paths, where nothing tells the services
/// apart. (Inside one contract that is found when it is read.) The faults of operations that only
/// the manifest declares go to `manifest`.
fn conflicts(services: &[Loading], manifest: &mut Faults) -> Vec<Fault> {
    let mut seen: HashMap<(Option<&ApiVersion>, &str, &str), (usize, &Found)> = HashMap::new();
    let mut wrong = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let version = service.routes.version.as_ref();
        let version = version.filter(|version| matches!(version, ApiVersion::Header { .. }));
        let mut faults = Faults::default();
        for found in &service.found {
            let key = (version, found.route.method.as_str(), found.shape.as_str());
            let (first, other) = *seen.entry(key).or_insert((index, found));
            if first != index {
                let message = format!(
                    "{} {} is an operation of service `{}` too ({})",
                    found.route.method,
                    shown(&found.route.template),
                    services[first].routes.service,
                    shown(&other.route.id),
                );
                let fault = fault(&found.pointer, message)
                    .expecting("paths of its own, or `[service.version]` to tell the two apart");
                let list =
                    if found.pointer.starts_with('#') { &mut faults } else { &mut *manifest };
                list.push(fault);
            }
        }
        if let (Some(contract), Err(faults)) = (&service.contract, faults.or(())) {
            wrong.extend(faults::place(faults, &contract.file, &contract.text));
        }
    }
    wrong
}

fn finish(loading: Loading) -> ServiceRoutes {
    let Loading { mut routes, found, contract } = loading;
    routes.document = contract.map(|contract| Arc::new(served(contract, &found)));
    routes.operations = found.into_iter().map(|found| found.route).collect();
    routes
}

/// The document as the edge serves it: `servers` say where its paths are on the edge (and not
/// where the backend is), and every operation has the id that policies and figures use.
fn served(contract: Contract, found: &[Found]) -> Value {
    let Contract { mut document, prefix, .. } = contract;
    let empty = serde_json::Map::new();
    let base = |document: &Value, item: &Value, operation: &Value| {
        let object = |value: &Value| value.as_object().cloned().unwrap_or_else(|| empty.clone());
        operations::base_path(document, &object(item), &object(operation)).unwrap_or_default()
    };
    let server = |base: &str| {
        let url = format!("{prefix}{base}");
        json!([{ "url": if url.is_empty() { "/" } else { &url } }])
    };
    let root_base = base(&document, &Value::Null, &Value::Null);
    let mut own: Vec<(String, Value)> = Vec::new();
    for operation in found {
        let item_pointer = operation.pointer.rsplit_once('/').map_or("", |(item, _)| item);
        let at = |pointer: &str| {
            document.pointer(pointer.trim_start_matches('#')).unwrap_or(&Value::Null)
        };
        for pointer in [item_pointer, &operation.pointer] {
            if at(pointer).get("servers").is_some() {
                let inner = if pointer == item_pointer { &Value::Null } else { at(pointer) };
                let url = server(&base(&document, at(item_pointer), inner));
                own.push((format!("{pointer}/servers"), url));
            }
        }
        if at(&operation.pointer).is_object() {
            let id = operation.route.id.as_str().into();
            own.push((format!("{}/operationId", operation.pointer), id));
        }
    }
    if let Value::Object(root) = &mut document {
        root.insert("servers".into(), server(&root_base));
    }
    for (pointer, value) in own {
        let (holder, field) = pointer.rsplit_once('/').unwrap_or_default();
        let holder = document.pointer_mut(holder.trim_start_matches('#'));
        if let Some(Value::Object(holder)) = holder {
            holder.insert(field.to_owned(), value);
        }
    }
    document
}
