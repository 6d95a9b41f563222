//! The only door to environment variables.
//!
//! A secret is named `NAME`, or `NAME_FILE` for a file that holds it, as container platforms mount
//! them. No value is ever shown by `Debug`, an error or a log.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The most bytes a secret's file may hold.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The variable that names the data directory.
pub const DATA_DIR: &str = "PLIMSOLL_DATA_DIR";

/// Why a variable or a secret could not be read. It names the variable, never its value.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// The value is not UTF-8.
    #[error("the environment variable {name} is not UTF-8 text")]
    NotText {
        /// The variable.
        name: String,
    },
    /// Both ways of giving the secret are used, so that it is open which one counts.
    #[error("both {name} and {name}_FILE are set; expected one of them")]
    Twice {
        /// The secret.
        name: String,
    },
    /// The secret is there, but holds nothing.
    #[error("the secret {name} is empty")]
    Empty {
        /// The variable that gives it.
        name: String,
    },
    /// The secret's file cannot be read.
    #[error("cannot read {}, which {name} names", path.display())]
    File {
        /// The variable that names the file.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no place for the data directory.
    #[error("no data directory: neither {DATA_DIR} nor HOME is set; use --data-dir DIR")]
    NoHome,
}

/// A value that must not be seen. It shows neither by `Debug` nor in any error.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    /// For what came by another way than the environment, such as a prompt.
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// The value of a variable; `None` when it is not set or empty.
///
/// # Errors
/// When the value is not UTF-8.
pub fn var(name: &str) -> Result<Option<String>, EnvError> {
    var_from(&process, name)
}

/// A secret from `NAME`, or from the file that `NAME_FILE` names (a line end after it is dropped);
/// `None` when neither is set.
///
/// # Errors
/// When both are set, the value is empty or not UTF-8, or the file cannot be read or is larger
/// than 64 KiB.
pub fn secret(name: &str) -> Result<Option<Secret>, EnvError> {
    secret_from(&process, name)
}

/// Where data is kept when no argument says so: `PLIMSOLL_DATA_DIR`, else `/var/lib/plimsoll` as
/// root, else `plimsoll` in the user's data home (XDG Base Directory Specification).
///
/// # Errors
/// When the user has no home, or a variable is not UTF-8.
pub fn data_dir(as_root: bool) -> Result<PathBuf, EnvError> {
    data_dir_from(&process, as_root)
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

#[expect(clippy::disallowed_methods, reason = "the one door to environment variables")]
fn process(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn var_from(lookup: Lookup<'_>, name: &str) -> Result<Option<String>, EnvError> {
    match lookup(name).filter(|value| !value.is_empty()) {
        None => Ok(None),
        Some(value) => match value.into_string() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(EnvError::NotText { name: name.to_owned() }),
        },
    }
}

fn secret_from(lookup: Lookup<'_>, name: &str) -> Result<Option<Secret>, EnvError> {
    let file_name = format!("{name}_FILE");
    match (lookup(name), lookup(&file_name)) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(EnvError::Twice { name: name.to_owned() }),
        (Some(value), None) => match value.into_string() {
            Ok(text) => filled(text, name).map(Some),
            Err(_) => Err(EnvError::NotText { name: name.to_owned() }),
        },
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            let text = read_secret(&path).map_err(|source| EnvError::File {
                name: file_name.clone(),
                path,
                source,
            })?;
            filled(text, &file_name).map(Some)
        }
    }
}

fn filled(text: String, name: &str) -> Result<Secret, EnvError> {
    if text.is_empty() {
        return Err(EnvError::Empty { name: name.to_owned() });
    }
    Ok(Secret(text))
}

fn read_secret(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than 64 KiB"));
    }
    // An editor or `echo` ends the file with a line end that is no part of the secret.
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    Ok(text)
}

