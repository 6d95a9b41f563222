//! Key-encrypting keys come and go; what was sealed opens, and who is who stays.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use plimsoll_base::failpoint;
use plimsoll_protection::{KEK_FILE, KekPlace, Keyring, KeyringError, KeyringOptions, OutsideKeks};
use tempfile::TempDir;

const PURPOSE: &str = "test.rotation";

struct Place {
    root: TempDir,
    options: KeyringOptions,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let options = KeyringOptions {
            directory: root.path().join("keys"),
            signing_key_file: None,
            kek_file: None,
            outside_database: false,
        };
        Self { root, options }
    }

    /// A directory as earlier versions made it.
    fn of_the_old_form(digits: &str) -> Self {
        let place = Self::new();
        Keyring::open(&place.options).unwrap();
        fs::write(place.file(), format!("{digits}\n")).unwrap();
        place
    }

    fn file(&self) -> PathBuf {
        self.options.directory.join(KEK_FILE)
    }

    fn open(&self) -> Keyring {
        Keyring::open(&self.options).unwrap()
    }
}

fn outside(text: &str) -> OutsideKeks {
    OutsideKeks::parse(text).unwrap()
}

/// What must be the same before and after.
fn identity(ring: &Keyring) -> (String, String, [u8; 32], [u8; 32]) {
    let caller = *ring.caller_key().unwrap();
    (ring.kek_id(), ring.actor("local:0").to_string(), caller, ring.mark("m", b"x").unwrap())
}

