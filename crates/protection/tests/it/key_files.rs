use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_base::failpoint;
use plimsoll_protection::{KEK_FILE, Keyring, KeyringError, KeyringOptions, SIGNING_KEY_FILE};
use tempfile::TempDir;

struct Place {
    _root: TempDir,
    keys: PathBuf,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let keys = root.path().join("data").join("keys");
        Self { _root: root, keys }
    }

    fn options(&self) -> KeyringOptions {
        KeyringOptions {
            directory: self.keys.clone(),
            signing_key_file: None,
            kek_file: None,
            outside_database: false,
        }
    }

    fn open(&self) -> Result<Keyring, KeyringError> {
        Keyring::open(&self.options())
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.keys)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn identity(ring: &Keyring) -> (String, String) {
    (ring.public_key().to_hex(), ring.kek_id())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn keys_are_made_once_and_are_their_owners_alone() {
    let place = Place::new();
    let first = identity(&place.open().unwrap());
    assert_eq!(identity(&place.open().unwrap()), first);
    assert_eq!(mode(&place.keys), 0o700);
    assert_eq!(place.files(), [KEK_FILE, SIGNING_KEY_FILE]);
    for name in [KEK_FILE, SIGNING_KEY_FILE] {
        assert_eq!(mode(&place.keys.join(name)), 0o600);
    }
    let other = Place::new();
    assert_ne!(identity(&other.open().unwrap()), first);
}

#[test]
fn processes_that_start_together_end_with_one_key() {
    let place = Place::new();
    let ids: Vec<_> = std::thread::scope(|scope| {
        let open = || scope.spawn(|| identity(&place.open().unwrap()));
        let threads: Vec<_> = (0..8).map(|_| open()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    place.open().unwrap();
    assert_eq!(place.files(), [KEK_FILE, SIGNING_KEY_FILE]);
}

#[test]
fn what_is_open_to_others_is_refused_with_the_command_that_mends_it() {
    let place = Place::new();
    place.open().unwrap();
    let cases = [
        (place.keys.clone(), 0o750, 0o700),
        (place.keys.join(KEK_FILE), 0o640, 0o600),
        (place.keys.join(SIGNING_KEY_FILE), 0o604, 0o600),
    ];
    for (path, bad, good) in cases {
        chmod(&path, bad);
        let error = place.open().unwrap_err().to_string();
        let command = format!("chmod {good:o} {}", path.display());
        assert!(error.contains(&command), "{error}");
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
        place.open().unwrap();
    }
}

#[test]
fn another_owner_is_refused_with_the_command_that_mends_it() {
    if !rustix_is_root() {
        return;
    }
    let place = Place::new();
    place.open().unwrap();
    for path in [place.keys.clone(), place.keys.join(KEK_FILE)] {
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        let error = place.open().unwrap_err();
        assert!(matches!(error, KeyringError::Owner { owner: 65534, .. }), "{error}");
        assert!(error.to_string().contains("chown 0 "), "{error}");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
    place.open().unwrap();
}

fn rustix_is_root() -> bool {
    let probe = tempfile::tempdir().unwrap();
    fs::metadata(probe.path()).unwrap().uid() == 0
}

#[test]
fn a_link_or_a_directory_in_a_keys_place_is_refused() {
    let place = Place::new();
    place.open().unwrap();
    let kek = place.keys.join(KEK_FILE);
    let elsewhere = place.keys.join("elsewhere");
    fs::rename(&kek, &elsewhere).unwrap();
    symlink(&elsewhere, &kek).unwrap();
    assert!(matches!(place.open().unwrap_err(), KeyringError::Kind { .. }));
    fs::remove_file(&kek).unwrap();
    // A link that leads nowhere is not an invitation to make a key behind it.
    symlink(place.keys.join("nowhere"), &kek).unwrap();
    assert!(matches!(place.open().unwrap_err(), KeyringError::Kind { .. }));
    fs::remove_file(&kek).unwrap();
    fs::create_dir(&kek).unwrap();
    assert!(matches!(place.open().unwrap_err(), KeyringError::Kind { .. }));
}

#[test]
fn a_part_of_a_key_is_refused_and_left_as_it_is() {
    let place = Place::new();
    let before = identity(&place.open().unwrap());
    for name in [KEK_FILE, SIGNING_KEY_FILE] {
        let path = place.keys.join(name);
        let whole = fs::read(&path).unwrap();
        let trimmed = whole.len() - 1;
        for keep in (0..trimmed).step_by(7).chain([trimmed - 1]) {
            fs::write(&path, &whole[..keep]).unwrap();
            let error = place.open().unwrap_err();
            let named = match &error {
                KeyringError::NotAKek { path } | KeyringError::NotASigningKey { path } => path,
                other => panic!("{keep} of {}: {other}", whole.len()),
            };
            assert_eq!(named, &path);
            assert!(error.to_string().contains("backup"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), &whole[..keep], "never overwritten");
        }
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(identity(&place.open().unwrap()), before);
}

#[test]
fn a_crash_between_any_two_steps_leaves_a_whole_key_or_none() {
    let points = ["protection.draft_half_written", "protection.draft_written", "protection.linked"];
    for point in points {
        let place = Place::new();
        let armed = failpoint::fail(point);
        place.open().unwrap_err();
        drop(armed);
        // What stands there after the crash is what the next start goes on with.
        let kept = fs::read(place.keys.join(SIGNING_KEY_FILE)).ok();
        assert_eq!(kept.is_some(), point == "protection.linked", "{point}");
        let after = identity(&place.open().unwrap());
        if let Some(kept) = kept {
            assert_eq!(fs::read(place.keys.join(SIGNING_KEY_FILE)).unwrap(), kept);
        }
        assert_eq!(identity(&place.open().unwrap()), after);
        assert_eq!(place.files(), [KEK_FILE, SIGNING_KEY_FILE], "{point} left a draft");
    }
}

#[test]
fn with_an_outside_database_a_key_of_our_own_making_is_refused() {
    let place = Place::new();
    let outside = KeyringOptions { outside_database: true, ..place.options() };
    let error = Keyring::open(&outside).unwrap_err();
    assert!(matches!(error, KeyringError::SelfMadeKek));
    for word in ["PLIMSOLL_KEK_FILE", "openssl rand -hex 32", "chmod 600"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(!place.keys.exists(), "nothing is made before it is refused");

    // The advice, followed.
    let root = tempfile::tempdir().unwrap();
    let kek = root.path().join("kek");
    let make = format!("openssl rand -hex 32 > {0} && chmod 600 {0}", kek.display());
    assert!(Command::new("sh").args(["-c", &make]).status().unwrap().success());
    let options = KeyringOptions { kek_file: Some(kek), ..outside };
    let ring = Keyring::open(&options).unwrap();
    assert_eq!(place.files(), [SIGNING_KEY_FILE]);
    assert_eq!(Keyring::open(&options).unwrap().kek_id(), ring.kek_id());
}

#[test]
fn keys_that_others_made_are_taken_from_where_options_say() {
    let place = Place::new();
    let root = tempfile::tempdir().unwrap();
    let (pem, kek) = (root.path().join("key.pem"), root.path().join("kek"));
    let options = KeyringOptions {
        signing_key_file: Some(pem.clone()),
        kek_file: Some(kek.clone()),
        ..place.options()
    };
    let error = Keyring::open(&options).unwrap_err().to_string();
    assert!(error.contains("PLIMSOLL_LEDGER_KEY_FILE") && error.contains("openssl"), "{error}");
    assert!(!pem.exists(), "a named file is never made");

    let make = format!("openssl genpkey -algorithm ed25519 -out {}", pem.display());
    assert!(Command::new("sh").args(["-c", &make]).status().unwrap().success());
    chmod(&pem, 0o600);
    // As an orchestrator mounts it: a link to a file that a group may read.
    let mounted = root.path().join("mounted");
    fs::write(&mounted, "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff")
        .unwrap();
    chmod(&mounted, 0o440);
    symlink(&mounted, &kek).unwrap();
    Keyring::open(&options).unwrap();
    assert!(!place.keys.exists(), "nothing of our own is needed");

    chmod(&mounted, 0o444);
    let error = Keyring::open(&options).unwrap_err();
    assert!(matches!(error, KeyringError::Mode { .. }), "{error}");
}
