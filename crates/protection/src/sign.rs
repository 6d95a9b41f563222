//! Signatures: Ed25519 over a message that says what it is for.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::error::VerifyError;
use crate::hash::sha256;

/// How long a signature is, in bytes.
pub const SIGNATURE_BYTES: usize = 64;
const PREFIX: &[u8] = b"plimsoll.signature.v1";

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature(pub [u8; SIGNATURE_BYTES]);

/// The public half of a signing key. Its id is the first eight bytes of SHA-256 over it, in hex.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    bytes: [u8; 32],
    id: String,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.id).finish()
    }
}

impl PublicKey {
    /// From the 32 bytes of RFC 8032.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let id = hex(&sha256(&[&bytes])[..8]);
        Self { bytes, id }
    }

    /// From 64 hexadecimal digits, as [`PublicKey::to_hex`] writes them.
    ///
    /// # Errors
    /// [`VerifyError::NotAKey`].
    pub fn from_hex(text: &str) -> Result<Self, VerifyError> {
        from_hex(text.trim()).map(Self::from_bytes).ok_or(VerifyError::NotAKey)
    }

    pub(crate) fn of(pair: &Ed25519KeyPair) -> Option<Self> {
        let bytes = pair.public_key().as_ref().try_into().ok()?;
        Some(Self::from_bytes(bytes))
    }

    /// The key's id: 16 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key itself in hex, to be handed to whoever verifies elsewhere.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.bytes)
    }

    /// Checks that this key signed `message` for `domain`.
    ///
    /// # Errors
    /// [`VerifyError::Forged`].
    pub fn verify(
        &self,
        domain: &str,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), VerifyError> {
        UnparsedPublicKey::new(&ED25519, self.bytes)
            .verify(&framed(domain, message), &signature.0)
            .map_err(|_| VerifyError::Forged)
    }
}

pub(crate) fn sign(pair: &Ed25519KeyPair, domain: &str, message: &[u8]) -> Signature {
    let mut bytes = [0; SIGNATURE_BYTES];
    bytes.copy_from_slice(pair.sign(&framed(domain, message)).as_ref());
    Signature(bytes)
}

/// What is signed: a prefix of ours, the domain with its length, the message. A signature for one
/// use never passes for another.
fn framed(domain: &str, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(domain.len()).unwrap_or(u32::MAX).to_be_bytes();
    [PREFIX, &length, domain.as_bytes(), message].concat()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut out = [0; N];
    for (byte, at) in out.iter_mut().zip((0..text.len()).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 §7.1, TEST 2.
    const SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const OF_72: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    fn pair() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&from_hex::<32>(SEED).unwrap()).unwrap()
    }

    #[test]
    fn the_library_signs_as_rfc_8032_says() {
        assert_eq!(PublicKey::of(&pair()).unwrap().to_hex(), PUBLIC);
        assert_eq!(hex(pair().sign(&[0x72]).as_ref()), OF_72);
    }

    #[test]
    fn the_frame_is_prefix_length_domain_message() {
        assert_eq!(framed("ab", b"c"), b"plimsoll.signature.v1\0\0\0\x02abc");
        // The border between domain and message cannot be moved.
        assert_ne!(framed("a", b"bc"), framed("ab", b"c"));
    }

    #[test]
    fn every_changed_bit_and_every_other_domain_is_forged() {
        let key = PublicKey::of(&pair()).unwrap();
        let message = b"size and head".as_slice();
        let good = sign(&pair(), "checkpoint", message);
        assert_eq!(key.verify("checkpoint", message, &good), Ok(()));
        assert_eq!(key.verify("export", message, &good), Err(VerifyError::Forged));
        for at in 0..SIGNATURE_BYTES {
            let mut bad = good;
            bad.0[at] ^= 1;
            assert_eq!(key.verify("checkpoint", message, &bad), Err(VerifyError::Forged), "{at}");
        }
        for at in 0..message.len() {
            let mut bad = message.to_vec();
            bad[at] ^= 0x80;
            assert_eq!(key.verify("checkpoint", &bad, &good), Err(VerifyError::Forged), "{at}");
        }
        let other = PublicKey::from_bytes([7; 32]);
        assert_eq!(other.verify("checkpoint", message, &good), Err(VerifyError::Forged));
    }

    #[test]
    fn a_public_key_travels_as_hex() {
        let key = PublicKey::of(&pair()).unwrap();
        assert_eq!(PublicKey::from_hex(&format!("{}\n", key.to_hex())).unwrap(), key);
        assert_eq!(key.id().len(), 16);
        for bad in ["", "zz", &PUBLIC[1..], &format!("{PUBLIC}00"), &"é".repeat(32)] {
            assert_eq!(PublicKey::from_hex(bad), Err(VerifyError::NotAKey), "{bad}");
        }
    }
}
