//! What can be wrong with keys and with what was made with them.

use std::io;
use std::path::PathBuf;

/// Why the keys cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// A file or directory could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// Others may read or write it.
    #[error("{} is open to others: run `chmod {mode:o} {}`", path.display(), path.display())]
    Mode {
        /// Which.
        path: PathBuf,
        /// The mode it should have.
        mode: u32,
    },
    /// Another user owns it.
    #[error(
        "{path} belongs to user {owner}, and this process runs as user {user}: \
         run `chown {user} {path}`, or start as the user it belongs to",
        path = path.display()
    )]
    Owner {
        /// Which.
        path: PathBuf,
        /// Who owns it (uid).
        owner: u32,
        /// Who we are (uid).
        user: u32,
    },
    /// A link, a device, or a directory where a file has to be.
    #[error("{} is not a plain {wanted}: move it away and start again", path.display())]
    Kind {
        /// Which.
        path: PathBuf,
        /// `file` or `directory`.
        wanted: &'static str,
    },
    /// The file holds no Ed25519 key. It is never overwritten.
    #[error(
        "{path} holds no Ed25519 private key (PKCS#8 PEM), perhaps only a part of one: put it back \
         from a backup. Without one, move it away: a new key is made, and checkpoints signed by \
         the old one need its public key to be verified. \
         `openssl genpkey -algorithm ed25519 -out FILE` makes one by hand",
        path = path.display()
    )]
    NotASigningKey {
        /// Which.
        path: PathBuf,
    },
    /// The file holds no 256-bit key. It is never overwritten.
    #[error(
        "{path} holds no key of 64 hexadecimal digits, perhaps only a part of one: put it back \
         from a backup. Without one, move it away: a new key is made, and what the old one sealed \
         can no longer be read. `openssl rand -hex 32 > FILE` makes one by hand",
        path = path.display()
    )]
    NotAKek {
        /// Which.
        path: PathBuf,
    },
    /// The key-encrypting key that wraps a data key is not there.
    #[error(
        "{} holds a data key that key-encrypting key {kek} wraps, which is not there: put it \
         behind the others in PLIMSOLL_KEK, run `plimsoll keys rotate`, and take it away then",
        path.display()
    )]
    NoKek {
        /// The file of keys.
        path: PathBuf,
        /// The id of the key.
        kek: String,
    },
    /// A data key does not open: it was changed.
    #[error(
        "{} holds a data key that was changed: put the file back from a backup",
        path.display()
    )]
    BrokenDataKey {
        /// The file of keys.
        path: PathBuf,
    },
    /// The environment's keys cannot be read.
    #[error(
        "PLIMSOLL_KEK must hold keys of 64 hexadecimal digits, the newest first, with commas \
         between them, {} at most: `openssl rand -hex 32` makes one",
        crate::KEYS_MAX
    )]
    NotKeks,
    /// The newest key of the environment wraps everything already.
    #[error(
        "key-encrypting key {kek} of PLIMSOLL_KEK wraps every data key already: put a new one \
         before it (`openssl rand -hex 32` makes one) and run this again"
    )]
    NothingToRotate {
        /// The id of the key.
        kek: String,
    },
    /// A file named by an option is not there. It is not made: a typing error would make a new key.
    #[error("{option} names {}, which is not there: {make}", path.display())]
    Named {
        /// The option.
        option: &'static str,
        /// What it names.
        path: PathBuf,
        /// How to make one.
        make: &'static str,
    },
    /// The database is elsewhere, so the key that opens what stands in it has to be kept elsewhere
    /// too: a key that only this directory has is lost with this machine, and other nodes lack it.
    #[error(
        "the database is elsewhere (DATABASE_URL), so the key that opens what stands in it must \
         not live on this machine alone: set PLIMSOLL_KEK_FILE to a file that every node has and \
         that you keep a copy of; `openssl rand -hex 32 > FILE && chmod 600 FILE` makes one"
    )]
    SelfMadeKek,
    /// The machine gave no randomness, or the library failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

impl From<aws_lc_rs::error::Unspecified> for KeyringError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Crypto
    }
}

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// More than may be sealed at once.
    #[error("{bytes} bytes are too many to seal at once: at most {}", crate::PLAIN_BYTES_MAX)]
    TooLong {
        /// How many were given.
        bytes: usize,
    },
    /// Sealed by a version of Plimsoll that this one does not know.
    #[error("sealed in form {0}, which this version does not know: use the version that wrote it")]
    Form(u8),
    /// Sealed under another key-encrypting key.
    #[error(
        "sealed under key {sealed_by}, and this keyring holds {held}: set PLIMSOLL_KEK_FILE to \
         the key it was sealed with"
    )]
    OtherKey {
        /// The id of the key that sealed it, in hex.
        sealed_by: String,
        /// The id of the key at hand, in hex.
        held: String,
    },
    /// Changed since, cut, or sealed for another purpose or another place.
    #[error("does not open: it was changed, or sealed for another purpose or place")]
    Broken,
    /// The machine gave no randomness, or the library failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

/// Why a signature or a public key is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The text is no Ed25519 public key of 64 hexadecimal digits.
    #[error("not an Ed25519 public key of 64 hexadecimal digits")]
    NotAKey,
    /// Not signed by this key, or not this message.
    #[error("the signature does not belong to this message and key")]
    Forged,
}
