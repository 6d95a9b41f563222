//! The file of keys: the key-encrypting keys, and the data keys they wrap.
//!
//! Two forms. The old one is 64 hexadecimal digits: a key-encrypting key that is its own data key.
//! The new one has a line for each key, and says where it ends, so that a part of it is never taken
//! for the whole:
//!
//! ```text
//! plimsoll-keys 1
//! kek 3f9a…      the newest first; none where the environment holds them
//! data 01ab…     wrapped
//! end
//! ```
//!
//! A data key is wrapped as `form (1 byte) ‖ id of the KEK (8) ‖ id of the data key (8) ‖ nonce
//! (12) ‖ ciphertext (32) ‖ tag (16)`: AES-256-GCM under HKDF-SHA256(KEK, info =
//! "plimsoll.wrap.v1"), with the form, both ids and "plimsoll.data-key.v1" as additional data.
//! Rotation wraps the data keys anew. What they sealed stays as it is, and the old KEK opens
//! nothing any more.

use std::fmt::Write as _;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use zeroize::Zeroizing;

use crate::error::KeyringError;
use crate::hash::random;
use crate::keyring::{SALT, derive};
use crate::seal::KEY_ID_BYTES;
use crate::sign::{from_hex, hex};

/// Keys of one kind that are read at most.
pub const KEYS_MAX: usize = 16;

const HEAD: &str = "plimsoll-keys 1";
const END: &str = "end";
const FORM: u8 = 1;
const WRAPPED_BYTES: usize = 1 + 2 * KEY_ID_BYTES + NONCE_LEN + KEY_BYTES + TAG_BYTES;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

pub(crate) type KeyId = [u8; KEY_ID_BYTES];
pub(crate) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// A key-encrypting key.
#[derive(Clone)]
pub(crate) struct Kek {
    key: Key,
    prk: Prk,
    pub(crate) id: KeyId,
}

impl Kek {
    pub(crate) fn new(key: Key) -> Result<Self, KeyringError> {
        let prk = Salt::new(HKDF_SHA256, SALT).extract(key.as_ref());
        let mut id = [0; KEY_ID_BYTES];
        derive(&prk, &[b"plimsoll.wrap-id.v1"], &mut id)?;
        Ok(Self { key, prk, id })
    }

    pub(crate) fn make() -> Result<Self, KeyringError> {
        Self::new(make_key()?)
    }

    fn cipher(&self) -> Result<LessSafeKey, KeyringError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        derive(&self.prk, &[b"plimsoll.wrap.v1"], key.as_mut())?;
        Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref())?))
    }
}

pub(crate) fn make_key() -> Result<Key, KeyringError> {
    random().map(Zeroizing::new).map_err(|_| KeyringError::Crypto)
}

/// The id of a data key: what sealed things say they were sealed with.
pub(crate) fn data_key_id(key: &[u8; KEY_BYTES]) -> Result<KeyId, KeyringError> {
    let prk = Salt::new(HKDF_SHA256, SALT).extract(key);
    let mut id = [0; KEY_ID_BYTES];
    derive(&prk, &[b"plimsoll.kek-id.v1"], &mut id)?;
    Ok(id)
}

/// A data key, wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrapped([u8; WRAPPED_BYTES]);

impl Wrapped {
    pub(crate) fn wrap(kek: &Kek, key: &Key) -> Result<Self, KeyringError> {
        let nonce: [u8; NONCE_LEN] = random().map_err(|_| KeyringError::Crypto)?;
        Self::wrap_with(kek, key, nonce)
    }

    fn wrap_with(kek: &Kek, key: &Key, nonce: [u8; NONCE_LEN]) -> Result<Self, KeyringError> {
        let id = data_key_id(key)?;
        let mut text = key.clone();
        let tag = kek.cipher()?.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad(&kek.id, &id)),
            text.as_mut(),
        )?;
        let whole = [&[FORM], &kek.id[..], &id, &nonce, &text[..], tag.as_ref()].concat();
        whole.try_into().map(Self).map_err(|_| KeyringError::Crypto)
    }

    /// The KEK that wraps it.
    pub(crate) fn kek_id(&self) -> KeyId {
        part(&self.0, 1)
    }

    /// Opens it; `None` where `kek` does not wrap it, or it was changed.
    pub(crate) fn open(&self, kek: &Kek) -> Result<Option<Key>, KeyringError> {
        let id: KeyId = part(&self.0, 1 + KEY_ID_BYTES);
        if self.0[0] != FORM || self.kek_id() != kek.id {
            return Ok(None);
        }
        let at = 1 + 2 * KEY_ID_BYTES;
        let nonce = Nonce::assume_unique_for_key(part(&self.0, at));
        let mut body = Zeroizing::new(part::<{ KEY_BYTES + TAG_BYTES }>(&self.0, at + NONCE_LEN));
        let aad = Aad::from(aad(&kek.id, &id));
        let Ok(text) = kek.cipher()?.open_in_place(nonce, aad, body.as_mut()) else {
            return Ok(None);
        };
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        key.copy_from_slice(text);
        Ok((data_key_id(&key)? == id).then_some(key))
    }
}

