//! A token in JWS compact form (RFC 7515 §3.1 and §7.1), taken apart strictly.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plimsoll_manifest::Algorithm;

use super::TOKEN_BYTES_MAX;
use super::algorithm;
use super::error::Refusal;
use super::json::{JsonFault, Object};

/// Longest `kid` looked at, bytes.
const KEY_ID_BYTES_MAX: usize = 1_024;

/// The parts, decoded. Nothing in it is verified yet.
pub(super) struct Compact<'a> {
    /// What the signature is over: the first two parts and the dot between them, as sent.
    pub(super) signed: &'a [u8],
    header: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

impl<'a> Compact<'a> {
    /// Three parts of base64url without padding, whitespace or stray bits, none of them empty: an
    /// empty third part is how an unsigned token looks.
    pub(super) fn parse(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let mut parts = token.splitn(4, '.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::NotAJwt);
        };
        let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
        Ok(Self {
            signed,
            header: decode(header)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    /// Reads the header. Keys that stand in it or that it points to (`jwk`, `jku`, `x5c`, `x5u`)
    /// are never looked at: a token does not choose what it is checked with.
    pub(super) fn header(&self) -> Result<Header, Refusal> {
        let object = object(&self.header)?;
        // Before `alg`: RFC 7515 §4.1.11 lets nobody go on who does not know the extension, and
        // an empty or misshapen list is invalid by the same section.
        if object.get("crit").is_some() {
            return Err(Refusal::Critical);
        }
        let name: Option<String> = object.read("alg").map_err(|_| Refusal::Algorithm)?;
        let algorithm = name.as_deref().and_then(algorithm::from_name).ok_or(Refusal::Algorithm)?;
        let key_id: Option<String> = object.read("kid").map_err(|_| Refusal::NotAJwt)?;
        if key_id.as_ref().is_some_and(|id| id.len() > KEY_ID_BYTES_MAX) {
            return Err(Refusal::NotAJwt);
        }
        let media_type = object.read("typ").map_err(|_| Refusal::Type)?;
        Ok(Header { algorithm, key_id, media_type })
    }
}

/// What the header says.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    media_type: Option<String>,
}

/// Types that are by their own specifications no access token, however well they are signed
/// (RFC 8725 §3.11): OIDC back-channel logout, security events, DPoP proofs, signed requests,
/// introspection answers, federation statements, SD-JWTs.
const OTHER_TYPES: [&str; 9] = [
    "logout+jwt",
    "secevent+jwt",
    "dpop+jwt",
    "oauth-authz-req+jwt",
    "token-introspection+jwt",
    "entity-statement+jwt",
    "client-authentication+jwt",
    "dc+sd-jwt",
    "vc+sd-jwt",
];

impl Header {
    /// Judges `typ`. With `wanted`, exactly that; without, anything that does not name another
    /// kind of token. `application/` may be left out, and case does not count (RFC 7515 §4.1.9).
    pub(super) fn check_type(&self, wanted: Option<&str>) -> Result<(), Refusal> {
        let given = self.media_type.as_deref().map(bare_type);
        let ok = match (wanted, given) {
            (Some(wanted), Some(given)) => bare_type(wanted).eq_ignore_ascii_case(given),
            (Some(_), None) => false,
            (None, Some(given)) => !OTHER_TYPES.iter().any(|t| t.eq_ignore_ascii_case(given)),
            (None, None) => true,
        };
        if ok { Ok(()) } else { Err(Refusal::Type) }
    }
}

fn bare_type(text: &str) -> &str {
    const PREFIX: &str = "application/";
    match text.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => text,
    }
}

/// Reads a header or a claims set.
pub(super) fn object(bytes: &[u8]) -> Result<Object<'_>, Refusal> {
    Object::parse(bytes).map_err(|fault| match fault {
        JsonFault::NotAnObject => Refusal::NotAJwt,
        JsonFault::Duplicate => Refusal::Duplicate,
    })
}

fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    match URL_SAFE_NO_PAD.decode(part) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(Refusal::NotAJwt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str) -> Result<Header, Refusal> {
        let token = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(json));
        Compact::parse(&token).unwrap().header()
    }

    #[test]
    fn only_three_full_parts_of_strict_base64url_will_do() {
        assert_eq!(Compact::parse("e30.e30.AA").unwrap().signed, b"e30.e30");
        for bad in [
            "",
            ".",
            "..",
            "...",
            "e30",
            "e30.e30",
            "e30.e30.",
            ".e30.AA",
            "e30..AA",
            "e30.e30.AA.",
            "e30.e30.AA.AA",
            "e30.e30.AA.AA.AA",
            "e30=.e30.AA",
            "e30.e30.AA==",
            "e30.e30. AA",
            "e3 0.e30.AA",
            "e30\n.e30.AA",
            "e30.e30.A",
            "e30.e30.AB",
            "e30.e30.+/",
            "ä.e30.AA",
        ] {
            assert_eq!(Compact::parse(bad).err(), Some(Refusal::NotAJwt), "{bad}");
        }
        let long = format!("e30.e30.{}", "A".repeat(TOKEN_BYTES_MAX));
        assert_eq!(Compact::parse(&long).err(), Some(Refusal::TooLarge));
    }

    #[test]
    fn crit_is_refused_whatever_it_holds() {
        for crit in ["[\"exp\"]", "[\"b64\"]", "[]", "null", "\"b64\"", "{}"] {
            let json = format!("{{\"alg\":\"ES256\",\"crit\":{crit}}}");
            assert_eq!(header(&json).unwrap_err(), Refusal::Critical, "{crit}");
        }
    }

    #[test]
    fn types_are_compared_as_media_types() {
        let typed = |typ: &str, wanted| {
            header(&format!("{{\"alg\":\"ES256\"{typ}}}")).unwrap().check_type(wanted)
        };
        for same in ["at+jwt", "AT+JWT", "application/at+jwt", "APPLICATION/at+jwt"] {
            assert_eq!(typed(&format!(",\"typ\":\"{same}\""), Some("at+jwt")), Ok(()), "{same}");
        }
        for other in ["", ",\"typ\":\"JWT\"", ",\"typ\":\"\"", ",\"typ\":\"text/at+jwt\""] {
            assert_eq!(typed(other, Some("at+jwt")), Err(Refusal::Type), "{other}");
            assert_eq!(typed(other, None), Ok(()), "{other}");
        }
        assert_eq!(typed(",\"typ\":\"application/Logout+JWT\"", None), Err(Refusal::Type));
        assert_eq!(typed(",\"typ\":\"dpop+jwt\"", None), Err(Refusal::Type));
        assert_eq!(header("{\"alg\":\"ES256\",\"typ\":1}").unwrap_err(), Refusal::Type);
    }

    #[test]
    fn a_key_id_is_a_string_of_bounded_length() {
        assert_eq!(header("{\"alg\":\"ES256\"}").unwrap().key_id, None);
        for bad in ["1", "null", "[\"a\"]", &format!("\"{}\"", "k".repeat(1_025))] {
            let json = format!("{{\"alg\":\"ES256\",\"kid\":{bad}}}");
            assert_eq!(header(&json).unwrap_err(), Refusal::NotAJwt);
        }
    }
}
