//! Which endpoint of an upstream a request goes to.
//!
//! The one with the least in flight, in turn among equals. Those that failed are left out, but never
//! more than half: the others could not take the load of all, and it may be the check that is wrong.

use std::{cell::Cell, rc::Rc, sync::Arc};

use tokio::time::Instant;

use super::{pool::Pool, standing::InFlight};
use crate::{
    model::{Endpoint, Upstream},
    telemetry::metrics::upstreams::Endpoint as Figures,
};

/// What a worker knows of an upstream with several endpoints.
#[derive(Debug)]
pub(super) struct Balance {
    /// In the upstream's order.
    figures: Box<[Arc<Figures>]>,
    turn: Cell<usize>,
}

/// The endpoint chosen for a request.
#[derive(Debug)]
pub struct Choice<'u> {
    upstream: &'u Upstream,
    index: usize,
    /// `None` where there was nothing to choose.
    several: Option<Several>,
}

#[derive(Debug)]
struct Several {
    balance: Rc<Balance>,
    /// A bit for each that was chosen for this request: none is twice.
    tried: u64,
    /// `None` once the connection has it.
    in_flight: Option<InFlight>,
}

impl<'u> Choice<'u> {
    /// Chooses for a request that has not been sent to any.
    pub fn new(upstream: &'u Arc<Upstream>, pool: &Pool) -> Self {
        let mut choice = Self { upstream, index: 0, several: None };
        if !upstream.endpoints.is_single() {
            let balance = pool.balance(upstream);
            choice.several = Some(Several { balance, tried: 0, in_flight: None });
            choice.move_on(Instant::now());
        }
        choice
    }

    /// Chooses another that was not chosen before; false when there is none.
    pub fn move_on(&mut self, now: Instant) -> bool {
        let Some(Several { balance, tried, in_flight }) = &mut self.several else { return false };
        let Some(index) = balance.choose(*tried, now) else { return false };
        *tried |= 1 << index;
        *in_flight = balance.figures.get(index).map(|of| InFlight::new(&of.standing));
        self.index = index;
        true
    }

    /// Notes that the one chosen answered.
    pub fn note_success(&self) {
        if let Some(of) = self.chosen().filter(|of| of.standing.note_success()) {
            tracing::info!(upstream = %of.upstream, endpoint = %of.name, "endpoint answers again");
        }
    }

    /// Notes that the one chosen could not be reached, or did not answer.
    pub fn note_failure(&self, now: Instant) {
        if let Some(of) = self.chosen()
            && let Some(time) = of.standing.note_failure(now)
        {
            let seconds = time.as_secs();
            tracing::warn!(
                upstream = %of.upstream, endpoint = %of.name, seconds,
                "endpoint is left out, requests to it failed"
            );
        }
    }

    /// Gives the count of this request at the one chosen, which goes on as long as its exchange.
    pub fn take_in_flight(&mut self) -> Option<InFlight> {
        self.several.as_mut().and_then(|several| several.in_flight.take())
    }

    /// Gives the upstream.
    pub fn upstream(&self) -> &'u Upstream {
        self.upstream
    }

    /// Gives the one chosen.
    pub fn endpoint(&self) -> &'u Endpoint {
        let endpoints = &self.upstream.endpoints;
        endpoints.get(self.index).unwrap_or_else(|| endpoints.first())
    }

    /// Gives the number of the one chosen.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Tells whether there was only one.
    pub fn is_single(&self) -> bool {
        self.several.is_none()
    }

    /// Tells whether all were chosen.
    pub fn is_last(&self) -> bool {
        self.several.as_ref().is_none_or(|Several { balance, tried, in_flight: _ }| {
            tried.count_ones() as usize >= balance.figures.len()
        })
    }

    fn chosen(&self) -> Option<&Figures> {
        let several = self.several.as_ref()?;
        several.balance.figures.get(self.index).map(|figures| &**figures)
    }
}

impl Balance {
    pub(super) fn new(figures: Vec<Arc<Figures>>) -> Self {
        Self { figures: figures.into(), turn: Cell::new(0) }
    }

    /// Chooses one that was not tried. When none is in, one that is out: it may be back.
    fn choose(&self, tried: u64, now: Instant) -> Option<usize> {
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        let out = tried | self.left_out(now);
        // Of the rounds, so that one that comes back is not passed over each time that it is its turn.
        let round = (turn / self.figures.len().max(1)) as u64 % 10;
        let is_worth = |index: usize| {
            self.figures.get(index).is_some_and(|of| round < of.standing.tenths(now))
        };
        self.least(turn, |index| out >> index & 1 == 0 && is_worth(index))
            .or_else(|| self.least(turn, |index| out >> index & 1 == 0))
            .or_else(|| self.least(turn, |index| tried >> index & 1 == 0))
    }

    /// Finds the one with the least in flight, the first from the turn on.
    fn least(&self, turn: usize, may_be: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.figures.len();
        let (before, from) = self.figures.split_at(turn.checked_rem(count)?);
        let start = before.len();
        let all = from.iter().zip(start..).chain(before.iter().zip(0..));
        let may_be = all.filter(|(_, index)| may_be(*index));
        may_be.min_by_key(|(of, _)| of.standing.in_flight()).map(|(_, index)| index)
    }

