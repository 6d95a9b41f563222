//! The wire format of protocol buffers (<https://protobuf.dev/programming-guides/encoding/>), as
//! much of it as OTLP needs. Reading borrows, never recurses and never allocates, so that a small
//! body cannot become a large tree.

/// Bytes that are no protocol buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no protocol buffer of this message: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// A field's value as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Value<'a> {
    /// A nested message, a text or packed numbers.
    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed("a number stands where a message belongs")),
        }
    }

    pub(crate) fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("a text is not UTF-8"))
    }

    /// An integer, whichever way it is written.
    pub(crate) fn number(self) -> Result<u64, Malformed> {
        match self {
            Value::Varint(number) | Value::Fixed64(number) => Ok(number),
            Value::Fixed32(number) => Ok(u64::from(number)),
            Value::Bytes(_) => Err(Malformed("a message stands where a number belongs")),
        }
    }

    pub(crate) fn double(self) -> Result<f64, Malformed> {
        match self {
            Value::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(Malformed("a double is not eight bytes long")),
        }
    }

    /// A `sint32` or `sint64`: zigzag.
    pub(crate) fn signed(self) -> Result<i64, Malformed> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// Repeated numbers, packed or one by one.
    pub(crate) fn each_number(
        self,
        fixed: bool,
        mut take: impl FnMut(u64),
    ) -> Result<(), Malformed> {
        let Value::Bytes(packed) = self else {
            take(self.number()?);
            return Ok(());
        };
        let mut rest = Reader::new(packed);
        while !rest.rest.is_empty() {
            take(if fixed { rest.fixed64()? } else { rest.varint()? });
        }
        Ok(())
    }
}

/// Reads the fields of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field's number and value; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field =
            u32::try_from(tag >> 3).map_err(|_| Malformed("a field number is too large"))?;
        if field == 0 {
            return Err(Malformed("a field has number 0"));
        }
        let value = match (tag & 7) as u8 {
            VARINT => Value::Varint(self.varint()?),
            FIXED64 => Value::Fixed64(self.fixed64()?),
            BYTES => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                let (bytes, rest) =
                    self.rest.split_at_checked(length).ok_or(Malformed("it ends too soon"))?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            FIXED32 => {
                let (bytes, rest) =
                    self.rest.split_first_chunk::<4>().ok_or(Malformed("it ends too soon"))?;
                self.rest = rest;
                Value::Fixed32(u32::from_le_bytes(*bytes))
            }
            _ => return Err(Malformed("a field has an unknown wire type")),
        };
        Ok(Some((field, value)))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for index in 0..10 {
            let (byte, rest) = self.rest.split_first().ok_or(Malformed("it ends too soon"))?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number is longer than ten bytes"))
    }

    fn fixed64(&mut self) -> Result<u64, Malformed> {
        let (bytes, rest) =
            self.rest.split_first_chunk::<8>().ok_or(Malformed("it ends too soon"))?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }
}

/// Calls `take` with every nested message of `field`.
pub(crate) fn each<'a>(
    message: &'a [u8],
    field: u32,
    mut take: impl FnMut(&'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, value)) = reader.next()? {
        if number == field {
            take(value.bytes()?)?;
        }
    }
    Ok(())
}

/// Writes the fields of a message. Fields that hold their default are left out, as proto3 does.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn put_varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn tag(&mut self, field: u32, kind: u8) {
        self.put_varint(u64::from(field) << 3 | u64::from(kind));
    }

    pub(crate) fn varint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.always_varint(field, value);
        }
    }

    /// A member of a `oneof` is written even where it holds its default.
    pub(crate) fn always_varint(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.put_varint(value);
    }

    pub(crate) fn fixed64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.always_fixed64(field, value);
        }
    }

    pub(crate) fn always_fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn fixed32(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.tag(field, FIXED32);
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// A member of a `oneof` or an `optional`: written even where it is zero.
    pub(crate) fn double(&mut self, field: u32, value: f64) {
        self.always_fixed64(field, value.to_bits());
    }

    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        if !value.is_empty() {
            self.always_bytes(field, value);
        }
    }

    pub(crate) fn always_bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, BYTES);
        self.put_varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    pub(crate) fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// Packed 64-bit words: counts or doubles.
    pub(crate) fn packed(&mut self, field: u32, values: &[u64]) {
        if values.is_empty() {
            return;
        }
        self.tag(field, BYTES);
        self.put_varint(values.len() as u64 * 8);
        for value in values {
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// A nested message. Its length stands before it and is known after it, so it is moved by the
    /// length's bytes: cheap for what is small, and only the outermost are not.
    pub(crate) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.tag(field, BYTES);
        let start = self.bytes.len();
        write(self);
        let mut length = Writer::default();
        length.put_varint((self.bytes.len() - start) as u64);
        self.bytes.splice(start..start, length.bytes);
    }

    /// `KeyValue` with a text.
    pub(crate) fn attribute(&mut self, field: u32, key: &str, value: &str) {
        self.message(field, |kv| {
            kv.text(1, key);
            kv.message(2, |any| any.always_bytes(1, value.as_bytes()));
        });
    }

    /// `KeyValue` with a whole number.
    pub(crate) fn attribute_int(&mut self, field: u32, key: &str, value: u64) {
        self.message(field, |kv| {
            kv.text(1, key);
            kv.message(2, |any| any.always_varint(3, value));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut writer = Writer::default();
        writer.varint(1, 300);
        writer.varint(2, 0);
        writer.message(3, |inner| inner.text(1, &"x".repeat(200)));
        writer.double(4, 0.5);
        writer.packed(5, &[1, 2]);
        writer.fixed32(6, 7);
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        let mut seen = Vec::new();
        while let Some((field, value)) = reader.next().unwrap() {
            seen.push(field);
            match field {
                1 => assert_eq!(value.number(), Ok(300)),
                3 => assert_eq!(value.bytes().unwrap().len(), 203),
                4 => assert_eq!(value.double(), Ok(0.5)),
                5 => {
                    let mut sum = 0;
                    value.each_number(true, |number| sum += number).unwrap();
                    assert_eq!(sum, 3);
                }
                _ => assert_eq!(value, Value::Fixed32(7)),
            }
        }
        assert_eq!(seen, [1, 3, 4, 5, 6], "a default is left out");
    }

    #[test]
    fn zigzag_turns_signs_around() {
        for (wire, value) in [(0, 0), (1, -1), (2, 1), (3, -2), (u64::MAX, i64::MIN)] {
            assert_eq!(Value::Varint(wire).signed(), Ok(value));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while let Ok(Some((_, value))) = reader.next() {
                let sum = &mut 0u64;
                let _read = value.each_number(true, |number| *sum ^= number).is_ok();
            }
        }
    }
}
