//! Contracts that somebody broke: whatever is read is refused or used, and nothing panics.

use std::path::Path;

use plimsoll_contracts::{Source, draft_manifest, load, merged_document, parse_document};
use plimsoll_manifest::{Manifest, parse};
use plimsoll_snapshot::template::Template;
use proptest::prelude::*;

const SEEDS: [&str; 3] = [
    concat!(
        r##"{"swagger":"2.0","basePath":"/v1","consumes":["a/b"],"paths":{"/a/{x}":{"##,
        r##""parameters":[{"$ref":"#/parameters/p"},{"in":"body","name":"b","##,
        r##""schema":{"$ref":"#/definitions/D"}}],"get":{"security":[{"b":[]}],"##,
        r##""responses":{"200":{"schema":{"$ref":"#/definitions/D"},"##,
        r##""examples":{"a/b":1}}}},"post":{"operationId":"login"}}},"##,
        r##""parameters":{"p":{"in":"query","name":"q","type":"array","##,
        r##""collectionFormat":"ssv"}},"securityDefinitions":{"b":{"type":"basic"}},"##,
        r##""definitions":{"D":{"discriminator":"k","properties":{"##,
        r##""d":{"$ref":"#/definitions/D"}}}}}"##,
    ),
    concat!(
        r##"{"openapi":"3.0.3","servers":[{"url":"/v{n}","variables":{"##,
        r##""n":{"default":"1"}}}],"security":[{"o":["s"]},{}],"paths":{"##,
        r##""/a/{x}.json":{"$ref":"#/components/pathItems/i"},"/pay":{"post":{"x-cost":3,"##,
        r##""responses":{"default":{"$ref":"#/components/responses/r"}}}}},"components":{"##,
        r##""pathItems":{"i":{"get":{"operationId":"g"}}},"responses":{"r":{"##,
        r##""links":{"l":{"operationId":"g"}}}},"securitySchemes":{"##,
        r##""o":{"type":"oauth2","flows":{}}}}}"##,
    ),
    "openapi: 3.1.0
info: {title: A, version: 1}
paths:
  /a: &a
    get: {operationId: x, tags: [t], parameters: [{name: p, in: query}]}
  /b: {put: {summary: s}}
  /c:
    <<: *a
    get: {}
components:
  schemas:
    S: {type: [string, 'null'], pattern: '^a+$'}
",
];

const MANIFEST: &str = r#"
[[service]]
name = "one"
contract = "broken"
urls = ["http://127.0.0.1:1"]
[[service]]
name = "two"
contract = "sound"
urls = ["http://127.0.0.1:2"]
[service.version]
prefix = "/two"
"#;

/// A seed with some of its bytes replaced, removed, or repeated.
fn broken() -> impl Strategy<Value = Vec<u8>> {
    let edit = (
        any::<prop::sample::Index>(),
        0_u8..3,
        prop::sample::select(&b"{}[]\":,/#$~%&*<-a1 \n\xff"[..]),
    );
    (0..SEEDS.len(), prop::collection::vec(edit, 0..5)).prop_map(|(seed, edits)| {
        let mut bytes = SEEDS[seed].as_bytes().to_vec();
        for (place, kind, byte) in edits {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_broken_contract_is_refused_or_used(bytes in broken()) {
        let Ok(document) = parse_document(&bytes) else { return Ok(()) };
        let draft = draft_manifest(Some((&document, "openapi.json")), "http://127.0.0.1:1");
        let sound = parse(&draft, Path::new("plimsoll.toml"));
        prop_assert!(sound.is_ok(), "{:?}\n{}", sound, draft);

        let manifest: Manifest = parse(MANIFEST, Path::new("plimsoll.toml")).unwrap();
        let source = Source { manifest: &manifest, file: None, base_dir: Path::new("") };
        let read = |path: &Path| {
            let broken = path == Path::new("broken");
            Ok(if broken { bytes.clone() } else { SEEDS[1].as_bytes().to_vec() })
        };
        if let Ok(routes) = load(source, &read) {
            let merged = merged_document(&routes).unwrap();
            let has_paths = merged["paths"].is_object();
            prop_assert!(has_paths, "{}", merged);
            let mut ids = std::collections::HashSet::new();
            for operation in &routes.services[0].operations {
                prop_assert!(Template::parse(&operation.template).is_ok());
                prop_assert!(ids.insert(&operation.id), "{} twice", operation.id);
            }
            // What was read is what is served: it can be read again, and says the same.
            let served = routes.services[0].document.as_ref().unwrap().to_string();
            let again = load(source, &|path: &Path| {
                let broken = path == Path::new("broken");
                Ok(if broken { served.clone().into_bytes() } else { SEEDS[1].as_bytes().to_vec() })
            });
            let again = again.unwrap();
            prop_assert_eq!(&again.services[0].operations, &routes.services[0].operations);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(document) = parse_document(&bytes) {
            prop_assert!(document.value().is_object());
        }
    }
}

#[test]
fn the_seeds_are_sound() {
    for seed in SEEDS {
        parse_document(seed.as_bytes()).unwrap_or_else(|faults| panic!("{faults:?}"));
    }
}
