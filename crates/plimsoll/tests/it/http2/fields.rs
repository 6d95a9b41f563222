//! Fields that HTTP/2 carries in another way than HTTP/1.1.

use http::Request;
use plimsoll_testkit::{BodyDigest, expected_body};

use super::client::{Client, get, send_all};
use crate::scene::Scene;

#[tokio::test]
async fn the_authority_becomes_host_and_cookie_crumbs_become_one_cookie() {
    let scene = Scene::open("", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    let request = Request::get("http://shop.example:8443/x?q=%2Fa%20b&c")
        .header("x-test-id", "crumbs")
        .header("cookie", "a=1")
        .header("cookie", "b=2; c=3")
        .header("cookie", "d=4")
        .header("x-many", "1")
        .header("x-many", "2");
    let answer = client.request(request.body(()).unwrap(), None).await.unwrap();
    assert_eq!(answer.body, expected_body("crumbs", 64));
    let seen = &scene.origin.log().with_id("crumbs")[0];
    assert_eq!(seen.target, "/x?q=%2Fa%20b&c");
    assert_eq!(seen.headers.all("host"), ["shop.example:8443"]);
    assert_eq!(seen.headers.all("cookie"), ["a=1; b=2; c=3; d=4"]);
    assert_eq!(seen.headers.all("x-many"), ["1", "2"]);
    assert_eq!(seen.headers.get("x-forwarded-host"), Some("shop.example:8443"));
    assert!(seen.headers.iter().all(|(name, _)| !name.starts_with(':')), "{:?}", seen.headers);
}

#[tokio::test]
async fn a_host_that_differs_from_the_authority_is_refused() {
    let scene = Scene::open("", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    let answer = client.get("/x", &[("host", "other.example")]).await.unwrap();
    assert_eq!(answer.status, 400);
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(document["code"], "PLM-EDGE-0003");
    assert_eq!(client.get("/x", &[("host", "a")]).await.unwrap().status, 200);
    assert_eq!(scene.origin.log().requests(), 1);
}

#[tokio::test]
async fn an_answer_of_http_1_1_carries_nothing_that_http_2_forbids() {
    let scene = Scene::open("", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    for script in [
        "body=50;close;header=Keep-Alive:timeout%3D5",
        "body=50;chunked;header=Connection:x-hop;header=X-Hop:1",
        "body=50;until-close;header=Proxy-Connection:close",
    ] {
        let fields = [("x-test-id", "hop"), ("x-script", script)];
        let answer = client.get("/x", &fields).await.unwrap_or_else(|e| panic!("{script}: {e}"));
        assert_eq!(answer.body, expected_body("hop", 50), "{script}");
        for name in ["connection", "keep-alive", "transfer-encoding", "x-hop", "proxy-connection"] {
            assert!(!answer.headers.contains_key(name), "{script}: {name}");
        }
    }
}

#[tokio::test]
async fn answers_without_a_body_end_their_stream() {
    let scene = Scene::open("", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    for (method, script, status, length) in [
        ("HEAD", "body=5000", 200, Some("5000")),
        ("GET", "status=204", 204, None),
        ("GET", "status=304", 304, None),
        ("GET", "body=0", 200, Some("0")),
        ("GET", "body=0;chunked", 200, None),
    ] {
        let request =
            Request::builder().method(method).uri("http://a/x").header("x-script", script);
        let answer = client.request(request.body(()).unwrap(), None).await.unwrap();
        let stated = answer.headers.get("content-length").map(|v| v.to_str().unwrap());
        assert_eq!((answer.status.as_u16(), answer.body.len()), (status, 0), "{method} {script}");
        assert_eq!(stated, length, "{method} {script}");
    }
}

#[tokio::test]
async fn head_of_what_the_edge_answers_itself_has_no_body_either() {
    let scene = Scene::shop("");
    let mut client = Client::connect(scene.edge.addr()).await;
    for (uri, status) in [("http://a/openapi.json", 200), ("http://a/nowhere", 404)] {
        let request = Request::builder().method("HEAD").uri(uri).body(()).unwrap();
        let answer = client.request(request, None).await.unwrap();
        let stated = answer.headers["content-length"].to_str().unwrap().parse::<usize>().unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.len()), (status, 0), "{uri}");
        assert!(stated > 100, "{uri}: {stated}");
    }
}

/// Trailers of the service reach a client that can take them, without what frames or identifies;
/// trailers of a client never carry an identity to the service.
#[tokio::test]
async fn trailers_pass_without_what_they_must_not_say() {
    let scene = Scene::open("", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    let fields = [("x-test-id", "trailing"), ("te", "trailers"), ("x-script", "body=700;trailers")];
    let answer = client.get("/x", &fields).await.unwrap();
    assert_eq!(answer.body, expected_body("trailing", 700));
    assert_eq!(answer.trailers.expect("trailers")["x-trailer"], "trailing");
    let evil = "raw=HTTP/1.1%20200%20OK%0d%0aconnection:%20close%0d%0atransfer-encoding:%20chunked%0d%0a%0d%0a2%0d%0ahi%0d%0a\
                0%0d%0ax-sum:%201%0d%0acontent-length:%209%0d%0aset-cookie:%20a=b%0d%0a%0d%0a";
    let answer = client.get("/x", &[("te", "trailers"), ("x-script", evil)]).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, &b"hi"[..]));
    let trailers = answer.trailers.unwrap_or_default();
    for name in ["content-length", "set-cookie"] {
        assert!(!trailers.contains_key(name), "{trailers:?}");
    }

    let request = Request::put("http://a/x").header("x-test-id", "trailed");
    let (response, mut stream) = client.open(request.body(()).unwrap(), false).await.unwrap();
    send_all(&mut stream, b"hello"[..].into()).await.unwrap();
    let mut trailers = http::HeaderMap::new();
    for name in ["x-user-id", "plimsoll-subject", "x-sum"] {
        trailers.insert(name, http::HeaderValue::from_static("root"));
    }
    stream.send_trailers(trailers).unwrap();
    let answer = super::client::read(response.await.unwrap()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.headers["x-body-digest"], *BodyDigest::of(b"hello"));
    for connection in scene.origin.log().connections() {
        let bytes = String::from_utf8_lossy(&connection.received).to_ascii_lowercase();
        assert!(!bytes.contains("x-user-id") && !bytes.contains("plimsoll-subject"), "{bytes}");
    }
}

#[tokio::test]
async fn a_field_section_that_is_too_large_is_431_and_the_connection_goes_on() {
    let scene = Scene::open("header_bytes_max = \"8KiB\"\nheaders_max = 20", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    client.get("/x", &[]).await.unwrap();
    for (bytes, status) in [(7_000, 200), (8_300, 431), (10_000, 431), (14_000, 431), (60_000, 431)]
    {
        let value = "v".repeat(bytes);
        let answer = client.get("/x", &[("x-large", &value)]).await;
        let answer = answer.unwrap_or_else(|e| panic!("{bytes} bytes: {e}"));
        assert_eq!(answer.status, status, "{bytes} bytes");
        if status == 431 {
            let kind = answer.headers.get("content-type").map(|kind| kind.as_bytes());
            assert_eq!(kind, Some(&b"application/problem+json"[..]), "{bytes} bytes");
        }
    }
    let many: Vec<String> = (0..30).map(|n| format!("x-{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "v")).collect();
    assert_eq!(client.request(get("/x", &many), None).await.unwrap().status, 431);
    assert_eq!(client.get("/x", &[]).await.unwrap().status, 200);
    assert_eq!(scene.origin.log().requests(), 3);
}
