//! Faults of listeners, services and paths as a whole.

use crate::support::{CONTRACTED, SHOP, expect, expect_each, sound};

#[test]
fn listeners_that_collide_are_refused() {
    expect_each(
        SHOP,
        &[
            (
                "[edge]\nlisten = [\"0.0.0.0:80\",\n \"127.0.0.1:80\"]",
                3,
                "edge.listen[1]",
                "127.0.0.1:80 collides with 0.0.0.0:80",
            ),
            (
                "[ops]\nlisten = \"127.0.0.1:8080\"",
                2,
                "ops.listen",
                "did you mean `127.0.0.1:8081`?",
            ),
            ("[edge]\nlisten = [\"127.0.0.1:8081\"]", 1, "ops.listen", "collides with the edge's"),
            (
                "[edge]\nlisten = [\"[::]:9\"]\n[ops]\nlisten = \"127.0.0.1:9\"",
                4,
                "ops.listen",
                "collides",
            ),
        ],
    );
    sound(&format!("[edge]\nlisten = [\"127.0.0.1:0\", \"127.0.0.2:0\"]{SHOP}"));
}

#[test]
fn bounds_that_contradict_each_other_are_refused_only_when_both_are_meant() {
    let text = format!("[edge]\nconnections_max = 10\nconnections_per_ip_max = 11{SHOP}");
    expect(&text, &[(3, "edge.connections_per_ip_max", "more than 10 in all")]);
    sound(&format!("[edge]\nconnections_max = 10{SHOP}"));
    let text = format!("{SHOP}[service.timeouts]\ntotal = \"5s\"\nfirst_byte = \"6s\"");
    expect(&text, &[(7, "service[0].timeouts.first_byte", "longer than the total of 5s")]);
    sound(&format!("{SHOP}[service.timeouts]\ntotal = \"5s\""));
    let text = format!("{SHOP}[service.ejection]\nduration = \"10m\"");
    expect(&text, &[(5, "service[0].ejection.duration_max", "shorter than the first of 10m")]);
    let text = format!("{SHOP}[service.breaker]\nopen = \"2m\"");
    expect(&text, &[(5, "service[0].breaker.open_max", "shorter than the first of 2m")]);
    let text = format!("{SHOP}[service.admission]\nconcurrency_max = 4");
    expect(&text, &[(6, "service[0].admission.concurrency_max", "less than the least, 8")]);
    let text = format!("{SHOP}[service.admission]\nconcurrency = 4\nconcurrency_min = 2");
    expect(&text, &[(7, "service[0].admission.concurrency_min", "how many at once is fixed")]);
    let text = format!("{SHOP}[service.admission]\nqueue_interval = \"50ms\"");
    expect(&text, &[(5, "service[0].admission.queue_target", "longer than the 50ms")]);
    let text = format!("{SHOP}[service.health]\npath = \"healthz\"");
    expect(&text, &[(6, "service[0].health.path", "`healthz` is no path")]);
    let text = format!("{SHOP}[service.health]\nevery = \"1s\"");
    expect(&text, &[(5, "service[0].health.timeout", "longer than the 1s between two")]);
    let text = format!("{SHOP}[service.retries]\nbackoff = \"2s\"");
    expect(&text, &[(5, "service[0].retries.backoff_max", "shorter than the first of 2s")]);
    let text = format!("{SHOP}[service.retries]\nstatuses = [503, 200]");
    expect(&text, &[(6, "service[0].retries.statuses[1]", "200")]);
}

#[test]
fn headers_that_hide_or_steer_cannot_describe_the_client() {
    expect_each(
        SHOP,
        &[
            (
                "[client.headers]\nplatform = \"Authorization\"",
                2,
                "client.headers.platform",
                "may hold a secret",
            ),
            (
                "[client.headers]\nos = \"Plimsoll-Os\"",
                2,
                "client.headers.os",
                "steers the request",
            ),
            (
                "[client.headers]\nos = \"X-A\"\nmodel = \"x-a\"",
                3,
                "client.headers.model",
                "the header `x-a` is there already",
            ),
        ],
    );
}

