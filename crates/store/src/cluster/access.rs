//! Who may connect as whom. The socket's folder keeps strangers out; behind it the kernel says who
//! connects, so that a program of the server's own user, or of one who was let into the folder,
//! does not become the owner of the ledger by merely connecting. More this cannot promise: these
//! files and the data belong to the server's user, who can change them while it runs; checkpoints,
//! which lie outside, then tell.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags};

use crate::cluster::binaries::clean_command;
use crate::cluster::error::ClusterError;
use crate::cluster::user::RunAs;
use crate::connect::{OWNER_ROLE, RUNTIME_ROLE, SUPERUSER_ROLE};

const ROLES: [&str; 3] = [SUPERUSER_ROLE, OWNER_ROLE, RUNTIME_ROLE];
const MAP: &str = "plimsoll";

/// Writes both files of the server's access rules where they say something else. Before each
/// start, so that a cluster of an older version gets them, too.
pub(crate) fn write(data: &Path, run_as: &RunAs) -> Result<(), ClusterError> {
    let uid = rustix::process::geteuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let own = name_of(&passwd, uid)
        .map(str::to_owned)
        .or_else(asked_name)
        .ok_or(ClusterError::NoPasswdEntry { uid })?;
    // Root could take on any user anyway.
    let mut users = vec![own.as_str()];
    users.extend(name_of(&passwd, 0).filter(|root| *root != own));
    put(&data.join("pg_ident.conf"), &ident(&users), run_as)?;
    put(&data.join("pg_hba.conf"), &hba(), run_as)
}

/// Our roles for us alone; anybody else's role for its own database.
fn hba() -> String {
    let roles = ROLES.join(",");
    format!(
        "# Written by Plimsoll at each start. The socket lies in a folder that only the server's \
         user may enter.\n\
         local all         {roles} peer map={MAP}\n\
         local replication {roles} peer map={MAP}\n\
         local sameuser    all trust\n"
    )
}

fn ident(users: &[&str]) -> String {
    let mut text = "# Written by Plimsoll at each start: users of this machine, and who they may \
                    be.\n"
        .to_owned();
    for user in users {
        for role in ROLES {
            text.push_str(&format!("{MAP} \"{}\" {role}\n", user.replace('"', "\"\"")));
        }
    }
    text
}

/// The first name of a user id, as the C library gives it.
fn name_of(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// Our name where it stands in a directory service.
fn asked_name() -> Option<String> {
    let output = clean_command(Path::new("/usr/bin/id"))
        .arg("-un")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let name = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!name.is_empty()).then_some(name)
}

/// The folder belongs to the server's user and we may be root: whatever lies there already is
/// neither followed nor written to. A new file takes its place.
fn put(path: &Path, text: &str, run_as: &RunAs) -> Result<(), ClusterError> {
    if says(path, text) {
        return Ok(());
    }
    let draft = path.with_extension("conf.new");
    let refused = |source| ClusterError::file(&draft, source);
    // Of a start that was cut short, or planted.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(0o600).open(&draft).map_err(refused)?;
    run_as.give_open(&file).map_err(refused)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(refused)?;
    std::fs::rename(&draft, path).map_err(|source| ClusterError::file(path, source))
}

/// Whether a file says just this already. What is no file of its own, such as a link or a pipe,
/// says nothing.
fn says(path: &Path, text: &str) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()).map(File::from) else {
        return false;
    };
    let mut there = String::new();
    file.metadata().is_ok_and(|found| found.is_file() && found.len() == text.len() as u64)
        && file.take(text.len() as u64).read_to_string(&mut there).is_ok()
        && there == text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_an_id_counts() {
        let passwd = "root:x:0:0::/:/bin/sh\nadmin:x:0:0::/:/bin/sh\nbad\nann:x:1000:1000::/:\n";
        assert_eq!(name_of(passwd, 0), Some("root"));
        assert_eq!(name_of(passwd, 1_000), Some("ann"));
        assert_eq!(name_of(passwd, 7), None);
    }

    /// The folder belongs to the user that root stepped down to, who may leave there what it likes.
    #[test]
    fn what_lies_in_the_place_of_a_file_is_replaced_and_never_followed() {
        use std::os::unix::fs::{MetadataExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let root = rustix::process::geteuid().is_root();
        let run_as = match root {
            true => RunAs::User { name: "nobody".to_owned(), uid: 65_534, gid: 65_534 },
            false => RunAs::Ourselves { uid: rustix::process::geteuid().as_raw() },
        };
        let (target, file) = (folder.path().join("target"), folder.path().join("pg_hba.conf"));
        for held in ["not yours", "the rules"] {
            std::fs::write(&target, held).unwrap();
            let before = std::fs::metadata(&target).unwrap();
            for planted in [file.clone(), file.with_extension("conf.new")] {
                std::fs::remove_file(&planted).ok();
                symlink(&target, &planted).unwrap();
            }
            put(&file, "the rules", &run_as).unwrap();
            let after = std::fs::metadata(&target).unwrap();
            assert_eq!(std::fs::read_to_string(&target).unwrap(), held);
            assert_eq!((after.uid(), after.mode()), (before.uid(), before.mode()));
            let written = std::fs::symlink_metadata(&file).unwrap();
            assert!(written.is_file(), "the rules stand there themselves");
            assert_eq!((written.uid(), written.mode() & 0o777), (run_as.uid(), 0o600));
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "the rules");
            let left = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, 2, "nothing is left beside it");
            std::fs::remove_file(&file).unwrap();
        }
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pg_hba.conf");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &file, kind, mode, 0).unwrap();
        let run_as = RunAs::Ourselves { uid: rustix::process::geteuid().as_raw() };
        put(&file, "the rules", &run_as).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "the rules");
    }

    #[test]
    fn a_name_is_quoted_and_leads_to_each_of_our_roles() {
        let text = ident(&["a\"b c", "root"]);
        assert!(text.contains("plimsoll \"a\"\"b c\" plimsoll_owner\n"), "{text}");
        assert_eq!(text.lines().count(), 7);
        assert!(!hba().contains("all trust\nlocal all "), "the first line that fits decides");
    }
}
