//! The command line: what it teaches, what it refuses, and with which exit code.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use plimsoll_testkit::free_addr;

use crate::scene::{CONTRACT, Scene};

pub(crate) fn plimsoll(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.current_dir(folder).env("COLUMNS", "100").env("PLIMSOLL_DATA_DIR", folder.join("data"));
    command.args(arguments).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const COMMANDS: [&[&str]; 28] = [
    &[],
    &["up"],
    &["init"],
    &["check"],
    &["schema"],
    &["doctor"],
    &["ready"],
    &["nodes"],
    &["revoke"],
    &["plan"],
    &["plan", "init"],
    &["plan", "check"],
    &["ledger"],
    &["ledger", "tail"],
    &["ledger", "verify"],
    &["ledger", "export"],
    &["ledger", "accept"],
    &["evidence", "add"],
    &["evidence", "list"],
    &["journey", "run"],
    &["journey", "list"],
    &["journey", "check"],
    &["database", "create"],
    &["backup"],
    &["restore"],
    &["dev"],
    &["dev", "token"],
    &["completions"],
];

#[test]
fn the_page_of_the_command_line_is_fresh() {
    let folder = tempfile::tempdir().unwrap();
    let mut page = String::from(
        "# The command line\n\nMade from `--help`; \
         `PLIMSOLL_BLESS=1 cargo test -p plimsoll --test it cli` writes it anew.\n",
    );
    for command in COMMANDS {
        let output = plimsoll(folder.path(), &[command, &["--help"]].concat());
        assert!(output.status.success());
        let title = ["plimsoll"].iter().chain(command).copied().collect::<Vec<_>>().join(" ");
        let help = stdout(&output);
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        write!(page, "\n## {title}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()).unwrap();
    }
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    if option_env_bless() {
        std::fs::write(&file, &page).unwrap();
    }
    let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(checked_in, page, "docs/cli.md is stale; see its first line");
}

#[expect(clippy::disallowed_methods, reason = "a test's own switch")]
fn option_env_bless() -> bool {
    std::env::var_os("PLIMSOLL_BLESS").is_some()
}

#[test]
fn init_writes_a_manifest_that_check_accepts_and_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("openapi.json"), CONTRACT).unwrap();
    let made = plimsoll(folder.path(), &["init", "--openapi", "openapi.json"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let said = stdout(&made);
    for part in ["plimsoll check plimsoll.toml", "plimsoll plan init --start", "plimsoll up --m"] {
        assert!(said.contains(part), "{said}");
    }
    let manifest = std::fs::read_to_string(folder.path().join("plimsoll.toml")).unwrap();
    let (_, board) = said.split_once("http://").unwrap();
    let listens = board.trim_end().strip_suffix("/board").unwrap();
    assert!(manifest.contains(&format!("[ops]\nlisten = \"{listens}\"")), "{said}{manifest}");
    assert!(manifest.contains("openapi.json") && manifest.contains("# "), "{manifest}");
    let checked = plimsoll(folder.path(), &["check"]);
    assert!(checked.status.success(), "{}{}", stdout(&checked), stderr(&checked));
    let again = plimsoll(folder.path(), &["init", "--openapi", "openapi.json"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("left as it is"), "{}", stderr(&again));
    let after = std::fs::read_to_string(folder.path().join("plimsoll.toml")).unwrap();
    assert_eq!(after, manifest);
}

/// A relative path in a manifest starts where the manifest is.
#[test]
fn init_names_the_contract_from_where_the_manifest_is() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a/deep", "b", "c"] {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("a/deep/o.json"), CONTRACT).unwrap();
    std::fs::write(folder.path().join("o.json"), CONTRACT).unwrap();
    let absolute = folder.path().join("o.json").display().to_string();
    for (contract, manifest, named) in [
        ("a/deep/o.json", "b/p.toml", "../a/deep/o.json"),
        ("a/deep/o.json", "p.toml", "a/deep/o.json"),
        ("o.json", "c/p.toml", "../o.json"),
        ("./o.json", "./b/../q.toml", "o.json"),
        ("a/deep/o.json", "a/deep/p.toml", "o.json"),
        (&absolute, "b/q.toml", &absolute),
    ] {
        let arguments = ["init", "--openapi", contract, "--manifest", manifest];
        let made = plimsoll(folder.path(), &arguments);
        assert!(made.status.success(), "{}", stderr(&made));
        let text = std::fs::read_to_string(folder.path().join(manifest)).unwrap();
        assert!(text.contains(&format!("contract = \"{named}\"")), "{text}");
        let checked = plimsoll(folder.path(), &["check", manifest]);
        assert!(checked.status.success(), "{contract} {manifest}: {}", stderr(&checked));
    }
}

#[test]
fn check_lists_every_fault_with_line_and_key_and_a_suggestion() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[edge]\nkeep_alive = \"1s\"\nboddy_bytes_max = 3\n[[service]]\nname = \"a b\"\n";
    std::fs::write(folder.path().join("plimsoll.toml"), text).unwrap();
    let checked = plimsoll(folder.path(), &["check"]);
    assert_eq!(checked.status.code(), Some(3));
    let said = stderr(&checked);
    for expected in ["plimsoll.toml:2:", "plimsoll.toml:3:", "body_bytes_max", "plimsoll.toml:5:"] {
        assert!(said.contains(expected), "{expected} in:\n{said}");
    }
    let json = plimsoll(folder.path(), &["check", "--output", "json"]);
    assert_eq!(json.status.code(), Some(3));
    let document: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let faults = document["faults"].as_array().unwrap();
    assert!(faults.len() >= 3, "{document}");
    assert!(faults.iter().all(|f| f["line"].is_u64() && f["key"].is_string()), "{document}");
}

/// The first lines say what is wrong; a hundred more would push them off the screen.
#[test]
fn check_shows_the_first_faults_of_what_is_no_manifest_and_counts_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let page = "<p>This is a page, and no manifest at all.</p>\n".repeat(60);
    std::fs::write(folder.path().join("plimsoll.toml"), page).unwrap();
    let checked = plimsoll(folder.path(), &["check"]);
    assert_eq!(checked.status.code(), Some(3));
    let said = stderr(&checked);
    let shown = said.lines().filter(|line| line.contains("plimsoll.toml:")).count();
    assert_eq!(shown, 10, "{said}");
    let json = plimsoll(folder.path(), &["check", "--output", "json"]);
    let document: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let all = document["faults"].as_array().unwrap().len();
    assert!(all > 10, "JSON has them all: {all}");
    assert!(said.contains(&format!("and {} more", all - 10)), "{said}");
    assert!(said.contains(&format!("{all} faults")), "{said}");
}

