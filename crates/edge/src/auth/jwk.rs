//! One public key as an issuer publishes it (RFC 7517), checked before it may check anything.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{self as lc, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plimsoll_manifest::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::algorithm::{self, KeyKind};

const RSA_BITS_MIN: usize = 2_048;
const RSA_BITS_MAX: usize = 8_192;
/// Exponents over 33 bits are refused by the library as a guard against slow ones.
const RSA_EXPONENT_BYTES_MAX: usize = 5;

/// The members that count. Others, `x5c` and `x5u` among them, are not looked at.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

/// A key that may check signatures.
pub(super) struct PublicKey {
    pub(super) id: Option<Box<str>>,
    /// SHA-256 over all that decides what the key accepts: a key whose material or permissions
    /// change is another key, even under the same `kid`.
    pub(super) fingerprint: [u8; 32],
    /// One for each algorithm the key may be used with.
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
}

impl PublicKey {
    /// Reads one member of a key set.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub(super) fn parse(json: &str) -> Result<Self, &'static str> {
        let jwk: Jwk = serde_json::from_str(json).map_err(|_| "it is not a JSON web key")?;
        if jwk.k.is_some() || jwk.kty == "oct" {
            return Err("it is a shared secret");
        }
        if jwk.d.is_some() {
            return Err("it holds its private half, so anybody may sign with it: replace it");
        }
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err("it is not for signatures (use)");
        }
        if jwk.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
            return Err("it is not for verifying (key_ops)");
        }
        let only = match &jwk.alg {
            Some(name) => Some(
                algorithm::from_name(name).ok_or("its alg is not a signature algorithm we take")?,
            ),
            None => None,
        };
        let material = Material::read(&jwk)?;
        let verifiers = material.verifiers(only)?;
        if verifiers.is_empty() {
            return Err("its alg does not fit its kind of key");
        }
        let fingerprint = material.fingerprint(jwk.kid.as_deref(), &verifiers);
        Ok(Self { id: jwk.kid.map(Into::into), fingerprint, verifiers })
    }

    pub(super) fn accepts(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(a, _)| *a == algorithm)
    }

    /// Whether `signature` over `message` is this key's under `algorithm`. False for an algorithm
    /// that is not the key's.
    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.verifiers
            .iter()
            .find(|(a, _)| *a == algorithm)
            .is_some_and(|(_, key)| key.verify_sig(message, signature).is_ok())
    }
}

enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A curve's public key in the form its verifier takes.
    Curve {
        kind: KeyKind,
        bytes: Vec<u8>,
    },
}

impl Material {
    fn read(jwk: &Jwk) -> Result<Self, &'static str> {
        match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Self::rsa(jwk),
            ("EC", Some("P-256")) => Self::point(jwk, KeyKind::P256, 32),
            ("EC", Some("P-384")) => Self::point(jwk, KeyKind::P384, 48),
            ("EC", _) => Err("its curve is neither P-256 nor P-384"),
            ("OKP", Some("Ed25519")) => {
                let bytes = coordinate(jwk.x.as_deref(), 32)?;
                Ok(Self::Curve { kind: KeyKind::Ed25519, bytes })
            }
            ("OKP", _) => Err("its curve is not Ed25519"),
            _ => Err("its kty is neither RSA, EC nor OKP"),
        }
    }

    fn rsa(jwk: &Jwk) -> Result<Self, &'static str> {
        let n = integer(jwk.n.as_deref())?;
        let e = integer(jwk.e.as_deref())?;
        let lead = n.first().map_or(0, |b| b.leading_zeros() as usize);
        match n.len() * 8 - lead {
            bits if bits < RSA_BITS_MIN => return Err("its RSA modulus has under 2,048 bits"),
            bits if bits > RSA_BITS_MAX => return Err("its RSA modulus has over 8,192 bits"),
            _ => {}
        }
        let odd = e.last().is_some_and(|b| b % 2 == 1);
        if !odd || e == [1] || e.len() > RSA_EXPONENT_BYTES_MAX {
            return Err("its RSA exponent is even, 1 or over 33 bits");
        }
        Ok(Self::Rsa { n, e })
    }

    /// The uncompressed form (SEC 1 §2.3.3). That the point lies on the curve is checked when the
    /// verifier is made.
    fn point(jwk: &Jwk, kind: KeyKind, size: usize) -> Result<Self, &'static str> {
        let mut bytes = vec![0x04];
        bytes.extend(coordinate(jwk.x.as_deref(), size)?);
        bytes.extend(coordinate(jwk.y.as_deref(), size)?);
        Ok(Self::Curve { kind, bytes })
    }

    fn kind(&self) -> KeyKind {
        match self {
            Self::Rsa { .. } => KeyKind::Rsa,
            Self::Curve { kind, .. } => *kind,
        }
    }

    fn verifiers(
        &self,
        only: Option<Algorithm>,
    ) -> Result<Vec<(Algorithm, ParsedPublicKey)>, &'static str> {
        algorithm::ALL
            .into_iter()
            .filter(|a| algorithm::kind(*a) == self.kind() && only.is_none_or(|only| only == *a))
            .map(|a| self.verifier(a).map(|key| (a, key)))
            .collect()
    }

    fn verifier(&self, algorithm: Algorithm) -> Result<ParsedPublicKey, &'static str> {
        const BAD: &str = "its numbers are not a public key";
        match (self, algorithm::rsa(algorithm)) {
            (Self::Rsa { n, e }, Some(parameters)) => {
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).map_err(|_| BAD)
            }
            (Self::Curve { kind, bytes }, None) => match kind {
                KeyKind::P256 => ParsedPublicKey::new(&lc::ECDSA_P256_SHA256_FIXED, bytes),
                KeyKind::P384 => ParsedPublicKey::new(&lc::ECDSA_P384_SHA384_FIXED, bytes),
                KeyKind::Ed25519 => ParsedPublicKey::new(&lc::ED25519, bytes),
                KeyKind::Rsa => return Err(BAD),
            }
            .map_err(|_| BAD),
            _ => Err(BAD),
        }
    }

    fn fingerprint(&self, id: Option<&str>, uses: &[(Algorithm, ParsedPublicKey)]) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        part(id.unwrap_or_default().as_bytes());
        part(&[u8::from(id.is_some())]);
        part(&uses.iter().map(|(algorithm, _)| *algorithm as u8).collect::<Vec<_>>());
        match self {
            Self::Rsa { n, e } => {
                part(n);
                part(e);
            }
            Self::Curve { bytes, .. } => part(bytes),
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        fingerprint
    }
}

/// A big-endian integer without the leading zeros that some issuers send (RFC 7518 §2 forbids
/// them, and they change nothing).
fn integer(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    let bytes = decode(text)?;
    let start = bytes.iter().position(|b| *b != 0).ok_or("one of its numbers is zero")?;
    Ok(bytes[start..].to_vec())
}

fn coordinate(text: Option<&str>, size: usize) -> Result<Vec<u8>, &'static str> {
    let bytes = decode(text)?;
    if bytes.len() == size { Ok(bytes) } else { Err("a coordinate has the wrong length") }
}

fn decode(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD
        .decode(text.ok_or("one of its numbers is missing")?)
        .map_err(|_| "one of its numbers is not base64url")
}
