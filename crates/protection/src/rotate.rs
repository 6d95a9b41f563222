//! Rotation: the data keys wrapped anew under another key-encrypting key, in one step, and what
//! stands in the file of keys, for who wants to know.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::KeyringError;
use crate::files;
use crate::key_file::{KEYS_MAX, Kek, Key, KeyFile, OpenFault, Wrapped, data_key_id};
use crate::keyring::{Keyring, KeyringOptions, key_file};
use crate::sign::{from_hex, hex};

/// Key-encrypting keys that the environment holds, the newest first.
#[derive(Clone, Default)]
pub struct OutsideKeks(Vec<Kek>);

impl OutsideKeks {
    /// From keys of 64 hexadecimal digits with commas between them; none for an empty text.
    ///
    /// # Errors
    /// [`KeyringError::NotKeks`].
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut keks = Vec::new();
        for digits in text.split(',') {
            let key = from_hex(digits.trim()).ok_or(KeyringError::NotKeks)?;
            keks.push(Kek::new(Zeroizing::new(key))?);
        }
        if keks.len() > KEYS_MAX {
            return Err(KeyringError::NotKeks);
        }
        Ok(Self(keks))
    }

    pub(crate) fn newest(&self) -> Option<&Kek> {
        self.0.first()
    }
}

impl fmt::Debug for OutsideKeks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|kek| hex(&kek.id))).finish()
    }
}

/// Where a key-encrypting key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KekPlace {
    /// In the file of keys.
    File,
    /// In PLIMSOLL_KEK.
    Environment,
}

impl fmt::Display for KekPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Environment => "environment",
        })
    }
}

/// A key-encrypting key that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KekStanding {
    /// Its id, in hex.
    pub id: String,
    /// Where it is.
    pub place: KekPlace,
    /// How many data keys it wraps. One that wraps none can be taken away.
    pub wraps: usize,
}

/// Which keys there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStanding {
    /// The file of keys.
    pub file: PathBuf,
    /// The key-encrypting keys, those of the file first.
    pub keks: Vec<KekStanding>,
    /// The ids of the data keys, in hex. The first one seals, the others only open.
    pub data: Vec<String>,
    /// One key stands for both.
    pub is_old_form: bool,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The file of keys.
    pub file: PathBuf,
    /// The ids of the keys that wrapped data keys before, in hex.
    pub before: Vec<String>,
    /// The id of the one that does now.
    pub now: String,
    /// How many data keys were wrapped anew.
    pub data_keys: usize,
}

/// The data keys of a file.
pub(crate) fn opened(
    file: &KeyFile,
    outside: &OutsideKeks,
    path: &Path,
) -> Result<Vec<Key>, KeyringError> {
    file.open(&outside.0).map_err(|fault| match fault {
        OpenFault::NoKek(kek) => KeyringError::NoKek { path: path.to_owned(), kek },
        OpenFault::Broken => KeyringError::BrokenDataKey { path: path.to_owned() },
    })
}

impl Keyring {
    /// Which keys there are, without a key. The file is made where it is ours and missing.
    ///
    /// # Errors
    /// As [`Keyring::open_with`].
    pub fn standing(
        options: &KeyringOptions,
        outside: &OutsideKeks,
    ) -> Result<KeyStanding, KeyringError> {
        let (file, path) = key_file(options, outside)?;
        let keys = opened(&file, outside, &path)?;
        let (in_file, data) = match &file {
            KeyFile::Old(_) => (&[][..], &[][..]),
            KeyFile::New { keks, data } => (&keks[..], &data[..]),
        };
        let placed = in_file.iter().map(|kek| (kek, KekPlace::File));
        let placed = placed.chain(outside.0.iter().map(|kek| (kek, KekPlace::Environment)));
        let standing = |(kek, place): (&Kek, KekPlace)| KekStanding {
            id: hex(&kek.id),
            place,
            wraps: data.iter().filter(|wrapped| wrapped.kek_id() == kek.id).count(),
        };
        let ids = keys.iter().map(|key| data_key_id(key).map(|id| hex(&id)));
        Ok(KeyStanding {
            file: path,
            keks: placed.map(standing).collect(),
            data: ids.collect::<Result<_, _>>()?,
            is_old_form: matches!(file, KeyFile::Old(_)),
        })
    }

    /// Wraps every data key anew: under the newest key of the environment, else under a new one
    /// that takes the old one's place in the file. What they sealed opens as before.
    ///
    /// # Errors
    /// As [`Keyring::open_with`], or [`KeyringError::NothingToRotate`]. The file is then as it was.
    pub fn rotate(
        options: &KeyringOptions,
        outside: &OutsideKeks,
    ) -> Result<Rotated, KeyringError> {
        let (file, path) = key_file(options, outside)?;
        let keys = opened(&file, outside, &path)?;
        let mut before = match &file {
            KeyFile::Old(key) => vec![Kek::new(key.clone())?.id],
            KeyFile::New { data, .. } => data.iter().map(Wrapped::kek_id).collect(),
        };
        before.dedup();
        let kek = match outside.newest() {
            Some(kek) if before == [kek.id] && matches!(file, KeyFile::New { .. }) => {
                return Err(KeyringError::NothingToRotate { kek: hex(&kek.id) });
            }
            Some(kek) => kek.clone(),
            None => Kek::make()?,
        };
        let wrapped =
            keys.iter().map(|key| Wrapped::wrap(&kek, key)).collect::<Result<Vec<_>, _>>()?;
        let in_file = if outside.newest().is_some() { &[][..] } else { std::slice::from_ref(&kek) };
        let text = KeyFile::write(in_file, &wrapped);
        // What would not read back must not take the place of what does.
        let back = KeyFile::parse(&text)?.ok_or(KeyringError::Crypto)?;
        if opened(&back, outside, &path)? != keys {
            return Err(KeyringError::Crypto);
        }
        files::replace(&path, &text)?;
        Ok(Rotated {
            file: path,
            before: before.iter().map(|id| hex(id)).collect(),
            now: hex(&kek.id),
            data_keys: keys.len(),
        })
    }
}
