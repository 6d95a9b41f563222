//! Whom Postgres runs as. It refuses root, so root steps down to a user of the machine.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::cluster::error::ClusterError;

/// Users that root steps down to, the first that exists.
const STEP_DOWN_TO: [&str; 3] = ["plimsoll", "postgres", "nobody"];

/// Whom the processes of Postgres run as, and who owns its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunAs {
    /// The user who runs this.
    Ourselves {
        /// Its user id.
        uid: u32,
    },
    /// Another one: we are root.
    User {
        /// Its name, or its number where it has none.
        name: String,
        /// Its user id.
        uid: u32,
        /// Its group id.
        gid: u32,
    },
}

impl RunAs {
    /// As this process is; root steps down to the user who owns the data already, else to the
    /// first of plimsoll, postgres, nobody.
    pub(crate) fn choose(data: &Path) -> Result<Self, ClusterError> {
        let uid = rustix::process::geteuid();
        if !uid.is_root() {
            return Ok(Self::Ourselves { uid: uid.as_raw() });
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let first = STEP_DOWN_TO.iter().find_map(|name| user_of(&passwd, name));
        match std::fs::symlink_metadata(data) {
            Ok(found) if found.uid() == 0 => Err(ClusterError::OwnedByRoot {
                path: data.to_owned(),
                user: first.as_ref().map_or("postgres", RunAs::name).to_owned(),
            }),
            Ok(found) => {
                let known = first.filter(|user| user.uid() == found.uid());
                Ok(known.unwrap_or_else(|| Self::User {
                    name: found.uid().to_string(),
                    uid: found.uid(),
                    gid: found.gid(),
                }))
            }
            Err(_) => first.ok_or(ClusterError::NoUser),
        }
    }

    /// The user id.
    pub(crate) fn uid(&self) -> u32 {
        match self {
            Self::Ourselves { uid } | Self::User { uid, .. } => *uid,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Ourselves { .. } => "this user",
            Self::User { name, .. } => name,
        }
    }

    /// Gives a file or folder to that user.
    pub(crate) fn give(&self, path: &Path) -> Result<(), ClusterError> {
        match self {
            Self::Ourselves { .. } => Ok(()),
            Self::User { uid, gid, .. } => std::os::unix::fs::chown(path, Some(*uid), Some(*gid))
                .map_err(|source| ClusterError::file(path, source)),
        }
    }

    /// Gives an open file to that user, whatever its name leads to meanwhile.
    pub(crate) fn give_open(&self, file: &std::fs::File) -> io::Result<()> {
        match self {
            Self::Ourselves { .. } => Ok(()),
            Self::User { uid, gid, .. } => std::os::unix::fs::fchown(file, Some(*uid), Some(*gid)),
        }
    }

    /// Lets that user's group pass through a folder that is ours alone so far, without letting it
    /// list or read anything there.
    pub(crate) fn let_pass(&self, folder: &Path) -> Result<(), ClusterError> {
        let Self::User { gid, .. } = self else { return Ok(()) };
        let refused = |source| ClusterError::file(folder, source);
        let found = std::fs::metadata(folder).map_err(refused)?;
        let mode = found.mode() & 0o7777;
        // Opened to a group by somebody: what they meant stays, and `reach` says what is missing.
        if found.uid() != 0 || mode & 0o077 != 0 {
            return Ok(());
        }
        std::os::unix::fs::chown(folder, None, Some(*gid)).map_err(refused)?;
        let opened = std::fs::Permissions::from_mode(mode | 0o010);
        std::fs::set_permissions(folder, opened).map_err(refused)
    }

    /// Proves that the user can enter `folder`; else names the folder on the way that it cannot
    /// pass. The kernel is asked, by running a program there, because access lists and mounts know
    /// more than the mode bits.
    pub(crate) fn reach(&self, folder: &Path, program: &Path) -> Result<(), ClusterError> {
        let Self::User { name, uid, gid } = self else { return Ok(()) };
        let mut command = super::binaries::clean_command(program);
        super::spawn::as_user(&mut command, self);
        let ran = command
            .arg("--version")
            .current_dir(folder)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
        match ran {
            Ok(_) => Ok(()),
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                let blocked = [folder, program]
                    .into_iter()
                    .find_map(|end| first_closed(end, *uid, *gid))
                    .unwrap_or_else(|| folder.to_owned());
                if blocked == Path::new("/root") {
                    return Err(ClusterError::RootsHome {
                        user: name.clone(),
                        path: folder.to_owned(),
                    });
                }
                Err(ClusterError::Unreachable { user: name.clone(), blocked })
            }
            Err(source) => Err(ClusterError::Run { path: program.to_owned(), source }),
        }
    }
}

/// The first folder from the root down that the user may not pass through, by its mode bits.
fn first_closed(path: &Path, uid: u32, gid: u32) -> Option<PathBuf> {
    let mut folders: Vec<&Path> = path.ancestors().collect();
    folders.reverse();
    folders.into_iter().find_map(|folder| {
        let found = std::fs::metadata(folder).ok().filter(std::fs::Metadata::is_dir)?;
        let bit = match (found.uid() == uid, found.gid() == gid) {
            (true, _) => 0o100,
            (false, true) => 0o010,
            (false, false) => 0o001,
        };
        (found.mode() & bit == 0).then(|| folder.to_owned())
    })
}

/// The user of that name in the text of `/etc/passwd`; never root under another name.
fn user_of(passwd: &str, name: &str) -> Option<RunAs> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
        let gid = fields.next()?.parse().ok()?;
        Some(RunAs::User { name: name.to_owned(), uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_root_in_disguise_is_not() {
        let passwd = "root:x:0:0::/:/bin/sh\npostgres:x:101:104:Pg:/var/lib:/bin/sh\n\
                      plimsoll:x:0:0::/:/bin/sh\nbad\n";
        let expected = RunAs::User { name: "postgres".to_owned(), uid: 101, gid: 104 };
        assert_eq!(user_of(passwd, "postgres"), Some(expected));
        assert_eq!(user_of(passwd, "plimsoll"), None);
        assert_eq!(user_of(passwd, "nobody"), None);
    }

    #[test]
    fn the_folder_that_is_closed_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(folder.path(), 0o711);
        mode(&folder.path().join("a"), 0o700);
        mode(&inner, 0o755);
        let somebody = 4_000_000;
        assert_eq!(first_closed(&inner, somebody, somebody), Some(folder.path().join("a")));
        mode(&folder.path().join("a"), 0o711);
        assert_eq!(first_closed(&inner, somebody, somebody), None);
    }
}
