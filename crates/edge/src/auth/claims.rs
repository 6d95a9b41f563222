//! The claims of a token, read and judged (RFC 7519 §4.1).

use super::error::Refusal;
use super::json::{NumericDate, Object, OneOrMany};

/// Longest `sub`, tenant and `jti`, bytes. OpenID Connect Core §2 bounds `sub` at 255.
const NAME_BYTES_MAX: usize = 512;
/// Most scopes in one token.
const SCOPES_MAX: usize = 256;
/// The tenant of every caller where no claim names one.
const TENANT_DEFAULT: &str = "default";

/// What is asked of the claims of one issuer's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClaimRules {
    pub(super) audience: Vec<String>,
    pub(super) skew_s: u64,
    pub(super) tenant_claim: Option<String>,
    pub(super) scope_claim: Option<String>,
}

/// The claims that count, judged.
pub(super) struct Claims {
    pub(super) subject: String,
    pub(super) tenant: String,
    pub(super) scopes: Vec<String>,
    pub(super) expires_unix_s: u64,
    pub(super) not_before_unix_s: Option<u64>,
    pub(super) token_id: Option<String>,
    pub(super) issued_unix_s: Option<u64>,
}

/// The issuer that the claims name; nothing is verified yet.
pub(super) fn issuer(object: &Object<'_>) -> Result<String, Refusal> {
    object.read("iss").map_err(|_| Refusal::Claim("iss"))?.ok_or(Refusal::Issuer)
}

impl ClaimRules {
    /// Reads and judges the claims. This goes before the signature: it can only refuse, it costs
    /// little, and an expired token is by far the most common bad one.
    pub(super) fn judge(&self, object: &Object<'_>, now_unix_s: u64) -> Result<Claims, Refusal> {
        let date = |claim| object.read::<NumericDate>(claim).map_err(|_| Refusal::Claim(claim));
        let expires_unix_s = date("exp")?.ok_or(Refusal::ClaimMissing("exp"))?.floor();
        let not_before_unix_s = date("nbf")?.map(NumericDate::ceil);
        let issued = date("iat")?.map(NumericDate::floor);
        if now_unix_s >= expires_unix_s.saturating_add(self.skew_s) {
            return Err(Refusal::Expired);
        }
        let soonest = now_unix_s.saturating_add(self.skew_s);
        if not_before_unix_s.into_iter().chain(issued).any(|from| from > soonest) {
            return Err(Refusal::NotYetValid);
        }
        self.judge_audience(object)?;
        // Whoever stole such a token has not stolen the key: taken as a plain bearer token, it
        // would be worth to the thief what its issuer meant to make it not worth (RFC 9449 §7.2,
        // RFC 8705 §3). Whatever `cnf` holds, nothing here can check it.
        if object.get("cnf").is_some() {
            return Err(Refusal::Bound);
        }
        let subject = name(object, "sub")?.ok_or(Refusal::ClaimMissing("sub"))?;
        let token_id = name(object, "jti")?;
        let (tenant, scopes) = (self.tenant(object)?, self.scopes(object)?);
        let issued_unix_s = issued;
        Ok(Claims {
            subject,
            tenant,
            scopes,
            expires_unix_s,
            not_before_unix_s,
            token_id,
            issued_unix_s,
        })
    }

    fn judge_audience(&self, object: &Object<'_>) -> Result<(), Refusal> {
        let given = object.read::<OneOrMany>("aud").map_err(|_| Refusal::Claim("aud"))?;
        let ours = |audience: &String| self.audience.contains(audience);
        let ok = match given.ok_or(Refusal::ClaimMissing("aud"))? {
            OneOrMany::One(audience) => ours(&audience),
            OneOrMany::Many(audiences) => audiences.iter().any(ours),
        };
        if ok { Ok(()) } else { Err(Refusal::Audience) }
    }

    /// A tenant claim of another shape is refused rather than taken for no claim: that would put
    /// its bearer among the tenant `default`.
    fn tenant(&self, object: &Object<'_>) -> Result<String, Refusal> {
        const TENANT: &str = "tenant";
        let Some(claim) = &self.tenant_claim else {
            return Ok(TENANT_DEFAULT.to_owned());
        };
        match object.get(claim) {
            None => Ok(TENANT_DEFAULT.to_owned()),
            Some(raw) => match serde_json::from_str::<u64>(raw.get()) {
                Ok(number) => Ok(number.to_string()),
                Err(_) => checked(serde_json::from_str(raw.get()).ok(), TENANT),
            },
        }
    }

