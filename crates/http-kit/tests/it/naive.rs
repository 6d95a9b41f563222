//! The rules of hygiene told slowly: strings, copies and repeated passes, no tables and no
//! shortcuts.

use http::{Method, Uri, Version};
use plimsoll_http_kit::Code;
use plimsoll_http_kit::hygiene::{Bounds, Framing, Upgrade};

pub(crate) const BOUNDS: Bounds = Bounds { headers_max: 12, header_bytes_max: 700 };

/// Header lines in their order.
pub(crate) type Lines = Vec<(String, Vec<u8>)>;

#[derive(Debug, PartialEq)]
pub(crate) struct Facts {
    pub(crate) framing: Framing,
    pub(crate) upgrade: Option<Upgrade>,
    pub(crate) trailers: bool,
    pub(crate) expects: bool,
}

fn values<'l>(lines: &'l Lines, name: &str) -> Vec<&'l [u8]> {
    lines.iter().filter(|(n, _)| n == name).map(|(_, value)| &value[..]).collect()
}

fn list(lines: &Lines, name: &str) -> Vec<Vec<u8>> {
    values(lines, name)
        .into_iter()
        .flat_map(|value| value.split(|byte| *byte == b',').map(<[u8]>::to_vec))
        .map(|element| element.trim_ascii().to_ascii_lowercase())
        .filter(|element| !element.is_empty())
        .collect()
}

pub(crate) const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "http2-settings",
    "te",
    "transfer-encoding",
    "upgrade",
];
pub(crate) const FORWARDING: [&str; 14] = [
    "forwarded",
    "x-forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-proxyuser-ip",
    "x-envoy-external-address",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "x-host",
    "true-client-ip",
    "cf-connecting-ip",
];
const END_TO_END: [&str; 23] = [
    "accept",
    "api-key",
    "cache-control",
    "content-encoding",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "dpop",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "origin",
    "range",
    "request-id",
    "set-cookie",
    "traceparent",
    "tracestate",
    "via",
    "x-api-key",
    "x-request-id",
];

pub(crate) const IDENTITY: [&str; 29] = [
    "client-cert",
    "client-cert-chain",
    "remote-email",
    "remote-groups",
    "remote-name",
    "remote-user",
    "x-anonymous-consumer",
    "x-authenticated-groups",
    "x-authenticated-scope",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-client-cert",
    "x-client-verify",
    "x-credential-identifier",
    "x-forwarded-access-token",
    "x-forwarded-client-cert",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-goog-iap-jwt-assertion",
    "x-jwt-assertion",
    "x-remote-user",
    "x-ssl-cert",
    "x-user",
    "x-user-email",
    "x-user-id",
    "x-userinfo",
    "x-webauth-user",
];
const IDENTITY_PREFIXES: [&str; 6] = [
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-consumer-",
    "x-goog-authenticated-user-",
    "x-ms-client-principal",
    "x-ssl-client-",
];

fn is_identity(name: &str) -> bool {
    IDENTITY.contains(&name) || IDENTITY_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A field that a client may not send to the service at all.
fn is_ours(name: &str) -> bool {
    name.starts_with("plimsoll-")
        || name.starts_with("x-forwarded-")
        || name == "fastly-client-ip"
        || FORWARDING.contains(&name)
        || is_identity(name)
}

/// A field that means something to hygiene, in its own spelling.
fn is_special(name: &str) -> bool {
    let framing = ["host", "content-length", "authorization", "expect"];
    is_ours(name) || HOP_BY_HOP.contains(&name) || framing.contains(&name)
}

fn is_disguised(name: &str) -> bool {
    name.contains('_') && is_special(&name.replace('_', "-")) && !is_special(name)
}

pub(crate) fn path(path: &str) -> Result<(), Code> {
    let bad = Err(Code::BadPath);
    if !path.starts_with('/') || path.bytes().any(|b| !(0x21..=0x7e).contains(&b) || b == b'\\') {
        return bad;
    }
    let mut decoded = Vec::new();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits: String = bytes.by_ref().take(2).map(char::from).collect();
        if digits.len() < 2 || digits.starts_with('+') {
            return bad;
        }
        match u8::from_str_radix(&digits, 16) {
            Ok(0 | b'\\' | 0xc0 | 0xc1) | Err(_) => return bad,
            Ok(byte) => decoded.push(byte),
        }
    }
    for segment in decoded.split(|byte| *byte == b'/') {
        let name = segment.split(|byte| *byte == b';').next().unwrap();
        if name == b"." || name == b".." {
            return bad;
        }
    }
    Ok(())
}

fn host(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let (name, port) = match text.rfind(']') {
        Some(end) => text.split_at(end + 1),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port_ok = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            !digits.starts_with('+') && digits.len() <= 5 && digits.parse::<u16>().is_ok()
        });
    let name_ok = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let known = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            (1..=253).contains(&name.len())
                && name.chars().all(known)
                && !name.starts_with('.')
                && !name.contains("..")
        }
    };
    name_ok && port_ok
}