fn data_dir_from(lookup: Lookup<'_>, as_root: bool) -> Result<PathBuf, EnvError> {
    if let Some(named) = var_from(lookup, DATA_DIR)? {
        return Ok(PathBuf::from(named));
    }
    if as_root {
        return Ok(PathBuf::from("/var/lib/plimsoll"));
    }
    // The specification says that a relative path there is to be ignored.
    let data_home = var_from(lookup, "XDG_DATA_HOME")?.map(PathBuf::from);
    if let Some(data_home) = data_home.filter(|path| path.is_absolute()) {
        return Ok(data_home.join("plimsoll"));
    }
    let home = var_from(lookup, "HOME")?.ok_or(EnvError::NoHome)?;
    Ok(PathBuf::from(home).join(".local/share/plimsoll"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + use<> {
        let pairs: Vec<(String, OsString)> =
            pairs.iter().map(|(k, v)| ((*k).to_owned(), OsString::from(v))).collect();
        move |name| pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone())
    }

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let env = with(&[("A", "1"), ("B", "")]);
        assert_eq!(var_from(&env, "A").unwrap().as_deref(), Some("1"));
        assert_eq!(var_from(&env, "B").unwrap(), None);
        assert_eq!(var_from(&env, "C").unwrap(), None);
    }

    #[test]
    fn a_secret_comes_from_the_variable_or_its_file() {
        let secret_file = file(b"from-file\r\n");
        let path = secret_file.path().to_str().unwrap();
        let env = with(&[("A", "from-var"), ("B_FILE", path)]);
        assert_eq!(secret_from(&env, "A").unwrap().unwrap().expose(), "from-var");
        assert_eq!(secret_from(&env, "B").unwrap().unwrap().expose(), "from-file");
        assert_eq!(secret_from(&env, "C").unwrap(), None);
    }

    #[test]
    fn a_secret_given_twice_or_empty_is_refused() {
        let empty_file = file(b"\n");
        let path = empty_file.path().to_str().unwrap();
        let env = with(&[("A", "x"), ("A_FILE", "/y"), ("B", ""), ("C_FILE", path)]);
        assert!(matches!(secret_from(&env, "A"), Err(EnvError::Twice { .. })));
        assert!(matches!(secret_from(&env, "B"), Err(EnvError::Empty { name }) if name == "B"));
        assert!(
            matches!(secret_from(&env, "C"), Err(EnvError::Empty { name }) if name == "C_FILE")
        );
    }

    #[test]
    fn a_secret_file_is_bounded_and_its_absence_named() {
        let large = file(&vec![b'x'; 64 * 1024 + 1]);
        let path = large.path().to_str().unwrap();
        let env = with(&[("A_FILE", path), ("B_FILE", "/nowhere/b")]);
        assert!(matches!(secret_from(&env, "A"), Err(EnvError::File { .. })));
        let error = secret_from(&env, "B").unwrap_err().to_string();
        assert!(error.contains("/nowhere/b") && error.contains("B_FILE"), "{error}");
    }

    #[test]
    fn no_secret_is_ever_shown() {
        let env = with(&[("A", "hunter2")]);
        let secret = secret_from(&env, "A").unwrap();
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_refused_without_showing_it() {
        use std::os::unix::ffi::OsStringExt;
        let env = |_: &str| Some(OsString::from_vec(vec![b'h', 0xff]));
        let error = var_from(&env, "A").unwrap_err();
        assert_eq!(error.to_string(), "the environment variable A is not UTF-8 text");
    }

    #[test]
    fn data_goes_where_the_user_keeps_data() {
        let home = with(&[("HOME", "/home/a")]);
        let xdg = with(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "/data")]);
        let odd = with(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "relative")]);
        let named = with(&[("HOME", "/home/a"), (DATA_DIR, "/elsewhere")]);
        for (env, as_root, expected) in [
            (&home as Lookup<'_>, false, "/home/a/.local/share/plimsoll"),
            (&home, true, "/var/lib/plimsoll"),
            (&xdg, false, "/data/plimsoll"),
            (&odd, false, "/home/a/.local/share/plimsoll"),
            (&named, true, "/elsewhere"),
        ] {
            assert_eq!(data_dir_from(env, as_root).unwrap(), Path::new(expected));
        }
        assert!(matches!(data_dir_from(&with(&[]), false), Err(EnvError::NoHome)));
    }
}