#[test]
fn a_manifest_needs_a_service_and_a_service_needs_an_address() {
    expect("", &[(1, "service", "there is no service")]);
    expect("[[service]]\nname = \"a\"", &[(1, "service[0].urls", "has no address")]);
    let both = "[[service]]\nname = \"a\"\nurls = [\"http://a\"]\n[[service.release]]\nid = \"1\"\n\
                urls = [\"http://b\"]";
    expect(both, &[(3, "service[0].urls", "in two ways; expected one of them")]);
    let empty = "[[service]]\nname = \"a\"\n[[service.release]]\nid = \"1\"\nurls = []";
    expect(empty, &[(5, "service[0].release[0].urls", "the list is empty")]);
}

#[test]
fn names_are_unique() {
    let text = "[[service]]\nname = \"a\"\nurls = [\"http://a\"]\nversion = { prefix = \"/a\" }\n\
                [[service]]\nname = \"a\"\nurls = [\"http://b\"]\nversion = { prefix = \"/b\" }";
    expect(text, &[(6, "service[1].name", "the service `a` is there already, at service[0].name")]);
    let text = "[[service]]\nname = \"a\"\n[[service.release]]\nid = \"1\"\nurls = [\"http://a\"]\n\
                [[service.release]]\nid = \"1\"\nurls = [\"http://b\"]";
    expect(text, &[(7, "service[0].release[1].id", "the release `1` is there already")]);
}

#[test]
fn a_backend_is_an_origin_and_not_the_edge() {
    for (url, part) in [
        ("http://a/api", "did you mean `http://a`?"),
        ("http://a?x=1", "has a query"),
        ("ftp://a", "does not start with `http://` or `https://`"),
        ("127.0.0.1:3000", "did you mean `http://127.0.0.1:3000`?"),
        ("http://127.0.0.1:8080", "Plimsoll's own listener 127.0.0.1:8080"),
        ("http://localhost:8081", "Plimsoll's own listener 127.0.0.1:8081"),
        ("http://0.0.0.0:8080", "own listener"),
    ] {
        let text = format!("[[service]]\nname = \"a\"\nurls = [\"{url}\"]");
        expect(&text, &[(3, "service[0].urls[0]", part)]);
    }
    sound("[[service]]\nname = \"a\"\nurls = [\"http://10.0.0.1:8080\", \"http://[::1]:8080\"]");
}

#[test]
fn versions_are_told_apart_in_one_way() {
    for (version, line, key, part) in [
        ("", 4, "service[0].version", "nothing tells this version"),
        ("prefix = \"/\"", 5, "service[0].version.prefix", "`/` tells no version"),
        ("header = \"V\"", 4, "service[0].version", "`header` without `value`"),
        ("value = \"2\"", 4, "service[0].version", "`value` without `header`"),
        ("prefix = \"/v2\"\nheader = \"V\"\nvalue = \"2\"", 4, "service[0].version", "at once"),
        (
            "header = \"Cookie\"\nvalue = \"2\"",
            5,
            "service[0].version.header",
            "cannot name a version",
        ),
        ("header = \"V\"\nvalue = \" 2\"", 6, "service[0].version.value", "spaces around it"),
        ("prefix = \"/.plimsoll/a\"", 5, "service[0].version.prefix", "Plimsoll's own /.plimsoll"),
    ] {
        let text = format!(
            "[[service]]\nname = \"a\"\nurls = [\"http://a\"]\n[service.version]\n{version}"
        );
        expect(&text, &[(line, key, part)]);
    }
    let text = "[[service]]\nname = \"a\"\nurls = [\"http://a\"]\nstrip_prefix = true";
    expect(text, &[(4, "service[0].strip_prefix", "no prefix to strip")]);
    sound(&format!("{text}\n[service.version]\nprefix = \"/v1\""));
}

#[test]
fn prefixes_of_services_do_not_overlap() {
    let service = |name: &str, prefix: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\nurls = [\"http://{name}\"]\n\
             version = {{ prefix = \"{prefix}\" }}\n"
        )
    };
    for (first, second, overlap) in [
        ("/v1", "/v1", true),
        ("/v1", "/v1/a", true),
        ("/v1/a", "/v1", true),
        ("/v1", "/v11", false),
    ] {
        let text = service("a", first) + &service("b", second);
        if overlap {
            let key = "service[1].version.prefix";
            let part = format!("{second} overlaps {first} of the service `a`");
            let faults = crate::support::faults(&text);
            assert_eq!((faults[0].line, &*faults[0].key), (Some(8), key), "{faults:?}");
            assert!(faults[0].message.contains(&part), "{faults:?}");
        } else {
            sound(&text);
        }
    }
}

