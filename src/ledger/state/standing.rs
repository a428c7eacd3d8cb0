//! Where a caller stands, as the state tells it.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;

use super::State;
use crate::ledger::{
    AccountId, Limits, QuotaStanding, Standing, Window,
    part::Part,
    rate::Bucket,
    tally::{self, Tally},
    view::View,
};

impl State {
    /// Tells where a caller stands against the view that [`State::advance`] just gave.
    pub(in crate::ledger) fn standing(
        &self,
        limits: &Arc<Limits>,
        view: &View,
        now: Timestamp,
    ) -> Standing {
        let quota = |(window, place): (&Window, &usize)| {
            let account = self.accounts.get(*place);
            account.map_or(QuotaStanding::new(*window), |known| known.standing(*window))
        };
        let rate = |place: &usize| self.part(*place).and_then(|part| part.rate(now));
        Standing {
            limits: Arc::clone(limits),
            quotas: view.windows.iter().zip(&view.accounts).map(quota).collect(),
            rates: view.rates.iter().map(|place| rate(place).unwrap_or_default()).collect(),
            concurrency: view.concurrency.iter().map(|place| self.in_flight_of(*place)).collect(),
            in_flight: self.in_flight(),
            portion: self.portion,
            at: self.latest,
        }
    }

    /// Tells where a caller stands, and makes nothing: these may be limits that no request comes with,
    /// such as those of all keys together. Hence the maps, which keep the lock's time proportional.
    pub(in crate::ledger) fn look(&mut self, limits: &Arc<Limits>, now: Timestamp) -> Standing {
        self.latest = self.latest.max(now);
        self.drop_ended();
        let (latest, portion) = (self.latest, self.portion);
        let identity = |id: &AccountId| (id.scope.clone(), id.quota.clone(), id.window.start);
        let mut accounts: HashMap<_, &mut Tally> =
            self.accounts.iter_mut().map(|account| (identity(&account.id), account)).collect();
        let quotas = tally::ids(limits, latest).map(|id| match accounts.get_mut(&identity(&id)) {
            Some(account) => {
                account.last_until(id.window.end);
                account.standing(id.window)
            }
            None => QuotaStanding::new(id.window),
        });
        let quotas = quotas.collect();
        let mut parts: HashMap<_, &mut Part> =
            self.parts.iter_mut().map(|part| (Arc::clone(&part.scope), part)).collect();
        parts.insert(Arc::default(), &mut self.whole);
        let rates = limits.rates.iter().map(|rate| {
            let own = portion.of_rate(rate.limit);
            match parts.get_mut(&rate.scope) {
                Some(part) => part.look(own, now),
                None => Bucket::new(own, now).standing(now),
            }
        });
        let rates = rates.collect();
        let in_flight = |scope: &str| parts.get(scope).map_or(0, |part| part.in_flight());
        Standing {
            limits: Arc::clone(limits),
            quotas,
            rates,
            concurrency: limits.concurrency.iter().map(|limit| in_flight(&limit.scope)).collect(),
            in_flight: in_flight(""),
            portion,
            at: latest,
        }
    }

    /// Gives how much is taken of the quota of which most is, in millionths, by the limits that requests
    /// came with last.
    pub(in crate::ledger) fn fullest_millionths(&self, now: Timestamp) -> Option<u64> {
        /// A customer's keys may have a thousand views, and the lock is the requests' as well.
        const LOOKED_AT_MAX: usize = 8;
        let latest = self.latest.max(now);
        let views = self.views.iter().take(LOOKED_AT_MAX);
        let views = views.filter(|(_, view)| view.holds_at(latest));
        let quotas = views.flat_map(|(limits, view)| {
            limits.quotas.iter().zip(&view.accounts).zip(&view.set.accounts)
        });
        let taken = quotas.filter_map(|((quota, place), id)| {
            let account = self.accounts.get(*place)?;
            account.standing(id.window).taken_millionths(quota.limit)
        });
        taken.max()
    }
}
