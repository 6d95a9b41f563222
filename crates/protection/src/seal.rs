//! Sealing: AES-256-GCM under a key for each purpose, bound to the place it stands in.
//!
//! `form (1 byte) ‖ key id (8) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`. The key is
//! HKDF-SHA256(KEK, info = "plimsoll.seal.v1" ‖ purpose); the nonce is random, so one purpose holds
//! at most 2^32 messages under one KEK (NIST SP 800-38D §8.3). The additional data are form, key
//! id, the purpose with its length, and the caller's. What is sealed apart has a key for each
//! place: the info goes on with "\0apart\0" and the place.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::error::SealError;
use crate::sign::hex;

/// The most that is sealed at once, in bytes.
pub const PLAIN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much longer the sealed form is, in bytes.
pub const SEALED_OVERHEAD_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_LEN + TAG_BYTES;

pub(crate) const KEY_ID_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
const FORM: u8 = 1;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_LEN;

pub(crate) struct Purpose<'a> {
    pub(crate) name: &'a str,
    pub(crate) key_id: [u8; KEY_ID_BYTES],
    /// Of the purpose, not the KEK.
    pub(crate) key: &'a [u8; 32],
}

/// Whether the key with this id sealed it, as its head says.
pub(crate) fn sealed_with(sealed: &[u8], id: &[u8; KEY_ID_BYTES]) -> bool {
    sealed.get(1..=KEY_ID_BYTES) == Some(id.as_slice())
}

impl Purpose<'_> {
    fn key(&self) -> Result<LessSafeKey, SealError> {
        let key = UnboundKey::new(&AES_256_GCM, self.key).map_err(|_| SealError::Crypto)?;
        Ok(LessSafeKey::new(key))
    }

    fn aad(&self, aad: &[u8]) -> Vec<u8> {
        let length = u32::try_from(self.name.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&[FORM], self.key_id.as_slice(), &length, self.name.as_bytes(), aad].concat()
    }

    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        if plain.len() > PLAIN_BYTES_MAX {
            return Err(SealError::TooLong { bytes: plain.len() });
        }
        let mut out = Vec::with_capacity(plain.len() + SEALED_OVERHEAD_BYTES);
        out.push(FORM);
        out.extend_from_slice(&self.key_id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let tag = self
            .key()?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(self.aad(aad)),
                &mut out[HEAD_BYTES..],
            )
            .map_err(|_| SealError::Crypto)?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        match sealed.first() {
            Some(&FORM) if sealed.len() >= SEALED_OVERHEAD_BYTES => {}
            Some(&FORM) | None => return Err(SealError::Broken),
            Some(&form) => return Err(SealError::Form(form)),
        }
        let (head, body) = sealed.split_at(HEAD_BYTES);
        let (key_id, nonce) = head[1..].split_at(KEY_ID_BYTES);
        if key_id != self.key_id {
            let (sealed_by, held) = (hex(key_id), hex(&self.key_id));
            return Err(SealError::OtherKey { sealed_by, held });
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Broken)?;
        let mut plain = Zeroizing::new(body.to_vec());
        let length = self
            .key()?
            .open_in_place(nonce, Aad::from(self.aad(aad)), &mut plain)
            .map_err(|_| SealError::Broken)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::from_hex;

    const PURPOSE: Purpose<'_> = Purpose { name: "test", key_id: [9; 8], key: &[7; 32] };

    #[test]
    fn the_library_seals_as_the_gcm_specification_says() {
        // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 14.
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[0; 32]).unwrap());
        let mut text = vec![0; 16];
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut text).unwrap();
        assert_eq!(hex(&text[..16]), "cea7403d4d606b6e074ec5d3baf39d18");
        assert_eq!(hex(&text[16..]), "d0d1c8a799996bf0265b98b5d48ab919");
    }

    #[test]
    fn the_form_is_what_python_makes_of_it() {
        // cryptography 48.0: AESGCM(bytes([7]*32)).encrypt(bytes(range(12)), b"plain",
        //   b"\x01" + b"\x09"*8 + b"\0\0\0\x04" + b"test" + b"row 1")
        let nonce = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let sealed = PURPOSE.seal(nonce, b"row 1", b"plain").unwrap();
        assert_eq!(hex(&sealed[..HEAD_BYTES]), "010909090909090909000102030405060708090a0b");
        assert_eq!(sealed[HEAD_BYTES..], from_hex::<21>(PYTHON).unwrap());
    }

    const PYTHON: &str = "68ed88197337aca8890644c29c9095c9651088e1cd";

    #[test]
    fn every_changed_byte_and_every_cut_is_refused() {
        let sealed = PURPOSE.seal([1; 12], b"row 1", b"name and address").unwrap();
        assert_eq!(PURPOSE.open(b"row 1", &sealed).unwrap().as_slice(), b"name and address");
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 0x01;
            let error = PURPOSE.open(b"row 1", &bad).unwrap_err();
            match at {
                0 => assert_eq!(error, SealError::Form(0)),
                1..=8 => assert!(matches!(error, SealError::OtherKey { .. }), "{at}: {error}"),
                _ => assert_eq!(error, SealError::Broken, "{at}"),
            }
            assert!(PURPOSE.open(b"row 1", &sealed[..at]).is_err(), "cut at {at}");
        }
        let longer = [sealed.as_slice(), &[0]].concat();
        assert_eq!(PURPOSE.open(b"row 1", &longer), Err(SealError::Broken));
        assert_eq!(PURPOSE.open(b"row 2", &sealed), Err(SealError::Broken));
    }

    #[test]
    fn purpose_and_place_cannot_trade_bytes() {
        // Same key on purpose: only the length before the name keeps these apart.
        let other = Purpose { name: "tes", ..PURPOSE };
        let sealed = other.seal([1; 12], b"trow", b"x").unwrap();
        assert_eq!(PURPOSE.open(b"row", &sealed), Err(SealError::Broken));
    }

    #[test]
    fn the_bound_on_what_is_sealed_holds() {
        let most = vec![0; PLAIN_BYTES_MAX];
        let sealed = PURPOSE.seal([1; 12], b"", &most).unwrap();
        assert_eq!(sealed.len(), most.len() + SEALED_OVERHEAD_BYTES);
        let more = vec![0; PLAIN_BYTES_MAX + 1];
        let error = PURPOSE.seal([1; 12], b"", &more).unwrap_err();
        assert_eq!(error, SealError::TooLong { bytes: PLAIN_BYTES_MAX + 1 });
    }
}
