//! Faults of single values: kinds, forms, bounds, credentials.

use crate::support::{SHOP, expect, expect_each, faults, sound};

#[test]
fn numbers_sizes_and_durations_say_what_was_expected() {
    expect_each(
        SHOP,
        &[
            ("[edge]\nkeep_alive = 75", 2, "edge.keep_alive", "did you mean `\"75s\"`?"),
            ("[edge]\nkeep_alive = \"75\"", 2, "edge.keep_alive", "did you mean `75s`?"),
            ("[edge]\nkeep_alive = \"75 sec\"", 2, "edge.keep_alive", "did you mean `75s`?"),
            ("[edge]\nkeep_alive = \"soon\"", 2, "edge.keep_alive", "a duration such as \"250ms\""),
            ("[edge]\nkeep_alive = true", 2, "edge.keep_alive", "this is true or false"),
            ("[edge]\nbody_bytes_max = \"16mb\"", 2, "edge.body_bytes_max", "`16MiB`"),
            ("[edge]\nbody_bytes_max = -1", 2, "edge.body_bytes_max", "-1 is below zero"),
            ("[edge]\nbody_bytes_max = 1.5", 2, "edge.body_bytes_max", "a number with a fraction"),
            ("[edge]\ncores = \"4\"", 2, "edge.cores", "did you mean `4`?"),
            ("[edge]\ncores = 1.5", 2, "edge.cores", "a whole number, 0 to 1024"),
            ("[edge]\ncores = 99999999999999999999", 2, "edge.cores", "beyond 64 bits"),
        ],
    );
}

#[test]
fn a_share_is_a_number_from_nothing_to_all() {
    let key = "telemetry.otlp.sample_ratio";
    let with = |value: &str| format!("[telemetry.otlp]\nsample_ratio = {value}");
    for value in ["0", "1", "0.25", "1e-3"] {
        let manifest = sound(&format!("{SHOP}{}", with(value)));
        assert!(manifest.telemetry.otlp.sample_ratio.is_some(), "{value}");
    }
    let (over, under, text, none) = (with("1.5"), with("-0.1"), with("\"0.1\""), with("nan"));
    expect_each(
        SHOP,
        &[
            (&over, 2, key, "1.5 is too large; expected a number, 0.0 to 1.0"),
            (&under, 2, key, "-0.1 is too small"),
            (&text, 2, key, "did you mean `0.1`?"),
            (&none, 2, key, "expected a number"),
        ],
    );
}

#[test]
fn an_otlp_endpoint_is_the_base_of_one_over_http() {
    let with = |url: &str| format!("[telemetry.otlp]\nendpoint = \"{url}\"");
    let (signal, grpc, query, secret) = (
        with("http://127.0.0.1:4318/v1/traces"),
        with("http://127.0.0.1:4317"),
        with("https://otlp.example/?key=1"),
        with("https://user:hunter2@otlp.example"),
    );
    let key = "telemetry.otlp.endpoint";
    expect_each(
        SHOP,
        &[
            (&signal, 2, key, "did you mean `\"http://127.0.0.1:4318\"`?"),
            (&grpc, 2, key, "OTLP over gRPC"),
            (&query, 2, key, "behind a query"),
            (&secret, 2, key, "credentials"),
        ],
    );
}

#[test]
fn numbers_of_another_kind_are_refused() {
    expect_each(
        SHOP,
        &[("[telemetry]\nseries_max = 1.5", 2, "telemetry.series_max", "with a fraction")],
    );
}

#[test]
fn texts_lists_and_tables_are_not_taken_for_each_other() {
    expect_each(
        SHOP,
        &[
            ("[edge]\nlisten = \"127.0.0.1:1\"", 2, "edge.listen", "`[\"127.0.0.1:1\"]`"),
            ("[edge]\nlisten = [\"localhost:80\"]", 2, "edge.listen[0]", "`127.0.0.1:80`"),
            ("[edge]\nlisten = [\"127.0.0.1:1\", 2]", 2, "edge.listen[1]", "a whole number"),
            ("[edge]\nunknown_paths = \"refused\"", 2, "edge.unknown_paths", "`refuse`"),
            ("[edge]\nunknown_paths = \"no\"", 2, "edge.unknown_paths", "one of: refuse, pass"),
            ("edge = 1", 1, "edge", "expected a table"),
            ("[[edge]]\ncores = 1", 1, "edge", "did you mean `[edge]`?"),
            ("[limit]\nname = \"a\"", 1, "limit", "did you mean `[[limit]]`?"),
            ("limit = 3", 1, "limit", "a list of tables"),
            ("[telemetry]\naccess_log = false", 2, "telemetry.access_log", "one of: auto, json"),
            ("[telemetry]\nservice_name = 7", 2, "telemetry.service_name", "did you mean `\"7\"`?"),
            ("[telemetry]\nservice_name = 2026-11-22", 2, "telemetry.service_name", "a date"),
            ("[telemetry]\nservice_name = \"\"", 2, "telemetry.service_name", "the text is empty"),
            ("[telemetry]\nservice_name = \"a\\u0007\"", 2, "telemetry.service_name", "control"),
        ],
    );
}

