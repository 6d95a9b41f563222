//! What stands behind the edge: several services, versions, TLS, and what a service is told.

use std::sync::Arc;

use plimsoll_testkit::{Origin, Plimsoll, PlimsollOptions};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::bodies::tools::HandOrigin;
use crate::scene::{Scene, open_manifest, problem};
use crate::slow::Certified;

fn contract(paths: &str) -> Vec<u8> {
    let operation = |path: &str, id: &str| {
        format!(
            "\"{path}\": {{ \"get\": {{ \"operationId\": \"{id}\", \"responses\": {{ \"200\": \
             {{ \"description\": \"ok\" }} }} }} }}"
        )
    };
    let paths: Vec<String> = paths
        .split_whitespace()
        .map(|pair| pair.split_once('=').map(|(path, id)| operation(path, id)).unwrap())
        .collect();
    format!(
        "{{ \"openapi\": \"3.1.0\", \"info\": {{ \"title\": \"T\", \"version\": \"1\" }}, \
         \"paths\": {{ {} }} }}",
        paths.join(", ")
    )
    .into_bytes()
}

fn start(manifest: String, files: Vec<(String, Vec<u8>)>) -> Plimsoll {
    let options = PlimsollOptions { manifest: Some(manifest), files, ..PlimsollOptions::default() };
    Plimsoll::start(&options).unwrap()
}

/// The paths that an origin was asked for.
fn asked(origin: &Origin) -> Vec<String> {
    origin.log().exchanges().iter().map(|seen| seen.target.clone()).collect()
}

#[test]
fn each_service_gets_what_its_contract_names() {
    let [shop, users] = [(); 2].map(|()| Origin::start().unwrap());
    let service = |name: &str, origin: &Origin| {
        format!(
            "[[service]]\nname = \"{name}\"\ncontract = \"{name}.json\"\nurls = [\"{}\"]\n",
            origin.url()
        )
    };
    let edge = start(
        service("shop", &shop) + &service("users", &users),
        vec![
            ("shop.json".into(), contract("/orders=listOrders /orders/{id}=getOrder")),
            ("users.json".into(), contract("/users/{id}=getUser /orders/mine=myOrders")),
        ],
    );
    let mut client = edge.client().unwrap();
    for path in ["/orders", "/users/7", "/orders/7", "/orders/mine"] {
        assert_eq!(client.get(path, &[]).unwrap().status, 200, "{path}");
    }
    problem(&client.get("/carts", &[]).unwrap(), 404, "PLM-EDGE-0101");
    assert_eq!(asked(&shop), ["/orders", "/orders/7"]);
    assert_eq!(asked(&users), ["/users/7", "/orders/mine"], "literal before template");
    let merged = client.get("/openapi.json", &[]).unwrap();
    let text = String::from_utf8_lossy(&merged.body).into_owned();
    assert!(text.contains("getOrder") && text.contains("getUser"), "{text}");
}

#[test]
fn a_version_is_chosen_by_header_or_by_prefix_which_may_be_cut_off() {
    let [one, two, three] = [(); 3].map(|()| Origin::start().unwrap());
    let service = |name: &str, origin: &Origin, more: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\ncontract = \"api.json\"\nurls = [\"{}\"]\n{more}\n",
            origin.url()
        )
    };
    let header = "[service.version]\nheader = \"Api-Version\"\nvalue = \"2\"";
    let prefix = "strip_prefix = true\n[service.version]\nprefix = \"/v3\"";
    let edge = start(
        service("one", &one, "")
            + &service("two", &two, header)
            + &service("three", &three, prefix),
        vec![("api.json".into(), contract("/orders/{id}=getOrder"))],
    );
    let mut client = edge.client().unwrap();
    let mut ask = |path: &str, fields: &[(&str, &str)]| client.get(path, fields).unwrap();
    assert_eq!(ask("/orders/1", &[]).status, 200);
    assert_eq!(ask("/orders/2", &[("api-version", "2")]).status, 200);
    assert_eq!(ask("/orders/3", &[("api-version", "9")]).status, 200);
    assert_eq!(ask("/v3/orders/a%2Fb?x=1", &[]).status, 200);
    problem(&ask("/v3", &[]), 404, "PLM-EDGE-0101");
    problem(&ask("/v4/orders/1", &[]), 404, "PLM-EDGE-0101");
    assert_eq!(asked(&one), ["/orders/1", "/orders/3"]);
    assert_eq!(asked(&two), ["/orders/2"]);
    assert_eq!(asked(&three), ["/orders/a%2Fb?x=1"], "without the prefix, else as it came");
}

#[test]
fn a_limit_on_cost_counts_what_an_operation_costs() {
    let scene = Scene::shop(
        "[[operation]]\nid = \"listFeed\"\ncost = 4\n[[limit]]\nname = \"work\"\nper = \"ip\"\n\
         quota = 10\nwindow = \"1h\"\nunits = \"cost\"\n",
    );
    let ask = |path: &str| scene.ask("GET", path, &[]);
    assert_eq!([ask("/feed").status, ask("/feed").status], [200, 200]);
    let refused = ask("/feed");
    problem(&refused, 429, "PLM-EDGE-0301");
    let left = |answer: &plimsoll_testkit::RawResponse| {
        answer.headers.get("ratelimit").unwrap_or_default().to_owned()
    };
    assert!(left(&refused).contains("r=2"), "{}", left(&refused));
    assert_eq!([ask("/orders/1").status, ask("/orders/2").status], [200, 200], "one each");
    assert_eq!(ask("/orders/3").status, 429);
}

