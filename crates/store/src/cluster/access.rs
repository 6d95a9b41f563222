//! Who may connect as whom. The socket's folder keeps strangers out; behind it the kernel says who
//! connects, so that a program of the server's own user, or of one who was let into the folder,
//! does not become the owner of the ledger.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;

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

fn put(path: &Path, text: &str, run_as: &RunAs) -> Result<(), ClusterError> {
    if std::fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let refused = |source| ClusterError::file(path, source);
    let mut options = std::fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(path).map_err(refused)?;
    run_as.give(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(refused)
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

    #[test]
    fn a_name_is_quoted_and_leads_to_each_of_our_roles() {
        let text = ident(&["a\"b c", "root"]);
        assert!(text.contains("plimsoll \"a\"\"b c\" plimsoll_owner\n"), "{text}");
        assert_eq!(text.lines().count(), 7);
        assert!(!hba().contains("all trust\nlocal all "), "the first line that fits decides");
    }
}
