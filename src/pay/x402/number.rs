//! What tokens are counted in: integers of 256 bits and addresses, in one normal form.

use std::fmt;

/// An unsigned integer of 256 bits, the most significant byte first.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Word(pub(super) [u8; 32]);

/// An address of a chain of Ethereum's kind.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(crate) struct Address(pub(super) [u8; 20]);

impl Word {
    /// Reads a decimal number as it is written in one way only: digits, and no zero before others.
    pub(super) fn from_decimal(text: &str) -> Option<Self> {
        let is_normal = !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        // The largest has 78 digits.
        if !is_normal || text.len() > 78 {
            return None;
        }
        let mut word = [0_u8; 32];
        for digit in text.bytes() {
            let mut carry = u16::from(digit.wrapping_sub(b'0'));
            for byte in word.iter_mut().rev() {
                let value = u16::from(*byte) * 10 + carry;
                let [high, low] = value.to_be_bytes();
                *byte = low;
                carry = high.into();
            }
            if carry != 0 {
                return None;
            }
        }
        Some(Self(word))
    }

    /// Gives it as seconds; what is too large for that is the largest.
    pub(super) fn seconds(self) -> u64 {
        let (high, low) = self.0.split_at(24);
        match low.try_into() {
            Ok(low) if high.iter().all(|byte| *byte == 0) => u64::from_be_bytes(low),
            _ => u64::MAX,
        }
    }
}

/// In decimal digits.
impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut digits = Vec::new();
        while rest.iter().any(|byte| *byte != 0) {
            let mut carry = 0_u16;
            for byte in &mut rest {
                let value = carry * 256 + u16::from(*byte);
                *byte = u8::try_from(value / 10).unwrap_or(u8::MAX);
                carry = value % 10;
            }
            digits.push(u8::try_from(carry).unwrap_or(0) + b'0');
        }
        if digits.is_empty() {
            digits.push(b'0');
        }
        digits.iter().rev().try_for_each(|digit| write!(f, "{}", char::from(*digit)))
    }
}

impl From<u64> for Word {
    fn from(value: u64) -> Self {
        let mut word = [0; 32];
        for (byte, part) in word.iter_mut().rev().zip(value.to_le_bytes()) {
            *byte = part;
        }
        Self(word)
    }
}

impl Address {
    /// Tells whether it is the one that is nobody's.
    pub(crate) fn is_zero(self) -> bool {
        self.0 == [0; 20]
    }

    /// Reads an address, in whatever case its digits are.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        hex(text).map(Self)
    }
}

/// In lower case, so that one address has one form.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads `0x` and the digits of so many bytes.
pub(super) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    if digits.len() != N.checked_mul(2)? {
        return None;
    }
    let mut bytes = [0; N];
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: &str =
        "115792089237316195423570985008687907853269984665640564039457584007913129639935";

    #[test]
    fn numbers_have_one_form() {
        assert_eq!(Word::from_decimal("0"), Some(Word::default()));
        assert_eq!(Word::from_decimal("10000"), Some(Word::from(10_000)));
        assert_eq!(Word::from_decimal("18446744073709551615"), Some(Word::from(u64::MAX)));
        assert_eq!(Word::from_decimal(MAX), Some(Word([255; 32])));
        for text in ["0", "7", "10", "10000", "18446744073709551616", MAX] {
            assert_eq!(Word::from_decimal(text).unwrap().to_string(), text);
        }
        let beyond = MAX.replace("9935", "9936");
        for text in [
            "",
            "1e18",
            "01",
            "00",
            " 1",
            "1 ",
            "-1",
            "+1",
            "0x1",
            "1.0",
            "1,000",
            "１",
            &beyond,
            &format!("{MAX}0"),
            &"9".repeat(10_000),
        ] {
            assert_eq!(Word::from_decimal(text), None, "{text}");
        }
    }

    #[test]
    fn seconds_end_at_the_largest() {
        assert_eq!(Word::from(1_795_174_262).seconds(), 1_795_174_262);
        assert_eq!(Word::from(u64::MAX).seconds(), u64::MAX);
        assert_eq!(Word::from_decimal("18446744073709551616").unwrap().seconds(), u64::MAX);
        assert_eq!(Word([255; 32]).seconds(), u64::MAX);
    }

    #[test]
    fn addresses_have_one_form() {
        let mixed = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
        let address = Address::parse(mixed).unwrap();
        assert_eq!(address.to_string(), mixed.to_lowercase());
        assert_eq!(Address::parse(&address.to_string()), Some(address));
        let odd = format!("{}é", &mixed[..40]);
        for text in [
            "",
            "0x",
            &mixed[2..],
            &mixed[..41],
            &format!("{mixed}0"),
            &mixed.replace("0x", "0X"),
            &mixed.replace('C', "G"),
            &odd,
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
