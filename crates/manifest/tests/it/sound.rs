//! Sound manifests and what they mean.

use std::path::PathBuf;
use std::time::Duration;

use plimsoll_manifest::{
    AccessLogFormat, Algorithm, EdgeSection, ForwardPrincipal, LimitPer, LimitUnits, Manifest,
    Method, OperationSecurity, OriginUrl, PassthroughKind, PassthroughSecurity, UnknownPaths,
    VersionRule,
};

use crate::support::{CONTRACTED, ISSUER, SHOP, sound};

/// Every key of the manifest, none at its default.
pub(crate) const FULL: &str = include_str!("full.toml");

#[test]
fn every_key_can_be_said() {
    let manifest = sound(FULL);
    assert_eq!(manifest.edge.listen.len(), 2);
    assert_eq!(manifest.edge.cores, 2);
    assert!(manifest.edge.trusted_proxies[0].contains("10.1.2.3".parse().unwrap()));
    assert_eq!(manifest.edge.unknown_paths, Some(UnknownPaths::Refuse));
    assert_eq!(manifest.edge.body_bytes_max.0, 8 << 20);
    assert_eq!(manifest.edge.keep_alive.0, Duration::from_secs(90));
    assert_eq!(manifest.ops.listen.to_string(), "127.0.0.1:9081");
    assert_eq!(manifest.auth.tenant_claim.as_deref(), Some("org_id"));
    assert_eq!(manifest.auth.forward_principal, ForwardPrincipal::Headers);
    assert_eq!(manifest.auth.unverified_per_ip.quota, 30);
    assert_eq!(manifest.auth.issuers[0].algorithms, [Algorithm::Ps256, Algorithm::EdDsa]);
    let [shop, users] = manifest.services.as_slice() else { panic!("two services") };
    assert_eq!(shop.pool.connections_max, 64);
    assert!(matches!(shop.version_rule(), Some(VersionRule::Prefix(p)) if p.as_str() == "/v2"));
    let Some(VersionRule::Header { name, value }) = users.version_rule() else {
        panic!("a version by header")
    };
    assert_eq!((name.as_str(), value), ("api-version", "2"));
    let release = users.active_release().unwrap();
    assert_eq!((release.id.as_str(), release.urls.len()), ("2026-11-22", 2));
    let limit = &manifest.limits[0];
    assert_eq!((limit.per, limit.units, limit.burst()), (LimitPer::Caller, LimitUnits::Cost, 20));
    let operation = &manifest.operations[1];
    assert_eq!(
        (operation.method, operation.security),
        (Some(Method::Post), Some(OperationSecurity::Token))
    );
    assert_eq!(manifest.passthrough[0].kinds, [PassthroughKind::Websocket, PassthroughKind::Sse]);
    let names = manifest.client.headers.entries();
    assert!(names.iter().all(|(_, header)| header.is_some()));
    assert_eq!(manifest.telemetry.access_log, AccessLogFormat::Json);
    assert_eq!(manifest.telemetry.otlp.sample_ratio, Some(0.25));
}