#[test]
fn check_names_the_api_key_field_that_is_one_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let schemes: Vec<String> = (10..25)
        .map(|n| {
            format!(
                "\"k{n}\": {{ \"type\": \"apiKey\", \"in\": \"header\", \"name\": \"Key-{n}\" }},"
            )
        })
        .collect();
    let with = format!("\"securitySchemes\": {{ {}", schemes.join(" "));
    let contract = CONTRACT.replace("\"securitySchemes\": {", &with);
    std::fs::write(folder.path().join("openapi.json"), contract).unwrap();
    let manifest = "[[service]]\nname = \"shop\"\ncontract = \"openapi.json\"\n\
                    urls = [\"http://127.0.0.1:9\"]\n";
    std::fs::write(folder.path().join("plimsoll.toml"), manifest).unwrap();
    let checked = plimsoll(folder.path(), &["check"]);
    assert_eq!(checked.status.code(), Some(3), "{}", stdout(&checked));
    let said = stderr(&checked);
    // Two are known by custom, so the fifteenth of a contract is the seventeenth.
    assert!(said.contains("`key-24`") && said.contains("16"), "{said}");
    let upped = plimsoll(folder.path(), &["up", "--data-dir", "data"]);
    assert_eq!(upped.status.code(), Some(3), "{}", stderr(&upped));
    assert!(stderr(&upped).contains("`key-24`"), "{}", stderr(&upped));
}

