//! Whatever comes in: no panic, faults that point into the text, and nothing lost in writing.

use std::path::Path;
use std::str::FromStr;

use plimsoll_base::{ByteSize, HumanDuration, Name};
use plimsoll_manifest::{
    Algorithm, Cidr, Fault, Issuer, Limit, LimitPer, LimitUnits, ListenAddr, Manifest, Method,
    OperationPolicy, OperationSecurity, OriginUrl, Passthrough, PassthroughKind, PathPrefix,
    Release, Service, ServiceVersion, UnknownPaths, parse,
};
use proptest::prelude::*;

use crate::sound::FULL;

fn read(text: &str) -> Result<Manifest, Vec<Fault>> {
    parse(text, Path::new("plimsoll.toml"))
}

/// Every fault points to a place that is in the text.
fn points_into(text: &str, faults: &[Fault]) {
    let lines: Vec<&str> = text.split('\n').collect();
    assert!(!faults.is_empty());
    for fault in faults {
        let Some(line) = fault.line else {
            assert!(fault.message.contains("more faults"), "{fault}");
            continue;
        };
        let within = lines.get(line - 1).unwrap_or_else(|| panic!("no line {line}: {fault}"));
        let column = fault.column.unwrap();
        assert!(column >= 1 && column <= within.chars().count() + 1, "{fault}");
        assert!(!fault.message.is_empty());
    }
}

/// Lines that are likely to meet the reader where it is thin.
fn line() -> impl Strategy<Value = String> {
    let headers = prop::sample::select(vec![
        "[edge]",
        "[[edge]]",
        "[edge.tls]",
        "[[service]]",
        "[service]",
        "[service.version]",
        "[[service.release]]",
        "[auth]",
        "[[auth.issuer]]",
        "[[limit]]",
        "[[operation]]",
        "[[passthrough]]",
        "[client.headers]",
        "[telemetry]",
        "[edge",
        "[[a.b]]",
        "]",
        "\u{feff}",
    ]);
    let keys = prop::sample::select(vec![
        "listen",
        "name",
        "urls",
        "contract",
        "keep_alive",
        "prefix",
        "service",
        "kinds",
        "id",
        "issuer",
        "audience",
        "algorithms",
        "quota",
        "window",
        "per",
        "cores",
        "\"a b\"",
        "a.b",
        "version",
        "release",
        "method",
        "path",
        "platform",
        "",
    ]);
    let values = prop::sample::select(vec![
        "1",
        "-1",
        "\"a\"",
        "\"\"",
        "[\"a\"]",
        "[]",
        "{}",
        "{ a = 1 }",
        "true",
        "1.5",
        "nan",
        "2026-11-22",
        "\"http://a\"",
        "[\"http://a\"]",
        "\"30s\"",
        "30s",
        "[[1]]",
        "[{}]",
        "'''",
        "\"/a\"",
        "\"http://u:p@h\"",
        "\"127.0.0.1:1\"",
        "[\"127.0.0.1:1\"]",
        "\"ip\"",
    ]);
    prop_oneof![
        headers.prop_map(str::to_owned),
        (keys, values).prop_map(|(key, value)| format!("{key} = {value}")),
        ".{0,40}",
    ]
}

