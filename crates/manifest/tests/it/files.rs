//! Manifests in files: the files they name, the hash, arguments in place of keys.

use std::fs;
use std::path::{Path, PathBuf};

use plimsoll_manifest::{Fault, Loaded, OriginUrl, Overrides, load, load_with};

use crate::support::CONTRACTED;

struct Dir(tempfile::TempDir);

impl Dir {
    fn with(files: &[(&str, &str)]) -> Self {
        let dir = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            dir.write(name, text);
        }
        dir
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self) -> Result<Loaded, Vec<Fault>> {
        load(self.path("plimsoll.toml"))
    }

    fn hash(&self) -> String {
        self.load().unwrap().hash
    }
}

#[test]
fn a_missing_file_is_named_as_it_was_resolved() {
    let dir = Dir::with(&[("plimsoll.toml", CONTRACTED), ("openapi.yaml", "")]);
    let faults = dir.load().unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!((faults[0].line, &*faults[0].key), (Some(4), "service[0].contract"));
    let resolved = dir.path("openapi.json");
    assert_eq!(faults[0].message, format!("{} does not exist", resolved.display()));
    assert_eq!(faults[0].file, dir.path("plimsoll.toml"));
}

#[test]
fn a_file_of_a_close_name_is_suggested_and_a_directory_is_no_file() {
    let text = CONTRACTED.replace("openapi.json", "api/opnapi.json");
    let dir = Dir::with(&[("plimsoll.toml", &text)]);
    fs::create_dir(dir.path("api")).unwrap();
    dir.write("api/openapi.json", "{}");
    let faults = dir.load().unwrap_err();
    assert_eq!(faults[0].suggestion.as_deref(), Some("api/openapi.json"));
    dir.write("plimsoll.toml", &CONTRACTED.replace("openapi.json", "api"));
    assert!(dir.load().unwrap_err()[0].message.ends_with("is a directory"));
}

#[test]
fn every_kind_of_named_file_is_looked_for() {
    let text = format!(
        "[edge.tls]\ncertificate_file = \"c.pem\"\nkey_file = \"k.pem\"\n[[auth.issuer]]\n\
         issuer = \"a\"\naudience = [\"a\"]\njwks_file = \"j.json\"{CONTRACTED}"
    );
    let dir = Dir::with(&[("plimsoll.toml", &text)]);
    let keys: Vec<String> = dir.load().unwrap_err().into_iter().map(|fault| fault.key).collect();
    let expected = [
        "edge.tls.certificate_file",
        "edge.tls.key_file",
        "auth.issuer[0].jwks_file",
        "service[0].contract",
    ];
    assert_eq!(keys, expected);
    for name in ["c.pem", "k.pem", "j.json", "openapi.json"] {
        dir.write(name, "x");
    }
    let loaded = dir.load().unwrap();
    let mut names: Vec<PathBuf> = loaded.files;
    names.sort();
    let expected = ["c.pem", "j.json", "k.pem", "openapi.json"].map(|name| dir.path(name));
    assert_eq!(names, expected);
}

#[test]
fn the_hash_is_of_the_meaning_and_of_the_contracts() {
    let dir = Dir::with(&[("plimsoll.toml", CONTRACTED), ("openapi.json", "{}")]);
    let first = dir.hash();
    assert_eq!(first.len(), 64);
    dir.write("plimsoll.toml", &format!("# a comment\n[edge]\n  cores  =  0\n{CONTRACTED}"));
    assert_eq!(dir.hash(), first, "layout, comments and written defaults mean nothing");
    dir.write("openapi.json", "{ }");
    let second = dir.hash();
    assert_ne!(second, first, "a contract is part of it");
    dir.write("plimsoll.toml", &format!("[edge]\ncores = 1\n{CONTRACTED}"));
    assert_ne!(dir.hash(), second, "a key is part of it");
}

