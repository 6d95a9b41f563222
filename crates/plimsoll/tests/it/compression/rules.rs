//! What is compressed, what is not, and what the head says. The cases with a number are what other
//! gateways got wrong (`reference/edge.md` 1.9 names them), each a test here.

use std::process::Command;

use super::origin::{TextOrigin, answer};
use super::{CHROMIUM, OKHTTP, SAFARI, ask, decoded, listing, plain, scene, scene_with};
use crate::bodies::tools::{SECOND, eventually};
use crate::scene::{CONTRACT, Scene, shop_manifest};

const JSON: &str = "content-type: application/json\r\n";

#[test]
fn every_coding_comes_back_as_it_was_whatever_the_size() {
    let origin = TextOrigin::start(|head| {
        let bytes: usize = head.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        answer(head, "200 OK", JSON, listing(bytes).as_bytes())
    });
    let scene = scene(&origin);
    for bytes in [1_400, 1_500, 16_384, 16_385, 65_536, 300_000, 5_000_000] {
        let text = listing(bytes);
        for (accept, coding) in
            [("zstd", "zstd"), ("br", "br"), ("gzip", "gzip"), (CHROMIUM, "zstd"), (SAFARI, "br")]
        {
            let answer = ask(&scene, &format!("/{bytes}"), accept);
            assert_eq!(answer.status, 200);
            assert_eq!(answer.headers.get("content-encoding"), Some(coding), "{accept}");
            assert_eq!(answer.headers.get("content-length"), None);
            assert_eq!(decoded(&answer), text.as_bytes(), "{coding} {bytes}");
            assert!(answer.body.len() * 2 < text.len(), "{coding}: {}", answer.body.len());
        }
    }
}

