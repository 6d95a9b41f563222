//! Faults of keys and tables, and of the text itself.

use crate::support::{SHOP, expect, expect_each, faults};

#[test]
fn unknown_keys_are_named_with_what_was_meant() {
    expect_each(
        SHOP,
        &[
            ("[edge]\nlsiten = [\"127.0.0.1:1\"]", 2, "edge.lsiten", "did you mean `listen`?"),
            ("[edge]\nkeep-alive = \"75s\"", 2, "edge.keep-alive", "did you mean `keep_alive`?"),
            ("[edge]\nfoo = 1", 2, "edge.foo", "one of: listen, cores, trusted_proxies"),
            ("[ops]\nkeep_alive = \"75s\"", 2, "ops.keep_alive", "`keep_alive in [edge]`"),
            ("[ops]\nquota = 7", 2, "ops.quota", "[auth.unverified_per_ip] or [[limit]]"),
            ("listen = [\"127.0.0.1:1\"]", 1, "listen", "`listen in [edge] or [ops]`"),
            ("[egde]\ncores = 1", 1, "egde", "did you mean `edge`?"),
            ("[edge.tsl]\nkey_file = \"k\"", 1, "edge.tsl", "did you mean `tls`?"),
            ("[client.headers]\nplatfrom = \"X-P\"", 2, "client.headers.platfrom", "`platform`"),
            ("client = { headers = { plat = \"X\" } }", 1, "client.headers.plat", "not a key here"),
            (
                "[auth]\nunverified_per_ip = { qouta = 3 }",
                2,
                "auth.unverified_per_ip.qouta",
                "`quota`",
            ),
            ("[\"a.b\"]", 1, "a.b", "not a key here"),
        ],
    );
}

#[test]
fn unknown_keys_are_found_in_arrays_and_tables_inside_arrays() {
    let text = "[[service]]\nname = \"a\"\nurls = [\"http://a\"]\n\n[[service]]\nname = \"b\"\n\
                urls = [\"http://b\"]\nversoin = { prefix = \"/b\" }\n[service.timeouts]\n\
                first-byte = \"1s\"\n[service.version]\nprefix = \"/b\"\n[[service.release]]\n\
                id = \"1\"\nurl = [\"http://b\"]\n";
    expect(
        text,
        &[
            (8, "service[1].versoin", "did you mean `version`?"),
            (10, "service[1].timeouts.first-byte", "did you mean `first_byte`?"),
            (15, "service[1].release[0].url", "did you mean `urls`?"),
        ],
    );
}

#[test]
fn the_plural_of_a_table_is_known() {
    let text = "[[services]]\nname = \"a\"\nurls = [\"http://a\"]\n";
    expect(text, &[(1, "services", "did you mean `service`?")]);
}

#[test]
fn text_without_quotes_is_told_once_and_hides_nothing() {
    for word in ["pass", "true_pass", "further"] {
        let text = format!("[edge]\nunknown_paths = {word}\ncoers = 1{SHOP}");
        let part = format!("expected text in quotes; did you mean `\"{word}\"`?");
        let faults = faults(&text);
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(shown[0].ends_with(&part), "{shown:?}");
        assert_eq!(faults.last().unwrap().key, "edge.coers", "{shown:?}");
    }
    let text = format!("[edge]\ncores = 1\n[service.pool]\nx = tue{SHOP}");
    assert!(faults(&text).iter().any(|fault| fault.suggestion.as_deref() == Some("\"tue\"")));
    let text = "[[service]]\nname = \"a\"\nurls = [\"http://a\"]\nstrip_prefix = True";
    assert_eq!(faults(text)[0].line, Some(4));
}

