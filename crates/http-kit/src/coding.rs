//! Content codings: which of them a client takes (`Accept-Encoding`, RFC 9110 §12.5.3).

use http::HeaderValue;
use smallvec::SmallVec;

/// Members of `Accept-Encoding` that are looked at; what stands behind them is not accepted.
const MEMBERS_MAX: usize = 32;

/// The weight of a member that names none, in thousandths.
const WEIGHT_MAX: u16 = 1000;

/// A content coding that the edge can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// Every coding.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// The coding's registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What `Content-Encoding` says.
    #[must_use]
    pub const fn header_value(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }

    fn from_name(name: &[u8]) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        // RFC 9110 §8.4.1.3: `x-gzip` is `gzip`.
        if is("x-gzip") {
            return Some(Self::Gzip);
        }
        Self::ALL.into_iter().find(|coding| is(coding.as_str()))
    }
}

/// What a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The coding it is best given; `None`: as it is.
    pub coding: Option<Coding>,
    /// Whether it takes an answer without a coding, too.
    pub identity: bool,
}

impl Accepted {
    /// An answer as it is, and nothing else.
    pub const IDENTITY: Self = Self { coding: None, identity: true };
}

/// Chooses between what the client takes and what we can make, `preferred` first where it has no
/// preference of its own.
///
/// Without the field nothing is chosen, although any coding would be allowed: who does not say
/// that it can read one often cannot. For the same reason `*` brings `gzip` alone. A member whose
/// weight cannot be read is not accepted. Of two members with one name the first counts.
#[must_use]
pub fn negotiate<'h>(
    lines: impl IntoIterator<Item = &'h HeaderValue>,
    preferred: &[Coding],
) -> Accepted {
    let stated = Stated::read(lines);
    let weight = |coding: Coding| {
        let any = if coding == Coding::Gzip { stated.any } else { None };
        stated.codings.iter().find(|(named, _)| *named == coding).map(|(_, weight)| *weight).or(any)
    };
    let mut best: Option<(Coding, u16)> = None;
    for &coding in preferred {
        let weight = weight(coding).unwrap_or(0);
        if weight > best.map_or(0, |(_, before)| before) {
            best = Some((coding, weight));
        }
    }
    let identity = stated.identity.or(stated.any.filter(|weight| *weight == 0)) != Some(0);
    let rather_plain = |weight: u16| stated.identity.is_some_and(|plain| plain > weight);
    Accepted {
        coding: best.filter(|(_, weight)| !rather_plain(*weight)).map(|(coding, _)| coding),
        identity,
    }
}

/// What the field says, each name once.
#[derive(Default)]
struct Stated {
    codings: SmallVec<[(Coding, u16); 3]>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Stated {
    fn read<'h>(lines: impl IntoIterator<Item = &'h HeaderValue>) -> Self {
        let mut stated = Self::default();
        let members =
            lines.into_iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        for member in members.take(MEMBERS_MAX) {
            let mut parts = member.split(|byte| *byte == b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let weight = weight(parts);
            if name == b"*" {
                stated.any.get_or_insert(weight);
            } else if name.eq_ignore_ascii_case(b"identity") {
                stated.identity.get_or_insert(weight);
            } else if let Some(coding) = Coding::from_name(name)
                && stated.codings.iter().all(|(named, _)| *named != coding)
            {
                stated.codings.push((coding, weight));
            }
        }
        stated
    }
}

/// The weight among a member's parameters.
fn weight<'p>(parameters: impl Iterator<Item = &'p [u8]>) -> u16 {
    for parameter in parameters {
        if let [b'q' | b'Q', b'=', value @ ..] = parameter.trim_ascii() {
            return qvalue(value).unwrap_or(0);
        }
    }
    WEIGHT_MAX
}

/// A `qvalue` in thousandths (RFC 9110 §12.4.2): 0 or 1, a point, three digits at most.
fn qvalue(text: &[u8]) -> Option<u16> {
    let (whole, digits) = match text {
        [whole] => (whole, &[][..]),
        [whole, b'.', digits @ ..] => (whole, digits),
        _ => return None,
    };
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let part = (0..3).fold(0, |sum, place| {
        sum * 10 + digits.get(place).map_or(0, |digit| u16::from(digit - b'0'))
    });
    match whole {
        b'0' => Some(part),
        b'1' if part == 0 => Some(WEIGHT_MAX),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
