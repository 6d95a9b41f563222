//! The cookies of a journey (RFC 6265 §5): kept from one step to the next, and for no longer.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::{Host, Url};

/// The most cookies that are kept.
const COOKIES_MAX: usize = 128;
/// The longest cookie that is kept, name and value, bytes.
const COOKIE_BYTES_MAX: usize = 4_096;

#[derive(Clone, Debug)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// Only that very host, not those below it.
    host_only: bool,
    path: String,
    secure: bool,
    /// In seconds since 1970-01-01T00:00:00Z; none: until the journey ends.
    expires_unix_s: Option<i64>,
}

/// What is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Cookies(Vec<Cookie>);

impl Cookies {
    /// Keeps what one `Set-Cookie` of an answer from `url` says; one that breaks a rule is not
    /// kept, as in a browser.
    pub(super) fn keep(&mut self, url: &Url, set_cookie: &str, now_unix_s: i64) {
        let Some(cookie) = Cookie::read(url, set_cookie, now_unix_s) else { return };
        let same = |other: &Cookie| {
            other.name == cookie.name && other.domain == cookie.domain && other.path == cookie.path
        };
        self.0.retain(|other| !same(other));
        let lives = cookie.expires_unix_s.is_none_or(|expires| expires > now_unix_s);
        if lives && self.0.len() < COOKIES_MAX {
            self.0.push(cookie);
        }
    }

    /// What goes to `url`, as the pairs of one `Cookie` field; longer paths first.
    pub(super) fn for_url(&self, url: &Url, now_unix_s: i64) -> Vec<String> {
        let mut found: Vec<&Cookie> =
            self.0.iter().filter(|cookie| cookie.goes_to(url, now_unix_s)).collect();
        found.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        found.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect()
    }
}

impl Cookie {
    fn read(url: &Url, text: &str, now_unix_s: i64) -> Option<Self> {
        let mut parts = text.split(';');
        let (name, value) = pair(parts.next()?)?;
        if name.len() + value.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let host = url.host_str()?.to_ascii_lowercase();
        let mut cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: host.clone(),
            host_only: true,
            path: default_path(url),
            secure: false,
            expires_unix_s: None,
        };
        let mut max_age = None;
        for attribute in parts {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            match name.as_str() {
                "secure" => cookie.secure = true,
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "domain" if !value.is_empty() => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    if !below(&host, &domain)
                        || matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)))
                            && domain != host
                    {
                        return None;
                    }
                    (cookie.domain, cookie.host_only) = (domain, false);
                }
                "max-age" => max_age = value.parse::<i64>().ok(),
                "expires" => {
                    let date = value.replace('-', " ");
                    let read = OffsetDateTime::parse(&date, &Rfc2822);
                    cookie.expires_unix_s = read.ok().map(OffsetDateTime::unix_timestamp);
                }
                _ => {}
            }
        }
        // RFC 6265 §5.3: Max-Age goes before Expires.
        if let Some(seconds) = max_age {
            cookie.expires_unix_s = Some(now_unix_s.saturating_add(seconds));
        }
        Some(cookie)
    }

    fn goes_to(&self, url: &Url, now_unix_s: i64) -> bool {
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let hosts = if self.host_only { host == self.domain } else { below(&host, &self.domain) };
        // Browsers take this machine for a secure place, too.
        let secure = !self.secure || url.scheme() == "https" || is_loopback(url);
        let lives = self.expires_unix_s.is_none_or(|expires| expires > now_unix_s);
        hosts && secure && lives && path_matches(url.path(), &self.path)
    }
}

/// The name and the value of a cookie, as they stand in a field.
pub(super) fn pair(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    (!name.is_empty()).then(|| (name, value.trim()))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

fn below(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// RFC 6265 §5.1.4.
fn default_path(url: &Url) -> String {
    let path = url.path();
    match path.rfind('/') {
        Some(0) | None => "/".to_owned(),
        Some(at) => path.get(..at).unwrap_or("/").to_owned(),
    }
}

fn path_matches(path: &str, cookie: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000;

    fn sent(from: &str, set: &[&str], to: &str) -> Vec<String> {
        let mut cookies = Cookies::default();
        for one in set {
            cookies.keep(&from.parse().unwrap(), one, NOW);
        }
        cookies.for_url(&to.parse().unwrap(), NOW)
    }

    #[test]
    fn a_cookie_goes_back_where_it_came_from_and_nowhere_else() {
        let from = "https://api.example.com/v1/login";
        assert_eq!(sent(from, &["a=1"], "https://api.example.com/v1/me"), ["a=1"]);
        assert!(sent(from, &["a=1"], "https://api.example.com/v2").is_empty(), "another path");
        assert!(sent(from, &["a=1; Path=/"], "https://example.com/").is_empty());
        assert_eq!(
            sent(from, &["a=1; Path=/; Domain=.example.com"], "https://x.example.com/"),
            ["a=1"]
        );
        assert!(sent(from, &["a=1; Domain=other.com"], "https://other.com/v1/x").is_empty());
        assert!(sent(from, &["a=1; Path=/v"], "https://api.example.com/v1").is_empty());
        assert!(sent(from, &["a=1; Secure; Path=/"], "http://api.example.com/").is_empty());
        assert_eq!(sent("http://127.0.0.1/", &["a=1; Secure"], "http://127.0.0.1/"), ["a=1"]);
        assert!(sent("http://127.0.0.1/", &["a=1; Domain=0.0.1"], "http://127.0.0.1/").is_empty());
    }

    #[test]
    fn the_later_word_counts_and_an_end_is_an_end() {
        let (from, to) = ("http://localhost/", "http://localhost/x");
        assert_eq!(sent(from, &["a=1", "a=2"], to), ["a=2"]);
        assert!(sent(from, &["a=1", "a=; Max-Age=0"], to).is_empty());
        assert!(sent(from, &["a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT"], to).is_empty());
        assert!(sent(from, &["a=1; Expires=Wed, 21-Oct-2015 07:28:00 GMT"], to).is_empty());
        let both = "a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Max-Age=60";
        assert_eq!(sent(from, &[both], to), ["a=1"]);
        assert_eq!(sent(from, &["a=1; Path=/", "b=2; Path=/x"], to), ["b=2", "a=1"]);
        assert!(sent(from, &["=1", "nothing", &format!("a={}", "x".repeat(4_096))], to).is_empty());
        let many: Vec<String> = (0..200).map(|n| format!("c{n}=1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(sent(from, &many, to).len(), COOKIES_MAX);
    }
}