#[test]
fn missing_keys_are_reported_at_their_table() {
    expect_each(
        SHOP,
        &[
            (
                "\n[edge.tls]\ncertificate_file = \"c.pem\"",
                2,
                "edge.tls.key_file",
                "`key_file` is missing",
            ),
            (
                "[[limit]]\nname = \"a\"\nper = \"ip\"\nquota = 1",
                1,
                "limit[0].window",
                "a duration such as",
            ),
            (
                "[[limit]]\nname = \"a\"\nquota = 1\nwindow = \"1s\"",
                1,
                "limit[0].per",
                "one of: caller, ip, operation",
            ),
            (
                "[[auth.issuer]]\nissuer = \"https://id.example\"",
                1,
                "auth.issuer[0].audience",
                "missing",
            ),
        ],
    );
    expect("[[service]]\nurls = [\"http://a\"]", &[(1, "service[0].name", "`name` is missing")]);
}

#[test]
fn a_misspelt_required_key_is_not_called_missing_too() {
    let text = format!("[[limit]]\nname = \"a\"\nper = \"ip\"\nquotta = 1\nwindow = \"1s\"{SHOP}");
    expect(&text, &[(4, "limit[0].quotta", "did you mean `quota`?")]);
}

#[test]
fn every_fault_is_reported_at_once() {
    let text = "[edge]\nkeep_alive = 75s\nkeepalive = 3\ncores = \"x\"\n\n[ops]\n\
                listen = \"127.0.0.1:8080\"\n\n[[service]]\nname = \"shop\"\n\
                ulrs = [\"http://a\"]\n\n\
                [[limit]]\nname = \"a\"\nper = \"ip\"\nquota = 0\nwindow = \"1s\"\n\n\
                [[passthrough]]\nprefix = \"/ws\"\nservice = \"shpo\"\nkinds = [\"sse\"]\n";
    expect(
        text,
        &[
            (
                2,
                "",
                "string values must be quoted; expected text in quotes; did you mean `\"75s\"`?",
            ),
            (3, "edge.keepalive", "did you mean `keep_alive`?"),
            (4, "edge.cores", "a whole number"),
            (7, "ops.listen", "collides"),
            (11, "service[0].ulrs", "did you mean `urls`?"),
            (16, "limit[0].quota", "0 is too small"),
            (21, "passthrough[0].service", "did you mean `shop`?"),
        ],
    );
}

#[test]
fn a_broken_text_reports_its_breaks_and_only_what_is_certain() {
    for (text, expected) in [
        ("[edge\ncores = 1", vec![(1, "", "unclosed table")]),
        ("[edge]\nlisten: 1", vec![(2, "", "invalid unquoted key")]),
        ("[edge]\nlisten = [\"127.0.0.1:1\"", vec![(2, "", "unclosed array")]),
        ("[edge]\ncroes = 1\ncores = = 2", vec![(2, "edge.croes", "`cores`"), (3, "", "")]),
        ("[edge]\ncores = 1\ncores = 2", vec![(3, "", "duplicate key")]),
        ("[edge]\nlisten = \"\"\"\nnever closed", vec![(3, "", "multi-line")]),
    ] {
        let behind = if text.ends_with("cores = 1\ncores = 2") { SHOP } else { "" };
        expect(&format!("{text}{behind}"), &expected);
    }
}

#[test]
fn what_depends_on_a_faulty_table_is_no_fault_of_its_own() {
    let text = "[[service]]\nname = \"shop\"\nurls = [\"ftp://a\"]\n[[service]]\nname = \"b\"\n\
                urls = [\"http://b\"]\n[service.version]\nprefix = \"b\"\n[[passthrough]]\n\
                prefix = \"/ws\"\nservice = \"shop\"\nkinds = [\"sse\"]\n";
    expect(
        text,
        &[
            (3, "service[0].urls[0]", "does not start with"),
            (8, "service[1].version.prefix", "`/b`"),
        ],
    );
    expect(
        "[[service]]\nname = \"-\"\n[[operation]]\nid = \"a\"\nservice = \"-\"",
        &[(2, "service[0].name", "is no name"), (5, "operation[0].service", "is no name")],
    );
}

#[test]
fn the_number_of_faults_is_bounded() {
    let text: String = (0..150).map(|n| format!("unknown_{n} = {n}\n")).collect();
    let faults = faults(&format!("{text}{SHOP}"));
    assert_eq!(faults.len(), 101);
    assert_eq!(faults[100].message, "50 more faults are not shown");
}