#[test]
fn the_development_issuer_works_on_loopback_and_is_refused_elsewhere() {
    let scene = Scene::start(|origin| {
        format!(
            "[[service]]\nname = \"shop\"\ncontract = \"openapi.json\"\nurls = [\"{origin}\"]\n\
             [[auth.issuer]]\nissuer = \"https://dev.plimsoll.invalid\"\n\
             audience = [\"plimsoll-dev\"]\ndevelopment = true\n"
        )
    });
    let data_dir = scene.edge.data_dir().display().to_string();
    let arguments =
        ["dev", "token", "--sub", "alice", "--scope", "orders:write", "--data-dir", &data_dir];
    let minted = plimsoll(scene.edge.work_dir(), &arguments);
    assert!(minted.status.success(), "{}", stderr(&minted));
    let bearer = format!("Bearer {}", stdout(&minted).trim());
    for _ in 0..100 {
        let answer = scene.ask("POST", "/orders", &[("authorization", &bearer)]);
        if answer.status == 200 {
            let manifest = scene.edge.work_dir().join("plimsoll.toml");
            let open = std::fs::read_to_string(&manifest).unwrap().replacen(
                "[[service]]",
                "[edge]\nlisten = [\"0.0.0.0:0\"]\n[[service]]",
                1,
            );
            std::fs::write(scene.edge.work_dir().join("open.toml"), open).unwrap();
            let checked = plimsoll(scene.edge.work_dir(), &["check", "open.toml"]);
            assert_eq!(checked.status.code(), Some(3));
            assert!(stderr(&checked).contains("development"), "{}", stderr(&checked));
            return;
        }
        // The edge finds the new key set by itself within a second or so.
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("a development token was never accepted:\n{}", scene.edge.stderr());
}

#[test]
fn up_without_anything_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let refused = plimsoll(folder.path(), &["up"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains("--upstream") && said.contains("plimsoll init"), "{said}");
}

#[test]
fn a_taken_port_and_a_taken_data_directory_are_named() {
    let scene = Scene::open("", "", "");
    let folder = tempfile::tempdir().unwrap();
    let (taken, free) = (scene.edge.addr().to_string(), free_addr().unwrap().to_string());
    let upstream = scene.origin.url();
    let arguments = ["up", "--upstream", &upstream, "--listen", &taken, "--ops-listen", &free];
    let refused = plimsoll(folder.path(), &arguments);
    assert_eq!(refused.status.code(), Some(4));
    let said = stderr(&refused);
    let pid = format!("pid {}", scene.edge.pid());
    assert!(said.contains(&pid) && said.contains("--listen"), "{said}");

    let data_dir = scene.edge.data_dir().display().to_string();
    let other = free_addr().unwrap().to_string();
    let arguments = [
        "up",
        "--upstream",
        &upstream,
        "--listen",
        &other,
        "--ops-listen",
        &free,
        "--data-dir",
        &data_dir,
    ];
    let refused = plimsoll(folder.path(), &arguments);
    assert_eq!(refused.status.code(), Some(4));
    assert!(stderr(&refused).contains(&pid), "{}", stderr(&refused));
}

#[test]
fn doctor_tells_what_would_go_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = free_addr().unwrap();
    let (listen, ops) = (free_addr().unwrap(), free_addr().unwrap());
    let text = format!(
        "[edge]\nlisten = [\"{listen}\"]\n[ops]\nlisten = \"{ops}\"\n\
         [[service]]\nname = \"app\"\nurls = [\"http://{nobody}\"]\n"
    );
    std::fs::write(folder.path().join("plimsoll.toml"), text).unwrap();
    let arguments = ["doctor", "--manifest", "plimsoll.toml", "--output", "json"];
    let told = plimsoll(folder.path(), &arguments);
    assert_eq!(told.status.code(), Some(1), "{}", stderr(&told));
    let document: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let state_of = |what: &str| {
        let findings = document["findings"].as_array().unwrap();
        let found = findings.iter().find(|f| f["what"] == what);
        found.unwrap_or_else(|| panic!("{what}: {document}"))["state"].clone()
    };
    assert_eq!(state_of("backend"), "broken");
    assert_eq!(state_of("authentication"), "weak");
    assert_eq!(state_of("data directory"), "ok");
}

#[test]
fn completions_and_schema_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = plimsoll(folder.path(), &["completions", shell]);
        assert!(output.status.success() && stdout(&output).contains("plimsoll"), "{shell}");
    }
    let schema = plimsoll(folder.path(), &["schema"]);
    let printed: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/manifest.schema.json");
    let checked_in: serde_json::Value =
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(printed, checked_in);
}
