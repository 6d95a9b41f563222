//! The origin of a web page.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
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
        let lower = text.to_ascii_lowercase();
        let Some((scheme, authority)) = lower.trim_end_matches('/').split_once("://") else {
            return Err(refuse("has no scheme"));
        };
        let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let mended = as_sent(scheme, authority).filter(|_| scheme_ok);
        let Some(mended) = mended else { return Err(refuse("is no origin")) };
        if mended != text {
            let wrong = refuse("is not written as browsers send it, and would never match");
            return Err(wrong.suggest(mended));
        }
        Ok(Self(mended.into()))
    }
}

/// The origin as browsers write it, from what its parts mean: without the port that belongs to the
/// scheme, other ports as plain numbers, addresses in their one short form (URL standard, "host
/// serializing"). `None` where a part means nothing.
fn as_sent(scheme: &str, authority: &str) -> Option<String> {
    let (host, port) = split_port(authority);
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => format!("[{}]", serialised(address.parse().ok()?)),
        None => Some(host).filter(|host| is_name(host))?.to_owned(),
    };
    let port = match port {
        Some(port) => Some(port.parse::<u16>().ok().filter(|port| *port > 0)?),
        None => None,
    };
    Some(match (scheme, port) {
        (_, None) | ("https", Some(443)) | ("http", Some(80)) => format!("{scheme}://{host}"),
        (_, Some(port)) => format!("{scheme}://{host}:{port}"),
    })
}

/// A port stands behind the last colon, but for colons inside the brackets of an IPv6 address.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// Browsers write an embedded IPv4 address in hexadecimal like the rest, the standard library with
/// dots.
fn serialised(address: Ipv6Addr) -> String {
    let short = address.to_string();
    if !short.contains('.') {
        return short;
    }
    let [.., high, low] = address.segments();
    let start = &short[..short.rfind(':').map_or(0, |colon| colon + 1)];
    format!("{start}{high:x}:{low:x}")
}

/// What ends in a number is an IPv4 address, of which browsers know other spellings, too; they send
/// the one with four numbers.
fn is_name(host: &str) -> bool {
    let numeric =
        host.rsplit('.').next().is_some_and(|end| end.bytes().all(|b| b.is_ascii_digit()));
    !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        && (!numeric || host.parse::<Ipv4Addr>().is_ok())
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
            "http://127.0.0.1:8080",
            "https://xn--bcher-kva.example:8443",
        ] {
            assert_eq!(good.parse::<WebOrigin>().unwrap().as_str(), good);
        }
        for (given, suggested) in [
            ("https://App.example", "https://app.example"),
            ("https://app.example/", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
            ("https://a:08443", "https://a:8443"),
            ("https://a:+8443", "https://a:8443"),
            ("https://a:0443", "https://a"),
            ("http://[0:0:0:0:0:0:0:1]:1", "http://[::1]:1"),
            ("http://[2001:DB8::0001]", "http://[2001:db8::1]"),
            ("http://[::1]:080", "http://[::1]"),
            ("http://[::ffff:127.0.0.1]:9", "http://[::ffff:7f00:1]:9"),
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
            "https://a:",
            "http://127.1",
            "http://127.0.0.01:80",
        ] {
            assert!(bad.parse::<WebOrigin>().is_err(), "{bad}");
        }
        assert!(!"https://u:secret@a".parse::<WebOrigin>().unwrap_err().message.contains("secret"));
    }
}
