//! The issuer behind `plimsoll dev token`: a key pair in the data directory, for a developer's own
//! machine. A manifest has to name it with `development = true`, which `check` refuses wherever the
//! edge can be reached from outside.
//!
//! The private key never leaves its file, which only its owner may read; the issuer refuses to work
//! with files that others could have written.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};

/// The name of the development issuer. Nothing can ever answer there (RFC 2606 §2).
pub const ISSUER: &str = "https://dev.plimsoll.invalid";

const DIRECTORY: &str = "dev-issuer";
const KEY_FILE: &str = "key.pem";
const KEY_SET_FILE: &str = "jwks.json";
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where the public half stands for an edge with this data directory.
#[must_use]
pub fn key_set_file(data_dir: &Path) -> PathBuf {
    data_dir.join(DIRECTORY).join(KEY_SET_FILE)
}

/// Why the issuer cannot work, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevIssuerError {
    /// A file or directory could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// Others may read or write it.
    #[error("{path} is open to others: run `chmod go-rwx {path}`", path = path.display())]
    Open {
        /// Which.
        path: PathBuf,
    },
    /// Somebody else owns it, or it is not of the kind it has to be.
    #[error(
        "{path} is not a plain file or directory of this user: remove it, and it is made again",
        path = path.display()
    )]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// The file holds no key of ours.
    #[error(
        "{path} holds no P-256 key: remove it, and a new one is made (its tokens end with it)",
        path = path.display()
    )]
    NotAKey {
        /// Which.
        path: PathBuf,
    },
    /// The machine gave no randomness, or signing failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

impl From<aws_lc_rs::error::Unspecified> for DevIssuerError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Crypto
    }
}

/// What a token shall say.
#[derive(Clone, Copy, Debug)]
pub struct Mint<'a> {
    /// `iss`: [`ISSUER`], or whatever the manifest calls its development issuer.
    pub issuer: &'a str,
    /// `sub`.
    pub subject: &'a str,
    /// `scope`.
    pub scopes: &'a [String],
    /// `aud`.
    pub audience: &'a [String],
    /// The name and value of the tenant claim.
    pub tenant: Option<(&'a str, &'a str)>,
    /// From `iat` to `exp`.
    pub ttl: Duration,
}

/// The issuer, with its key pair at hand.
pub struct DevIssuer {
    pair: EcdsaKeyPair,
    key_id: String,
}

impl fmt::Debug for DevIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevIssuer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl DevIssuer {
    /// Opens the issuer in `data_dir`, making what is missing. Several processes may do so at the
    /// same time: all end with the same key.
    ///
    /// # Errors
    /// See [`DevIssuerError`].
    pub fn open(data_dir: &Path) -> Result<Self, DevIssuerError> {
        let directory = data_dir.join(DIRECTORY);
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(at(&directory))?;
        check_private(&directory, true)?;
        let key_file = directory.join(KEY_FILE);
        if !key_file.try_exists().map_err(at(&key_file))? {
            make_key(&directory, &key_file)?;
        }
        let issuer = Self::read(&key_file)?;
        issuer.publish(&directory)?;
        Ok(issuer)
    }

    fn read(key_file: &Path) -> Result<Self, DevIssuerError> {
        check_private(key_file, false)?;
        let pem = read_file(key_file)?;
        let not_a_key = || DevIssuerError::NotAKey { path: key_file.to_owned() };
        let key = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| not_a_key())?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair =
            EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der()).map_err(|_| not_a_key())?;
        let key_id = thumbprint(&pair);
        Ok(Self { pair, key_id })
    }

    /// Writes the public half beside the private one, whole or not at all.
    fn publish(&self, directory: &Path) -> Result<(), DevIssuerError> {
        let file = directory.join(KEY_SET_FILE);
        let text = format!("{:#}\n", self.key_set());
        match read_file(&file) {
            Ok(there) if there == text.as_bytes() => return check_private(&file, false),
            _ => {}
        }
        let draft = write_draft(directory, text.as_bytes())?;
        fs::rename(&draft, &file).map_err(at(&file))
    }

    /// The public half as a JWK set.
    #[must_use]
    pub fn key_set(&self) -> Value {
        let (x, y) = coordinates(&self.pair);
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "x": x, "y": y,
            "kid": self.key_id, "alg": "ES256", "use": "sig",
        }] })
    }

    /// Signs a token (RFC 9068) as of `now_unix_s`.
    ///
    /// # Errors
    /// [`DevIssuerError::Crypto`].
    pub fn mint(&self, mint: &Mint<'_>, now_unix_s: u64) -> Result<String, DevIssuerError> {
        let random = SystemRandom::new();
        let mut id = [0; 16];
        random.fill(&mut id)?;
        let mut claims = Map::new();
        if let Some((claim, tenant)) = mint.tenant {
            claims.insert(claim.to_owned(), json!(tenant));
        }
        let expires = now_unix_s.saturating_add(mint.ttl.as_secs());
        for (claim, value) in [
            ("iss", json!(mint.issuer)),
            ("sub", json!(mint.subject)),
            ("aud", json!(mint.audience)),
            ("client_id", json!("plimsoll-dev")),
            ("iat", json!(now_unix_s)),
            ("exp", json!(expires)),
            ("jti", json!(URL_SAFE_NO_PAD.encode(id))),
            ("scope", json!(mint.scopes.join(" "))),
        ] {
            claims.insert(claim.to_owned(), value);
        }
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": self.key_id });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&Value::Object(claims)));
        let signature = self.pair.sign(&random, signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// The key's name is its RFC 7638 thumbprint, so that a new key is never taken for the old one.
fn thumbprint(pair: &EcdsaKeyPair) -> String {
    let (x, y) = coordinates(pair);
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}

/// The public point is `04 x y` (SEC 1 §2.3.3).
fn coordinates(pair: &EcdsaKeyPair) -> (String, String) {
    let point = pair.public_key().as_ref();
    let (x, y) = point[1..].split_at((point.len() - 1) / 2);
    (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y))
}

/// Makes a key and puts it in place unless somebody was faster: a link, unlike a rename, never
/// replaces.
fn make_key(directory: &Path, key_file: &Path) -> Result<(), DevIssuerError> {
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?;
    let draft = write_draft(directory, pem(pkcs8.as_ref()).as_bytes())?;
    let linked = fs::hard_link(&draft, key_file);
    fs::remove_file(&draft).map_err(at(&draft))?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(at(key_file)(error)),
        _ => sync(directory),
    }
}

fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..body.len()).step_by(64).map(|from| &body[from..body.len().min(from + 64)]).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// Writes a new file under a name nobody else uses, for its owner alone, down to the disk.
fn write_draft(directory: &Path, content: &[u8]) -> Result<PathBuf, DevIssuerError> {
    let mut name = [0; 16];
    SystemRandom::new().fill(&mut name)?;
    let path = directory.join(format!(".draft-{}", URL_SAFE_NO_PAD.encode(name)));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let mut file = file.map_err(at(&path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(at(&path))?;
    Ok(path)
}

fn sync(directory: &Path) -> Result<(), DevIssuerError> {
    File::open(directory).and_then(|d| d.sync_all()).map_err(at(directory))
}

fn read_file(path: &Path) -> Result<Vec<u8>, DevIssuerError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(at(path))?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(at(path))?;
    Ok(bytes)
}

/// A path that somebody else could have put there, or can read or change, is not ours to trust.
fn check_private(path: &Path, directory: bool) -> Result<(), DevIssuerError> {
    let metadata = fs::symlink_metadata(path).map_err(at(path))?;
    let kind = metadata.file_type();
    let right_kind = if directory { kind.is_dir() } else { kind.is_file() };
    if !right_kind || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(DevIssuerError::Foreign { path: path.to_owned() });
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(DevIssuerError::Open { path: path.to_owned() });
    }
    Ok(())
}

fn at(path: &Path) -> impl Fn(io::Error) -> DevIssuerError {
    let path = path.to_owned();
    move |source| DevIssuerError::Io { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn the_key_is_made_once_and_private() {
        let data = tempfile::tempdir().unwrap();
        let first = DevIssuer::open(data.path()).unwrap();
        let again = DevIssuer::open(data.path()).unwrap();
        assert_eq!(first.key_id, again.key_id);
        let directory = data.path().join(DIRECTORY);
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&directory.join(KEY_FILE)), 0o600);
        assert_eq!(mode(&directory.join(KEY_SET_FILE)), 0o600);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "no draft is left behind");
        let published = fs::read(key_set_file(data.path())).unwrap();
        let report = super::super::inspect_key_set(&published).unwrap();
        assert_eq!((report.usable, report.skipped.len()), (1, 0));
        assert!(!String::from_utf8(published).unwrap().contains("\"d\""));
    }

    #[test]
    fn racing_processes_end_with_one_key() {
        let data = tempfile::tempdir().unwrap();
        let ids: Vec<String> = std::thread::scope(|scope| {
            let open = || scope.spawn(|| DevIssuer::open(data.path()).unwrap().key_id);
            let threads: Vec<_> = (0..8).map(|_| open()).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn files_that_others_can_touch_are_refused() {
        let data = tempfile::tempdir().unwrap();
        DevIssuer::open(data.path()).unwrap();
        let directory = data.path().join(DIRECTORY);
        for (path, bits) in [(directory.clone(), 0o755), (directory.join(KEY_FILE), 0o644)] {
            let before = mode(&path);
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            let error = DevIssuer::open(data.path()).unwrap_err();
            assert!(error.to_string().contains("chmod"), "{error}");
            fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
        }
        let key = directory.join(KEY_FILE);
        fs::rename(&key, data.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(data.path().join("elsewhere"), &key).unwrap();
        let error = DevIssuer::open(data.path()).unwrap_err();
        assert!(matches!(error, DevIssuerError::Foreign { .. }), "{error}");
    }

    #[test]
    fn a_broken_key_is_named_and_not_replaced() {
        let data = tempfile::tempdir().unwrap();
        DevIssuer::open(data.path()).unwrap();
        let key = data.path().join(DIRECTORY).join(KEY_FILE);
        fs::write(&key, "nonsense").unwrap();
        let error = DevIssuer::open(data.path()).unwrap_err();
        assert!(matches!(error, DevIssuerError::NotAKey { .. }), "{error}");
        assert_eq!(fs::read_to_string(&key).unwrap(), "nonsense");
    }
}
