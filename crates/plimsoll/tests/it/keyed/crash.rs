//! The process dies at each step of a keyed write: what the service was told once it is never told
//! again, and the client that asks again ends with one answer.

use std::net::SocketAddr;
use std::time::Duration;

use plimsoll_testkit::{Origin, Plimsoll, PlimsollOptions, RawClient, RawResponse, free_addr};

use crate::scene::{Stopwatch, open_manifest};

/// A lease, and what a start and a poll may take.
const ENDS_WITHIN: Duration = Duration::from_secs(12);

struct Stage {
    origin: Origin,
    data_dir: tempfile::TempDir,
    listen: SocketAddr,
}

impl Stage {
    fn new() -> Self {
        let origin = Origin::start().unwrap();
        Self { origin, data_dir: tempfile::tempdir().unwrap(), listen: free_addr().unwrap() }
    }

    fn start(&self, failpoints: &str) -> Plimsoll {
        Plimsoll::start(&PlimsollOptions {
            manifest: Some(open_manifest(&self.origin.url(), "", "", "")),
            env: vec![("PLIMSOLL_FAILPOINTS".into(), failpoints.into())],
            data_dir: Some(self.data_dir.path().to_owned()),
            listen: Some(self.listen),
            one_node: true,
            ..PlimsollOptions::default()
        })
        .unwrap()
    }

    fn write(&self) -> Result<RawResponse, plimsoll_testkit::ClientError> {
        let fields = [("idempotency-key", "k"), ("x-script", "status=201;body=99")];
        RawClient::connect(self.listen)?.request("POST", "/orders", &fields, b"one")
    }

    /// Starts it again after a death; what the client ends with, and how often the service was told
    /// by then.
    #[track_caller]
    fn ends_with(&self, executions: usize, status: u16) {
        let died = Stopwatch::start();
        let _edge = self.start("");
        // As clients do: again after anything that is not the end of it.
        let last = loop {
            match self.write() {
                Ok(answer) if answer.status != 409 && answer.status != 503 => break answer,
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
            assert!(died.elapsed() < ENDS_WITHIN, "locked for longer than a lease");
        };
        assert_eq!(last.status, status, "{}", last.text());
        assert_eq!(self.origin.log().exchanges().len(), executions);
        assert_eq!(self.write().unwrap().status, status, "and another one after that");
        assert_eq!(self.origin.log().exchanges().len(), executions);
    }
}

/// Dies at `point`; how often the service was told, and what the client ends with.
#[track_caller]
fn dies_at(point: &str, executions: usize, ends_with: u16) {
    let stage = Stage::new();
    let mut edge = stage.start(&format!("{point}=die"));
    assert!(stage.write().is_err(), "{point}: it lives");
    assert!(edge.wait(Duration::from_secs(10)).unwrap().is_some(), "{point}: it lives");
    stage.ends_with(executions, ends_with);
}

#[test]
fn after_the_lease_is_committed() {
    dies_at("writes.leased", 0, 504);
}

#[test]
fn before_it_is_sent() {
    dies_at("writes.before_send", 0, 504);
}

#[test]
fn after_it_was_sent() {
    dies_at("writes.after_send", 1, 504);
}

#[test]
fn before_the_answer_is_recorded() {
    dies_at("writes.before_record", 1, 504);
}

#[test]
fn after_the_answer_is_recorded() {
    dies_at("writes.recorded", 1, 201);
}

#[test]
fn before_the_client_is_answered() {
    dies_at("writes.before_answer", 1, 201);
}

/// No failpoint: a real SIGKILL while the service works on it.
#[test]
fn killed_while_the_service_has_it() {
    let stage = Stage::new();
    let mut edge = stage.start("");
    let mut client = RawClient::connect(stage.listen).unwrap();
    client
        .send(
            "POST /orders HTTP/1.1\r\nhost: localhost\r\nidempotency-key: k\r\n\
             x-script: status=201;delay=5000\r\ncontent-length: 3\r\n\r\none",
        )
        .unwrap();
    crate::memory::soon(|| (stage.origin.log().exchanges().len() == 1).then_some(()));
    edge.kill().unwrap();
    stage.ends_with(1, 504);
}