fn part<const N: usize>(bytes: &[u8; WRAPPED_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

fn aad(kek: &KeyId, data: &KeyId) -> Vec<u8> {
    [&[FORM], &kek[..], data, b"plimsoll.data-key.v1"].concat()
}

/// What stands in the file.
#[derive(Clone)]
pub(crate) enum KeyFile {
    /// One key for everything.
    Old(Key),
    /// Data keys, wrapped by keys of the file or of the environment.
    New { keks: Vec<Kek>, data: Vec<Wrapped> },
}

impl KeyFile {
    /// Reads it; `None` for anything that is not the whole of one.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, KeyringError> {
        let Ok(text) = std::str::from_utf8(bytes) else { return Ok(None) };
        if let Some(key) = from_hex::<KEY_BYTES>(text.trim()) {
            return Ok(Some(Self::Old(Zeroizing::new(key))));
        }
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) || !text.ends_with('\n') {
            return Ok(None);
        }
        let (mut keks, mut data) = (Vec::new(), Vec::new());
        for line in lines.by_ref() {
            match line.split_once(' ') {
                Some(("kek", digits)) => {
                    let Some(key) = from_hex(digits) else { return Ok(None) };
                    keks.push(Kek::new(Zeroizing::new(key))?);
                }
                Some(("data", digits)) => {
                    let Some(wrapped) = from_hex(digits) else { return Ok(None) };
                    data.push(Wrapped(wrapped));
                }
                None if line == END => {
                    let sound = lines.next().is_none() && !data.is_empty();
                    let fits = keks.len() <= KEYS_MAX && data.len() <= KEYS_MAX;
                    return Ok((sound && fits).then_some(Self::New { keks, data }));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The new form of these keys.
    pub(crate) fn write(keks: &[Kek], data: &[Wrapped]) -> Zeroizing<Vec<u8>> {
        let room = 32 + keks.len() * 72 + data.len() * (2 * WRAPPED_BYTES + 8);
        let mut text = Zeroizing::new(String::with_capacity(room));
        let mut line = |name: &str, digits: &str| {
            // Into a string, which cannot fail.
            writeln!(text, "{name}{digits}").unwrap_or_default();
        };
        line(HEAD, "");
        for kek in keks {
            line("kek ", &Zeroizing::new(hex(kek.key.as_ref())));
        }
        for wrapped in data {
            line("data ", &hex(&wrapped.0));
        }
        line(END, "");
        Zeroizing::new(text.as_bytes().to_vec())
    }

    /// The data keys, in the order of the file.
    pub(crate) fn open(&self, outside: &[Kek]) -> Result<Vec<Key>, OpenFault> {
        let (keks, data) = match self {
            Self::Old(key) => return Ok(vec![key.clone()]),
            Self::New { keks, data } => (keks, data),
        };
        let mut keys = Vec::with_capacity(data.len());
        for wrapped in data {
            let mut held = keks.iter().chain(outside).filter(|kek| kek.id == wrapped.kek_id());
            let Some(kek) = held.next() else {
                return Err(OpenFault::NoKek(hex(&wrapped.kek_id())));
            };
            match wrapped.open(kek).map_err(|_| OpenFault::Broken)? {
                Some(key) => keys.push(key),
                None => return Err(OpenFault::Broken),
            }
        }
        Ok(keys)
    }
}

/// Why data keys cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OpenFault {
    /// The KEK with this id is not there.
    NoKek(String),
    /// A data key was changed.
    Broken,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kek(byte: u8) -> Kek {
        Kek::new(Zeroizing::new([byte; 32])).unwrap()
    }

    fn wrapped() -> Wrapped {
        Wrapped::wrap_with(&kek(1), &Zeroizing::new([2; 32]), [3; 12]).unwrap()
    }

    #[test]
    fn what_is_wrapped_opens_with_its_key_alone() {
        let opened = wrapped().open(&kek(1)).unwrap().unwrap();
        assert_eq!(*opened, [2; 32]);
        assert!(wrapped().open(&kek(4)).unwrap().is_none());
        for at in 0..WRAPPED_BYTES {
            let mut bad = wrapped();
            bad.0[at] ^= 1;
            assert!(bad.open(&kek(1)).unwrap().is_none(), "byte {at}");
        }
    }

    #[test]
    fn the_form_is_what_python_makes_of_it() {
        // cryptography, and HKDF by RFC 5869: AESGCM(expand(b"plimsoll.wrap.v1"))
        //   .encrypt(bytes([3]*12), bytes([2]*32), b"\x01" + kek_id + data_id +
        //   b"plimsoll.data-key.v1")
        assert_eq!(hex(&wrapped().0), PYTHON);
    }

    const PYTHON: &str = "0163daadd8598e66716b4d0a81914e771f03030303030303030303030312b184cc2dfae\
                          1d97ec2e2fa5e2e66831fdd2fb10ddcbd994fc213d490b2edcf9c88a327c243057464ac\
                          49bed3bad6e6";

    #[test]
    fn a_file_reads_back_and_a_part_of_it_never_does() {
        let text = KeyFile::write(&[kek(1), kek(5)], &[wrapped()]);
        let Some(KeyFile::New { keks, data }) = KeyFile::parse(&text).unwrap() else {
            panic!("it does not read")
        };
        assert_eq!((keks.len(), keks[1].id, &data[..]), (2, kek(5).id, &[wrapped()][..]));
        for cut in 0..text.len() {
            assert!(KeyFile::parse(&text[..cut]).unwrap().is_none(), "cut at {cut}");
        }
        let longer = [&text[..], b"kek 00\n"].concat();
        assert!(KeyFile::parse(&longer).unwrap().is_none());
        let without = KeyFile::write(&[kek(1)], &[]);
        assert!(KeyFile::parse(&without).unwrap().is_none(), "no data key");
        let many = KeyFile::write(&vec![kek(1); KEYS_MAX + 1], &[wrapped()]);
        assert!(KeyFile::parse(&many).unwrap().is_none());
    }

    #[test]
    fn a_key_that_is_not_held_is_named() {
        let file = KeyFile::New { keks: vec![kek(5)], data: vec![wrapped()] };
        let wanted = hex(&kek(1).id);
        assert_eq!(file.open(&[]).unwrap_err(), OpenFault::NoKek(wanted));
        assert_eq!(*file.open(&[kek(1)]).unwrap()[0], [2; 32]);
    }
}
