//! The program as people and scripts run it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

use mvp::switches::CRASH_EXIT;

use crate::postgres::Postgres;
use crate::support::token;

fn mvp() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mvp"));
    command.env_remove("DATABASE_URL").env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// `mvp serve`, killed when it goes.
struct Served {
    postgres: Postgres,
    child: Child,
    api: String,
    switches: String,
}

impl Served {
    fn start() -> Self {
        let args = ["serve", "--listen", "127.0.0.1:0", "--switches-listen", "127.0.0.1:0"];
        let postgres = Postgres::start();
        let mut child = mvp().args(args).env("DATABASE_URL", postgres.url()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let mut address = |before: &str, after: &str| {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(before).unwrap().strip_suffix(after).unwrap().to_owned()
        };
        let api = address("mvp: API on ", "");
        let switches = address("mvp: switches on ", "/_switches");
        Self { postgres, child, api, switches }
    }

    /// The status line of a plain GET; empty when the connection ended before.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.api.strip_prefix("http://").unwrap()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        // A reset is an answer of its own here.
        drop(stream.read_to_string(&mut answer));
        answer.lines().next().unwrap_or("").to_owned()
    }

    fn terminate(&self) {
        // The shell's own `kill`: a minimal system has no other.
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

#[test]
fn break_and_mend_reach_the_running_backend() {
    let served = Served::start();
    let broken = mvp()
        .args(["break", "getFeed", "--status", "503", "--share", "1"])
        .args(["--switches", &served.switches])
        .output()
        .unwrap();
    assert!(broken.status.success(), "{}", text(&broken));
    assert!(served.get("/v1/feed").contains("503"));
    let mended = mvp().args(["mend", "--switches", &served.switches]).output().unwrap();
    assert!(mended.status.success(), "{}", text(&mended));
    assert!(served.get("/v1/feed").contains("200"));
    let unknown = mvp()
        .args(["break", "getFed", "--crash", "--switches", &served.switches])
        .output()
        .unwrap();
    assert!(!unknown.status.success());
    assert!(text(&unknown).contains("getFeed"), "the known ones are named: {}", text(&unknown));
}

#[test]
fn a_crash_takes_the_process_down_unanswered() {
    let mut served = Served::start();
    let switched = mvp()
        .args(["break", "getFeed", "--crash", "--switches", &served.switches])
        .output()
        .unwrap();
    assert!(switched.status.success(), "{}", text(&switched));
    assert!(served.get("/v1/products").contains("200"), "only that operation crashes it");
    assert_eq!(served.get("/v1/feed"), "");
    assert_eq!(served.child.wait().unwrap().code(), Some(CRASH_EXIT));
}

#[test]
fn sigterm_ends_the_backend_well() {
    let mut served = Served::start();
    served.terminate();
    assert!(served.child.wait().unwrap().success());
}

#[test]
fn a_busy_port_names_the_flag() {
    let served = Served::start();
    let address = served.api.strip_prefix("http://").unwrap();
    let url = served.postgres.url();
    let second = ["serve", "--listen", address, "--database-url", &url];
    let second = mvp().args(second).output().unwrap();
    assert!(!second.status.success());
    assert!(text(&second).contains(address) && text(&second).contains("--listen"));
}

#[test]
fn without_a_database_it_says_how_to_get_one() {
    let none = mvp().arg("serve").output().unwrap();
    assert!(!none.status.success());
    for word in ["--database-url", "DATABASE_URL", "plimsoll database create"] {
        assert!(text(&none).contains(word), "{}", text(&none));
    }
    let mut away = mvp();
    away.args(["serve", "--listen", "127.0.0.1:0", "--database-url"]);
    let away = away.arg("postgresql://mvp:hunter2@127.0.0.1:1/tea").output().unwrap();
    assert!(!away.status.success());
    let said = text(&away);
    assert!(said.contains("tea on 127.0.0.1:1 cannot be reached"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn the_n_plus_one_is_mended_and_brought_back_by_a_command() {
    let served = Served::start();
    let told = |words: &[&str]| {
        let done = mvp().args(words).args(["--switches", &served.switches]).output().unwrap();
        (done.status.success(), text(&done))
    };
    let (well, said) = told(&["mend", "getFeed", "--n-plus-one"]);
    assert!(well && said.contains("once for the whole page"), "{said}");
    assert!(served.get("/v1/feed").contains("200"));
    let (well, said) = told(&["break", "getFeed", "--n-plus-one"]);
    assert!(well, "{said}");
    let (well, said) = told(&["mend", "getPost", "--n-plus-one"]);
    assert!(!well && said.contains("getFeed"), "{said}");
    assert!(!told(&["mend", "--n-plus-one"]).0, "which operation?");
    for command in ["break", "mend"] {
        let help = text(&mvp().args([command, "--help"]).output().unwrap());
        assert!(help.contains("--n-plus-one"), "{help}");
    }
}

#[test]
fn the_simulator_says_what_it_is_and_ends_in_time() {
    let served = Served::start();
    let mut tokens = tempfile::NamedTempFile::new().unwrap();
    writeln!(tokens, "# people who are signed in\n\n{}", token("sim_a")).unwrap();
    let run = mvp()
        .args(["traffic", "--edge", &served.api, "--rps", "20", "--for", "2s", "--token-file"])
        .arg(tokens.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run));
    for word in ["SIMULATOR", "stops by itself", "1 simulated people", "its time is up"] {
        assert!(text(&run).contains(word), "`{word}` in {}", text(&run));
    }
}

#[test]
fn the_simulator_refuses_other_machines_and_what_is_no_token() {
    let remote = mvp().args(["traffic", "--edge", "http://192.0.2.1:80"]).output().unwrap();
    assert!(!remote.status.success());
    assert!(text(&remote).contains("this machine alone"), "{}", text(&remote));
    let mut tokens = tempfile::NamedTempFile::new().unwrap();
    writeln!(tokens, "no-token").unwrap();
    let bad = mvp().args(["traffic", "--token-file"]).arg(tokens.path()).output().unwrap();
    assert!(!bad.status.success());
    assert!(text(&bad).contains("not a JWT"), "{}", text(&bad));
}
