//! Where Postgres is on this machine: a folder that was named, the PATH, the usual folders.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cluster::error::ClusterError;
use crate::connect::SERVER_MAJOR_MIN;

/// Folders looked at in one search, at most.
const FOLDERS_MAX: usize = 64;

/// Where to look for the binaries.
#[derive(Debug, Clone)]
pub struct BinarySearch {
    /// The folder to use and no other (`PLIMSOLL_PG_BIN`).
    pub named: Option<PathBuf>,
    /// The `PATH` to look along.
    pub path: Option<String>,
    /// Whether to look where distributions put them.
    pub usual_folders: bool,
}

impl BinarySearch {
    /// The folder named, else this process's `PATH` and the usual folders.
    #[must_use]
    pub fn of_this_machine(named: Option<PathBuf>) -> Self {
        let path = plimsoll_manifest::env::var("PATH").ok().flatten();
        Self { named, path, usual_folders: true }
    }
}

/// A folder with `postgres`, `initdb`, `pg_dump` and `pg_restore` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    folder: PathBuf,
    major: u32,
    version: String,
}

impl Binaries {
    /// The folder that holds them.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The version as the server says it, such as `15.18`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The path of one program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Every usable set of the search, the preferred one first: the folder that was named alone,
    /// else those on the PATH in its order, then the usual folders from the newest version down.
    ///
    /// # Errors
    /// When there is none that is new enough; the text names the package to install.
    pub fn find_all(search: &BinarySearch) -> Result<Vec<Self>, ClusterError> {
        if let Some(named) = &search.named {
            let found = Self::in_folder(named)
                .map_err(|why| ClusterError::NotBinaries { path: named.clone(), why })?;
            return new_enough(vec![found]);
        }
        let mut found: Vec<Self> = Vec::new();
        let mut add = |folder: &Path| {
            let known = |binaries: &Binaries, other: &Path| binaries.folder == other;
            match Self::in_folder(folder) {
                Ok(one) if !found.iter().any(|b| known(b, &one.folder)) => found.push(one),
                _ => {}
            }
        };
        for folder in search.path.iter().flat_map(std::env::split_paths).take(FOLDERS_MAX) {
            add(&folder);
        }
        if search.usual_folders {
            usual_folders().iter().take(FOLDERS_MAX).for_each(|folder| add(folder));
        }
        if found.is_empty() {
            let looked = if search.usual_folders {
                "PATH, /usr/lib/postgresql, /usr/pgsql-* and Homebrew's folders"
            } else {
                "PATH"
            };
            return Err(ClusterError::NoBinaries {
                min: SERVER_MAJOR_MIN,
                looked: looked.to_owned(),
                install: install_command(None),
            });
        }
        new_enough(found)
    }

    /// The set that made the data in `data_major`, else the preferred one.
    pub(crate) fn choose(found: &[Self], data_major: Option<u32>) -> Option<&Self> {
        match data_major {
            Some(major) => found.iter().find(|binaries| binaries.major == major),
            None => found.first(),
        }
    }

    /// Binaries are looked for beside the real `postgres`: what stands on a PATH may be a symbolic
    /// link, and Debian's `psql` and `pg_dump` there are a wrapper that guesses a version.
    fn in_folder(folder: &Path) -> Result<Self, String> {
        let postgres = folder.join("postgres");
        let real = postgres.canonicalize().map_err(|error| format!("postgres: {error}"))?;
        let folder = real.parent().unwrap_or(folder).to_owned();
        for needed in ["initdb", "pg_dump", "pg_restore"] {
            if !folder.join(needed).is_file() {
                return Err(format!("{needed} is missing"));
            }
        }
        let output = Command::new(folder.join("postgres"))
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("postgres --version: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let version = version_of(&text).ok_or_else(|| format!("postgres --version: {text:?}"))?;
        let major = major_of(version).ok_or_else(|| format!("version {version}"))?;
        Ok(Self { major, version: version.to_owned(), folder })
    }
}

fn new_enough(found: Vec<Binaries>) -> Result<Vec<Binaries>, ClusterError> {
    let (usable, old): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|binaries| binaries.major >= SERVER_MAJOR_MIN);
    match old.into_iter().max_by_key(|binaries| binaries.major) {
        Some(newest) if usable.is_empty() => Err(ClusterError::TooOld {
            found: newest.major,
            path: newest.folder,
            min: SERVER_MAJOR_MIN,
            install: install_command(None),
        }),
        _ => Ok(usable),
    }
}

/// `15.18` of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version_of(text: &str) -> Option<&str> {
    text.strip_prefix("postgres (PostgreSQL) ")?.split_whitespace().next()
}

/// `15` of `15.18`, `18` of `18beta1`.
fn major_of(version: &str) -> Option<u32> {
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version.get(..digits)?.parse().ok()
}

