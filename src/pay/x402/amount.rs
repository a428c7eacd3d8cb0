//! What a price comes to in a token: exact, in the smallest unit that it has, rounded up once.

use std::str::FromStr;

use crate::model::Nanos;

/// Whole tokens for a unit of the currency.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rate {
    /// The number without its point.
    digits: u128,
    /// How many of its digits stand behind the point.
    decimals: u32,
}

/// Why a text is no rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a rate is a decimal number above zero with at most 18 decimals, such as \"1\" or \"0.9995\""
)]
pub(crate) struct RateError;

/// How many decimals a rate may have.
const RATE_DECIMALS_MAX: usize = 18;

/// How many digits stand before the point at most.
const RATE_WHOLE_MAX: usize = 9;

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let fraction = fraction.trim_end_matches('0');
        let is_short = whole.len() <= RATE_WHOLE_MAX && fraction.len() <= RATE_DECIMALS_MAX;
        let is_rate = is_number(whole)
            && is_short
            && text.split_once('.').is_none_or(|(_, fraction)| is_number(fraction));
        let digits = format!("{whole}{fraction}").parse().map_err(|_| RateError)?;
        let decimals = u32::try_from(fraction.len()).map_err(|_| RateError)?;
        if is_rate && digits > 0 { Ok(Self { digits, decimals }) } else { Err(RateError) }
    }
}

/// Gives the least number of a token's smallest units that is worth a price; `None` where it is beyond what
/// is counted.
pub(crate) fn atomic(price: Nanos, rate: Rate, token_decimals: u8) -> Option<u128> {
    let Rate { digits, decimals } = rate;
    // price / 10^9 * digits / 10^decimals * 10^token_decimals, without a fraction on the way.
    let up = u32::from(token_decimals);
    let down = decimals.checked_add(9)?;
    let power = |exponent: u32| 10_u128.checked_pow(exponent);
    let product = u128::try_from(price.0).ok()?.checked_mul(digits)?;
    if up >= down {
        return product.checked_mul(power(up.checked_sub(down)?)?);
    }
    Some(product.div_ceil(power(down.checked_sub(up)?)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn amounts_are_exact_or_rounded_up() {
        for (nanos, tokens, decimals, expected) in [
            (2_000_000, "1", 6, 2_000),
            (1_000_000_000, "1", 6, 1_000_000),
            (1, "1", 6, 1),
            (1_000, "1", 6, 1),
            (1_001, "1", 6, 2),
            (1_000_000_000, "0.9995", 6, 999_500),
            (1_000_000_000, "1.0000001", 6, 1_000_001),
            (1_000_000_000, "1", 18, 1_000_000_000_000_000_000),
            (1, "0.000000000000000001", 0, 1),
            (1_000_000_000, "100", 0, 100),
            (1_000_000_000, "0.333333333333333333", 18, 333_333_333_333_333_333),
        ] {
            assert_eq!(
                atomic(Nanos(nanos), rate(tokens), decimals),
                Some(expected),
                "{nanos} {tokens}"
            );
        }
        assert_eq!(atomic(Nanos(i64::MAX), rate("999999999"), 40), None);
        assert_eq!(atomic(Nanos(-1), rate("1"), 6), None);
    }

    #[test]
    fn rates_are_read_exactly_or_not_at_all() {
        assert_eq!(rate("1"), rate("1.000"));
        assert_eq!(rate("0.50"), Rate { digits: 5, decimals: 1 });
        for text in [
            "",
            "0",
            "0.0",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,5",
            "1 ",
            "0.1234567890123456789",
            "1234567890",
            "1.5x",
            "NaN",
        ] {
            assert_eq!(text.parse::<Rate>(), Err(RateError), "{text}");
        }
    }

    proptest! {
        /// As many as are worth the price, and one less is worth less.
        #[test]
        fn amount_is_the_least_that_is_enough(
            nanos in 1_i64..1_000_000_000_000_000,
            digits in 1_u128..1_000_000_000,
            decimals in 0_u32..9,
            token_decimals in 0_u8..12,
        ) {
            let amount = atomic(Nanos(nanos), Rate { digits, decimals }, token_decimals).unwrap();
            let price = u128::try_from(nanos).unwrap() * digits * 10_u128.pow(token_decimals.into());
            let unit = 10_u128.pow(9 + decimals);
            prop_assert!(amount * unit >= price);
            prop_assert!((amount - 1) * unit < price);
        }
    }
}