    /// Gives a bit for each that is left out: those that are out, but at most half of all, the ones
    /// that would be back last.
    fn left_out(&self, now: Instant) -> u64 {
        let is_out = |(of, _): &(&Arc<Figures>, usize)| of.standing.is_out(now);
        let out = || self.figures.iter().zip(0..).filter(is_out);
        let all = out().fold(0_u64, |bits, (_, index)| bits | 1 << index);
        let most = self.figures.len() / 2;
        if all.count_ones() as usize <= most {
            return all;
        }
        // Seldom, and few: no allocation is needed to find the last ones.
        let rank = |of: &Figures, index: usize| (of.standing.rank(), index);
        let later = |than| out().filter(|(of, index)| rank(of, *index) > than).count();
        out()
            .filter(|(of, index)| later(rank(of, *index)) < most)
            .fold(0, |bits, (_, index)| bits | 1 << index)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;
    use crate::{model::Address, telemetry::metrics::upstreams::Directory};

    /// Makes one of so many endpoints.
    fn balance(count: u16) -> Balance {
        let directory = Directory::new(Arc::default());
        let find = |port| {
            let address = Address::Tcp { host: "h".into(), port };
            directory.find(&"u".into(), &Endpoint::new(address, HeaderValue::from_static("h")))
        };
        Balance::new((0..count).map(find).collect())
    }

    fn leave_out(balance: &Balance, index: usize, now: Instant) {
        for _ in 0..3 {
            balance.figures[index].standing.note_failure(now);
        }
    }

    /// How many of so many requests each endpoint gets, all of which end before the next one.
    fn shares(balance: &Balance, requests: usize, now: Instant) -> Vec<usize> {
        let mut shares = vec![0; balance.figures.len()];
        for _ in 0..requests {
            shares[balance.choose(0, now).unwrap()] += 1;
        }
        shares
    }

    #[tokio::test]
    async fn one_that_is_out_gets_nothing() {
        let (balance, now) = (balance(3), Instant::now());
        assert_eq!(shares(&balance, 300, now), [100, 100, 100]);
        leave_out(&balance, 1, now);
        let [first, second, third] = shares(&balance, 300, now)[..] else { panic!("three") };
        assert_eq!((second, first + third), (0, 300));
        assert!(first.min(third) >= 100, "{first} and {third}");
    }

    #[tokio::test]
    async fn at_most_half_is_left_out_and_the_one_that_is_back_first_stays() {
        let now = Instant::now();
        for (count, most) in [(2, 1), (3, 1), (4, 2), (64, 32)] {
            let balance = balance(count);
            for index in 0..usize::from(count) {
                // The later ones are out for longer.
                leave_out(&balance, index, now + Duration::from_millis(index as u64));
            }
            let out = balance.left_out(now);
            assert_eq!(out.count_ones(), most, "{count}");
            assert_eq!(out.trailing_zeros(), u32::from(count) - most, "{count}");
            let shares = shares(&balance, 640, now);
            assert!(shares[usize::from(count) - 1] == 0 && shares[0] > 0, "{shares:?}");
        }
    }

    #[tokio::test]
    async fn one_whose_checks_fail_is_left_out_before_others() {
        let (balance, now) = (balance(3), Instant::now());
        leave_out(&balance, 0, now);
        balance.figures[2].standing.set_ill(true, now);
        assert_eq!(balance.left_out(now), 0b100);
        // All of them fail: those that stay are asked all the same.
        balance.figures[1].standing.set_ill(true, now);
        assert_eq!(balance.left_out(now).count_ones(), 1);
        assert!(balance.choose(0, now).is_some());
    }

    #[tokio::test]
    async fn one_that_comes_back_gets_its_share_by_and_by() {
        let (balance, now) = (balance(2), Instant::now());
        leave_out(&balance, 1, now);
        let back = now + Duration::from_secs(1);
        let share = |after| shares(&balance, 400, back + Duration::from_secs_f64(after))[1];
        assert_eq!(shares(&balance, 400, now)[1], 0);
        let shares = [0.0, 1.0, 2.5, 5.0, 8.0, 9.0, 60.0].map(share);
        assert!(shares.is_sorted(), "{shares:?}");
        // A tenth of its turns at first, and all of them in the end.
        assert!((20..=40).contains(&shares[0]), "{shares:?}");
        assert_eq!(shares[6], 200, "{shares:?}");
    }

    #[tokio::test]
    async fn what_was_tried_is_not_chosen_again() {
        let (balance, now) = (balance(3), Instant::now());
        for index in 0..3 {
            leave_out(&balance, index, now);
        }
        let mut tried = 0_u64;
        for _ in 0..3 {
            let index = balance.choose(tried, now).unwrap();
            assert_eq!(tried >> index & 1, 0);
            tried |= 1 << index;
        }
        assert_eq!(balance.choose(tried, now), None);
    }
}