#[test]
fn certificates_are_renewed_without_another_hash_and_key_sets_are_not() {
    let text = format!(
        "[edge.tls]\ncertificate_file = \"c.pem\"\nkey_file = \"k.pem\"\n[[auth.issuer]]\n\
         issuer = \"a\"\naudience = [\"a\"]\njwks_file = \"j.json\"{CONTRACTED}"
    );
    let names = ["c.pem", "k.pem", "j.json", "openapi.json"];
    let dir = Dir::with(&[("plimsoll.toml", &text)]);
    names.iter().for_each(|name| dir.write(name, "1"));
    let first = dir.hash();
    dir.write("c.pem", "2");
    dir.write("k.pem", "2");
    assert_eq!(dir.hash(), first);
    dir.write("j.json", "2");
    assert_ne!(dir.hash(), first);
}

#[test]
fn a_manifest_that_cannot_be_read_says_why() {
    let dir = Dir::with(&[]);
    let faults = dir.load().unwrap_err();
    assert!(faults[0].message.starts_with("cannot be read"), "{faults:?}");
    assert!(faults[0].to_string().contains("plimsoll init"), "{faults:?}");
    fs::write(dir.path("plimsoll.toml"), b"# caf\xc3\xa9\n# \xff\n").unwrap();
    let faults = dir.load().unwrap_err();
    assert_eq!((faults[0].line, faults[0].column), (Some(2), Some(3)), "{faults:?}");
    dir.write("plimsoll.toml", &"#".repeat((1 << 20) + 1));
    assert_eq!(dir.load().unwrap_err()[0].message, "larger than 1MiB");
}

#[test]
fn arguments_replace_keys_are_checked_with_them_and_are_no_part_of_the_hash() {
    let dir = Dir::with(&[("plimsoll.toml", CONTRACTED), ("openapi.json", "{}")]);
    let overrides = Overrides {
        listen: vec!["127.0.0.1:9000".parse().unwrap()],
        ops_listen: Some("127.0.0.1:9001".parse().unwrap()),
    };
    let loaded = load_with(dir.path("plimsoll.toml"), &overrides).unwrap();
    assert_eq!(loaded.manifest.edge.listen, overrides.listen);
    assert_eq!(Some(loaded.manifest.ops.listen), overrides.ops_listen);
    assert_eq!(loaded.hash, dir.hash());

    let colliding = Overrides { ops_listen: Some(overrides.listen[0]), ..overrides };
    let faults = load_with(dir.path("plimsoll.toml"), &colliding).unwrap_err();
    assert_eq!((&*faults[0].key, faults[0].line), ("--ops-listen", None));
    assert_eq!(faults[0].file, Path::new("command line"));

    let text = format!(
        "[[auth.issuer]]\nissuer = \"a\"\naudience = [\"a\"]\ndevelopment = true{CONTRACTED}"
    );
    dir.write("plimsoll.toml", &text);
    let open = Overrides { listen: vec!["0.0.0.0:9000".parse().unwrap()], ops_listen: None };
    let faults = load_with(dir.path("plimsoll.toml"), &open).unwrap_err();
    assert_eq!((&*faults[0].key, faults[0].line), ("auth.issuer[0].development", Some(4)));
}

#[test]
fn an_upstream_needs_no_manifest() {
    let dir = Dir::with(&[("openapi.json", "{}")]);
    let url = || "http://127.0.0.1:3000".parse::<OriginUrl>().unwrap();
    let start = |contract: Option<&str>, overrides: &Overrides| {
        Loaded::for_upstream(url(), contract.map(PathBuf::from), dir.0.path(), overrides)
    };
    let none = Overrides::default();
    let loaded = start(Some("openapi.json"), &none).unwrap();
    assert_eq!(loaded.path, None);
    assert_eq!(loaded.files, [dir.path("openapi.json")]);
    assert_ne!(loaded.hash, start(None, &none).unwrap().hash);

    let faults = start(Some("missing.json"), &none).unwrap_err();
    assert_eq!(&*faults[0].key, "--openapi");
    let to_itself = Overrides { listen: vec!["127.0.0.1:3000".parse().unwrap()], ops_listen: None };
    let faults = start(None, &to_itself).unwrap_err();
    assert_eq!(&*faults[0].key, "--upstream");
    assert!(faults[0].to_string().starts_with("command line: --upstream: "), "{faults:?}");
}
