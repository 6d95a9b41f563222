//! The team's own actions, over HTTP: who may append, and what is refused.

use std::net::SocketAddr;
use std::time::Duration;

use plimsoll_testkit::{Plimsoll, PlimsollOptions, RawClient, RawResponse, free_port};
use serde_json::Value;

use crate::memory::{entries, soon};

const TOKEN: &str = "a token of more than sixteen bytes";
const ACTION: &str = r#"{"id":"refund-1","action":"order.refund","outcome":"ok","subject":"o/1"}"#;

fn start(token: bool, ops: Option<SocketAddr>) -> Plimsoll {
    let env = [("PLIMSOLL_INGEST_TOKEN".to_owned(), TOKEN.to_owned())];
    Plimsoll::start(&PlimsollOptions {
        args: vec!["--upstream".into(), "http://127.0.0.1:9".into()],
        env: env.into_iter().filter(|_| token).collect(),
        ops_listen: ops,
        ..PlimsollOptions::default()
    })
    .unwrap()
}

fn append(to: SocketAddr, token: Option<&str>, body: &str) -> RawResponse {
    let mut client = RawClient::connect(to).unwrap();
    client.set_patience(Duration::from_secs(8));
    let (length, bearer) = (body.len().to_string(), token.map(|token| format!("Bearer {token}")));
    let mut fields = vec![("content-type", "application/json"), ("content-length", &*length)];
    if let Some(bearer) = &bearer {
        fields.push(("authorization", bearer));
    }
    client.request("POST", "/api/v1/ledger/entries", &fields, body.as_bytes()).unwrap()
}

#[track_caller]
fn refused(answer: &RawResponse, status: u16, code: &str) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    assert_eq!((answer.status, body["code"].as_str()), (status, Some(code)), "{}", answer.text());
}

#[test]
fn only_whoever_shows_the_token_may_append() {
    let edge = start(true, None);
    let to = edge.ops_addr();
    soon(|| (append(to, Some(TOKEN), ACTION).status == 201).then_some(()));
    refused(&append(to, None, ACTION), 401, "PLM-OPS-0009");
    for wrong in ["", "another", &TOKEN[1..], &format!("{TOKEN}x"), &TOKEN.to_uppercase()] {
        refused(&append(to, Some(wrong), ACTION), 401, "PLM-OPS-0009");
    }
    let challenge = append(to, None, ACTION);
    assert!(challenge.headers.get("www-authenticate").unwrap_or_default().contains("Bearer"));
    assert_eq!(entries(edge.data_dir(), "team.action").len(), 1, "nothing else was written");
    // Without a token nobody may, on loopback neither.
    let without = start(false, None);
    refused(&append(without.ops_addr(), Some(TOKEN), ACTION), 401, "PLM-OPS-0009");
}

#[test]
fn off_loopback_the_token_opens_this_and_nothing_else() {
    let any = SocketAddr::from(([0, 0, 0, 0], free_port().unwrap()));
    let edge = start(true, Some(any));
    let to = SocketAddr::from(([127, 0, 0, 1], any.port()));
    soon(|| (append(to, Some(TOKEN), ACTION).status == 201).then_some(()));
    refused(&append(to, Some("another"), ACTION), 401, "PLM-OPS-0009");
    let bearer = format!("Bearer {TOKEN}");
    for path in ["/", "/api/v1/ledger", "/api/v1/ledger/export", "/metrics"] {
        let mut client = RawClient::connect(to).unwrap();
        let answer = client.get(path, &[("authorization", &bearer)]).unwrap();
        refused(&answer, 403, "PLM-OPS-0005");
    }
    assert_eq!(edge.ops_addr(), any);
}

#[test]
fn an_id_stands_for_one_action_and_a_body_has_a_bound() {
    let edge = start(true, None);
    let to = edge.ops_addr();
    let first = soon(|| Some(append(to, Some(TOKEN), ACTION)).filter(|a| a.status == 201));
    let again = append(to, Some(TOKEN), ACTION);
    assert_eq!((again.status, again.text()), (200, first.text()), "the same entry");
    refused(&append(to, Some(TOKEN), &ACTION.replace("o/1", "o/2")), 409, "PLM-OPS-0011");
    refused(&append(to, Some(TOKEN), "{}"), 400, "PLM-OPS-0010");
    let padded = |bytes: usize| format!("{ACTION}{}", " ".repeat(bytes - ACTION.len()));
    assert_eq!(append(to, Some(TOKEN), &padded(16 * 1024)).status, 200);
    refused(&append(to, Some(TOKEN), &padded(16 * 1024 + 1)), 413, "PLM-OPS-0013");
    let long = ACTION.replace("o/1", &"o".repeat(257)).replace("refund-1", "refund-2");
    refused(&append(to, Some(TOKEN), &long), 400, "PLM-OPS-0010");
    assert_eq!(entries(edge.data_dir(), "team.action").len(), 1);
}
