//! One grant: what is left of it, and what calls in flight hold.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::Grant;
use crate::{
    ledger::{
        draw::{Draw, Share},
        lease::Holder,
        tally::first_turn,
    },
    model::Nanos,
};

/// What is left of a grant.
#[derive(Debug)]
pub(super) struct Pot {
    pub(super) grant: Grant,
    /// With what is held. Where there is a lease, that knows.
    left: Nanos,
    /// By requests of this node.
    held: Nanos,
    /// Until when a grant is passed over whose rest did not come when it was waited for.
    pub(super) passed_until: Option<Duration>,
    /// What this node has of a grant that others draw on as well.
    pub(super) lease: Option<Box<Holder>>,
    /// What calls draw on that this grant pays alone: the same for each of them.
    whole: Option<Arc<Draw>>,
}

impl Pot {
    pub(super) fn new(grant: Grant, left: Nanos) -> Self {
        let held = Nanos::ZERO;
        Self { grant, left, held, passed_until: None, lease: None, whole: None }
    }

    pub(super) fn is_usable(&self, now: Timestamp) -> bool {
        self.grant.effective <= now && !self.has_expired(now)
    }

    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.grant.expires.is_some_and(|end| end <= now)
    }

    /// Gives what is not charged on any node, as far as that is known here.
    pub(super) fn left(&self) -> Nanos {
        match &self.lease {
            Some(lease) => {
                let used = lease.spent().saturating_add(lease.rest().used);
                self.grant.amount.saturating_sub(nanos(used))
            }
            None => self.left,
        }
    }

    /// Gives what calls in flight hold on any node, as far as that is known here.
    pub(super) fn held(&self) -> Nanos {
        let elsewhere = self.lease.as_ref().map_or(0, |lease| lease.rest().held);
        self.held.saturating_add(nanos(elsewhere))
    }

    /// Gives what may be held where nobody else draws on it.
    pub(super) fn free(&self) -> Nanos {
        self.left.saturating_sub(self.held).max(Nanos::ZERO)
    }

    /// Gives the lease, a new one where there is none.
    pub(super) fn holder(&mut self, now: Duration) -> &mut Holder {
        let used = units(self.grant.amount.saturating_sub(self.left));
        self.lease.get_or_insert_with(|| Box::new(Holder::new(used, first_turn(now))))
    }

    /// Holds what is free for a call.
    pub(super) fn hold(&mut self, nanos: Nanos) {
        self.held = self.held.saturating_add(nanos);
    }

    /// Ends what a call held.
    pub(super) fn give_back(&mut self, nanos: Nanos) {
        debug_assert!(self.held >= nanos, "more is given back than was held");
        self.held = self.held.saturating_sub(nanos).max(Nanos::ZERO);
        if let Some(lease) = &mut self.lease {
            lease.settle(units(nanos), 0);
        }
    }

    /// Takes for good what a call held until now.
    pub(super) fn charge(&mut self, nanos: Nanos) {
        match &mut self.lease {
            Some(lease) => lease.settle(0, units(nanos)),
            None => self.left = self.left.saturating_sub(nanos),
        }
    }

    /// Adds to what is left.
    pub(super) fn add(&mut self, nanos: Nanos) {
        match &mut self.lease {
            Some(lease) => lease.correct(|used| used.saturating_sub(units(nanos))),
            None => self.left = self.left.saturating_add(nanos),
        }
    }

    /// Takes away what no call holds.
    pub(super) fn take_away(&mut self, nanos: Nanos) {
        match &mut self.lease {
            Some(lease) => lease.correct(|used| used.saturating_add(units(nanos))),
            None => self.left = self.left.saturating_sub(nanos).max(self.held),
        }
    }

    /// Tells whether nothing can come of it any more, on any node.
    pub(super) fn is_spent(&self) -> bool {
        let Some(lease) = &self.lease else {
            return self.left <= Nanos::ZERO && self.held <= Nanos::ZERO;
        };
        // What is forfeited may come back.
        let used = lease.spent().saturating_add(lease.rest().used);
        let is_used = used.saturating_sub(lease.rest().forfeited) >= units(self.grant.amount);
        lease.is_over() || (is_used && lease.has_said_all())
    }

    /// Tells whether this node said something of it to others.
    pub(super) fn is_shared(&self) -> bool {
        self.lease.is_some()
    }

    pub(super) fn whole(&mut self) -> Arc<Draw> {
        let Grant { id, currency, .. } = &self.grant;
        let make = || {
            let share = Share { grant: Arc::clone(id), nanos: None };
            Draw::new(*currency, [share].into_iter().collect())
        };
        Arc::clone(self.whole.get_or_insert_with(make))
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.held >= Nanos::ZERO, "less than nothing is held of a grant");
        assert!(self.is_shared() || self.held <= self.left, "more is held of a grant than is left");
        if let Some(lease) = &self.lease {
            assert_eq!(lease.held(), units(self.held), "what is held is what the lease has");
        }
    }
}

/// Gives an amount as leases count it; nothing for what is below.
pub(super) fn units(nanos: Nanos) -> u64 {
    u64::try_from(nanos.0).unwrap_or(0)
}

/// Gives what leases count as an amount.
pub(super) fn nanos(units: u64) -> Nanos {
    Nanos(i64::try_from(units).unwrap_or(i64::MAX))
}
