//! The signature algorithms and what each asks of a key (RFC 7518 §3, RFC 8037, RFC 9864).

use aws_lc_rs::signature as lc;
use plimsoll_manifest::Algorithm;

/// The kind of key an algorithm needs. A key is of one kind, so that none can be used for another
/// kind's algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// Every algorithm there is here. Unsigned and shared-secret ones have no place in the type.
pub(super) const ALL: [Algorithm; 9] = [
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::EdDsa,
];

/// Reads an `alg`, byte for byte: names are case-sensitive (RFC 7515 §4.1.1).
pub(super) fn from_name(name: &str) -> Option<Algorithm> {
    Some(match name {
        "ES256" => Algorithm::Es256,
        "ES384" => Algorithm::Es384,
        "RS256" => Algorithm::Rs256,
        "RS384" => Algorithm::Rs384,
        "RS512" => Algorithm::Rs512,
        "PS256" => Algorithm::Ps256,
        "PS384" => Algorithm::Ps384,
        "PS512" => Algorithm::Ps512,
        // RFC 9864 gives the one curve of EdDSA that is in use a name of its own.
        "EdDSA" | "Ed25519" => Algorithm::EdDsa,
        _ => return None,
    })
}

pub(super) fn kind(algorithm: Algorithm) -> KeyKind {
    match algorithm {
        Algorithm::Es256 => KeyKind::P256,
        Algorithm::Es384 => KeyKind::P384,
        Algorithm::EdDsa => KeyKind::Ed25519,
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512 => KeyKind::Rsa,
    }
}

/// How an RSA key checks a signature; `None` for the algorithms of other kinds. All of these
/// refuse moduli under 2,048 and over 8,192 bits.
pub(super) fn rsa(algorithm: Algorithm) -> Option<&'static lc::RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &lc::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &lc::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &lc::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &lc::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &lc::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &lc::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact_and_nothing_unsigned_or_shared_has_one() {
        for bad in [
            "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "es256", "Es256",
            "ES256 ", " ES256", "ES256K", "ES512", "RS1", "EdDsa", "Ed448", "dir", "RSA-OAEP",
        ] {
            assert_eq!(from_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_algorithm_has_its_name_and_rsa_ones_their_parameters() {
        for algorithm in ALL {
            let name = serde_json::to_value(algorithm).unwrap();
            assert_eq!(from_name(name.as_str().unwrap()), Some(algorithm));
            assert_eq!(rsa(algorithm).is_some(), kind(algorithm) == KeyKind::Rsa);
        }
    }
}
