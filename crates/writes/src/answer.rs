//! An answer as it is kept: status, fields and body, in one piece that is sealed.

use bytes::{Buf as _, BufMut as _, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The most of an answer that is kept, bytes: with its fields it has to fit what is sealed at once.
pub const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The first byte, so that another form can follow one day.
const FORM: u8 = 1;

/// What a service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its end-to-end fields.
    pub headers: HeaderMap,
    /// Its body; `None` where it was too long to be kept.
    pub body: Option<Bytes>,
}

impl Answer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let body = self.body.as_deref().unwrap_or_default();
        let mut out = Vec::with_capacity(512 + body.len());
        out.put_u8(FORM);
        out.put_u16(self.status.as_u16());
        out.put_u8(u8::from(self.body.is_some()));
        out.put_u16(u16::try_from(self.headers.len()).unwrap_or(u16::MAX));
        for (name, value) in self.headers.iter().take(usize::from(u16::MAX)) {
            put(&mut out, name.as_str().as_bytes());
            put(&mut out, value.as_bytes());
        }
        out.put_slice(body);
        out
    }

    /// `None` for what is none.
    pub(crate) fn decode(kept: &[u8]) -> Option<Self> {
        let mut rest = kept;
        if rest.try_get_u8().ok()? != FORM {
            return None;
        }
        let status = StatusCode::from_u16(rest.try_get_u16().ok()?).ok()?;
        let has_body = rest.try_get_u8().ok()? == 1;
        let fields = rest.try_get_u16().ok()?;
        let mut headers = HeaderMap::new();
        for _ in 0..fields {
            let name = HeaderName::from_bytes(take(&mut rest)?).ok()?;
            headers.append(name, HeaderValue::from_bytes(take(&mut rest)?).ok()?);
        }
        Some(Self { status, headers, body: has_body.then(|| Bytes::copy_from_slice(rest)) })
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let bytes = usize::try_from(rest.try_get_u32().ok()?).ok()?;
    let (taken, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_comes_back(
            status in 200u16..600,
            fields in prop::collection::vec(("[a-z-]{1,12}", "[ -~]{0,40}"), 0..20),
            body in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        ) {
            let headers = fields.iter().map(|(name, value)| {
                (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap())
            });
            let mut all = HeaderMap::new();
            headers.for_each(|(name, value)| { all.append(name, value); });
            let status = StatusCode::from_u16(status).unwrap();
            let answer = Answer { status, headers: all, body: body.map(Bytes::from) };
            prop_assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }

        #[test]
        fn what_is_none_is_refused_and_breaks_nothing(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let _none_or_some = Answer::decode(&bytes);
        }
    }
}
