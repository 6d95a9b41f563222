//! Listen addresses, networks and header names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

use super::{ValueError, shown, text_value};

/// An address to listen on: IP and port, such as `127.0.0.1:8080` or `[::]:443`. Port 0 takes a
/// free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenAddr(pub SocketAddr);

const LISTEN_EXPECTED: &str = "IP and port, such as \"127.0.0.1:8080\" or \"[::]:443\"";

impl ListenAddr {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }

    /// Whether two listeners cannot both be opened: same port, and the same address or one of them
    /// every address. Port 0 never collides.
    #[must_use]
    pub fn collides(self, other: ListenAddr) -> bool {
        let (a, b) = (self.0.ip().to_canonical(), other.0.ip().to_canonical());
        let same_family = a.is_ipv4() == b.is_ipv4();
        // A wildcard IPv6 socket takes IPv4 too, as Linux has it by default.
        let covers = |wild: IpAddr| wild.is_unspecified() && (wild.is_ipv6() || same_family);
        self.0.port() != 0 && self.0.port() == other.0.port() && (a == b || covers(a) || covers(b))
    }
}

impl FromStr for ListenAddr {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        let message = format!("`{}` is no address to listen on", shown(text));
        let wrong = ValueError::new(message, LISTEN_EXPECTED);
        Err(match mended(text) {
            Some(address) => wrong.suggest(address.to_string()),
            None => wrong,
        })
    }
}

/// What a port alone, an address alone or a name of this machine was probably meant to be.
fn mended(text: &str) -> Option<SocketAddr> {
    const PORT: u16 = 8080;
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, PORT));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let ip = match host {
        "" | "localhost" => Ipv4Addr::LOCALHOST,
        "*" => Ipv4Addr::UNSPECIFIED,
        _ => return None,
    };
    Some(SocketAddr::new(ip.into(), port.parse().ok()?))
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(
    ListenAddr,
    "An address to listen on, as IP and port: \"127.0.0.1:8080\", \"[::]:443\". Port 0 takes a \
     free one.",
    r"^(([0-9]{1,3}\.){3}[0-9]{1,3}|\[[0-9a-fA-F:.%]+\]):[0-9]{1,5}$"
);

/// A network, such as `10.0.0.0/8`; a bare address is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr(pub IpNet);

const CIDR_EXPECTED: &str = "a network such as \"10.0.0.0/8\" or \"2001:db8::/32\"";

impl Cidr {
    /// Whether `address` lies in it; an IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Cidr {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(IpNet::from(address)));
        }
        let net: IpNet = text.parse().map_err(|_| {
            ValueError::new(format!("`{}` is no network", shown(text)), CIDR_EXPECTED)
        })?;
        if net.trunc() != net {
            let message = format!("`{}` has bits set outside its mask", shown(text));
            return Err(ValueError::new(message, CIDR_EXPECTED).suggest(net.trunc().to_string()));
        }
        Ok(Self(net))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(
    Cidr,
    "A network: \"10.0.0.0/8\", \"2001:db8::/32\"; a bare address is a network of one.",
    r"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$"
);

/// The name of a header field (RFC 9110 section 5.1), kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderName(Box<str>);

const HEADER_BYTES_MAX: usize = 128;
const HEADER_EXPECTED: &str =
    "a header name such as \"X-App-Version\", of letters, digits, `-` and `_`, at most 128";

impl HeaderName {
    /// The name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HeaderName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if text.is_empty() || text.len() > HEADER_BYTES_MAX || !text.bytes().all(token) {
            let wrong =
                ValueError::new(format!("`{}` is no header name", shown(text)), HEADER_EXPECTED);
            let trimmed = text.trim().trim_end_matches(':');
            let mended = trimmed != text && trimmed.parse::<Self>().is_ok();
            return Err(if mended { wrong.suggest(trimmed) } else { wrong });
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    HeaderName,
    "The name of a request header, in any case: \"X-App-Version\".",
    r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> ListenAddr {
        text.parse().unwrap()
    }

    #[test]
    fn listeners_that_cannot_both_open_collide() {
        for (a, b, collide) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            assert_eq!(listen(a).collides(listen(b)), collide, "{a} {b}");
            assert_eq!(listen(b).collides(listen(a)), collide, "{b} {a}");
        }
    }

    #[test]
    fn only_loopback_is_loopback() {
        for (text, loopback) in [
            ("127.8.0.1:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("10.0.0.1:1", false),
        ] {
            assert_eq!(listen(text).is_loopback(), loopback, "{text}");
        }
    }

    #[test]
    fn a_wrong_listener_is_put_right_where_it_can_be_told() {
        for (text, suggestion) in [
            (":8080", Some("127.0.0.1:8080")),
            ("8080", Some("127.0.0.1:8080")),
            ("localhost:90", Some("127.0.0.1:90")),
            ("*:80", Some("0.0.0.0:80")),
            ("10.0.0.1", Some("10.0.0.1:8080")),
            ("::1", Some("[::1]:8080")),
            ("example.com:80", None),
            ("127.0.0.1:65536", None),
            ("", None),
        ] {
            let error = text.parse::<ListenAddr>().unwrap_err();
            assert_eq!(error.suggestion.as_deref(), suggestion, "{text}");
        }
    }

    #[test]
    fn networks_hold_no_host_bits() {
        assert_eq!("10.0.0.0/8".parse::<Cidr>().unwrap().to_string(), "10.0.0.0/8");
        assert_eq!("::1".parse::<Cidr>().unwrap().to_string(), "::1/128");
        let error = "10.1.2.3/8".parse::<Cidr>().unwrap_err();
        assert_eq!(error.suggestion.as_deref(), Some("10.0.0.0/8"));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "ten"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
        let net: Cidr = "10.0.0.0/8".parse().unwrap();
        assert!(net.contains("::ffff:10.9.9.9".parse().unwrap()));
        assert!(!net.contains("11.0.0.1".parse().unwrap()));
    }

    #[test]
    fn header_names_are_tokens_in_lower_case() {
        assert_eq!("X-App".parse::<HeaderName>().unwrap().as_str(), "x-app");
        let error = "X-App:".parse::<HeaderName>().unwrap_err();
        assert_eq!(error.suggestion.as_deref(), Some("X-App"));
        for bad in ["", "a b", "ä", &"x".repeat(129)] {
            assert!(bad.parse::<HeaderName>().is_err(), "{bad}");
        }
    }
}
