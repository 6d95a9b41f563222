//! URLs of backends and issuers.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

use super::{ValueError, shown, text_value};

const URL_BYTES_MAX: usize = 2048;
const ORIGIN_EXPECTED: &str =
    "scheme, host and port, such as \"http://127.0.0.1:3000\" or \"https://shop.internal\"";
const HTTP_EXPECTED: &str = "a URL such as \"https://id.example/keys\"";

/// Whether a text holds a URL with credentials (`scheme://user:pass@host`). Such a text must never
/// be repeated in a message.
pub(crate) fn has_credentials(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
        authority.contains('@')
    })
}

/// The same for a text that is meant to be a URL, so that a missing or crippled scheme hides
/// nothing: an `@` before the path of what is no clean URL counts as credentials.
fn may_hold_credentials(text: &str) -> bool {
    let clean = text.starts_with("http://") || text.starts_with("https://");
    has_credentials(text) || (!clean && text.contains('@')) || text.contains('\\')
}

/// Reads an `http` or `https` URL strictly: what [`Url`] would quietly mend is refused.
/// `scheme` is suggested for a text that has none.
fn read(text: &str, expected: &'static str, scheme: &str) -> Result<Url, ValueError> {
    if may_hold_credentials(text) && text.contains('@') {
        let message = "a URL must not hold credentials (`user:pass@`)";
        return Err(ValueError::new(message, expected));
    }
    let refuse = |what: &str| ValueError::new(format!("`{}` {what}", shown(text)), expected);
    if text.len() > URL_BYTES_MAX {
        return Err(refuse("is longer than 2048 bytes"));
    }
    if !text.starts_with("http://") && !text.starts_with("https://") {
        let wrong = refuse("does not start with `http://` or `https://`");
        let mended = format!("{scheme}://{text}");
        let can = !text.contains("://") && !text.is_empty() && !mended.contains([' ', '\\']);
        let can = can && !text.starts_with("http") && Url::parse(&mended).is_ok();
        return Err(if can { wrong.suggest(mended) } else { wrong });
    }
    if text.bytes().any(|b| b <= b' ' || b == b'\\' || b == 0x7f) {
        return Err(refuse("has a character that cannot stand in a URL"));
    }
    let url = Url::parse(text).map_err(|error| refuse(&format!("is no URL: {error}")))?;
    if url.fragment().is_some() {
        return Err(refuse("has a fragment, which no server sees"));
    }
    if url.port() == Some(0) {
        return Err(refuse("has port 0"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// Where a backend is: `http` or `https`, host and port, and nothing else, because the very path
/// that was routed is forwarded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OriginUrl(Url);

impl OriginUrl {
    /// Whether the scheme is `https`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host as it stands in a URL: a name, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The port, the scheme's own (80 or 443) where none is written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Host and port as a `Host` field has them: the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }
}

impl FromStr for OriginUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let url = read(text, ORIGIN_EXPECTED, "http")?;
        let origin = format!("{}://{}", url.scheme(), url.authority());
        let refuse = |what: &str| {
            ValueError::new(format!("`{}` {what}", shown(text)), ORIGIN_EXPECTED).suggest(&*origin)
        };
        if url.query().is_some() {
            return Err(refuse("has a query"));
        }
        if url.path() != "/" {
            return Err(refuse("has a path, but the very path that was routed is forwarded"));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.authority())
    }
}

text_value!(
    OriginUrl,
    "Where a backend is, as scheme, host and port: \"http://127.0.0.1:3000\". No path, no query, \
     no credentials.",
    r"^https?://[^/?#@\s\\]+/?$"
);

/// A URL that Plimsoll fetches: `http` or `https`, no credentials, no fragment. A query is allowed,
/// because some issuers need one to name a policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HttpUrl(Url);

impl HttpUrl {
    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the scheme is `https`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// Whether it has a query.
    #[must_use]
    pub fn has_query(&self) -> bool {
        self.0.query().is_some()
    }
}

impl FromStr for HttpUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        read(text, HTTP_EXPECTED, "https").map(Self)
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

text_value!(
    HttpUrl,
    "A URL that Plimsoll fetches: http or https, no credentials, no fragment.",
    r"^https?://[^/?#@\s\\]+([/?][^#\s\\]*)?$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (text, host, port, authority) in [
            ("http://127.0.0.1:3000", "127.0.0.1", 3000, "127.0.0.1:3000"),
            ("http://shop/", "shop", 80, "shop"),
            ("https://shop.internal", "shop.internal", 443, "shop.internal"),
            ("https://[::1]:8443", "[::1]", 8443, "[::1]:8443"),
        ] {
            let url: OriginUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.port(), url.authority()), (host, port, authority));
            assert_eq!(url.to_string().parse(), Ok(url));
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_a_way_out() {
        for (text, suggestion) in [
            ("http://a/api", Some("http://a")),
            ("https://a:1/?x=1", Some("https://a:1")),
            ("127.0.0.1:3000", Some("http://127.0.0.1:3000")),
            ("shop.internal", Some("http://shop.internal")),
            ("ftp://a", None),
            ("unix:///x", None),
            ("http://", None),
            ("http:/a", None),
            ("http://a b", None),
            ("http://a\\b", None),
            ("http://a/#x", None),
            ("http://a:0", None),
            ("http://a:99999", None),
            ("", None),
        ] {
            let error = text.parse::<OriginUrl>().unwrap_err();
            assert_eq!(error.suggestion.as_deref(), suggestion, "{text}: {error}");
        }
    }

    #[test]
    fn credentials_are_refused_and_never_repeated() {
        for text in [
            "http://user:hunter2@a",
            "https://hunter2@a/x",
            "redis://:hunter2@a",
            "user:hunter2@a:3000",
            "http:/u:hunter2@a",
            "http:\\\\u:hunter2@a",
            "HTTP://u:hunter2@a",
        ] {
            let error = text.parse::<OriginUrl>().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert_eq!(error.suggestion, None);
            assert!(text.parse::<HttpUrl>().is_err());
        }
        assert!(!has_credentials("http://a/@scope/x"));
        assert!(!has_credentials("mail me@example"));
        assert!("http://a/@scope?u=b@c".parse::<HttpUrl>().is_ok());
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, loopback) in [
            ("http://localhost:1", true),
            ("http://a.localhost", true),
            ("http://127.9.9.9", true),
            ("http://[::1]", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(text.parse::<OriginUrl>().unwrap().is_loopback(), loopback, "{text}");
        }
    }
}