    fn scopes(&self, object: &Object<'_>) -> Result<Vec<String>, Refusal> {
        const SCOPE: &str = "scope";
        let found = match &self.scope_claim {
            Some(claim) => object.get(claim),
            None => object.get("scope").or_else(|| object.get("scp")),
        };
        let Some(raw) = found else {
            return Ok(Vec::new());
        };
        let given: OneOrMany =
            serde_json::from_str(raw.get()).map_err(|_| Refusal::Claim(SCOPE))?;
        let scopes: Vec<String> = match given {
            OneOrMany::One(text) => text.split(' ').map(str::to_owned).collect(),
            OneOrMany::Many(scopes) => scopes,
        };
        // What is no scope-token cannot be asked for by any contract, and must not reach a header.
        let scopes: Vec<String> =
            scopes.into_iter().filter(|s| super::bearer::is_scope_token(s)).collect();
        if scopes.len() > SCOPES_MAX { Err(Refusal::Claim(SCOPE)) } else { Ok(scopes) }
    }
}

fn name(object: &Object<'_>, claim: &'static str) -> Result<Option<String>, Refusal> {
    match object.get(claim) {
        None => Ok(None),
        Some(raw) => checked(serde_json::from_str(raw.get()).ok(), claim).map(Some),
    }
}