/// Decoders that nobody here wrote or chose.
#[test]
fn curl_reads_what_it_asked_for() {
    let text = listing(200_000);
    let origin = TextOrigin::always("200 OK", JSON, text.clone());
    let scene = scene(&origin);
    for coding in ["gzip", "br", "zstd", "gzip, br, zstd"] {
        let output = Command::new("curl")
            .args(["-sS", "--compressed", "-H", &format!("accept-encoding: {coding}")])
            .arg(format!("http://{}/list", scene.edge.addr()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == text.as_bytes(), "{coding}: {} bytes", output.stdout.len());
    }
}

/// traefik#9734: compressed for who never said it could read it.
#[test]
fn who_does_not_ask_gets_it_as_it_is() {
    let origin = TextOrigin::always("200 OK", JSON, listing(5_000));
    let scene = scene(&origin);
    let answer = scene.ask("GET", "/", &[]);
    plain(&answer);
    assert_eq!(answer.headers.get("content-length"), Some(&*listing(5_000).len().to_string()));
    // A cache between must know all the same.
    assert_eq!(answer.headers.all("vary"), ["accept-encoding"]);
    for accept in ["", "identity", "deflate", "gzip;q=0", "br;q=0, gzip;q=0.0", "*;q=0", "x, y"] {
        plain(&ask(&scene, "/", accept));
    }
    assert_eq!(
        ask(&scene, "/", "gzip;q=0.2, br;q=0.1").headers.get("content-encoding"),
        Some("gzip")
    );
    assert_eq!(ask(&scene, "/", "*").headers.get("content-encoding"), Some("gzip"));
}

/// traefik#11259 and #12688: `Vary` twice. traefik#12214: the service's own lost.
#[test]
fn vary_is_said_once_beside_what_the_service_said() {
    for (said, expected) in [
        ("", "accept-encoding"),
        ("vary: Origin\r\n", "Origin, accept-encoding"),
        ("vary: Accept-Encoding\r\n", "Accept-Encoding"),
        ("vary: accept-encoding\r\nvary: Origin\r\n", "accept-encoding, Origin"),
        (
            "vary: Origin\r\nvary: X-Tenant, accept-encoding\r\n",
            "Origin, X-Tenant, accept-encoding",
        ),
        ("vary: *\r\n", "*"),
    ] {
        let fields: &'static str = Box::leak(format!("{JSON}{said}").into_boxed_str());
        let origin = TextOrigin::always("200 OK", fields, listing(5_000));
        let scene = scene(&origin);
        for accept in [OKHTTP, "identity"] {
            let answer = ask(&scene, "/", accept);
            assert_eq!(answer.headers.all("vary"), [expected], "{said:?} {accept}");
        }
    }
}

#[test]
fn vary_on_the_origin_of_a_page_stays() {
    let origin = TextOrigin::always("200 OK", JSON, listing(5_000));
    let scene = scene_with(&origin, "[cors]\norigins = [\"https://app.test\"]\n");
    let answer =
        scene.ask("GET", "/", &[("origin", "https://app.test"), ("accept-encoding", OKHTTP)]);
    assert_eq!(answer.headers.all("vary"), ["origin, accept-encoding"]);
    assert_eq!(answer.headers.get("access-control-allow-origin"), Some("https://app.test"));
}

/// traefik#1851: compressed twice.
#[test]
fn what_the_service_compressed_is_passed_on_as_it_is() {
    use std::io::Write as _;
    let text = listing(20_000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(text.as_bytes()).unwrap();
    let body = gzip.finish().unwrap();
    let sent = body.clone();
    let origin = TextOrigin::start(move |head| {
        let fields = format!("{JSON}content-encoding: gzip\r\netag: \"strong\"\r\n");
        answer(head, "200 OK", &fields, &sent)
    });
    let scene = scene(&origin);
    for accept in [CHROMIUM, OKHTTP, "identity"] {
        let answer = ask(&scene, "/", accept);
        assert_eq!(answer.body, body);
        assert_eq!(answer.headers.all("content-encoding"), ["gzip"]);
        assert_eq!(answer.headers.get("etag"), Some("\"strong\""));
        assert_eq!(
            origin.last("accept-encoding").as_deref(),
            Some(accept),
            "it is asked as we are"
        );
    }
    assert_eq!(decoded(&ask(&scene, "/", OKHTTP)), text.as_bytes());
}

/// traefik#11519: br and zstd on types that gzip left alone. traefik#11509: event streams.
#[test]
fn types_that_are_not_text_stay_as_they_are() {
    let origin = TextOrigin::start(|head| {
        let kind = head.split([' ', '?']).nth(2).unwrap();
        answer(head, "200 OK", &format!("content-type: {kind}\r\n"), &vec![b'a'; 20_000])
    });
    let scene = scene(&origin);
    for coding in ["br", "zstd", "gzip"] {
        for kind in [
            "image/jpeg",
            "image/png",
            "image/webp",
            "video/mp4",
            "audio/mpeg",
            "application/zip",
            "application/pdf",
            "font/woff2",
            "application/octet-stream",
            "application/gzip",
            "text/event-stream",
            "text/event-stream;charset=utf-8",
            "application/grpc",
            "application/grpc+proto",
            "multipart/byteranges",
        ] {
            let answer = ask(&scene, &format!("/?{kind}"), coding);
            plain(&answer);
            assert_eq!(answer.headers.get("vary"), None, "{kind}");
            assert_eq!(answer.body.len(), 20_000);
        }
        for kind in ["application/json", "text/html;charset=utf-8", "image/svg+xml"] {
            let answer = ask(&scene, &format!("/?{kind}"), coding);
            assert_eq!(answer.headers.get("content-encoding"), Some(coding), "{kind}");
        }
    }
}

#[test]
fn what_must_not_or_need_not_be_changed_stays() {
    let text = listing(5_000);
    for (status, fields) in [
        ("206 Partial Content", "content-range: bytes 0-4999/9000\r\n"),
        ("200 OK", "cache-control: public, no-transform\r\n"),
        ("200 OK", "content-digest: sha-256=:AAAA:\r\n"),
        ("200 OK", "repr-digest: sha-256=:AAAA:\r\n"),
        ("200 OK", "digest: sha-256=AAAA\r\n"),
        ("200 OK", "content-md5: AAAA\r\n"),
        ("200 OK", "signature: sig1=:AAAA:\r\n"),
        ("200 OK", "set-cookie: session=1\r\n"),
    ] {
        let sent: &'static str =
            Box::leak(format!("{JSON}{fields}etag: \"v1\"\r\n").into_boxed_str());
        let origin = TextOrigin::always(status, sent, text.clone());
        let answer = ask(&scene(&origin), "/", CHROMIUM);
        plain(&answer);
        assert_eq!(answer.headers.get("etag"), Some("\"v1\""), "{fields}");
        let (name, value) = fields.trim_end().split_once(": ").unwrap();
        assert_eq!(answer.headers.get(name), Some(value));
        assert_eq!(answer.body, text.as_bytes());
    }
    let short = TextOrigin::always("200 OK", JSON, "x".repeat(1_399));
    let scene = scene(&short);
    let answer = ask(&scene, "/", CHROMIUM);
    plain(&answer);
    assert_eq!(answer.headers.get("vary"), None);
    // Who refuses it as it is gets it compressed however short it is.
    let answer = ask(&scene, "/", "gzip, identity;q=0");
    assert_eq!(answer.headers.get("content-encoding"), Some("gzip"));
    assert_eq!(decoded(&answer), "x".repeat(1_399).as_bytes());
}

#[test]
fn answers_without_a_body_say_nothing_of_a_coding() {
    for status in ["204 No Content", "304 Not Modified"] {
        let origin = TextOrigin::start(move |_| {
            format!("HTTP/1.1 {status}\r\n{JSON}etag: \"v1\"\r\n\r\n").into_bytes()
        });
        let answer = ask(&scene(&origin), "/", CHROMIUM);
        plain(&answer);
        assert_eq!(answer.headers.get("etag"), Some("\"v1\""));
        assert!(answer.body.is_empty());
    }
}

#[test]
fn head_says_what_get_would_say() {
    let origin =
        TextOrigin::always("200 OK", "content-type: text/css\r\netag: \"v1\"\r\n", listing(5_000));
    let scene = scene(&origin);
    let mut client = scene.client();
    for accept in [CHROMIUM, "identity"] {
        let fields = [("accept-encoding", accept)];
        let head = client.request("HEAD", "/", &fields, b"").unwrap();
        let get = client.get("/", &fields).unwrap();
        for field in ["content-encoding", "content-length", "etag", "vary", "content-type"] {
            assert_eq!(head.headers.all(field), get.headers.all(field), "{field} {accept}");
        }
        assert!(head.body.is_empty());
    }
}

#[test]
fn problems_of_the_service_are_answers_too() {
    let origin = TextOrigin::always(
        "422 Unprocessable Content",
        "content-type: application/problem+json\r\n",
        listing(5_000),
    );
    let answer = ask(&scene(&origin), "/", OKHTTP);
    assert_eq!((answer.status, answer.headers.get("content-encoding")), (422, Some("gzip")));
    assert_eq!(decoded(&answer), listing(5_000).as_bytes());
}

#[test]
fn the_edges_own_documents_are_compressed() {
    let scene = Scene::shop("[compression]\nbytes_min = \"256B\"\n");
    let whole = scene.ask("GET", "/openapi.json", &[]);
    let answer = ask(&scene, "/openapi.json", CHROMIUM);
    assert_eq!(answer.headers.get("content-encoding"), Some("zstd"), "{} bytes", whole.body.len());
    assert_eq!(decoded(&answer), whole.body);
    let head = scene.ask("HEAD", "/openapi.json", &[("accept-encoding", CHROMIUM)]);
    assert_eq!(head.headers.get("content-encoding"), Some("zstd"));
    assert_eq!(head.headers.get("content-length"), None);
}

/// BREACH: who can make the user's browser ask, and see how long answers are, guesses the secret in
/// them letter by letter.
#[test]
fn a_page_elsewhere_with_the_users_cookies_gets_it_as_it_is() {
    let origin = TextOrigin::always("200 OK", JSON, listing(5_000));
    let scene = scene(&origin);
    let ask = |site: &str, cookie: &str| {
        let mut fields = vec![("accept-encoding", OKHTTP), ("sec-fetch-site", site)];
        if !cookie.is_empty() {
            fields.push(("cookie", cookie));
        }
        scene.ask("GET", "/", &fields).headers.get("content-encoding").is_some()
    };
    assert!(!ask("cross-site", "session=1"));
    assert!(ask("cross-site", ""), "nothing of the user's");
    assert!(ask("same-origin", "session=1") && ask("same-site", "s=1") && ask("none", "s=1"));
}

#[test]
fn an_operation_has_the_last_word() {
    let origin = TextOrigin::always(
        "200 OK",
        "content-type: application/json\r\nset-cookie: a=b\r\n",
        listing(5_000),
    );
    let more = "[[operation]]\nid = \"listFeed\"\ncompression = \"off\"\n\
                [[operation]]\nid = \"getOrder\"\ncompression = \"on\"\n";
    let scene = Scene::start_on_one_node(|_| shop_manifest(&origin.url(), more));
    assert!(CONTRACT.contains("getOrder"));
    let answer = ask(&scene, "/feed", CHROMIUM);
    plain(&answer);
    assert_eq!(answer.headers.get("vary"), None);
    let answer = scene.ask(
        "GET",
        "/orders/7",
        &[("accept-encoding", OKHTTP), ("sec-fetch-site", "cross-site"), ("cookie", "a=b")],
    );
    assert_eq!(answer.headers.get("content-encoding"), Some("gzip"));
}

#[test]
fn it_is_switched_off_and_narrowed_by_the_manifest() {
    let origin = TextOrigin::always("200 OK", JSON, listing(5_000));
    let off = scene_with(&origin, "[compression]\nenabled = false\n");
    let answer = ask(&off, "/", CHROMIUM);
    plain(&answer);
    assert_eq!(answer.headers.get("vary"), None);
    let narrow =
        scene_with(&origin, "[compression]\ncodings = [\"gzip\", \"br\"]\nbytes_min = \"6000B\"\n");
    plain(&ask(&narrow, "/", CHROMIUM));
    let narrow = scene_with(&origin, "[compression]\ncodings = [\"gzip\", \"br\"]\n");
    assert_eq!(ask(&narrow, "/", CHROMIUM).headers.get("content-encoding"), Some("gzip"));
    assert_eq!(ask(&narrow, "/", "br, zstd").headers.get("content-encoding"), Some("br"));
    plain(&ask(&narrow, "/", "zstd"));
}

#[test]
fn what_was_saved_is_counted_by_operation_and_shown() {
    let origin = TextOrigin::always("200 OK", JSON, listing(50_000));
    let scene = scene(&origin);
    let whole = listing(50_000).len();
    let sent: usize = (0..3).map(|_| ask(&scene, "/list", OKHTTP).body.len()).sum();
    let saved = (3 * whole - sent) as f64;
    let of = "{service=\"app\",operation=\"GET /list\"}";
    eventually("the metric moves", 3 * SECOND, || {
        let name = format!("plimsoll_response_body_bytes_saved_total{of}");
        scene.edge.metric(&name).unwrap() == Some(saved)
    });
    let name = format!("plimsoll_response_body_bytes_total{of}");
    assert_eq!(scene.edge.metric(&name).unwrap(), Some(sent as f64));
    let coding = "plimsoll_compressed_answers_total{coding=\"gzip\"}";
    assert_eq!(scene.edge.metric(coding).unwrap(), Some(3.0));
    eventually("the console shows it", 5 * SECOND, || {
        let page = scene.edge.ops_get("/?format=json").unwrap().1;
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        let operations = page["operations"].as_array().unwrap();
        let row = operations.iter().find(|row| row["operation"] == "GET /list");
        row.is_some_and(|row| row["bytes_saved_per_second"].as_f64().unwrap() > 0.0)
    });
    assert!(scene.edge.ops_get("/").unwrap().1.contains("Saved %"));
}
