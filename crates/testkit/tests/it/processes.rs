//! The processes the tests start: an origin that is killed, and Plimsoll's runner on a stand-in.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use plimsoll_testkit::{
    ID_HEADER, OriginProcess, OriginProcessOptions, Outcome, Plimsoll, PlimsollOptions, RawClient,
    binary, free_addr, loopback_listener,
};

#[test]
fn the_log_outlives_a_killed_origin() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = OriginProcessOptions {
        listen: Some(free_addr().unwrap()),
        log_file: dir.path().join("origin.log"),
        default_script: None,
    };
    for round in ["first", "second"] {
        let mut origin = OriginProcess::start(&options).unwrap();
        let mut client = RawClient::connect(origin.addr()).unwrap();
        client.get("/", &[(ID_HEADER, round)]).unwrap();
        client
            .send(format!(
                "GET / HTTP/1.1\r\nhost: a\r\n{ID_HEADER}: {round}-open\r\n\
                             x-script: never\r\n\r\n"
            ))
            .unwrap();
        client.expect_quiet(Duration::from_millis(200)).unwrap();
        origin.kill().unwrap();
        client.expect_closed(Duration::from_secs(2)).unwrap();
        options.listen = Some(origin.addr());
    }
    let (exchanges, connections) = plimsoll_testkit::read_log_file(&options.log_file).unwrap();
    let seen: Vec<_> =
        exchanges.iter().map(|e| (e.id.as_deref().unwrap(), e.connection, &e.outcome)).collect();
    let answered = Outcome::Answered { status: 200, body_bytes: 64 };
    assert_eq!(
        seen,
        [
            ("first", 0, &answered),
            ("first-open", 0, &Outcome::Pending),
            ("second", 1, &answered),
            ("second-open", 1, &Outcome::Pending),
        ]
    );
    assert!(connections[1].received.ends_with(b"x-script: never\r\n\r\n"));
}

/// A stand-in for the binary: it tells what it was started with, then answers 200 to everything
/// on the ops address, as a ready process does.
fn stand_in(dir: &std::path::Path) -> std::path::PathBuf {
    let origin = binary::test_origin().unwrap();
    let path = dir.join("stand-in");
    let script = format!(
        "#!/bin/sh\necho \"args: $*\"\necho \"fds=$LISTEN_FDS pid=$LISTEN_PID own=$$\" >&2\n\
         readlink /proc/$$/fd/0 /proc/$$/fd/3 >&2\n\
         while [ \"$1\" != --ops-listen ]; do shift; done\n\
         exec {} --listen \"$2\" --log \"$PWD/ops.log\"\n",
        origin.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn the_runner_starts_waits_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Plimsoll::start(&PlimsollOptions {
        binary: Some(stand_in(dir.path())),
        manifest: Some("[edge]\n".into()),
        files: vec![("openapi.json".into(), b"{}".to_vec())],
        ..PlimsollOptions::default()
    })
    .unwrap();
    assert!(running.stdout().contains("args: up --manifest"), "{}", running.stdout());
    assert!(running.stdout().contains(&format!("--listen {}", running.addr())));
    assert!(running.work_dir().join("openapi.json").is_file());
    assert!(running.facts().rss_bytes().unwrap() > 0);
    assert_eq!(running.ops_get("/readyz").unwrap().0, 200);
    let status = running.stop(Duration::from_secs(5)).unwrap();
    assert!(!status.success(), "the stand-in does not handle SIGTERM");
    assert!(running.ops_get("/readyz").is_err());
}

#[test]
fn sockets_are_handed_over_as_listen_fds() {
    let dir = tempfile::tempdir().unwrap();
    let listener = loopback_listener().unwrap();
    let addr = listener.local_addr().unwrap();
    let running = Plimsoll::start(&PlimsollOptions {
        binary: Some(stand_in(dir.path())),
        inherited: vec![listener],
        ..PlimsollOptions::default()
    })
    .unwrap();
    assert_eq!(running.addr(), addr);
    let stderr = running.stderr();
    let pid = running.pid();
    assert!(stderr.contains(&format!("fds=1 pid={pid} own={pid}")), "{stderr}");
    let mut links = stderr.lines().skip(1);
    assert_eq!(links.next(), Some("/dev/null"));
    assert!(links.next().is_some_and(|l| l.starts_with("socket:")), "{stderr}");
    assert!(running.stdout().contains("args: up"), "stdout goes to its file again");
}

#[test]
fn a_process_that_ends_early_is_told_with_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stand-in");
    std::fs::write(&path, "#!/bin/sh\necho 'the reason' >&2\nexit 3\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = PlimsollOptions { binary: Some(path), ..PlimsollOptions::default() };
    let error = Plimsoll::start(&options).unwrap_err().to_string();
    assert!(error.contains("the reason") && error.contains("exit status: 3"), "{error}");
}
