//! Files that nobody writes by accident.

use std::fs;
use std::path::Path;

use plimsoll_plan::documents::{
    DOCUMENT_BYTES_MAX, DOCUMENTS_MAX, ENTRIES_MAX, FAULTS_MAX, KINDS, Kind, ReadError, read,
};
use proptest::prelude::*;

use crate::filled::{examined, filled, said, today};

/// The faults of one document in an otherwise empty folder.
fn faults(folder: &Path, name: &str) -> Vec<String> {
    let found = read(folder, today().unix_ms()).unwrap();
    let document = found.documents.iter().find(|document| document.kind.name == name);
    let document = document.unwrap_or_else(|| panic!("{name} was taken for missing"));
    document.faults.iter().map(ToString::to_string).collect()
}

fn ends_with(folder: &Path, says: &str) {
    let said = faults(folder, "scope");
    assert!(said.len() == 1 && said[0].ends_with(says), "{says}\n{said:?}");
}

#[test]
fn binary_and_large_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scope.md");
    for bytes in [&b"\xff\xfe---\n"[..], b"---\nowner: a\0b\n---\n", &[0; 4_096]] {
        fs::write(&path, bytes).unwrap();
        ends_with(folder.path(), "scope.md: is no text in UTF-8");
    }
    let text = filled(Kind::named("scope").unwrap(), 1);
    let fill = "x\n".repeat((DOCUMENT_BYTES_MAX - text.len()) / 2 + 2);
    let exactly = format!("{text}{}", &fill[..DOCUMENT_BYTES_MAX - text.len()]);
    fs::write(&path, &exactly).unwrap();
    assert_eq!(faults(folder.path(), "scope"), [""; 0]);
    fs::write(&path, exactly + "x").unwrap();
    ends_with(folder.path(), "scope.md: is larger than 256 KiB");
    // A sparse file of a terabyte costs no memory.
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    ends_with(folder.path(), "scope.md: is larger than 256 KiB");
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_refused_and_links_inside_are_not() {
    use std::os::unix::fs::symlink;
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("scope.md");
    let text = filled(Kind::named("scope").unwrap(), 1);
    let secret = outside.path().join("secret.md");
    fs::write(&secret, &text).unwrap();
    let out = "is a symbolic link out of the folder of the plan";
    symlink(&secret, &path).unwrap();
    ends_with(folder.path(), out);
    // By a folder that is a link.
    fs::remove_file(&path).unwrap();
    symlink(outside.path(), folder.path().join("sub")).unwrap();
    symlink("sub/secret.md", &path).unwrap();
    ends_with(folder.path(), out);
    for (target, says) in [
        ("scope.md", "cannot be followed to a file"),
        ("nowhere.md", "cannot be followed to a file"),
        (".", "is no file"),
    ] {
        fs::remove_file(&path).unwrap();
        symlink(target, &path).unwrap();
        ends_with(folder.path(), says);
    }
    // As Kubernetes mounts a config map.
    fs::remove_file(&path).unwrap();
    fs::create_dir(folder.path().join("..data-1")).unwrap();
    fs::write(folder.path().join("..data-1/scope.md"), &text).unwrap();
    symlink("..data-1", folder.path().join("..data")).unwrap();
    symlink("..data/scope.md", &path).unwrap();
    assert_eq!(faults(folder.path(), "scope"), [""; 0]);
    // The folder itself may be a link: whoever named it meant it.
    symlink(folder.path(), outside.path().join("plan")).unwrap();
    assert_eq!(faults(&outside.path().join("plan"), "scope"), [""; 0]);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scope.md");
    fs::create_dir(&path).unwrap();
    ends_with(folder.path(), "is no file");
    fs::remove_dir(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    ends_with(folder.path(), "is no file");
    fs::remove_file(&path).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let said = faults(folder.path(), "scope");
    assert!(said[0].contains("cannot be read"), "{said:?}");
}

#[test]
fn a_folder_that_is_no_plan_is_not_read_through() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..=DOCUMENTS_MAX {
        fs::write(folder.path().join(format!("{n}.md")), "").unwrap();
    }
    let many = read(folder.path(), 0);
    assert!(matches!(many, Err(ReadError::TooMany(_))), "{many:?}");
    let folder = tempfile::tempdir().unwrap();
    for n in 0..=ENTRIES_MAX {
        fs::write(folder.path().join(n.to_string()), "").unwrap();
    }
    assert!(matches!(read(folder.path(), 0), Err(ReadError::TooMany(_))));
    let file = folder.path().join("0");
    assert!(matches!(read(&file, 0), Err(ReadError::Io { .. })));
}

#[test]
fn deep_and_endless_texts_are_told_within_bounds() {
    let kind = Kind::named("risk-map").unwrap();
    let begin = "---\nowner: Ada Bell\ndate: 2026-11-29\nstate: draft\n---\n## Risks\n";
    let header = "| id | risk | area | gates | owner |\n|---|---|---|---|---|\n";
    for text in [
        format!("---\nlinks: {}\n---\n", "[".repeat(8_000)),
        format!("---\n{}\n---\n", "  ".repeat(4_000)),
        format!("{begin}{header}{}", "| a | a | a | a | a |\n".repeat(9_000)),
        format!("{begin}{header}{}", "|".repeat(200_000)),
        format!("{begin}{header}| a | {} | data | - | Ada Bell |\n", "x".repeat(200_000)),
        format!("{begin}{header}| a | a | data | {} | Ada Bell |\n", "g,".repeat(100_000)),
        format!("{begin}{}", "[](".repeat(80_000)),
        format!("{begin}{}", "[](a)".repeat(50_000)),
        format!("{begin}{}", "## Risks\n".repeat(28_000)),
        format!("{begin}{}", "```\n~~~\n".repeat(30_000)),
        "\u{feff}".repeat(80_000),
        "\r".repeat(200_000),
    ] {
        let document = examined(kind, &text);
        let shown: String = text.chars().take(80).collect();
        assert!((1..=FAULTS_MAX).contains(&document.faults.len()), "{shown}");
        for fault in said(&document) {
            assert!(fault.len() < 600 && !fault.contains('\n'), "{fault}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Our own documents with parts cut, doubled and mixed: nothing panics, every line exists.
    #[test]
    fn mangled_documents_are_told_at_lines_that_exist(
        kind in 0..KINDS.len(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, "\\PC{0,12}"), 1..12),
    ) {
        let kind = &KINDS[kind];
        let mut lines: Vec<String> = filled(kind, 1).lines().map(str::to_owned).collect();
        for (at, how, text) in cuts {
            let at = at.index(lines.len());
            match how {
                0 => lines[at] = text,
                1 => { let twice = lines[at].clone(); lines.insert(at, twice); }
                2 => lines[at].push_str(&text),
                _ if lines.len() > 1 => { lines.remove(at); }
                _ => {}
            }
        }
        let text = lines.join("\n");
        let document = examined(kind, &text);
        for fault in &document.faults {
            let exists = fault.line.is_none_or(|line| (1..=lines.len()).contains(&line));
            prop_assert!(exists, "{}", fault);
            prop_assert!(!fault.to_string().contains('\n'));
        }
    }
}