fn check_hosts(uri: &Uri, version: Version, lines: &Lines) -> Result<(), Code> {
    let bad = Err(Code::BadHost);
    let hosts = values(lines, "host");
    if hosts.len() > 1 || !hosts.iter().all(|text| host(text)) {
        return bad;
    }
    let authority = uri.authority().map(|authority| authority.as_str().to_ascii_lowercase());
    if authority.is_some() && !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(Code::BadPath);
    }
    if authority.as_ref().is_some_and(|authority| !host(authority.as_bytes())) {
        return bad;
    }
    let needed = version == Version::HTTP_11 || (version == Version::HTTP_2 && authority.is_none());
    match (hosts.first(), &authority) {
        (None, _) if needed => bad,
        (Some(host), Some(authority)) if host.to_ascii_lowercase() != authority.as_bytes() => bad,
        _ => Ok(()),
    }
}

fn framing(version: Version, lines: &Lines) -> Result<Framing, Code> {
    let bad = Err(Code::BadFraming);
    let encodings = values(lines, "transfer-encoding");
    let lengths = values(lines, "content-length");
    if !encodings.is_empty() {
        let chunked = encodings.len() == 1
            && encodings[0].trim_ascii().eq_ignore_ascii_case(b"chunked")
            && version == Version::HTTP_11
            && lengths.is_empty();
        return if chunked { Ok(Framing::Chunked) } else { bad };
    }
    match lengths.as_slice() {
        [] if version == Version::HTTP_2 => Ok(Framing::Stream),
        [] => Ok(Framing::Empty),
        [one] => {
            let text = std::str::from_utf8(one).unwrap_or("x");
            match text.parse::<i64>() {
                // Only the canonical spelling of a number is written back the same.
                Ok(number) if number >= 0 && number.to_string() == text => {
                    Ok(Framing::Length(number.unsigned_abs()))
                }
                _ => bad,
            }
        }
        _ => bad,
    }
}

pub(crate) fn naive(
    method: &Method,
    uri: &Uri,
    version: Version,
    lines: &Lines,
) -> Result<Facts, Code> {
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(Code::MethodUnsupported);
    }
    if uri.path_and_query().is_none() || (uri.authority().is_some() && uri.scheme().is_none()) {
        return Err(Code::BadPath);
    }
    if !(uri.path() == "*" && method == Method::OPTIONS) {
        path(uri.path())?;
    }
    let bytes: usize = lines.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    if lines.len() > BOUNDS.headers_max || bytes > BOUNDS.header_bytes_max {
        return Err(Code::HeadersTooLarge);
    }
    check_hosts(uri, version, lines)?;
    if values(lines, "authorization").len() > 1 {
        return Err(Code::CredentialsAmbiguous);
    }
    let framing = framing(version, lines)?;
    let options = list(lines, "connection");
    if version == Version::HTTP_2 && !values(lines, "connection").is_empty() {
        return Err(Code::BadConnection);
    }
    for option in &options {
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let name = String::from_utf8_lossy(option).into_owned();
        let named_content =
            ["host", "content-length", "transfer-encoding", "authorization", "expect"];
        if !option.iter().all(token)
            || option.len() > 128
            || options.len() > 32
            || is_ours(&name)
            || is_disguised(&name)
            || named_content.contains(&&*name)
            || END_TO_END.contains(&&*name)
        {
            return Err(Code::BadConnection);
        }
    }
    let protocols: Vec<_> =
        list(lines, "upgrade").into_iter().filter(|protocol| protocol != b"h2c").collect();
    let upgrade = match protocols.as_slice() {
        _ if !options.contains(&b"upgrade".to_vec()) => None,
        [] => None,
        [only] if only == b"websocket" => Some(Upgrade::WebSocket),
        _ => Some(Upgrade::Other),
    };
    if upgrade.is_some() && !matches!(framing, Framing::Empty | Framing::Length(0)) {
        return Err(Code::BadFraming);
    }
    let expects = match values(lines, "expect").as_slice() {
        [] => false,
        [one] if one.trim_ascii().eq_ignore_ascii_case(b"100-continue") => true,
        _ => return Err(Code::BadExpectation),
    };
    let trailers = list(lines, "te").contains(&b"trailers".to_vec());
    Ok(Facts { framing, upgrade, trailers, expects })
}

/// What is left of the lines, sorted; `te` as the rule rewrites it.
pub(crate) fn naive_strip(lines: &Lines, facts: &Facts) -> Lines {
    let named: Vec<String> =
        list(lines, "connection").into_iter().map(|o| String::from_utf8(o).unwrap()).collect();
    let mut left: Lines = lines
        .iter()
        .filter(|(name, _)| {
            !(is_ours(name)
                || is_disguised(name)
                || HOP_BY_HOP.contains(&&**name)
                || name == "expect"
                || named.contains(name))
        })
        .cloned()
        .collect();
    if facts.trailers {
        left.push(("te".to_owned(), b"trailers".to_vec()));
    }
    left.sort();
    left
}