/// A sound text with a piece cut out and another put in.
fn mutated() -> impl Strategy<Value = String> {
    (0..FULL.len(), 0..60usize, ".{0,12}").prop_map(|(at, cut, put)| {
        let end = (at + cut).min(FULL.len());
        format!("{}{put}{}", &FULL[..at], &FULL[end..])
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        if let Err(faults) = read(&text) {
            points_into(&text, &faults);
        }
    }

    #[test]
    fn likely_lines_never_panic(lines in prop::collection::vec(line(), 0..24)) {
        let text = lines.join("\n");
        if let Err(faults) = read(&text) {
            points_into(&text, &faults);
        }
    }

    #[test]
    fn a_mutated_manifest_is_read_or_refused_in_place(text in mutated()) {
        match read(&text) {
            Ok(manifest) => {
                let written = toml::to_string(&manifest).unwrap();
                prop_assert_eq!(read(&written), Ok(manifest));
            }
            Err(faults) => points_into(&text, &faults),
        }
    }

    #[test]
    fn a_sound_manifest_is_written_and_read_without_loss(manifest in manifest()) {
        let text = toml::to_string(&manifest).unwrap();
        prop_assert_eq!(read(&text), Ok(manifest), "{}", text);
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for (open, close) in [("[", "]"), ("{ a = ", " }")] {
        let text = format!("x = {}1{}", open.repeat(20_000), close.repeat(20_000));
        assert!(read(&text).is_err());
    }
    let dotted = format!("{} = 1", vec!["a"; 20_000].join("."));
    assert!(read(&dotted).is_err());
    let header = format!("[{}]", vec!["a"; 20_000].join("."));
    assert!(read(&header).is_err());
}

fn from_text<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn name() -> impl Strategy<Value = Name> {
    "[a-zA-Z0-9][a-zA-Z0-9._-]{0,12}".prop_map(|text| Name::new(&text).unwrap())
}

fn duration(least: u64, most: u64) -> impl Strategy<Value = HumanDuration> {
    (least..=most).prop_map(HumanDuration::from_millis)
}

fn origin() -> impl Strategy<Value = OriginUrl> {
    (any::<bool>(), "[a-z]{1,8}(\\.[a-z]{2,5})?", 9000u16..).prop_map(|(tls, host, port)| {
        from_text(&format!("{}://{host}:{port}", if tls { "https" } else { "http" }))
    })
}

fn words(pattern: &'static str) -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set(pattern, 1..4).prop_map(|set| set.into_iter().collect())
}

fn service() -> impl Strategy<Value = Service> {
    let addresses = prop_oneof![
        prop::collection::btree_set(origin(), 1..4).prop_map(|set| (set, None)),
        (prop::collection::btree_set(origin(), 1..4), name(), prop::option::of(name()))
            .prop_map(|(set, id, region)| (set, Some((id, region)))),
    ];
    let more =
        (prop::option::of("[a-z]{1,8}\\.(json|yaml)"), any::<bool>(), duration(10_000, 99_999));
    (name(), addresses, more).prop_map(|(name, (urls, release), (contract, pass, total))| {
        let mut service = Service::new(name);
        let urls: Vec<OriginUrl> = urls.into_iter().collect();
        match release {
            None => service.urls = urls,
            Some((id, region)) => service.releases = vec![Release { id, urls, region }],
        }
        service.contract = contract.map(Into::into);
        service.unknown_paths = pass.then_some(UnknownPaths::Pass);
        service.timeouts.total = total;
        service
    })
}

fn limit() -> impl Strategy<Value = Limit> {
    let per = prop::sample::select(vec![LimitPer::Caller, LimitPer::Ip, LimitPer::Operation]);
    let units = prop::sample::select(vec![LimitUnits::Requests, LimitUnits::Cost]);
    (name(), per, 1..1_000_000u32, duration(1000, 1 << 31), prop::option::of(1..9u32), units)
        .prop_map(|(name, per, quota, window, burst, units)| Limit {
            name,
            per,
            quota,
            window,
            burst,
            operations: Vec::new(),
            units,
            keys_max: quota,
        })
}

fn issuer() -> impl Strategy<Value = Issuer> {
    let algorithms = prop::sample::subsequence(
        vec![Algorithm::Es384, Algorithm::Rs512, Algorithm::Ps384, Algorithm::EdDsa],
        1..4,
    );
    let claim = prop::option::of("[a-z]{1,9}");
    ("[a-z]{1,9}", words("[ -~&&[^:]]{1,9}"), algorithms, claim).prop_map(
        |(host, audience, algorithms, claim)| Issuer {
            algorithms,
            scope_claim: claim,
            ..Issuer::new(format!("https://{host}.example/"), audience)
        },
    )
}

fn operation() -> impl Strategy<Value = OperationPolicy> {
    let scopes = prop::option::of(words("[a-z:/]{1,9}"));
    ("[a-z]{1,9}", scopes, any::<u32>(), duration(1, 999_999)).prop_map(
        |(path, scopes, size, total)| OperationPolicy {
            method: Some(Method::Patch),
            path: Some(from_text(&format!("/{path}/{{id}}"))),
            body_bytes_max: Some(ByteSize(u64::from(size))),
            total_timeout: Some(total),
            security: Some(OperationSecurity::Token),
            scopes,
            ..OperationPolicy::default()
        },
    )
}

/// Sound manifests: what would collide is kept apart by a number.
fn manifest() -> impl Strategy<Value = Manifest> {
    let lists = (
        prop::collection::vec(service(), 1..4),
        prop::collection::vec(limit(), 0..4),
        prop::collection::vec(issuer(), 1..4),
        prop::collection::vec(operation(), 0..4),
    );
    let edge =
        (any::<u16>(), prop::collection::btree_set(any::<u8>(), 0..4), duration(30_000, 3_600_000));
    (lists, edge, any::<bool>()).prop_map(|(lists, (port, proxies, keep_alive), with_ws)| {
        let (mut services, mut limits, mut issuers, mut operations) = lists;
        for (index, service) in services.iter_mut().enumerate() {
            service.name = Name::new(&format!("{index}{}", service.name)).unwrap();
            let prefix = Some(from_text::<PathPrefix>(&format!("/v{index}")));
            service.version = Some(ServiceVersion { prefix, ..ServiceVersion::default() });
            service.unknown_paths = Some(UnknownPaths::Pass);
        }
        for (index, limit) in limits.iter_mut().enumerate() {
            limit.name = Name::new(&format!("{index}{}", limit.name)).unwrap();
        }
        for (index, issuer) in issuers.iter_mut().enumerate() {
            issuer.issuer.push_str(&index.to_string());
        }
        for (index, operation) in operations.iter_mut().enumerate() {
            operation.id = Some(format!("op{index}"));
            operation.service = Some(services[0].name.clone());
            operation.path = operation.path.as_ref().map(|p| from_text(&format!("{p}/{index}")));
        }
        let passthrough = Passthrough {
            prefix: from_text("/ws"),
            service: services[0].name.clone(),
            kinds: vec![PassthroughKind::Grpc],
            security: None,
        };
        let mut manifest = Manifest { services, limits, operations, ..Manifest::default() };
        manifest.auth.issuers = issuers;
        manifest.passthrough = with_ws.then_some(passthrough).into_iter().collect();
        manifest.edge.keep_alive = keep_alive;
        manifest.edge.listen = vec![from_text::<ListenAddr>(&format!("127.0.0.2:{port}"))];
        manifest.edge.trusted_proxies =
            proxies.iter().map(|n| from_text::<Cidr>(&format!("10.{n}.0.0/16"))).collect();
        manifest
    })
}