#[test]
fn an_unknown_path_leads_to_one_service_at_most() {
    let two = "[[service]]\nname = \"a\"\nurls = [\"http://a\"]\n[[service]]\nname = \"b\"\n\
               urls = [\"http://b\"]\n";
    expect(two, &[(4, "service[1]", "could be for `a` or for `b`")]);
    sound(&format!(
        "{two}unknown_paths = \"refuse\"\n[[passthrough]]\nprefix = \"/ws\"\n\
                    service = \"b\"\nkinds = [\"websocket\"]"
    ));
    sound(&format!("{two}[service.version]\nprefix = \"/b\""));
}

#[test]
fn a_service_that_nothing_leads_to_is_refused() {
    let text = format!("{CONTRACTED}[[service]]\nname = \"ws\"\nurls = [\"http://b\"]\n");
    expect(&text, &[(6, "service[1]", "nothing leads to `ws`")]);
    sound(&format!("{text}unknown_paths = \"pass\""));
    sound(&format!("{text}contract = \"b.yaml\""));
    sound(&format!("{text}[[passthrough]]\nprefix = \"/ws\"\nservice = \"ws\"\nkinds = [\"sse\"]"));
    sound(&format!("{text}[[operation]]\nmethod = \"GET\"\npath = \"/a\"\nservice = \"ws\""));
}

#[test]
fn passthrough_prefixes_collide_with_nothing() {
    let passthrough = |prefix: &str, service: &str| {
        format!(
            "[[passthrough]]\nprefix = \"{prefix}\"\nservice = \"{service}\"\nkinds = [\"sse\"]\n"
        )
    };
    let ws = passthrough("/ws", "shop");
    for (second, line, key, part) in [
        (passthrough("/ws", "shop"), 6, "passthrough[1].prefix", "overlaps the passthrough /ws"),
        (passthrough("/ws/a", "shop"), 6, "passthrough[1].prefix", "overlaps the passthrough /ws"),
        (passthrough("/", "shop"), 6, "passthrough[1].prefix", "overlaps the passthrough /ws"),
        (passthrough("/a", "shpo"), 7, "passthrough[1].service", "did you mean `shop`?"),
        (passthrough("/.plimsoll", "shop"), 6, "passthrough[1].prefix", "own /.plimsoll"),
        (passthrough("/openapi.json", "shop"), 6, "passthrough[1].prefix", "own /openapi.json"),
        (passthrough("/openapi", "shop"), 6, "passthrough[1].prefix", "own /openapi/shop.json"),
        (
            passthrough("/a", "shop") + "security = \"token\"",
            9,
            "passthrough[1].security",
            "no issuer",
        ),
    ] {
        expect(&format!("{ws}{second}{CONTRACTED}"), &[(line, key, part)]);
    }
    sound(&format!("{ws}{}{CONTRACTED}", passthrough("/wsx", "shop")));
    sound(&format!("{}{SHOP}", passthrough("/openapi.json", "shop")));
    sound(&format!("{}{CONTRACTED}", passthrough("/", "shop")));
}

#[test]
fn a_passthrough_stays_outside_the_prefix_of_another_service() {
    let services = "[[service]]\nname = \"a\"\nurls = [\"http://a\"]\n\
                    version = { prefix = \"/a\" }\n\
                    [[service]]\nname = \"b\"\nurls = [\"http://b\"]\n\
                    version = { prefix = \"/b\" }\n";
    let of = |service: &str| {
        format!(
            "{services}[[passthrough]]\nprefix = \"/a/ws\"\nservice = \"{service}\"\n\
             kinds = [\"sse\"]"
        )
    };
    expect(&of("b"), &[(10, "passthrough[0].prefix", "overlaps /a of the service `a`")]);
    sound(&of("a"));
}
