//! Contracts published, versions, objectives.

use super::{Place, stop};

#[test]
fn contracts_are_published_whole_over_the_listener() {
    let place = Place::new();
    let mut edge = place.start(&place.open("", ""));
    let facts = place.seen("contracts.published", |facts| facts["documents"] == 0);
    assert_eq!(facts["says"], "no service has a contract");
    assert!(place.origin.log().exchanges().is_empty(), "the backend is not asked for ours");
    edge.write_manifest(&place.shop("")).unwrap();
    edge.reload().unwrap();
    let facts = place.seen("contracts.published", |facts| facts["documents"] == 2);
    assert_eq!((&facts["operations"], &facts["missing"]), (&5.into(), &0.into()));
    stop(&mut edge);
    let _edge = place.broken(&place.shop(""), "edge.document");
    let facts = place.seen("contracts.published", |facts| facts["missing"] == 5);
    assert_eq!(facts["says"], "/openapi.json: answered with 404");
}

#[test]
fn an_operation_without_a_version_is_named_until_it_has_one() {
    let place = Place::new();
    let edge = place.start(&place.shop(""));
    let facts = place.seen("contracts.versions", |facts| facts["unversioned"] == 5);
    assert_eq!(facts["first_unversioned"], "GET /feed");
    let contract = "contract = \"openapi.json\"";
    let versioned = format!("{contract}\nversion = {{ prefix = \"/v1\" }}");
    edge.write_manifest(&place.open(&versioned, "")).unwrap();
    edge.reload().unwrap();
    place.seen("contracts.versions", |facts| facts["unversioned"] == 0);
    // Published under its prefix, it is found whole all the same.
    place.seen("contracts.published", |facts| facts["missing"] == 0);
    edge.write_manifest(&place.shop("")).unwrap();
    edge.reload().unwrap();
    place.seen("contracts.versions", |facts| facts["unversioned"] == 5);
}

#[test]
fn objectives_are_declared_by_the_manifest_and_by_nothing_else() {
    let place = Place::new();
    let edge = place.start(&place.shop(""));
    let facts = place.seen("manifest.objectives", |facts| facts["objectives"] == 0);
    assert_eq!(facts["latency"], false);
    let declared = "
[[objective]]
name = \"available\"
kind = \"availability\"
target = 0.9995
[[objective]]
name = \"fast\"
kind = \"latency\"
target = 0.95
threshold = \"300ms\"
operations = [\"listFeed\"]
[[objective]]
name = \"stable\"
kind = \"crash_free\"
target = 0.995
";
    edge.write_manifest(&place.shop(declared)).unwrap();
    edge.reload().unwrap();
    let facts = place.seen("manifest.objectives", |facts| facts["objectives"] == 3);
    for kind in ["availability", "latency", "crash_free"] {
        assert_eq!(facts[kind], true, "{facts}");
    }
    let says =
        "3 objectives declared: 99.95 % available, 95 % within 300ms, 99.5 % free of crashes";
    assert_eq!(facts["says"], says);
    let newest = super::newest(place.data_dir(), "manifest.objectives").unwrap();
    assert_eq!(newest["detail"]["how"], "declared");
    edge.write_manifest(&place.shop("")).unwrap();
    edge.reload().unwrap();
    place.seen("manifest.objectives", |facts| facts["objectives"] == 0);
}
