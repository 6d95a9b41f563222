//! Answers made smaller on their way: by the binary, read by decoders that are not ours.

mod origin;
mod rules;
mod streams;
mod tags;

use std::io::Read as _;

use plimsoll_testkit::RawResponse;

use crate::scene::{Scene, open_manifest};
use origin::TextOrigin;

/// What browsers and libraries send.
const CHROMIUM: &str = "gzip, deflate, br, zstd";
const SAFARI: &str = "gzip, deflate, br";
const OKHTTP: &str = "gzip";

/// An origin of texts and the edge in front of it, without a word on compression.
fn scene(origin: &TextOrigin) -> Scene {
    scene_with(origin, "")
}

fn scene_with(origin: &TextOrigin, more: &str) -> Scene {
    Scene::start_on_one_node(|_| open_manifest(&origin.url(), "", "", more))
}

fn ask(scene: &Scene, target: &str, accept: &str) -> RawResponse {
    scene.ask("GET", target, &[("accept-encoding", accept)])
}

/// A text of about so many bytes, as an API answers it.
fn listing(bytes: usize) -> String {
    let mut text = String::from("[");
    let mut number = 1_u64;
    while text.len() < bytes {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(&format!(
            "{{\"id\":\"{number:016x}\",\"status\":\"paid\",\"amount_cents\":{}}},",
            number >> 44
        ));
    }
    text.replace_range(text.len() - 1.., "]");
    text
}

/// The body as its reader sees it.
#[track_caller]
fn decoded(answer: &RawResponse) -> Vec<u8> {
    let (mut out, body) = (Vec::new(), answer.body.as_slice());
    match answer.headers.get("content-encoding") {
        None => out.extend_from_slice(body),
        Some("br") => {
            brotli::Decompressor::new(body, 4096).read_to_end(&mut out).unwrap();
        }
        Some("zstd") => out = zstd::stream::decode_all(body).unwrap(),
        Some("gzip") => {
            flate2::read::GzDecoder::new(body).read_to_end(&mut out).unwrap();
        }
        Some(other) => panic!("coding {other}"),
    }
    out
}

#[track_caller]
fn plain(answer: &RawResponse) {
    assert_eq!(answer.headers.get("content-encoding"), None, "{:?}", answer.headers);
}
