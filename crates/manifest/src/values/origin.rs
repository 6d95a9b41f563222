//! The origin of a web page.

use std::fmt;
use std::str::FromStr;

use super::{ValueError, shown, text_value};

const ORIGIN_BYTES_MAX: usize = 300;
const EXPECTED: &str = "an origin as browsers send it, such as \"https://app.example\" or \"http://localhost:5173\", \
     or \"*\" alone";

/// The origin of a page as browsers write it in `Origin` (RFC 6454 section 6.2), or `*` for every
/// one. The scheme may be an app's own, such as `capacitor://localhost`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebOrigin(Box<str>);

impl WebOrigin {
    /// As a browser writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every page is meant.
    #[must_use]
    pub fn is_any(&self) -> bool {
        &*self.0 == "*"
    }
}

impl FromStr for WebOrigin {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "*" {
            return Ok(Self(text.into()));
        }
        let refuse = |what: &str| ValueError::new(format!("`{}` {what}", shown(text)), EXPECTED);
        if text.contains('@') {
            return Err(ValueError::new("an origin holds no credentials", EXPECTED));
        }
        if text.len() > ORIGIN_BYTES_MAX {
            return Err(refuse("is too long"));
        }
        let mended = mended(text);
        let Some((scheme, authority)) = mended.split_once("://") else {
            return Err(refuse("has no scheme"));
        };
        let (host, port) = split_port(authority);
        let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if !scheme_ok || !is_host(host) || !port_ok {
            return Err(refuse("is no origin"));
        }
        if mended != text {
            let wrong = refuse("is not written as browsers send it, and would never match");
            return Err(wrong.suggest(mended));
        }
        Ok(Self(mended.into()))
    }
}

/// In lower case, without a path's slash and without the port that browsers leave out.
fn mended(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let lower = lower.trim_end_matches('/');
    let cut = |scheme: &str, port: &str| {
        lower.strip_suffix(port).filter(|_| lower.starts_with(scheme)).map(str::to_owned)
    };
    cut("https://", ":443").or_else(|| cut("http://", ":80")).unwrap_or_else(|| lower.to_owned())
}

/// A port stands behind the last colon, but for colons inside the brackets of an IPv6 address.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    WebOrigin,
    "The origin of a web page as browsers send it, such as \"https://app.example\"; \"*\" is all.",
    r"^(\*|[a-z][a-z0-9+.-]*://[^/@\s]+)$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for good in [
            "*",
            "https://app.example",
            "http://localhost:5173",
            "capacitor://localhost",
            "http://[::1]:8080",
            "https://xn--bcher-kva.example:8443",
        ] {
            assert_eq!(good.parse::<WebOrigin>().unwrap().as_str(), good);
        }
        for (given, suggested) in [
            ("https://App.example", "https://app.example"),
            ("https://app.example/", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
        ] {
            let error = given.parse::<WebOrigin>().unwrap_err();
            assert_eq!(error.suggestion.as_deref(), Some(suggested), "{given}");
        }
        for bad in [
            "",
            "null",
            "app.example",
            "https://",
            "https://*.example",
            "https://a/b",
            "https://u:p@a",
            "https://a:0",
            "https://a:99999",
            "https://a b",
            "https://ä",
            "://a",
            "https://[::1",
            "https://a?b",
        ] {
            assert!(bad.parse::<WebOrigin>().is_err(), "{bad}");
        }
        assert!(!"https://u:secret@a".parse::<WebOrigin>().unwrap_err().message.contains("secret"));
    }
}
