//! Money taken from grants for one call, and which grants that were.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::Few;
use crate::model::{Currency, Nanos};

/// The next [`Draw::id`]. Relaxed, as only uniqueness matters; 2^64 is never reached.
static ID_NEXT: AtomicU64 = AtomicU64::new(1);

/// The grants that calls draw on, always together.
#[derive(Debug)]
pub struct Draw {
    /// Unique within the process, so that a journal can refer to it by a small number; 0 is no draw's.
    pub id: u64,
    /// What their money is.
    pub currency: Currency,
    /// What each gives, in the order in which they are drawn on.
    pub shares: Few<Share>,
}

/// What one grant gives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Share {
    /// The grant; empty for what no grant gives: a debt.
    pub grant: Arc<str>,
    /// How much of each call; `None` for all of it, whatever it costs.
    pub nanos: Option<Nanos>,
}

impl Draw {
    /// Draws on these.
    pub(super) fn new(currency: Currency, shares: Few<Share>) -> Arc<Self> {
        Arc::new(Self { id: ID_NEXT.fetch_add(1, Ordering::Relaxed), currency, shares })
    }

    /// Gives what each grant gives of a call that is charged so much of what was drawn for it: the first
    /// ones first. What is charged beyond that is a debt.
    pub fn charged(&self, drawn: Nanos, charge: Nanos) -> Arc<Self> {
        let mut left = charge;
        let mut take = |most: Nanos| {
            let part = left.min(most);
            left = left.saturating_sub(part);
            part
        };
        let taken = self.shares.iter().map(|share| {
            let nanos = Some(take(share.nanos.unwrap_or(drawn)));
            Share { grant: Arc::clone(&share.grant), nanos }
        });
        let mut shares: Vec<Share> =
            taken.filter(|share| share.nanos > Some(Nanos::ZERO)).collect();
        if left > Nanos::ZERO {
            shares.push(Share { grant: Arc::default(), nanos: Some(left) });
        }
        Self::new(self.currency, shares.into_iter().collect())
    }

    /// Lists what each grant gives of calls of which so much was taken in all.
    pub fn of(&self, calls: u64, nanos: Nanos) -> impl Iterator<Item = (&Arc<str>, Nanos)> {
        let calls = i64::try_from(calls).unwrap_or(i64::MAX);
        let part = move |share: Option<Nanos>| match share {
            Some(Nanos(each)) => Nanos(each.saturating_mul(calls)),
            None => nanos,
        };
        self.shares.iter().map(move |share| (&share.grant, part(share.nanos)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(shares: &[(&str, Option<i64>)]) -> Arc<Draw> {
        let share = |(grant, nanos): &(&str, Option<i64>)| Share {
            grant: Arc::from(*grant),
            nanos: nanos.map(Nanos),
        };
        Draw::new("USD".parse().unwrap(), shares.iter().map(share).collect())
    }

    fn parts(draw: &Draw, calls: u64, nanos: i64) -> Vec<(String, i64)> {
        draw.of(calls, Nanos(nanos)).map(|(grant, part)| (grant.to_string(), part.0)).collect()
    }

    #[test]
    fn less_is_given_back_from_the_end_and_more_is_a_debt() {
        let two = draw(&[("a", Some(3)), ("b", Some(7))]);
        let charged = |charge| parts(&two.charged(Nanos(10), Nanos(charge)), 1, charge);
        let expected = |parts: &[(&str, i64)]| -> Vec<(String, i64)> {
            parts.iter().map(|(grant, part)| ((*grant).to_owned(), *part)).collect()
        };
        assert_eq!(charged(0), expected(&[]));
        assert_eq!(charged(2), expected(&[("a", 2)]));
        assert_eq!(charged(3), expected(&[("a", 3)]));
        assert_eq!(charged(4), expected(&[("a", 3), ("b", 1)]));
        assert_eq!(charged(10), expected(&[("a", 3), ("b", 7)]));
        assert_eq!(charged(11), expected(&[("a", 3), ("b", 7), ("", 1)]));
        let one = draw(&[("a", None)]).charged(Nanos(10), Nanos(12));
        assert_eq!(parts(&one, 1, 12), expected(&[("a", 10), ("", 2)]));
    }

    #[test]
    fn parts_of_many_calls_add_up() {
        assert_eq!(parts(&draw(&[("a", None)]), 3, 30), [("a".to_owned(), 30)]);
        let two = draw(&[("a", Some(3)), ("b", Some(7))]);
        assert_eq!(parts(&two, 3, 30), [("a".to_owned(), 9), ("b".to_owned(), 21)]);
    }
}
