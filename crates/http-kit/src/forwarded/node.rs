//! Reading the nodes of `Forwarded` and `X-Forwarded-For`, from right to left.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::HeaderMap;
use http::header::FORWARDED;
use smallvec::SmallVec;

use super::{HOPS_MAX, Scheme, X_FORWARDED_FOR};

/// One address on the way, with the scheme its element states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) address: IpAddr,
    pub(super) scheme: Option<Scheme>,
}

/// The nodes of `X-Forwarded-For`, nearest first; `None` for what is no address.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<Node>> {
    headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .rev()
        .flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','))
        .map(|text| address(text).map(|address| Node { address, scheme: None }))
}

/// The nodes of `Forwarded`, nearest first; `None` for what is no address, and one `None` for a
/// line that does not follow RFC 7239 §4.
pub(super) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<Node>> {
    headers
        .get_all(FORWARDED)
        .iter()
        .rev()
        .flat_map(|value| line(value.as_bytes()).into_iter().rev())
}

type Nodes = SmallVec<[Option<Node>; 4]>;

/// The last elements of a line in their order. A quoted string may hold commas, so the line is read
/// forward; only as many elements are kept as would be believed.
fn line(text: &[u8]) -> Nodes {
    let mut nodes = Nodes::new();
    let mut rest = text;
    loop {
        let Some((node, tail)) = element(rest) else {
            return SmallVec::from_elem(None, 1);
        };
        if nodes.len() == HOPS_MAX {
            nodes.remove(0);
        }
        nodes.push(node);
        match tail.split_first() {
            Some((b',', tail)) => rest = tail,
            _ => return nodes,
        }
    }
}

/// One element, `pair *( ";" pair )`, and what follows it (empty or beginning with a comma); none
/// when it is malformed or repeats a parameter that matters.
fn element(mut rest: &[u8]) -> Option<(Option<Node>, &[u8])> {
    let (mut node, mut scheme) = (None, None);
    loop {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(rest.len());
        let (name, tail) = rest.split_at(end);
        let tail = tail.strip_prefix(b"=").filter(|_| !name.is_empty())?;
        let (text, tail) = value(tail)?;
        if name.eq_ignore_ascii_case(b"for") {
            if node.is_some() {
                return None;
            }
            node = Some(address(&text));
        } else if name.eq_ignore_ascii_case(b"proto") {
            if scheme.is_some() {
                return None;
            }
            scheme = Some(Scheme::parse(&text));
        }
        rest = tail.trim_ascii_start();
        match rest.first() {
            Some(b';') => rest = &rest[1..],
            Some(b',') | None => break,
            Some(_) => return None,
        }
    }
    let scheme = scheme.flatten();
    let node = node.flatten().map(|address| Node { address, scheme });
    Some((node, rest))
}

/// No address with port and brackets is longer.
type Text = SmallVec<[u8; 64]>;

/// A token or quoted string, unquoted, and what follows it. An IPv6 address may stand unquoted
/// although RFC 7239 §6 wants quotes: many proxies write it so.
fn value(text: &[u8]) -> Option<(Text, &[u8])> {
    let Some(mut rest) = text.strip_prefix(b"\"") else {
        let end = text
            .iter()
            .position(|byte| !is_token_byte(*byte) && !matches!(byte, b'[' | b']' | b':'))
            .unwrap_or(text.len());
        return (end > 0).then(|| (Text::from_slice(&text[..end]), &text[end..]));
    };
    let mut out = Text::new();
    loop {
        let (byte, tail) = rest.split_first()?;
        rest = tail;
        match byte {
            b'"' => return Some((out, rest)),
            b'\\' => {
                let (escaped, tail) = rest.split_first()?;
                rest = tail;
                out.push(*escaped);
            }
            byte => out.push(*byte),
        }
    }
}

/// An address with an optional port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`,
/// `[2001:db8::1]:80`. An obfuscated port (`:_x`, RFC 7239 §6.3) is accepted, an obfuscated
/// address is none.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, port) = rest.split_once(']')?;
        let v6: Ipv6Addr = inside.parse().ok()?;
        return is_port(port).then(|| IpAddr::V6(v6).to_canonical());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let colon = text.find(':')?;
    let (inside, port) = text.split_at(colon);
    let v4: Ipv4Addr = inside.parse().ok()?;
    is_port(port).then_some(IpAddr::V4(v4))
}

fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else {
        return text.is_empty();
    };
    match port.strip_prefix('_') {
        Some(name) => {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        }
        None => (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_in_every_spelling() {
        let v4 = IpAddr::from([192, 0, 2, 1]);
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        for (text, expected) in [
            ("192.0.2.1", Some(v4)),
            (" 192.0.2.1:4711\t", Some(v4)),
            ("192.0.2.1:_hidden", Some(v4)),
            ("::ffff:192.0.2.1", Some(v4)),
            ("[::ffff:192.0.2.1]:80", Some(v4)),
            ("2001:db8::1", Some(v6)),
            ("[2001:db8::1]", Some(v6)),
            ("[2001:db8::1]:65535", Some(v6)),
            ("unknown", None),
            ("_hidden", None),
            ("", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:123456", None),
            ("192.0.2.256", None),
            ("192.0.2.1 192.0.2.2", None),
            ("[192.0.2.1]", None),
            ("[2001:db8::1", None),
            ("2001:db8::1]:80", None),
            ("fe80::1%eth0", None),
            ("010.0.0.1", None),
        ] {
            assert_eq!(address(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_line_that_breaks_the_grammar_says_nothing() {
        for bad in [
            "",
            ",",
            "for",
            "for=",
            "for=\"1.2.3.4",
            "for=1.2.3.4;for=1.2.3.5",
            "for=1.2.3.4 x",
            ";",
        ] {
            assert_eq!(line(bad.as_bytes()).as_slice(), &[None], "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(line(&text).len() <= HOPS_MAX);
            let _ = address(&text);
        }

        #[test]
        fn what_is_written_is_read(
            octets in prop::collection::vec(any::<[u8; 16]>(), 1..10),
        ) {
            let addresses: Vec<_> =
                octets.iter().map(|o| IpAddr::from(*o).to_canonical()).collect();
            let text: Vec<_> = addresses.iter().map(|a| match a {
                IpAddr::V4(v4) => format!("For={v4};proto=HTTPS"),
                IpAddr::V6(v6) => format!("for=\"[{v6}]:8080\"; by=\"a,b;\\\"c\";proto=https"),
            }).collect();
            let read: Vec<_> = line(text.join(" , ").as_bytes()).into_iter().map(|n| {
                let n = n.unwrap();
                assert_eq!(n.scheme, Some(Scheme::Https));
                n.address
            }).collect();
            prop_assert_eq!(read, addresses);
        }
    }
}
