//! A slice that is taken from its beginning, piece by piece. Whatever is not there is `None`, never a panic.

/// What is left of a slice.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next `length` bytes.
    pub fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    /// What comes before the next newline, which is taken too.
    pub fn line(&mut self) -> Option<&'a [u8]> {
        let length = self.0.iter().position(|byte| *byte == b'\n')?;
        let line = self.take(length as u64)?;
        self.0 = self.0.get(1..)?;
        Some(line)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// The next two bytes, the lowest first.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next four bytes, the lowest first.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next eight bytes, the lowest first.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_order_and_end_with_the_slice() {
        let mut bytes = Bytes(b"\x01\x02\x00ab\n\x03\x00\x00\x00rest");
        assert_eq!((bytes.u8(), bytes.u16(), bytes.line()), (Some(1), Some(2), Some(b"ab".as_slice())));
        assert_eq!((bytes.u32(), bytes.take(5), bytes.take(u64::MAX)), (Some(3), None, None));
        assert_eq!((bytes.u64(), bytes.line(), bytes.take(4)), (None, None, Some(b"rest".as_slice())));
        assert_eq!((bytes.take(0), bytes.u8()), (Some(b"".as_slice()), None));
    }
}