/// Names end up in headers, keys and logs of whoever trusts us: empty ones, huge ones and control
/// characters stop here.
fn checked(text: Option<String>, claim: &'static str) -> Result<String, Refusal> {
    match text {
        Some(text)
            if !text.is_empty()
                && text.len() <= NAME_BYTES_MAX
                && !text.chars().any(char::is_control) =>
        {
            Ok(text)
        }
        _ => Err(Refusal::Claim(claim)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn rules() -> ClaimRules {
        ClaimRules {
            audience: vec!["shop".to_owned(), "shop-v2".to_owned()],
            skew_s: 60,
            tenant_claim: Some("org".to_owned()),
            scope_claim: None,
        }
    }

    /// The claims of a good token, with `change` set on top; a `null` takes a claim away.
    fn judged(change: &str) -> Result<Claims, Refusal> {
        judged_by(&rules(), change)
    }

    fn judged_by(rules: &ClaimRules, change: &str) -> Result<Claims, Refusal> {
        let mut claims = serde_json::json!({"sub": "alice", "aud": "shop", "exp": NOW + 100});
        let change: serde_json::Map<_, _> = serde_json::from_str(change).unwrap();
        for (claim, value) in change {
            claims[&claim] = value;
        }
        let text = claims.as_object().unwrap().iter().filter(|(_, v)| !v.is_null());
        let text = serde_json::to_string(&text.collect::<std::collections::BTreeMap<_, _>>());
        let text = text.unwrap();
        rules.judge(&Object::parse(text.as_bytes()).unwrap(), NOW)
    }

    #[test]
    fn expiry_is_needed_and_judged_with_the_skew() {
        let exp = |value: String| judged(&format!("{{\"exp\":{value}}}")).err();
        assert_eq!(exp("null".into()), Some(Refusal::ClaimMissing("exp")));
        assert_eq!(exp((NOW - 59).to_string()), None);
        assert_eq!(exp((NOW - 60).to_string()), Some(Refusal::Expired));
        assert_eq!(exp(format!("{}.9", NOW - 60)), Some(Refusal::Expired));
        assert_eq!(exp(format!("{}.5", NOW + 5)), None);
        assert_eq!(exp("0".into()), Some(Refusal::Expired));
        for bad in [format!("\"{}\"", NOW + 9), "-1".into(), "1e300".into(), "[1]".into()] {
            assert_eq!(exp(bad), Some(Refusal::Claim("exp")));
        }
    }

    #[test]
    fn a_token_from_the_future_is_not_valid_yet() {
        for claim in ["nbf", "iat"] {
            let with = |value: String| judged(&format!("{{\"{claim}\":{value}}}")).err();
            assert_eq!(with((NOW + 60).to_string()), None, "{claim}");
            assert_eq!(with((NOW + 61).to_string()), Some(Refusal::NotYetValid), "{claim}");
            assert_eq!(with("\"x\"".into()), Some(Refusal::Claim(claim)));
        }
        // Milliseconds for seconds, the classic mistake, is a token from the far future.
        let millis = judged(&format!("{{\"iat\":{}}}", NOW * 1_000)).err();
        assert_eq!(millis, Some(Refusal::NotYetValid));
    }

    #[test]
    fn the_audience_has_to_name_us() {
        let aud = |value: &str| judged(&format!("{{\"aud\":{value}}}")).err();
        for good in ["\"shop\"", "\"shop-v2\"", "[\"x\",\"shop\"]"] {
            assert_eq!(aud(good), None, "{good}");
        }
        for other in
            ["\"Shop\"", "\"shop \"", "\"sho\"", "[]", "[\"x\"]", "\"\"", "\"shop shop-v2\""]
        {
            assert_eq!(aud(other), Some(Refusal::Audience), "{other}");
        }
        assert_eq!(aud("null"), Some(Refusal::ClaimMissing("aud")));
        for bad in ["1", "{\"shop\":1}", "[\"shop\",1]", "[[\"shop\"]]", "true"] {
            assert_eq!(aud(bad), Some(Refusal::Claim("aud")), "{bad}");
        }
    }

    #[test]
    fn a_token_that_is_bound_to_a_key_is_no_bearer_token() {
        for cnf in [
            r#"{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}"#,
            r#"{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}"#,
            r#"{"jwk":{"kty":"OKP"}}"#,
            r#"{"kid":"k"}"#,
            "{}",
            "[]",
            "\"\"",
            "false",
        ] {
            let change = format!("{{\"cnf\":{cnf}}}");
            assert_eq!(judged(&change).err(), Some(Refusal::Bound), "{cnf}");
        }
        let expired = format!("{{\"cnf\":{{}},\"exp\":{}}}", NOW - 60);
        assert_eq!(judged(&expired).err(), Some(Refusal::Expired), "a new one may be had");
    }

    #[test]
    fn a_subject_is_needed_and_safe_to_pass_on() {
        assert_eq!(judged("{\"sub\":null}").err(), Some(Refusal::ClaimMissing("sub")));
        let long = "x".repeat(513);
        for bad in ["\"\"", "1", "[\"a\"]", "\"a\\r\\nb\"", "\"a\\u0000\"", &format!("\"{long}\"")]
        {
            let change = format!("{{\"sub\":{bad}}}");
            assert_eq!(judged(&change).err(), Some(Refusal::Claim("sub")), "{bad}");
        }
    }

    #[test]
    fn a_tenant_is_never_guessed() {
        let tenant = |change: &str| judged(change).map(|c| c.tenant);
        assert_eq!(tenant("{}").unwrap(), "default");
        assert_eq!(tenant("{\"org\":\"acme\"}").unwrap(), "acme");
        assert_eq!(tenant("{\"org\":42}").unwrap(), "42");
        for bad in ["\"\"", "[\"acme\"]", "{}", "true", "-1", "1.5"] {
            let change = format!("{{\"org\":{bad}}}");
            assert_eq!(tenant(&change).unwrap_err(), Refusal::Claim("tenant"), "{bad}");
        }
        let none = ClaimRules { tenant_claim: None, ..rules() };
        assert_eq!(judged_by(&none, "{\"org\":\"acme\"}").unwrap().tenant, "default");
    }

    #[test]
    fn scopes_come_as_text_or_array() {
        let scopes = |change: &str| judged(change).map(|c| c.scopes);
        assert_eq!(scopes("{}").unwrap(), Vec::<String>::new());
        assert_eq!(scopes("{\"scope\":\"a  b:c \"}").unwrap(), ["a", "b:c"]);
        assert_eq!(scopes("{\"scp\":[\"a\",\"b\"]}").unwrap(), ["a", "b"]);
        assert_eq!(scopes("{\"scope\":\"a\",\"scp\":[\"b\"]}").unwrap(), ["a"]);
        assert_eq!(scopes("{\"scope\":[\"a b\",\"c\\n\",\"d\"]}").unwrap(), ["d"]);
        for bad in ["1", "{}", "[1]", "true"] {
            let change = format!("{{\"scope\":{bad}}}");
            assert_eq!(scopes(&change).unwrap_err(), Refusal::Claim("scope"), "{bad}");
        }
        let many = (0..257).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let change = format!("{{\"scope\":\"{many}\"}}");
        assert_eq!(scopes(&change).unwrap_err(), Refusal::Claim("scope"));
        let named = ClaimRules { scope_claim: Some("roles".to_owned()), ..rules() };
        let change = "{\"roles\":[\"r\"],\"scope\":\"a\"}";
        assert_eq!(judged_by(&named, change).unwrap().scopes, ["r"]);
    }
}
