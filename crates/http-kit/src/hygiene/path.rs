//! The request target and its path.
//!
//! The very path that was routed is forwarded, byte for byte, so a path that a service might read
//! as another one would carry a request past the policy of the operation it ends at. Such paths are
//! refused; nothing is ever normalised.
//!
//! - Dot segments, raw or escaped in any mix (`..`, `.%2E`, `%2e%2e`, `.`): refused, also with path
//!   parameters (`..;v=1`, which Tomcat drops) and where an escaped slash would set them apart
//!   (`..%2F`). Clients resolve them before sending (RFC 3986 §5.2.4).
//! - `\` and `%5C` (a slash to Windows services), `%00`, control bytes, bytes outside ASCII, a `%`
//!   without two hexadecimal digits, and `%C0`/`%C1` (which only overlong UTF-8 has): refused.
//! - `%2F` is kept: scoped package names and the like need it.
//! - `//` is kept and is not `/`: it routes as what it is, an empty segment. Apps that join a base
//!   address and a path carelessly send it, and services that fold it do so behind the edge, where
//!   an unknown path gets the policy of unknown paths.
//! - Escapes are decoded once: `%252e` is the text `%2e`.

use http::{Method, Uri};

use super::Refusal;
use crate::codes::Code;

/// The longest path and query together, in bytes.
pub const TARGET_BYTES_MAX: usize = 16 * 1024;

const DOT: u8 = 1;
const PERCENT: u8 = 2;
const BAD: u8 = 4;

/// What each byte means to the first look.
const CLASSES: [u8; 256] = {
    let mut classes = [0u8; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte <= 0x20 || byte >= 0x7f {
            classes[byte] = BAD;
        }
        byte += 1;
    }
    classes[b'\\' as usize] = BAD;
    classes[b'.' as usize] = DOT;
    classes[b'%' as usize] = PERCENT;
    classes
};

/// Method and form of the target (RFC 9112 §3.2), then its path.
pub(super) fn check_target(method: &Method, uri: &Uri) -> Result<(), Refusal> {
    if *method == Method::CONNECT || *method == Method::TRACE {
        // TRACE would hand credentials back to whoever can make a client send it.
        return Err(Refusal::new(Code::MethodUnsupported, Code::MethodUnsupported.detail()));
    }
    let Some(target) = uri.path_and_query() else {
        return refuse("A request target must have a path.");
    };
    if target.as_str().len() > TARGET_BYTES_MAX {
        return Err(Refusal::new(Code::TargetTooLong, Code::TargetTooLong.detail()));
    }
    if uri.authority().is_some() && uri.scheme().is_none() {
        return refuse("A request target must be a path or a whole URI.");
    }
    if uri.path() == "*" {
        return if *method == Method::OPTIONS {
            Ok(())
        } else {
            refuse("The target `*` is for OPTIONS only.")
        };
    }
    check_path(uri.path())
}

/// Checks a path by the rules of this module.
///
/// # Errors
/// [`Code::BadPath`] with the rule that is broken.
pub fn check_path(path: &str) -> Result<(), Refusal> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return refuse("A path must begin with a slash.");
    }
    let seen = bytes.iter().fold(0, |seen, byte| seen | CLASSES[usize::from(*byte)]);
    if seen & BAD != 0 {
        return refuse("The path has a backslash, a control byte or a byte outside ASCII.");
    }
    if seen == 0 { Ok(()) } else { check_segments(bytes) }
}

/// The closer look: only for paths with a dot or an escape.
fn check_segments(mut rest: &[u8]) -> Result<(), Refusal> {
    let mut segment = Segment::default();
    while let Some((byte, tail)) = next_decoded(rest)? {
        rest = tail;
        match byte {
            b'/' => {
                segment.end()?;
                segment = Segment::default();
            }
            b';' => segment.in_parameters = true,
            _ if segment.in_parameters => {}
            b'.' => segment.dots = segment.dots.saturating_add(1),
            _ => segment.has_name = true,
        }
    }
    segment.end()
}

/// What matters of one segment, decoded, with `%2F` taken for the separator it may become.
#[derive(Default)]
struct Segment {
    dots: u8,
    has_name: bool,
    in_parameters: bool,
}

impl Segment {
    fn end(&self) -> Result<(), Refusal> {
        if !self.has_name && (self.dots == 1 || self.dots == 2) {
            return refuse("The path has a dot segment.");
        }
        Ok(())
    }
}

fn next_decoded(bytes: &[u8]) -> Result<Option<(u8, &[u8])>, Refusal> {
    let Some((first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if *first != b'%' {
        return Ok(Some((*first, rest)));
    }
    let Some(([high, low], rest)) = rest.split_first_chunk::<2>() else {
        return refuse(BAD_ESCAPE);
    };
    let (Some(high), Some(low)) = (hex(*high), hex(*low)) else {
        return refuse(BAD_ESCAPE);
    };
    match high << 4 | low {
        0 => refuse("The path has an escaped NUL."),
        b'\\' => refuse("The path has an escaped backslash."),
        0xc0 | 0xc1 => refuse("The path has an escape that no valid UTF-8 has."),
        byte => Ok(Some((byte, rest))),
    }
}

const BAD_ESCAPE: &str = "The path has a `%` that is not followed by two hexadecimal digits.";

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn refuse<T>(detail: &'static str) -> Result<T, Refusal> {
    Err(Refusal::new(Code::BadPath, detail))
}