/// Where distributions put each version, the newest version first.
fn usual_folders() -> Vec<PathBuf> {
    let mut folders: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, prefix, below) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/libexec", "postgresql", ""),
        ("/opt/homebrew/opt", "postgresql@", "bin"),
        ("/usr/local/opt", "postgresql@", "bin"),
    ] {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let version = name.to_str().and_then(|name| name.strip_prefix(prefix));
            if let Some(major) = version.and_then(|version| version.parse().ok()) {
                folders.push((major, entry.path().join(below)));
            }
        }
    }
    folders.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    let mut folders: Vec<PathBuf> = folders.into_iter().map(|(_, folder)| folder).collect();
    folders.extend(["/usr/local/pgsql/bin", "/opt/homebrew/bin", "/usr/bin"].map(PathBuf::from));
    folders
}

/// The command that installs Postgres here; with `major`, that version.
pub(crate) fn install_command(major: Option<u32>) -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    install_command_of(&release, cfg!(target_os = "macos"), major)
}

fn install_command_of(release: &str, macos: bool, major: Option<u32>) -> String {
    let version = major.map(|major| major.to_string()).unwrap_or_default();
    let dashed = |dash: &str| major.map(|major| format!("{dash}{major}")).unwrap_or_default();
    if macos {
        return format!("brew install postgresql@{}", major.unwrap_or(17));
    }
    let ids: Vec<&str> = release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .collect();
    let is = |names: &[&str]| ids.iter().any(|id| names.contains(id));
    if is(&["alpine"]) {
        let version = if version.is_empty() { "16".to_owned() } else { version };
        format!("apk add postgresql{version} postgresql{version}-contrib")
    } else if is(&["fedora", "rhel", "centos", "amzn"]) {
        format!("dnf install postgresql{version}-server postgresql{version}")
    } else if is(&["suse", "opensuse"]) {
        format!("zypper install postgresql{version}-server postgresql{version}")
    } else if is(&["arch"]) {
        "pacman -S postgresql".to_owned()
    } else {
        format!("apt-get install postgresql{}", dashed("-"))
    }
}

/// The major version in a `PG_VERSION` file, such as `15`.
pub(crate) fn data_major(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?.trim();
    (!text.is_empty()).then(|| major_of(text)).flatten()
}

/// Environment variables that a Postgres program may need to be found and loaded at all.
pub(crate) fn base_environment() -> Vec<(&'static str, String)> {
    ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"]
        .into_iter()
        .filter_map(|name| Some((name, plimsoll_manifest::env::var(name).ok()??)))
        .collect()
}

/// A command that inherits none of our environment but what it needs to run: neither secrets nor
/// `PG*` variables of somebody else's database. Messages are in English, for us to read.
pub(crate) fn clean_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(base_environment()).env("LC_ALL", "C").stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_postgres_writes_them() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)";
        assert_eq!(version_of(debian).and_then(major_of), Some(15));
        assert_eq!(version_of("postgres (PostgreSQL) 19beta2").and_then(major_of), Some(19));
        assert_eq!(version_of("psql 15.1"), None);
        assert_eq!(data_major(b"15\n"), Some(15));
        assert_eq!(data_major(b""), None);
        assert_eq!(data_major(b"\xff"), None);
    }

    #[test]
    fn the_package_is_named_as_each_system_calls_it() {
        for (release, expected) in [
            ("ID=debian\n", "apt-get install postgresql"),
            ("ID=ubuntu\nID_LIKE=debian\n", "apt-get install postgresql"),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "dnf install postgresql-server"),
            ("ID=alpine\n", "apk add postgresql16"),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", "zypper install postgresql"),
        ] {
            let command = install_command_of(release, false, None);
            assert!(command.starts_with(expected), "{command}");
        }
        assert_eq!(install_command_of("", true, Some(16)), "brew install postgresql@16");
        assert_eq!(install_command_of("", false, Some(16)), "apt-get install postgresql-16");
    }

    #[test]
    fn an_empty_machine_is_told_what_to_install() {
        let search = BinarySearch { named: None, path: None, usual_folders: false };
        let error = Binaries::find_all(&search).unwrap_err().to_string();
        assert!(error.contains("no PostgreSQL 15 or later"), "{error}");
        assert!(error.contains("PLIMSOLL_PG_BIN") && error.contains("install"), "{error}");
    }

    #[test]
    fn a_folder_that_was_named_is_used_or_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let search =
            BinarySearch { named: Some(folder.path().to_owned()), path: None, usual_folders: true };
        let error = Binaries::find_all(&search).unwrap_err().to_string();
        assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
        assert!(error.contains("PLIMSOLL_PG_BIN"), "{error}");
    }

    #[test]
    fn a_link_on_the_path_leads_to_the_real_folder() {
        let machine = BinarySearch::of_this_machine(None);
        let real = Binaries::find_all(&machine).unwrap().remove(0);
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("postgres");
        std::os::unix::fs::symlink(real.program("postgres"), &link).unwrap();
        let path = folder.path().to_str().map(str::to_owned);
        let search = BinarySearch { named: None, path, usual_folders: false };
        assert_eq!(Binaries::find_all(&search).unwrap(), vec![real]);
    }
}
