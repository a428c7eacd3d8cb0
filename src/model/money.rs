//! Money: exact amounts in billionths of a currency's unit.
//!
//! Nothing is ever rounded: what cannot be said in nine decimals is refused when it is read.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// How many decimals there are.
const DECIMALS: usize = 9;

/// Nano-units in a unit.
const UNIT: i64 = 1_000_000_000;

/// The largest price of one call or one unit: a million of the currency's units. With it every number of
/// units that is counted has a product far below the end of 128 bits.
pub const PRICE_MAX: Nanos = Nanos(1_000_000 * UNIT);

/// Billionths of a currency's unit; negative for a debt.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Nanos(pub i64);

/// A currency, by its code of three letters (ISO 4217).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Currency([u8; 3]);

/// An amount in a currency.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Money {
    /// How much.
    pub nanos: Nanos,
    /// Of what.
    pub currency: Currency,
}

/// Why a text is not an amount of money. Each says what to write.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MoneyError {
    /// Not a currency.
    #[error("a currency is three capital letters, such as \"USD\"")]
    Currency,
    /// Not a decimal number.
    #[error("an amount is a decimal number, such as \"0.002\"")]
    Number,
    /// Too small a fraction.
    #[error("an amount has at most nine decimals")]
    TooFine,
    /// Beyond what is counted.
    #[error("an amount is at most 9223372036")]
    TooLarge,
    /// No space between amount and currency.
    #[error("money is an amount and a currency, such as \"0.002 USD\"")]
    Parts,
}

impl Nanos {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// More than anyone has.
    pub const MAX: Self = Self(i64::MAX);

    /// Adds; at the ends of the range it stays there.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Subtracts; at the ends of the range it stays there.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Multiplies; at the ends of the range it stays there.
    #[must_use]
    pub fn saturating_mul(self, units: u64) -> Self {
        // Below 2^63 times 2^64: it fits.
        let product = i128::from(self.0).saturating_mul(units.into());
        Self(i64::try_from(product).unwrap_or(if self.0 < 0 { i64::MIN } else { i64::MAX }))
    }
}

/// Adds amounts up; at the ends of the range the sum stays there.
impl std::iter::Sum for Nanos {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

/// Always nine decimals, so that programs see one form.
impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (nanos, unit) = (self.0.unsigned_abs(), UNIT.unsigned_abs());
        write!(f, "{sign}{}.{:09}", nanos / unit, nanos % unit)
    }
}

impl FromStr for Nanos {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return Err(MoneyError::Number);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > DECIMALS {
            return Err(MoneyError::TooFine);
        }
        let whole: i64 = whole.parse().map_err(|_| MoneyError::TooLarge)?;
        let fraction: i64 = format!("{fraction:0<DECIMALS$}").parse().unwrap_or(0);
        let nanos = whole.checked_mul(UNIT).and_then(|nanos| nanos.checked_add(fraction));
        let nanos = nanos.ok_or(MoneyError::TooLarge)?;
        Ok(Self(if is_negative { -nanos } else { nanos }))
    }
}

impl Currency {
    /// Gives the three letters.
    pub fn as_str(&self) -> &str {
        // Made of capital letters alone.
        str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(MoneyError::Currency),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// As people write it: without the zeros at the end, and with two decimals at least.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.nanos.to_string();
        let shortest = text.len().saturating_sub(DECIMALS - 2);
        let zeros = text.bytes().rev().take_while(|byte| *byte == b'0').count();
        let length = text.len().saturating_sub(zeros).max(shortest);
        write!(f, "{} {}", text.get(..length).unwrap_or(&text), self.currency)
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (amount, currency) = text.split_once(' ').ok_or(MoneyError::Parts)?;
        Ok(Self { nanos: amount.parse()?, currency: currency.parse()? })
    }
}

impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_exactly_or_not_at_all() {
        let read = |text: &str| text.parse::<Money>().map(|money| money.nanos.0);
        assert_eq!(read("0.002 USD"), Ok(2_000_000));
        assert_eq!(read("12 EUR"), Ok(12_000_000_000));
        assert_eq!(read("-0.000000001 USD"), Ok(-1));
        assert_eq!(read("0.3333333330000 USD"), Ok(333_333_333));
        assert_eq!(read("9223372036.854775807 USD"), Ok(i64::MAX));
        assert_eq!(read("9223372036.854775808 USD"), Err(MoneyError::TooLarge));
        assert_eq!(read("99999999999999999999 USD"), Err(MoneyError::TooLarge));
        assert_eq!(read("0.0000000001 USD"), Err(MoneyError::TooFine));
        for text in
            ["1. USD", ".5 USD", "1e3 USD", "+1 USD", "--1 USD", " USD", "NaN USD", "1,5 USD"]
        {
            assert_eq!(read(text), Err(MoneyError::Number), "{text}");
        }
        for text in ["1 usd", "1 US", "1 USDC", "1  USD", "1 U$D"] {
            assert_eq!(read(text), Err(MoneyError::Currency), "{text}");
        }
        assert_eq!(read("1USD"), Err(MoneyError::Parts));
    }

    #[test]
    fn programs_get_nine_decimals_and_people_what_is_needed() {
        let usd = |nanos| Money { nanos: Nanos(nanos), currency: "USD".parse().unwrap() };
        assert_eq!(usd(12_500_000_000).nanos.to_string(), "12.500000000");
        assert_eq!(usd(-1).nanos.to_string(), "-0.000000001");
        assert_eq!(Nanos(i64::MIN).to_string(), "-9223372036.854775808");
        assert_eq!(usd(12_500_000_000).to_string(), "12.50 USD");
        assert_eq!(usd(2_000_000).to_string(), "0.002 USD");
        assert_eq!(usd(0).to_string(), "0.00 USD");
        assert_eq!(usd(-1).to_string(), "-0.000000001 USD");
        assert_eq!(usd(100_000_000_000).to_string(), "100.00 USD");
    }

    #[test]
    fn products_are_exact_or_at_an_end() {
        assert_eq!(Nanos(2_000_000).saturating_mul(3), Nanos(6_000_000));
        assert_eq!(Nanos(-1).saturating_mul(1 << 63), Nanos(i64::MIN));
        assert_eq!(Nanos(-1).saturating_mul(u64::MAX), Nanos(i64::MIN));
        assert_eq!(Nanos(1).saturating_mul(1 << 63), Nanos::MAX);
        assert_eq!(Nanos::MAX.saturating_mul(0), Nanos::ZERO);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(nanos in i64::MIN + 1..) {
            let money = Money { nanos: Nanos(nanos), currency: "EUR".parse().unwrap() };
            prop_assert_eq!(money.to_string().parse(), Ok(money));
            prop_assert_eq!(money.nanos.to_string().parse(), Ok(money.nanos));
        }
    }
}
