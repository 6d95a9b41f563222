//! The keys of one node, opened once at start.

use std::fmt;
use std::path::PathBuf;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use crate::error::{KeyringError, SealError};
use crate::files;
use crate::hash::{ActorHash, random};
use crate::key_file::{Kek, Key, KeyFile, Wrapped, data_key_id, make_key};
use crate::rotate::{OutsideKeks, opened};
use crate::seal::{KEY_ID_BYTES, Purpose, sealed_with};
use crate::sign::{self, PublicKey, Signature, hex};

/// The signing key's file in the directory of keys.
pub const SIGNING_KEY_FILE: &str = "signing.pem";
/// The key-encrypting key's file in the directory of keys.
pub const KEK_FILE: &str = "kek";

pub(crate) const SALT: &[u8] = b"plimsoll.hkdf.v1";
/// Between a purpose and a place of it; no purpose has a NUL in its name.
const APART: &[u8] = b"\0apart\0";
const MAKE_SIGNING_KEY: &str =
    "`openssl genpkey -algorithm ed25519 -out FILE && chmod 600 FILE` makes one";
const MAKE_KEK: &str = "`openssl rand -hex 32 > FILE && chmod 600 FILE` makes one";

/// Where the keys are.
#[derive(Clone, Debug)]
pub struct KeyringOptions {
    /// `{data-dir}/keys`; made with mode 0700 where it is missing.
    pub directory: PathBuf,
    /// PLIMSOLL_LEDGER_KEY_FILE: an Ed25519 key in PKCS#8 PEM instead of our own.
    pub signing_key_file: Option<PathBuf>,
    /// PLIMSOLL_KEK_FILE: 64 hexadecimal digits, or what `plimsoll keys rotate` made of them,
    /// instead of our own file.
    pub kek_file: Option<PathBuf>,
    /// The database is not our private cluster: a key-encrypting key of our own making is refused.
    pub outside_database: bool,
}

/// The keys, ready for use.
pub struct Keyring {
    pair: Ed25519KeyPair,
    public: PublicKey,
    /// The data key from which all others are derived.
    data: DataKey,
    /// Those that only open what they sealed once.
    former: Vec<DataKey>,
    actors: hmac::Key,
}

struct DataKey {
    prk: Prk,
    id: [u8; KEY_ID_BYTES],
}

impl DataKey {
    fn new(key: &[u8; 32]) -> Result<Self, KeyringError> {
        let prk = Salt::new(HKDF_SHA256, SALT).extract(key);
        Ok(Self { prk, id: data_key_id(key)? })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("signing_key", &self.public.id())
            .field("kek", &hex(&self.data.id))
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// Opens the keys, making those that are missing and not named by an option.
    ///
    /// # Errors
    /// See [`KeyringError`]: each says what to do.
    pub fn open(options: &KeyringOptions) -> Result<Self, KeyringError> {
        Self::open_with(options, &OutsideKeks::default())
    }

    /// The same with key-encrypting keys that the environment holds.
    ///
    /// # Errors
    /// See [`KeyringError`].
    pub fn open_with(
        options: &KeyringOptions,
        outside: &OutsideKeks,
    ) -> Result<Self, KeyringError> {
        if options.outside_database && options.kek_file.is_none() {
            return Err(KeyringError::SelfMadeKek);
        }
        if options.signing_key_file.is_none() || options.kek_file.is_none() {
            files::directory(&options.directory)?;
        }
        let pair = signing_key(options)?;
        let (file, path) = key_file(options, outside)?;
        Self::from_keys(pair, &opened(&file, outside, &path)?)
    }

    fn from_keys(pair: Ed25519KeyPair, keys: &[Key]) -> Result<Self, KeyringError> {
        let public = PublicKey::of(&pair).ok_or(KeyringError::Crypto)?;
        let (first, former) = keys.split_first().ok_or(KeyringError::Crypto)?;
        let data = DataKey::new(first)?;
        let former =
            former.iter().map(|key| DataKey::new(key)).collect::<Result<Vec<_>, KeyringError>>()?;
        let mut actors = Zeroizing::new([0; 32]);
        derive(&data.prk, &[b"plimsoll.actor.v1"], actors.as_mut())?;
        let actors = hmac::Key::new(hmac::HMAC_SHA256, actors.as_ref());
        Ok(Self { pair, public, data, former, actors })
    }

    /// The public half of the signing key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The id of the data key, in hex: equal on all nodes that share it, and the same after a
    /// rotation. Says nothing of the key.
    #[must_use]
    pub fn kek_id(&self) -> String {
        hex(&self.data.id)
    }

    /// Signs `message` for `domain`, which names the use and its version.
    #[must_use]
    pub fn sign(&self, domain: &'static str, message: &[u8]) -> Signature {
        sign::sign(&self.pair, domain, message)
    }

    /// The keyed hash of an actor.
    #[must_use]
    pub fn actor(&self, actor: &str) -> ActorHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(hmac::sign(&self.actors, actor.as_bytes()).as_ref());
        ActorHash::from_bytes(hash)
    }

