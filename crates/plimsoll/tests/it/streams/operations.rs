//! Operations below a passthrough: no header takes them out of their own policies.

use plimsoll_testkit::RawResponse;
use tokio_tungstenite::tungstenite::Error;

use super::websocket::connect;
use crate::scene::{Scene, problem};

/// A passthrough of every kind over the whole shop, open to everybody.
const OVER_ALL: &str = r#"
[[passthrough]]
prefix = "/"
service = "shop"
kinds = ["websocket", "sse", "grpc"]
security = "public"
[[limit]]
name = "two"
per = "ip"
quota = 2
window = "1h"
operations = ["getOrder"]
[[operation]]
id = "createOrder"
body_bytes_max = "1KiB"
"#;

const ANNOUNCED: [(&str, &str); 3] = [
    ("accept", "text/event-stream"),
    ("content-type", "application/grpc"),
    ("accept", "text/html, text/event-stream;q=0.1"),
];

fn ask(scene: &Scene, method: &str, path: &str, fields: &[(&str, &str)]) -> RawResponse {
    scene.ask(method, path, fields)
}

#[test]
fn a_header_does_not_lay_off_what_an_operation_asks() {
    let scene = Scene::shop_on_one_node(OVER_ALL);
    for announced in ANNOUNCED {
        problem(&ask(&scene, "POST", "/orders", &[announced]), 401, "PLM-EDGE-0201");
        let bearer = scene.bearer("feed:read");
        let fields = [announced, ("authorization", bearer.as_str())];
        problem(&ask(&scene, "POST", "/orders", &fields), 403, "PLM-EDGE-0211");
        let bearer = scene.bearer("orders:write");
        let fields = [announced, ("authorization", bearer.as_str())];
        let large = scene.client().request("POST", "/orders", &fields, &[7; 2_000]).unwrap();
        problem(&large, 413, "PLM-EDGE-0007");
    }
    assert_eq!(scene.origin.log().requests(), 0);
    let statuses = |n: usize| -> Vec<u16> {
        let asked = ANNOUNCED.iter().cycle().take(n);
        asked.map(|announced| ask(&scene, "GET", "/orders/7", &[*announced]).status).collect()
    };
    assert_eq!(statuses(3), [200, 200, 429]);
    assert_eq!(ask(&scene, "GET", "/elsewhere", &[]).status, 200, "the rest passes");
}

#[tokio::test]
async fn an_operation_becomes_a_websocket_by_its_own_policies() {
    let scene = Scene::shop(OVER_ALL);
    let echo = ("x-script", "ws-echo");
    match connect(scene.edge.addr(), "/profile", &[echo]).await {
        Err(Error::Http(answer)) => assert_eq!(answer.status(), 401),
        other => panic!("{other:?}"),
    }
    let bearer = scene.bearer("");
    let fields = [echo, ("authorization", bearer.as_str())];
    connect(scene.edge.addr(), "/profile", &fields).await.unwrap();
}

#[test]
fn an_operation_that_streams_does_so_without_a_passthrough() {
    let scene = Scene::shop("[service.timeouts]\ntotal = \"500ms\"\n");
    let fields = [("accept", "text/event-stream"), ("x-script", "sse=8:100"), ("x-test-id", "s")];
    let answer = ask(&scene, "GET", "/feed", &fields);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(text.matches("data: s ").count(), 8, "{text}");
}

#[test]
fn check_says_where_a_passthrough_covers_operations() {
    let scene = Scene::shop(OVER_ALL);
    let folder = scene.edge.work_dir();
    let checked = crate::cli::plimsoll(folder, &["check"]);
    let said = crate::cli::stdout(&checked);
    assert!(said.contains("and 2 more below the passthrough /*"), "{said}");
    let checked = crate::cli::plimsoll(folder, &["check", "--output", "json"]);
    let answer: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert!(answer["notices"][0].as_str().unwrap().contains("keep their own policies"));
}