/// A service that speaks TLS alone, under a certificate of its own.
fn secure_origin(certified: &Certified) -> (HandOrigin, String) {
    let key = rustls::pki_types::PrivateKeyDer::try_from(
        rcgen::KeyPair::from_pem(&certified.key_pem).unwrap().serialize_der(),
    )
    .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.der.clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let origin = HandOrigin::start(move |stream| {
        use std::io::{Read as _, Write as _};
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut tls = StreamOwned::new(connection, stream);
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match tls.read(&mut byte) {
                Ok(1) => head.extend(byte),
                _ => return,
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecret";
        tls.write_all(answer).ok();
        tls.conn.send_close_notify();
        tls.flush().ok();
    });
    let port = origin.url().rsplit_once(':').unwrap().1.to_owned();
    (origin, format!("https://localhost:{port}"))
}

/// Nobody is believed without a certificate that is trusted; a private authority can be named.
#[test]
fn a_service_over_tls_is_trusted_by_the_machine_or_by_ca_file() {
    let (ours, strange) = (Certified::new(), Certified::new());
    let (_origin, url) = secure_origin(&ours);
    let trusting = "[service.tls]\nca_file = \"ca.pem\"\n";
    let ca = |certified: &Certified| {
        vec![("ca.pem".to_owned(), certified.certificate_pem.clone().into_bytes())]
    };
    let edge = start(open_manifest(&url, "", trusting, ""), ca(&ours));
    let answer = edge.client().unwrap().get("/", &[]).unwrap();
    assert_eq!((answer.status, &*answer.body), (200, &b"secret"[..]));
    // The file is watched: with another authority in it the service is nobody that is known.
    let before = edge.metric("plimsoll_reloads_total{outcome=\"ok\"}").unwrap();
    std::fs::write(edge.work_dir().join("ca.pem"), &strange.certificate_pem).unwrap();
    crate::bodies::tools::eventually(
        "the change is seen",
        std::time::Duration::from_secs(5),
        || edge.metric("plimsoll_reloads_total{outcome=\"ok\"}").unwrap() > before,
    );
    problem(&edge.client().unwrap().get("/", &[]).unwrap(), 502, "PLM-EDGE-0401");

    let edge = start(open_manifest(&url, "", "", ""), Vec::new());
    problem(&edge.client().unwrap().get("/", &[]).unwrap(), 502, "PLM-EDGE-0401");
    let refused = Plimsoll::start(&PlimsollOptions {
        manifest: Some(open_manifest(&url, "", trusting, "")),
        files: vec![("ca.pem".into(), b"no certificate".to_vec())],
        ..PlimsollOptions::default()
    });
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("service `app`: ca_file"), "{said}");
}

/// `Forwarded` counts from a trusted proxy alone, and from it the last address that is not one.
#[test]
fn a_trusted_proxy_says_who_the_client_is() {
    let limit = "[[limit]]\nname = \"l\"\nper = \"ip\"\nquota = 1\nwindow = \"1h\"\n";
    let trusted = "trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]";
    let scene = Scene::open(trusted, "", limit);
    let ask = |id: &str, forwarded: &str| {
        scene.ask("GET", "/x", &[("forwarded", forwarded), ("x-test-id", id)])
    };
    let by_proxy = "for=\"[2001:db8::1]\";proto=https, for=10.0.0.7";
    assert_eq!(ask("first", by_proxy).status, 200);
    assert_eq!(ask("other", "for=203.0.113.9").status, 200, "another client");
    problem(&ask("again", "for=\"[2001:db8::2]\""), 429, "PLM-EDGE-0301");
    let sent = &scene.origin.log().with_id("first")[0].headers;
    let forwarded = sent.get("forwarded").unwrap();
    assert!(forwarded.contains("2001:db8::1") && forwarded.contains("127.0.0.1"), "{forwarded}");
    assert_eq!(sent.get("x-forwarded-proto"), Some("https"));

    let scene = Scene::open("", "", limit);
    let ask = |forwarded: &str| scene.ask("GET", "/x", &[("forwarded", forwarded)]).status;
    assert_eq!([ask("for=203.0.113.1"), ask("for=203.0.113.2")], [200, 429], "not believed");
}

#[test]
fn an_edge_without_the_console_answers_probes_and_metrics_alone() {
    let origin = Origin::start().unwrap();
    let edge = Plimsoll::start(&PlimsollOptions {
        manifest: Some(open_manifest(&origin.url(), "", "", "")),
        args: vec!["--role".into(), "edge".into()],
        ..PlimsollOptions::default()
    })
    .unwrap();
    assert_eq!(edge.client().unwrap().get("/x", &[]).unwrap().status, 200);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(edge.ops_get(path).unwrap().0, 200, "{path}");
    }
    for path in ["/", "/?format=json", "/ledger", "/database"] {
        assert_eq!(edge.ops_get(path).unwrap().0, 404, "{path}");
    }
}
