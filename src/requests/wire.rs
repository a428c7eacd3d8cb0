//! Numbers, texts and instants as bytes: short where they are small, since most are.

use jiff::Timestamp;

use crate::model::{Money, Nanos};

/// Puts a number, seven bits to a byte, the lowest first.
pub(super) fn put_number(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(number & 0x7F).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Puts a text behind its length.
pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_number(u64::try_from(text.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(text.as_bytes());
}

/// Puts a text that may be missing. An empty one is read as missing; no name is empty.
pub(super) fn put_optional(text: Option<&str>, out: &mut Vec<u8>) {
    put_text(text.unwrap_or_default(), out);
}

/// Puts an instant, in whole microseconds.
pub(super) fn put_instant(at: Timestamp, out: &mut Vec<u8>) {
    put_signed(at.as_microsecond(), out);
}

/// Puts an amount of money.
pub(super) fn put_nanos(Nanos(nanos): Nanos, out: &mut Vec<u8>) {
    put_signed(nanos, out);
}

/// Puts money: how much, and of what.
pub(super) fn put_money(Money { nanos, currency }: Money, out: &mut Vec<u8>) {
    put_nanos(nanos, out);
    put_text(currency.as_str(), out);
}

/// Zigzag: what lies a little below zero is short too.
fn put_signed(number: i64, out: &mut Vec<u8>) {
    put_number((number.wrapping_shl(1) ^ (number >> 63)).cast_unsigned(), out);
}

/// Bytes that are read from the front. `None` from any of its methods means that they are not what they
/// should be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    /// Takes so many bytes.
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Takes a byte.
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Takes a fixed number of bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Takes a number.
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            let moved = bits << shift;
            if moved >> shift != bits {
                return None;
            }
            number |= moved;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// Takes a number that must fit a smaller type.
    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    /// Takes a text.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.small()?;
        str::from_utf8(self.take(length)?).ok()
    }

    /// Takes a text that may be missing.
    pub(super) fn optional(&mut self) -> Option<Option<&'a str>> {
        Some(self.text().filter(|text| !text.is_empty()))
    }

    /// Takes what may be missing, behind a byte that says whether it is there.
    pub(super) fn some<T>(
        &mut self,
        item: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            _ => item(self).map(Some),
        }
    }

    /// Takes an instant.
    pub(super) fn instant(&mut self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.signed()?).ok()
    }

    /// Takes an amount of money.
    pub(super) fn nanos(&mut self) -> Option<Nanos> {
        self.signed().map(Nanos)
    }

    /// Takes money.
    pub(super) fn money(&mut self) -> Option<Money> {
        Some(Money { nanos: self.nanos()?, currency: self.text()?.parse().ok()? })
    }

    fn signed(&mut self) -> Option<i64> {
        let zigzag = self.number()?;
        Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// Takes a list behind its length.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let length: usize = self.small()?;
        // An item has a byte at least, so a length that cannot be costs no memory.
        if length > self.0.len() {
            return None;
        }
        (0..length).map(|_| item(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out);
        out
    }

    #[test]
    fn numbers_are_short_where_they_are_small() {
        for (number, length) in
            [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX, 10)]
        {
            let bytes = written(|out| put_number(number, out));
            assert_eq!(bytes.len(), length, "{number}");
            assert_eq!(Bytes(&bytes).number(), Some(number));
        }
        for bad in [&[][..], &[0x80], &[0xFF; 10], &[0x80; 11]] {
            assert_eq!(Bytes(bad).number(), None, "{bad:?}");
        }
    }

    #[test]
    fn instants_of_all_times_are_kept() {
        for at in
            [Timestamp::MIN, Timestamp::UNIX_EPOCH, "2026-11-20T12:00:00.000001Z".parse().unwrap()]
        {
            let bytes = written(|out| put_instant(at, out));
            assert_eq!(Bytes(&bytes).instant(), Some(at));
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        let bytes = written(|out| put_number(u64::MAX, out));
        assert_eq!(Bytes(&bytes).text(), None);
        assert_eq!(Bytes(&bytes).list(Bytes::byte), None);
    }

    proptest! {
        #[test]
        fn what_is_put_is_read(number: u64, text: String, micros in -377_705_023_201_000_000_i64..253_402_207_200_000_000) {
            let at = Timestamp::from_microsecond(micros).unwrap();
            let bytes = written(|out| {
                put_number(number, out);
                put_text(&text, out);
                put_instant(at, out);
            });
            let mut bytes = Bytes(&bytes);
            prop_assert_eq!(bytes.number(), Some(number));
            prop_assert_eq!(bytes.text(), Some(&*text));
            prop_assert_eq!(bytes.instant(), Some(at));
            prop_assert!(bytes.0.is_empty());
        }

        #[test]
        fn money_is_kept(nanos: i64) {
            let money = Money { nanos: Nanos(nanos), currency: "EUR".parse().unwrap() };
            let bytes = written(|out| put_money(money, out));
            prop_assert_eq!(Bytes(&bytes).money(), Some(money));
        }
    }
}
