//! How a quota goes on beyond its limit: each unit at a price, as far as the customer's spend cap.

use crate::model::{Money, Nanos};

/// What units beyond a quota's limit cost, and how many of them a window has.
///
/// Invariant: `units_max` follows from the other two. It is kept because requests ask for it and a
/// division is slow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Overage {
    price: Money,
    cap: Option<Nanos>,
    units_max: u64,
}

impl Overage {
    /// Makes overage at a positive price, within the customer's cap if it has one.
    ///
    /// A cap in another currency cannot be compared with the price. It was meant as a ceiling, so it
    /// is taken for the lowest one.
    pub fn new(price: Money, cap: Option<Money>) -> Self {
        let in_currency = |cap: Money| match cap.currency == price.currency {
            true => cap.nanos,
            false => Nanos::ZERO,
        };
        let cap = cap.map(in_currency);
        // What cannot be divided, or is negative, lets nothing through.
        let units = |cap: Nanos| cap.0.checked_div(price.nanos.0).unwrap_or(0);
        let units_max = cap.map_or(u64::MAX, |cap| u64::try_from(units(cap)).unwrap_or(0));
        Self { price, cap, units_max }
    }

    /// Gives what one unit costs.
    pub fn price(&self) -> Money {
        self.price
    }

    /// Gives the customer's cap, in the currency of the price; `None` without one.
    pub fn cap(&self) -> Option<Nanos> {
        self.cap
    }

    /// Gives the most units beyond the limit in one window; without a cap all that can be counted.
    pub fn units_max(&self) -> u64 {
        self.units_max
    }

    /// Gives what so many units cost; at the end of the range it stays there.
    pub fn amount(&self, units: u64) -> Nanos {
        self.price.nanos.saturating_mul(units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn a_cap_lets_whole_units_through() {
        for (price, cap, units) in [
            ("0.001 USD", "50 USD", 50_000),
            ("0.001 USD", "0.0009 USD", 0),
            ("0.001 USD", "0.001999999 USD", 1),
            ("0.3 USD", "1 USD", 3),
            ("0.001 USD", "0 USD", 0),
            ("0.001 USD", "-1 USD", 0),
            ("0.001 USD", "50 EUR", 0),
            ("0.000000001 USD", "9223372036.854775807 USD", i64::MAX.unsigned_abs()),
            ("9223372036.854775807 USD", "9223372036.854775807 USD", 1),
        ] {
            let overage = Overage::new(money(price), Some(money(cap)));
            assert_eq!(overage.units_max(), units, "{cap} at {price}");
            assert!(overage.amount(units) <= overage.cap().unwrap().max(Nanos::ZERO), "{cap}");
        }
        assert_eq!(Overage::new(money("1 USD"), None).units_max(), u64::MAX);
        assert_eq!(Overage::new(money("0 USD"), Some(money("1 USD"))).units_max(), 0);
    }

    #[test]
    fn an_amount_is_exact_or_the_largest() {
        let overage = Overage::new(money("0.001 USD"), None);
        assert_eq!(overage.amount(0), Nanos::ZERO);
        assert_eq!(overage.amount(1234), Nanos(1_234_000_000));
        assert_eq!(overage.amount(u64::MAX), Nanos::MAX);
    }
}
