//! The keyring: the Ed25519 key that signs checkpoints, the key-encrypting key that seals what only
//! we may read, and keyed hashes that say *the same actor* without saying who.
//!
//! Two files in `{data-dir}/keys` hold all secrets: `signing.pem` (Ed25519, PKCS#8) and `kek`: the
//! key-encrypting key and the data key it wraps ([`key_file`]). They are made at the first start,
//! whole or not at all. Every use has a key of its own, derived from the data key by HKDF, so that
//! nothing sealed for one purpose opens for another and a hash is no key. Rotation ([`rotate`])
//! wraps the data key anew, so that what it sealed still opens.
//!
//! It never keeps a key readable in memory longer than the library needs it, never shows one in
//! `Debug`, and knows nothing of what is signed or sealed.

mod error;
mod files;
mod hash;
mod key_file;
mod keyring;
mod rotate;
mod seal;
mod sign;

pub use error::{KeyringError, SealError, VerifyError};
pub use hash::{ActorHash, RandomError, Sha256, random, sha256};
pub use key_file::KEYS_MAX;
pub use keyring::{KEK_FILE, Keyring, KeyringOptions, SIGNING_KEY_FILE};
pub use rotate::{KekPlace, KekStanding, KeyStanding, OutsideKeks, Rotated};
pub use seal::{PLAIN_BYTES_MAX, SEALED_OVERHEAD_BYTES};
pub use sign::{PublicKey, SIGNATURE_BYTES, Signature};