/// The example must grow with the manifest: a key that is not in it is not tried anywhere.
#[test]
fn the_full_example_holds_every_key() {
    let schema = plimsoll_manifest::json_schema();
    let said: toml::Table = toml::from_str(FULL).unwrap();
    let missing = missing_keys(&schema, &schema, &toml::Value::Table(said), "");
    // Alternatives to keys that are there; both at once would be a fault.
    let alternatives = [
        "auth.issuer.development",
        "auth.issuer.discovery_url",
        "auth.issuer.jwks_file",
        "auth.issuer.jwks_url",
        "service.admission.concurrency",
    ];
    let missing: Vec<&String> =
        missing.iter().filter(|key| !alternatives.contains(&key.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Keys of the schema that stand in none of the tables of that place.
fn missing_keys(
    root: &serde_json::Value,
    schema: &serde_json::Value,
    value: &toml::Value,
    path: &str,
) -> Vec<String> {
    let tables: Vec<&toml::Table> = match value {
        toml::Value::Table(table) => vec![table],
        toml::Value::Array(items) => items.iter().filter_map(toml::Value::as_table).collect(),
        _ => return Vec::new(),
    };
    let mut missing = Vec::new();
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let key_path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let values: Vec<&toml::Value> = tables.iter().filter_map(|table| table.get(key)).collect();
        if values.is_empty() {
            missing.push(key_path);
            continue;
        }
        let target = property["$ref"].as_str().or(property["items"]["$ref"].as_str());
        let target = target.and_then(|reference| reference.strip_prefix("#/$defs/"));
        if let Some(target) = target {
            let inner = &root["$defs"][target];
            let all = toml::Value::Array(values.iter().flat_map(|v| flat(v)).collect());
            missing.extend(missing_keys(root, inner, &all, &key_path));
        }
    }
    missing
}

fn flat(value: &toml::Value) -> Vec<toml::Value> {
    match value {
        toml::Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    }
}

#[test]
fn a_sound_manifest_survives_being_written_and_read() {
    for text in [FULL.to_owned(), format!("{SHOP}{ISSUER}"), CONTRACTED.to_owned()] {
        let manifest = sound(&text);
        let written = toml::to_string(&manifest).unwrap();
        assert_eq!(sound(&written), manifest, "{written}");
    }
}

#[test]
fn what_is_not_said_has_its_default() {
    let manifest = sound(SHOP);
    assert_eq!(manifest.edge, EdgeSection::default());
    assert_eq!(manifest.edge.listen[0].to_string(), "127.0.0.1:8080");
    assert_eq!(manifest.edge.body_bytes_max.to_string(), "16MiB");
    assert_eq!(manifest.edge.keep_alive.0, Duration::from_secs(75));
    assert_eq!(manifest.ops.listen.to_string(), "127.0.0.1:8081");
    assert!(manifest.limits.is_empty() && manifest.auth.issuers.is_empty());
    let release = manifest.services[0].active_release().unwrap();
    assert_eq!(release.id.as_str(), "default");
    assert_eq!(release.urls[0].to_string(), "http://127.0.0.1:3000");
    let issuer = &sound(&format!("{SHOP}{ISSUER}")).auth.issuers[0];
    assert_eq!(issuer.algorithms, [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa]);
    assert_eq!(*issuer, plimsoll_manifest::Issuer::new("https://id.example", vec!["shop".into()]));
}

#[test]
fn unknown_paths_are_refused_once_there_is_a_contract() {
    let of = |text: &str| {
        let manifest = sound(text);
        (manifest.unknown_paths(), manifest.unknown_paths_of(&manifest.services[0]))
    };
    use UnknownPaths::{Pass, Refuse};
    assert_eq!(of(SHOP), (Pass, Pass));
    assert_eq!(of(CONTRACTED), (Refuse, Refuse));
    assert_eq!(of(&format!("[edge]\nunknown_paths = \"pass\"{CONTRACTED}")), (Pass, Pass));
    assert_eq!(of(&format!("{CONTRACTED}unknown_paths = \"pass\"")), (Refuse, Pass));
}

#[test]
fn a_passthrough_asks_for_a_token_once_there_is_an_issuer() {
    let passthrough = "[[passthrough]]\nprefix = \"/ws\"\nservice = \"shop\"\nkinds = [\"sse\"]\n";
    let of = |text: &str| {
        let manifest = sound(text);
        manifest.passthrough_security(&manifest.passthrough[0])
    };
    let open = format!("{passthrough}security = \"public\"\n{SHOP}{ISSUER}");
    assert_eq!(of(&format!("{passthrough}{SHOP}")), PassthroughSecurity::Public);
    assert_eq!(of(&format!("{passthrough}{SHOP}{ISSUER}")), PassthroughSecurity::Token);
    assert_eq!(of(&open), PassthroughSecurity::Public);
}

#[test]
fn an_upstream_alone_limits_nothing_and_passes_everything() {
    let url = || "http://127.0.0.1:3000".parse::<OriginUrl>().unwrap();
    let manifest = Manifest::for_upstream(url(), None);
    assert_eq!(manifest.unknown_paths(), UnknownPaths::Pass);
    assert!(manifest.limits.is_empty());
    assert_eq!(manifest.services[0].urls, [url()]);
    let contract = PathBuf::from("openapi.json");
    let manifest = Manifest::for_upstream(url(), Some(contract.clone()));
    assert_eq!(manifest.unknown_paths(), UnknownPaths::Refuse);
    assert_eq!(manifest.services[0].contract, Some(contract));
    assert_eq!(sound(&toml::to_string(&manifest).unwrap()), manifest);
}
