//! Entity tags: weak on the way out, the service's own on the way back.

use super::origin::{TextOrigin, answer};
use super::{CHROMIUM, ask, listing, scene};

/// A service that compares byte by byte, as many do.
fn byte_by_byte(tag: &'static str) -> TextOrigin {
    TextOrigin::start(move |head| {
        let sent = |field: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(field));
            line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
        };
        let fields = format!("content-type: application/json\r\netag: {tag}\r\n");
        if sent("if-none-match").is_some_and(|held| held == tag) {
            return format!("HTTP/1.1 304 Not Modified\r\netag: {tag}\r\n\r\n").into_bytes();
        }
        if sent("if-match").is_some_and(|held| held != tag) {
            return answer(head, "412 Precondition Failed", &fields, b"no");
        }
        answer(head, "200 OK", &fields, listing(5_000).as_bytes())
    })
}

#[test]
fn a_strong_tag_is_weak_and_still_finds_its_match() {
    let origin = byte_by_byte("\"v1\"");
    let scene = scene(&origin);
    let first = ask(&scene, "/", CHROMIUM);
    assert_eq!(first.headers.get("etag"), Some("W/\"v1\""));
    let again =
        scene.ask("GET", "/", &[("accept-encoding", CHROMIUM), ("if-none-match", "W/\"v1\"")]);
    assert_eq!(again.status, 304);
    // A 304 with another tag than the one that is held updates nothing (RFC 9111 §4.3.4).
    assert_eq!(again.headers.get("etag"), Some("W/\"v1\""));
    assert_eq!(origin.last("if-none-match").as_deref(), Some("\"v1\""));
    // Who holds it as it was keeps its tag.
    let plain = scene.ask("GET", "/", &[("if-none-match", "\"v1\"")]);
    assert_eq!((plain.status, plain.headers.get("etag")), (304, Some("\"v1\"")));
}

/// `If-Match` has to be compared strongly: with the weak tag no write would ever go through.
#[test]
fn a_write_that_names_what_it_read_goes_through() {
    let origin = byte_by_byte("\"v1\"");
    let scene = scene(&origin);
    let held = ask(&scene, "/", CHROMIUM).headers.get("etag").unwrap().to_owned();
    let fields = [("if-match", held.as_str()), ("content-length", "0")];
    assert_eq!(scene.ask("PUT", "/", &fields).status, 200);
    let fields = [("if-match", "W/\"v0\""), ("content-length", "0")];
    assert_eq!(scene.ask("PUT", "/", &fields).status, 412);
}

#[test]
fn a_services_own_weak_tags_are_left_alone() {
    let origin = byte_by_byte("W/\"v1\"");
    let scene = scene(&origin);
    assert_eq!(ask(&scene, "/", CHROMIUM).headers.get("etag"), Some("W/\"v1\""));
    let fields = [("accept-encoding", CHROMIUM), ("if-none-match", "W/\"v1\"")];
    let again = scene.ask("GET", "/", &fields);
    assert_eq!((again.status, again.headers.get("etag")), (304, Some("W/\"v1\"")));
    assert_eq!(origin.last("if-none-match").as_deref(), Some("W/\"v1\""));
}

#[test]
fn nothing_is_taken_off_where_compression_is_off() {
    let origin = byte_by_byte("\"v1\"");
    let scene = super::scene_with(&origin, "[compression]\nenabled = false\n");
    let fields = [("if-none-match", "W/\"v1\"")];
    assert_eq!(scene.ask("GET", "/", &fields).status, 200);
    assert_eq!(origin.last("if-none-match").as_deref(), Some("W/\"v1\""));
}