#[test]
fn forms_say_what_they_look_like() {
    expect_each(
        SHOP,
        &[
            (
                "[edge]\ntrusted_proxies = [\"10.0.0.0/40\"]",
                2,
                "edge.trusted_proxies[0]",
                "no network",
            ),
            (
                "[edge]\ntrusted_proxies = [\n  \"10.0.0.0/8\",\n  \"10.1.0.0/8\",\n]",
                4,
                "edge.trusted_proxies[1]",
                "did you mean `10.0.0.0/8`?",
            ),
            ("[client.headers]\nos = \"X OS\"", 2, "client.headers.os", "no header name"),
            ("[client.headers]\nos = \"X-OS:\"", 2, "client.headers.os", "did you mean `X-OS`?"),
            ("[ops]\nlisten = \":8081\"", 2, "ops.listen", "did you mean `127.0.0.1:8081`?"),
            (
                "[[passthrough]]\nprefix = \"/ws/\"\nservice = \"shop\"\nkinds = [\"sse\"]",
                2,
                "passthrough[0].prefix",
                "did you mean `/ws`?",
            ),
            (
                "[[passthrough]]\nprefix = \"/ws\"\nservice = \"shop\"\nkinds = [\"websockets\"]",
                4,
                "passthrough[0].kinds[0]",
                "did you mean `websocket`?",
            ),
            (
                "[[operation]]\nmethod = \"post\"\npath = \"/a\"",
                2,
                "operation[0].method",
                "did you mean `POST`?",
            ),
            (
                "[[operation]]\nmethod = \"POST\"\npath = \"a/{b}\"",
                3,
                "operation[0].path",
                "did you mean `/a/{b}`?",
            ),
            (
                "[[limit]]\nname = \"per caller\"\nper = \"ip\"\nquota = 1\nwindow = \"1s\"",
                2,
                "limit[0].name",
                "is no name",
            ),
        ],
    );
}

#[test]
fn bounds_are_told_with_the_value() {
    expect_each(
        SHOP,
        &[
            (
                "[edge]\nkeep_alive = \"29s\"",
                2,
                "edge.keep_alive",
                "`29s` is too short; expected 30s to 1h",
            ),
            ("[edge]\nkeep_alive = \"2h\"", 2, "edge.keep_alive", "`2h` is too long"),
            ("[edge]\nheader_timeout = \"0s\"", 2, "edge.header_timeout", "too short"),
            (
                "[edge]\nheader_bytes_max = 1024",
                2,
                "edge.header_bytes_max",
                "`1KiB` is too small; expected 8KiB to 1MiB",
            ),
            ("[edge]\nconnections_max = 0", 2, "edge.connections_max", "0 is too small"),
            (
                "[edge]\nheaders_max = 1001",
                2,
                "edge.headers_max",
                "1001 is too large; expected a whole number, 16 to 1000",
            ),
            ("[edge]\nlisten = []", 2, "edge.listen", "the list is empty; expected at least 1"),
            ("[auth]\nskew = \"11m\"", 2, "auth.skew", "too long; expected at most 10m"),
            ("[auth]\ntoken_cache_max = -1", 2, "auth.token_cache_max", "too small"),
        ],
    );
    let long = format!("[auth]\nrealm = \"{}\"{SHOP}", "r".repeat(129));
    expect(&long, &[(2, "auth.realm", "129 characters; expected at most 128 characters")]);
    let many = vec!["\"http://a\""; 257].join(",");
    let text = format!("[[service]]\nname = \"a\"\nurls = [{many}]");
    assert!(faults(&text).iter().any(|fault| fault.message == "257 items"));
}

#[test]
fn a_value_that_stands_twice_in_a_list_is_refused() {
    let text = format!("[edge]\ntrusted_proxies = [\"::1\", \"10.0.0.0/8\", \"::1\"]{SHOP}");
    expect(&text, &[(2, "edge.trusted_proxies[2]", "`::1` stands here twice")]);
}

#[test]
fn credentials_in_urls_are_refused_everywhere_and_never_shown() {
    for (text, line, key) in [
        ("[[service]]\nname = \"a\"\nurls = [\"http://u:hunter2@a\"]", 3, "service[0].urls[0]"),
        ("[[service]]\nname = \"a\"\nurls = [\"u:hunter2@a:80\"]", 3, "service[0].urls[0]"),
        ("[[service]]\nname = \"a\"\nurls = \"http://u:hunter2@a\"", 3, "service[0].urls"),
        ("[telemetry]\nservice_name = \"x http://u:hunter2@a y\"", 2, "telemetry.service_name"),
        (
            "[[service]]\nname = \"a\"\nurls = [\"http://a\"]\n\
             contract = \"https://u:hunter2@a/o\"",
            4,
            "service[0].contract",
        ),
        (
            "[[auth.issuer]]\nissuer = \"https://u:hunter2@a\"\naudience = [\"a\"]",
            2,
            "auth.issuer[0].issuer",
        ),
        ("[edge]\ncores = \"http://u:hunter2@a\"", 2, "edge.cores"),
    ] {
        let faults =
            faults(&format!("{text}{}", if text.contains("[[service]]") { "" } else { SHOP }));
        assert_eq!(faults.len(), 1, "{text} {faults:?}");
        assert_eq!((faults[0].line, &*faults[0].key), (Some(line), key));
        assert!(!format!("{faults:?}").contains("hunter2"), "{faults:?}");
    }
    let unquoted = faults("[[service]]\nname = \"a\"\nurls = [http://u:hunter2@a]\n");
    assert!(!format!("{unquoted:?}").contains("hunter2"), "{unquoted:?}");
}

#[test]
fn columns_point_at_the_value() {
    let text = format!("[edge]\nkeep_alive = \"5s\"{SHOP}");
    assert_eq!(faults(&text)[0].column, Some(14));
    let text = format!("telemetry = {{ service_name = \"ä\", access_log = \"no\" }}{SHOP}");
    assert_eq!(faults(&text)[0].column, Some(48));
}
