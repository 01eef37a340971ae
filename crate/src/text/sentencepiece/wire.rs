//! The wire format of protocol buffers: fields, each a number and a value, one after another.
//!
//! Groups, which nothing has used for twenty years, are refused; so nothing here nests.

use super::model::refuse;
use crate::error::{Error, Result};

/// The longest number takes ten bytes of seven bits.
const MAX_VARINT_BYTES: usize = 10;

/// One field of a message.
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
}

/// The value of a field as the wire format knows it.
pub(super) enum Value<'a> {
    /// A number or a flag.
    Varint(u64),
    /// A float.
    Fixed32([u8; 4]),
    /// A double. No field that is read has one.
    Fixed64,
    /// Text, bytes or a message.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(super) fn varint(self) -> Result<u64> {
        if let Self::Varint(number) = self { Ok(number) } else { Err(refuse("no number where one belongs")) }
    }

    pub(super) fn float(self) -> Result<f32> {
        if let Self::Fixed32(bytes) = self {
            Ok(f32::from_le_bytes(bytes))
        } else {
            Err(refuse("no float where one belongs"))
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(refuse("no text or message where one belongs")) }
    }
}

/// The fields of a message. Whoever takes them stops at the first failure.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn read(&mut self) -> Result<Field<'a>> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed64)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.cut_short(4))?;
                self.rest = rest;
                Value::Fixed32(*bytes)
            }
            other => return Err(refuse(format!("a field of wire type {other}"))),
        };
        Ok(Field { number: key >> 3, value })
    }

    fn varint(&mut self) -> Result<u64> {
        let mut number = 0;
        for at in 0..MAX_VARINT_BYTES {
            let &[byte] = self.take(1)?.first_chunk().expect("one byte was taken");
            number |= u64::from(byte & 0x7f) << (7 * at); // the tenth byte has one bit left, the others fall away
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(refuse(format!("a number of more than {MAX_VARINT_BYTES} bytes")))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (taken, rest) = split.ok_or_else(|| self.cut_short(length))?;
        self.rest = rest;
        Ok(taken)
    }

    fn cut_short(&self, length: u64) -> Error {
        refuse(format!("{} bytes where {length} belong", self.rest.len()))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.read())
    }
}