#[test]
fn what_was_sealed_before_opens_after_and_actors_stay_who_they_are() {
    let place = Place::new();
    let before = place.open();
    let sealed = before.seal(PURPOSE, b"row 1", b"a name").unwrap();
    let first = Keyring::standing(&place.options, &outside("")).unwrap();
    assert_eq!((first.keks.len(), first.keks[0].wraps, first.is_old_form), (1, 1, false));
    let mut wrapped_by = vec![first.keks[0].id.clone()];
    for _ in 0..3 {
        let text = fs::read(place.file()).unwrap();
        let rotated = Keyring::rotate(&place.options, &outside("")).unwrap();
        assert_eq!(rotated.before, [wrapped_by.last().unwrap().clone()]);
        assert!(!wrapped_by.contains(&rotated.now), "a new key each time");
        wrapped_by.push(rotated.now);
        assert_ne!(fs::read(place.file()).unwrap(), text);
        let after = place.open();
        assert_eq!(identity(&after), identity(&before));
        assert_eq!(after.open_sealed(PURPOSE, b"row 1", &sealed).unwrap().as_slice(), b"a name");
    }
    let standing = Keyring::standing(&place.options, &outside("")).unwrap();
    assert_eq!(standing.data, first.data);
    assert_eq!(standing.keks.len(), 1, "the old ones are gone");
    let mode = fs::metadata(place.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_directory_of_the_old_form_goes_on_and_can_be_rotated() {
    // The actor's hash is what the old form made of this key; see `keyring`.
    let place = Place::of_the_old_form(&"02".repeat(32));
    let before = place.open();
    let python = "80172087e5f2e95bf2dbf95a71932e568812d656fe842e531b398e7a094592cd";
    assert_eq!(before.actor("local:1000").to_string(), python);
    let sealed = before.seal(PURPOSE, b"row 1", b"a name").unwrap();
    assert!(Keyring::standing(&place.options, &outside("")).unwrap().is_old_form);
    assert_eq!(fs::read_to_string(place.file()).unwrap(), format!("{}\n", "02".repeat(32)));
    Keyring::rotate(&place.options, &outside("")).unwrap();
    let standing = Keyring::standing(&place.options, &outside("")).unwrap();
    assert!(!standing.is_old_form);
    let text = fs::read_to_string(place.file()).unwrap();
    assert!(!text.contains(&"02".repeat(32)), "the key stands nowhere in the clear");
    let after = place.open();
    assert_eq!(identity(&after), identity(&before));
    assert_eq!(after.open_sealed(PURPOSE, b"row 1", &sealed).unwrap().as_slice(), b"a name");
}

#[test]
fn the_environment_holds_keys_that_the_file_does_not() {
    let (old, new) = ("11".repeat(32), "22".repeat(32));
    let place = Place::new();
    let before = Keyring::open_with(&place.options, &outside(&old)).unwrap();
    let sealed = before.seal(PURPOSE, b"", b"x").unwrap();
    let text = fs::read_to_string(place.file()).unwrap();
    assert!(!text.contains("kek "), "{text}");
    // Without it the file is of no use, and it says what is missing.
    let error = Keyring::open(&place.options).unwrap_err();
    assert!(matches!(&error, KeyringError::NoKek { .. }), "{error}");
    assert!(error.to_string().contains("PLIMSOLL_KEK"), "{error}");
    let error = Keyring::open_with(&place.options, &outside(&new)).unwrap_err();
    assert!(matches!(&error, KeyringError::NoKek { .. }), "{error}");
    // The new one in front: nothing has changed until it is said.
    let both = outside(&format!("{new}, {old}"));
    let standing = Keyring::standing(&place.options, &both).unwrap();
    let wraps: Vec<usize> = standing.keks.iter().map(|kek| kek.wraps).collect();
    assert_eq!((wraps, standing.keks[0].place), (vec![0, 1], KekPlace::Environment));
    Keyring::rotate(&place.options, &both).unwrap();
    let standing = Keyring::standing(&place.options, &both).unwrap();
    let wraps: Vec<usize> = standing.keks.iter().map(|kek| kek.wraps).collect();
    assert_eq!(wraps, [1, 0], "the old one can be taken away");
    let after = Keyring::open_with(&place.options, &outside(&new)).unwrap();
    assert_eq!(identity(&after), identity(&before));
    assert_eq!(after.open_sealed(PURPOSE, b"", &sealed).unwrap().as_slice(), b"x");
    let error = Keyring::rotate(&place.options, &outside(&new)).unwrap_err();
    assert!(matches!(error, KeyringError::NothingToRotate { .. }), "{error}");
    for bad in ["11", "zz", &format!("{old},"), &vec![old.as_str(); 17].join(",")] {
        assert!(matches!(OutsideKeks::parse(bad), Err(KeyringError::NotKeks)), "{bad}");
    }
    let shown = format!("{:?}", outside(&old));
    assert!(!shown.contains("1111"), "{shown}");
}

#[test]
fn a_crash_between_any_two_steps_leaves_the_old_file_or_the_new_one() {
    let place = Place::new();
    let before = identity(&place.open());
    for point in ["protection.draft_half_written", "protection.replacement_written"] {
        let text = fs::read(place.file()).unwrap();
        let armed = failpoint::fail(point);
        Keyring::rotate(&place.options, &outside("")).unwrap_err();
        drop(armed);
        assert_eq!(fs::read(place.file()).unwrap(), text, "{point}");
        assert_eq!(identity(&place.open()), before);
        Keyring::rotate(&place.options, &outside("")).unwrap();
        let drafts = fs::read_dir(&place.options.directory).unwrap();
        let drafts =
            drafts.filter(|f| f.as_ref().unwrap().path().to_string_lossy().contains("draft"));
        assert_eq!(drafts.count(), 0, "{point} left a draft");
    }
    assert_eq!(identity(&place.open()), before);
}

#[test]
fn a_named_file_behind_a_link_keeps_its_place_and_its_readers() {
    let place = Place::new();
    let (real, link) = (place.root.path().join("mounted"), place.root.path().join("kek"));
    fs::write(&real, "ab".repeat(32)).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&real, &link).unwrap();
    let options = KeyringOptions { kek_file: Some(link.clone()), ..place.options };
    let before = identity(&Keyring::open(&options).unwrap());
    Keyring::rotate(&options, &outside("")).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(identity(&Keyring::open(&options).unwrap()), before);
}

#[test]
fn a_changed_data_key_is_refused() {
    let place = Place::new();
    place.open();
    let text = fs::read_to_string(place.file()).unwrap();
    let at = text.find("data ").unwrap() + 60;
    let digit = if &text[at..=at] == "0" { "1" } else { "0" };
    let mut bad = text;
    bad.replace_range(at..=at, digit);
    fs::write(place.file(), bad).unwrap();
    let error = Keyring::open(&place.options).unwrap_err();
    assert!(matches!(error, KeyringError::BrokenDataKey { .. }), "{error}");
}
