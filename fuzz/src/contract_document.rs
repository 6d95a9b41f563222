//! Parser: `plimsoll_contracts::parse_document` and `load` (OpenAPI 3.0, 3.1, Swagger 2.0; JSON and
//! YAML). Input: the document. Whatever loads must also route.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use plimsoll_contracts::{Source, load, parse_document};
use plimsoll_edge::router::{Router, RouterFault, RouterOptions};
use plimsoll_manifest::Manifest;

/// Feeds the parser.
pub fn run(data: &[u8]) {
    static MANIFEST: OnceLock<Manifest> = OnceLock::new();
    let manifest = MANIFEST.get_or_init(|| {
        let url = "http://127.0.0.1:3000".parse().expect("a URL");
        Manifest::for_upstream(url, Some(PathBuf::from("openapi.json")))
    });
    match parse_document(data) {
        Ok(document) => {
            serde_json::to_vec(document.value()).expect("a document cannot be served");
        }
        Err(faults) => told(&faults),
    }
    let source = Source { manifest, file: None, base_dir: Path::new("") };
    let routes = match load(source, &|_| Ok(data.to_vec())) {
        Ok(routes) => routes,
        Err(faults) => return told(&faults),
    };
    for operation in routes.services.iter().flat_map(|s| &s.operations) {
        assert!(operation.template.starts_with('/'), "{:?}", operation.template);
        assert!(!operation.id.is_empty() && operation.id.len() <= 1024, "{:?}", operation.id);
    }
    let written = routes.to_json().expect("a route table cannot be written");
    drop(written);
    match Router::build(&routes, &RouterOptions::from_manifest(manifest)) {
        // Two operations on the same paths are found where all services come together.
        Ok(_) | Err(RouterFault::Conflict { .. }) => {}
        Err(fault) => panic!("it loads and does not route: {fault}"),
    }
}

fn told(faults: &[plimsoll_contracts::Fault]) {
    assert!(!faults.is_empty(), "refused without a word");
    for fault in faults {
        assert!(!fault.message.is_empty());
        assert!(!fault.to_string().contains('\n'), "a fault of several lines: {fault}");
    }
}