    /// The key of the hashes that an edge counts callers by: equal on all nodes that share the
    /// key-encrypting key.
    ///
    /// # Errors
    /// [`KeyringError::Crypto`].
    pub fn caller_key(&self) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
        let mut key = Zeroizing::new([0; 32]);
        derive(&self.data.prk, &[b"plimsoll.caller.v1"], key.as_mut())?;
        Ok(key)
    }

    /// What only a holder of the key-encrypting key can put on `message` for `purpose`:
    /// HMAC-SHA-256 under a key of that purpose alone, so that a keyed hash made for anything else
    /// is no mark.
    ///
    /// # Errors
    /// [`KeyringError::Crypto`].
    pub fn mark(&self, purpose: &'static str, message: &[u8]) -> Result<[u8; 32], KeyringError> {
        let mut key = Zeroizing::new([0; 32]);
        derive(&self.data.prk, &[b"plimsoll.mark.v1", purpose.as_bytes()], key.as_mut())?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
        let mut mark = [0; 32];
        mark.copy_from_slice(hmac::sign(&key, message).as_ref());
        Ok(mark)
    }

    /// Encrypts `plain` for `purpose`, bound to `aad`: the place it stands in, such as a row's id.
    ///
    /// # Errors
    /// [`SealError::TooLong`], or no randomness.
    pub fn seal(
        &self,
        purpose: &'static str,
        aad: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let nonce = random().map_err(|_| SealError::Crypto)?;
        self.with_purpose(&self.data, (purpose, &[]), |key| key.seal(nonce, aad, plain))
    }

    /// The same with a key for each `place`, which is bound to it, too: for what is sealed more
    /// often than 2^32 times under one purpose, which is then the bound of each place.
    ///
    /// # Errors
    /// As [`Keyring::seal`].
    pub fn seal_apart(
        &self,
        purpose: &'static str,
        place: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let nonce = random().map_err(|_| SealError::Crypto)?;
        let name = (purpose, &[APART, place][..]);
        self.with_purpose(&self.data, name, |key| key.seal(nonce, place, plain))
    }

    /// Decrypts what [`Keyring::seal`] made for the same purpose and place.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn open_sealed(
        &self,
        purpose: &'static str,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let by = self.sealed_by(sealed);
        self.with_purpose(by, (purpose, &[]), |key| key.open(aad, sealed))
    }

    /// Decrypts what [`Keyring::seal_apart`] made for the same purpose and place.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn open_apart(
        &self,
        purpose: &'static str,
        place: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let by = self.sealed_by(sealed);
        let name = (purpose, &[APART, place][..]);
        self.with_purpose(by, name, |key| key.open(place, sealed))
    }

    fn sealed_by(&self, sealed: &[u8]) -> &DataKey {
        let former = self.former.iter().find(|key| sealed_with(sealed, &key.id));
        former.unwrap_or(&self.data)
    }

    /// `apart` divides a purpose's key further.
    fn with_purpose<T>(
        &self,
        by: &DataKey,
        (name, apart): (&'static str, &[&[u8]]),
        act: impl FnOnce(&Purpose<'_>) -> Result<T, SealError>,
    ) -> Result<T, SealError> {
        let mut key = Zeroizing::new([0; 32]);
        let info = [&[b"plimsoll.seal.v1", name.as_bytes()], apart].concat();
        derive(&by.prk, &info, key.as_mut()).map_err(|_| SealError::Crypto)?;
        act(&Purpose { name, key_id: by.id, key: &key })
    }
}

fn signing_key(options: &KeyringOptions) -> Result<Ed25519KeyPair, KeyringError> {
    let own = options.directory.join(SIGNING_KEY_FILE);
    let (pem, path) = match &options.signing_key_file {
        Some(path) => {
            (files::named(path, "PLIMSOLL_LEDGER_KEY_FILE", MAKE_SIGNING_KEY)?, path.clone())
        }
        None => (files::own(&options.directory, SIGNING_KEY_FILE, make_signing_key)?, own),
    };
    let not_a_key = || KeyringError::NotASigningKey { path: path.clone() };
    let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| not_a_key())?;
    // What OpenSSL writes lacks the public half (PKCS#8 version 1), so there is nothing to check.
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| not_a_key())
}

