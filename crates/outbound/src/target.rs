//! A URL, taken apart and checked.

use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use rustls_pki_types::ServerName;
use url::{Host, Url};

use crate::error::OutboundError;

const URL_BYTES_MAX: usize = 2_048;

/// Where a call goes, as the URL says: nothing is resolved yet.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) tls: bool,
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
    pub(crate) host_header: HeaderValue,
    pub(crate) uri: Uri,
    /// Host and port for error texts.
    pub(crate) label: String,
}

fn refuse(reason: &'static str) -> OutboundError {
    OutboundError::Url { reason }
}

impl Target {
    /// Takes a URL apart. Numeric IPv4 hosts in odd spellings (`0x7f.1`, `2130706433`) come out as
    /// the address they mean (WHATWG URL §3.5), so that they are judged like any other.
    pub(crate) fn parse(text: &str) -> Result<Self, OutboundError> {
        if text.len() > URL_BYTES_MAX {
            return Err(refuse("it is longer than 2,048 bytes"));
        }
        let url = Url::parse(text).map_err(|_| refuse("it is not an absolute URL"))?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(refuse("its scheme is neither https nor http")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it holds a user name or password; take them out"));
        }
        let host = url.host().ok_or_else(|| refuse("it has no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| refuse("it has no port"))?;
        if port == 0 {
            return Err(refuse("its port is 0"));
        }
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let path: PathAndQuery =
            path.parse().map_err(|_| refuse("its path or query cannot be sent"))?;
        let host_header = HeaderValue::from_str(&authority)
            .map_err(|_| refuse("its host cannot be sent as a header"))?;
        let label = format!("{host}:{port}");
        Ok(Self { tls, host, port, host_header, uri: Uri::from(path), label })
    }

    /// The name the peer's certificate has to prove.
    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, OutboundError> {
        match &self.host {
            Host::Domain(name) => ServerName::try_from(name.clone())
                .map_err(|_| refuse("its host is not a name a certificate can prove")),
            Host::Ipv4(v4) => Ok(ServerName::IpAddress(std::net::IpAddr::V4(*v4).into())),
            Host::Ipv6(v6) => Ok(ServerName::IpAddress(std::net::IpAddr::V6(*v6).into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_comes_apart() {
        let target = Target::parse("https://id.example/a%20b/keys?x=1#frag").unwrap();
        assert!(target.tls);
        assert_eq!(target.port, 443);
        assert_eq!(target.host_header, "id.example");
        assert_eq!(target.uri, "/a%20b/keys?x=1");
        assert_eq!(target.label, "id.example:443");
        let target = Target::parse("http://[::1]:8080").unwrap();
        assert_eq!(target.host_header, "[::1]:8080");
        assert_eq!(target.uri, "/");
        assert!(!target.tls);
    }

    #[test]
    fn odd_spellings_of_an_address_are_that_address() {
        for text in ["http://0x7f.1/", "http://2130706433/", "http://017700000001/"] {
            let target = Target::parse(text).unwrap();
            assert_eq!(target.host, Host::<String>::Ipv4(std::net::Ipv4Addr::LOCALHOST), "{text}");
        }
        let target = Target::parse("http://[::ffff:7f00:1]/").unwrap();
        assert!(matches!(target.host, Host::Ipv6(_)));
    }

    #[test]
    fn what_is_not_ours_to_call_is_refused_without_being_repeated() {
        let long = format!("https://id.example/{}", "x".repeat(3_000));
        for (text, word) in [
            ("ftp://id.example/", "scheme"),
            ("file:///etc/passwd", "scheme"),
            ("id.example/keys", "absolute"),
            ("https://", "absolute"),
            ("https://user:hunter2@id.example/", "password"),
            ("https://user@id.example/", "user name"),
            ("https://id.example:0/", "port"),
            (long.as_str(), "2,048"),
        ] {
            let error = Target::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