fn make_signing_key() -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())?;
    let body = Zeroizing::new(STANDARD.encode(der.as_ref()));
    let (begin, end) = ("-----BEGIN PRIVATE KEY-----\n", "\n-----END PRIVATE KEY-----\n");
    Ok(Zeroizing::new([begin.as_bytes(), body.as_bytes(), end.as_bytes()].concat()))
}

/// The file of keys, made where it is ours and missing.
pub(crate) fn key_file(
    options: &KeyringOptions,
    outside: &OutsideKeks,
) -> Result<(KeyFile, PathBuf), KeyringError> {
    let own = options.directory.join(KEK_FILE);
    let (text, path) = match &options.kek_file {
        Some(path) => (files::named(path, "PLIMSOLL_KEK_FILE", MAKE_KEK)?, path.clone()),
        None => (files::own(&options.directory, KEK_FILE, || make_key_file(outside))?, own),
    };
    let file =
        KeyFile::parse(&text)?.ok_or_else(|| KeyringError::NotAKek { path: path.clone() })?;
    Ok((file, path))
}

fn make_key_file(outside: &OutsideKeks) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let data = make_key()?;
    if let Some(kek) = outside.newest() {
        return Ok(KeyFile::write(&[], &[Wrapped::wrap(kek, &data)?]));
    }
    let kek = Kek::make()?;
    let wrapped = Wrapped::wrap(&kek, &data)?;
    Ok(KeyFile::write(&[kek], &[wrapped]))
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

pub(crate) fn derive(
    prk: &Prk,
    info: &[&[u8]],
    out: &mut [u8],
) -> Result<(), aws_lc_rs::error::Unspecified> {
    prk.expand(info, Length(out.len()))?.fill(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(seed: u8, kek: u8) -> Keyring {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        Keyring::from_keys(pair, &[Zeroizing::new([kek; 32])]).unwrap()
    }

    #[test]
    fn derivation_is_rfc_5869() {
        // Appendix A.1.
        let salt: [u8; 13] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let prk = Salt::new(HKDF_SHA256, &salt).extract(&[0x0b; 22]);
        let info: [u8; 10] = std::array::from_fn(|i| 0xf0 + u8::try_from(i).unwrap());
        let mut out = [0; 42];
        derive(&prk, &[&info[..4], &info[4..]], &mut out).unwrap();
        assert_eq!(
            hex(&out),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        );
    }

    #[test]
    fn hashing_is_rfc_4231() {
        // §4.3, test case 2.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        assert_eq!(
            hex(hmac::sign(&key, b"what do ya want for nothing?").as_ref()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn actors_are_what_python_makes_of_them() {
        // hmac.digest(HKDF(SHA256, 32, b"plimsoll.hkdf.v1", b"plimsoll.actor.v1")
        //   .derive(bytes([2]*32)), b"local:1000", "sha256"), with cryptography 48.0
        let python = "80172087e5f2e95bf2dbf95a71932e568812d656fe842e531b398e7a094592cd";
        assert_eq!(keyring(1, 2).actor("local:1000").to_string(), python);
        assert_ne!(keyring(1, 3).actor("local:1000"), keyring(1, 2).actor("local:1000"));
        assert_ne!(keyring(1, 2).actor("local:1001"), keyring(1, 2).actor("local:1000"));
        assert_eq!(keyring(9, 2).actor("local:1000"), keyring(1, 2).actor("local:1000"));
    }

    #[test]
    fn marks_are_what_python_makes_of_them() {
        // hmac.digest(expand(b"plimsoll.mark.v1" + b"ledger.evidence.v1"), b"message", "sha256")
        // with expand and its key as RFC 5869 has them, over bytes([2]*32).
        let mark = |kek, purpose, message| hex(&keyring(1, kek).mark(purpose, message).unwrap());
        let python = "3b43b7497e2cd2eb975fc713cf330bd5aaf877c48d26993c7d500c72cabd58ca";
        assert_eq!(mark(2, "ledger.evidence.v1", b"message"), python);
        assert_ne!(mark(2, "ledger.evidence.v1", b"massage"), python);
        assert_ne!(mark(2, "ledger.evidence.v2", b"message"), python);
        assert_ne!(mark(3, "ledger.evidence.v1", b"message"), python);
        let of_other_seed = keyring(9, 2).mark("ledger.evidence.v1", b"message").unwrap();
        assert_eq!(hex(&of_other_seed), python);
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_key_and_place_alone() {
        let ring = keyring(1, 2);
        let sealed = ring.seal("ledger.personal", b"entry 1", b"a name").unwrap();
        let open = |purpose, aad: &[u8]| ring.open_sealed(purpose, aad, &sealed);
        assert_eq!(open("ledger.personal", b"entry 1").unwrap().as_slice(), b"a name");
        assert_eq!(open("ledger.personal", b"entry 2"), Err(SealError::Broken));
        assert_eq!(open("identity.email", b"entry 1"), Err(SealError::Broken));
        let error = keyring(1, 3).open_sealed("ledger.personal", b"entry 1", &sealed).unwrap_err();
        assert!(matches!(error, SealError::OtherKey { .. }), "{error}");
        let again = ring.seal("ledger.personal", b"entry 1", b"a name").unwrap();
        assert_ne!(sealed, again, "a nonce is used once");
    }

    #[test]
    fn what_is_sealed_apart_opens_in_its_place_alone() {
        let ring = keyring(1, 2);
        let sealed = ring.seal_apart("edge.cache", b"key 1", b"an answer").unwrap();
        let open = |purpose, place: &[u8]| ring.open_apart(purpose, place, &sealed);
        assert_eq!(open("edge.cache", b"key 1").unwrap().as_slice(), b"an answer");
        assert_eq!(open("edge.cache", b"key 2"), Err(SealError::Broken));
        assert_eq!(open("edge.other", b"key 1"), Err(SealError::Broken));
        assert_eq!(ring.open_sealed("edge.cache", b"key 1", &sealed), Err(SealError::Broken));
        // The purpose's key, divided further by the place.
        let mut key = [0; 32];
        let info: [&[u8]; 4] = [b"plimsoll.seal.v1", b"edge.cache", APART, b"key 1"];
        derive(&ring.data.prk, &info, &mut key).unwrap();
        let purpose = Purpose { name: "edge.cache", key_id: ring.data.id, key: &key };
        assert_eq!(purpose.open(b"key 1", &sealed).unwrap().as_slice(), b"an answer");
    }

    #[test]
    fn a_former_data_key_opens_what_it_sealed_and_seals_no_more() {
        let pair = || Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let keys = [Zeroizing::new([3; 32]), Zeroizing::new([2; 32])];
        let both = Keyring::from_keys(pair(), &keys).unwrap();
        let old = keyring(1, 2).seal("ledger.personal", b"entry 1", b"a name").unwrap();
        let opened = both.open_sealed("ledger.personal", b"entry 1", &old).unwrap();
        assert_eq!(opened.as_slice(), b"a name");
        let new = both.seal("ledger.personal", b"entry 1", b"a name").unwrap();
        assert!(keyring(1, 3).open_sealed("ledger.personal", b"entry 1", &new).is_ok());
        assert_eq!(both.kek_id(), keyring(1, 3).kek_id());
    }

    #[test]
    fn nothing_shows_a_key() {
        let shown = format!("{:?} {:#?}", keyring(1, 2), keyring(1, 2));
        for secret in ["0101010101", "0202020202", "[1, 1", "[2, 2"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
