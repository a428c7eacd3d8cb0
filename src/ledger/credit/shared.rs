//! Grants that several nodes draw on: of each a node has a lease, as it has of an account.
//!
//! A price is drawn from what is here of the grants, in their order. A grant of which there is more elsewhere is
//! waited for before the next one pays, so that what expires first is spent first; where its rest cannot be had,
//! because the store or another node is silent, the next one pays all the same.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    Credit, GRANT_SCOPE, Purse, Short,
    pot::{Pot, nanos, units},
};
use crate::{
    ledger::{
        AccountId, CreditStanding, When,
        draw::{Draw, Share},
        lease::{Holder, Lack, Letter},
        state::moment,
    },
    model::{Money, Nanos},
};

/// So long a grant of which nothing was left anywhere, or nothing came, is not waited for again while others pay.
const PASSED: Duration = Duration::from_secs(5);

/// Why a price is not drawn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::ledger) enum Gap {
    /// There is too little.
    Short(Short),
    /// Whether there is enough is not known.
    Lack(Lack),
}

/// What is taken for known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Trust {
    /// What was heard just now.
    Fresh,
    /// That nothing was left of a grant a while ago, or that nothing came.
    Recent,
    /// What is here counts alone.
    Here,
}

/// What a price could be drawn from.
#[derive(Debug)]
struct Plan {
    /// Places of grants, and how much is here of each.
    takes: Vec<(usize, u64)>,
    /// Places of grants, and how much may come of each.
    waits: Vec<(usize, u64)>,
    /// What none of these has.
    missing: u64,
    /// What no grant has, also none of which there is more that does not come.
    beyond: u64,
}

impl Credit {
    /// Takes the price from grants in force, all of it or nothing. Gives what there was before, too.
    pub(in crate::ledger) fn draw_shared(
        &mut self,
        price: Money,
        when: When,
        is_away: bool,
    ) -> Result<(Arc<Draw>, CreditStanding), Gap> {
        let purse = self.0.iter_mut().find(|purse| purse.currency == price.currency);
        let purse = purse.ok_or(Gap::Short(Short::Missing))?;
        let standing = purse.standing(when.now);
        Ok((purse.draw_shared(price.nanos, when, is_away)?, standing))
    }

    /// Writes what is to be said of each grant now; gives when there is more.
    pub(in crate::ledger) fn letters(
        &mut self,
        latest: Timestamp,
        now: Duration,
        letters: &mut Vec<(AccountId, Letter)>,
    ) -> Option<Duration> {
        let mut due = None::<Duration>;
        for purse in &mut self.0 {
            purse.drop_spent();
            purse.grants.retain(|pot| pot.is_shared() || !pot.has_expired(latest));
            for pot in &mut purse.grants {
                let has_expired = pot.has_expired(latest);
                let Pot { grant, lease: Some(holder), .. } = pot else { continue };
                if has_expired {
                    holder.stop();
                }
                if let Some(letter) = holder.letter(units(grant.amount), now) {
                    letters.push((grant.account(), letter));
                }
                due = [due, holder.due(now)].into_iter().flatten().min();
            }
        }
        due
    }

    /// Gives what this node has of a grant.
    pub(in crate::ledger) fn lease_mut(&mut self, account: &AccountId) -> Option<&mut Box<Holder>> {
        if *account.scope != *GRANT_SCOPE {
            return None;
        }
        let mut pots = self.0.iter_mut().flat_map(|purse| &mut purse.grants);
        pots.find(|pot| pot.grant.id == account.quota)?.lease.as_mut()
    }

    /// Lists what this node has of grants.
    pub(in crate::ledger) fn leases(&self) -> impl Iterator<Item = &Holder> {
        self.0.iter().flat_map(|purse| &purse.grants).filter_map(|pot| pot.lease.as_deref())
    }

    /// The same, to be changed.
    pub(in crate::ledger) fn leases_mut(&mut self) -> impl Iterator<Item = &mut Holder> {
        let pots = self.0.iter_mut().flat_map(|purse| &mut purse.grants);
        pots.filter_map(|pot| pot.lease.as_deref_mut())
    }

    /// Asks what others have drawn of grants in force. Tells whether there is something to ask.
    pub(in crate::ledger) fn ask_about(&mut self, now: Timestamp) -> bool {
        let (moment, mut is_asked) = (moment(now), false);
        let pots = self.0.iter_mut().flat_map(|purse| &mut purse.grants);
        for pot in pots.filter(|pot| pot.is_usable(now)) {
            is_asked |= pot.holder(moment).ask_about(moment);
        }
        is_asked
    }
}

impl Purse {
    fn draw_shared(&mut self, price: Nanos, when: When, is_away: bool) -> Result<Arc<Draw>, Gap> {
        let (now, price) = (moment(when.now), units(price));
        let first = self.grants.iter_mut().find(|pot| pot.is_usable(when.now));
        if let Some(pot) = first.filter(|_| self.debt <= Nanos::ZERO)
            && pot.holder(now).left(now) >= price
        {
            return Ok(pot.take(price, now));
        }
        // What is owed is nobody's to spend.
        let all = price.saturating_add(units(self.debt));
        let recent = self.plan(all, when, Trust::Recent);
        if recent.is_complete() {
            return Ok(self.take(&recent, price, now));
        }
        let plan = self.plan(all, when, Trust::Fresh);
        if plan.is_complete() {
            return Ok(self.take(&plan, price, now));
        }
        if plan.beyond > 0 {
            let is_there = price <= units(self.standing(when.now).balance);
            return Err(Gap::Short(if is_there { Short::InFlight } else { Short::Missing }));
        }
        let is_coming = plan.missing == 0 && !is_away;
        if !is_coming {
            let here = self.plan(all, when, Trust::Here);
            if here.is_complete() {
                return Ok(self.take(&here, price, now));
            }
        }
        // Asked for also where nobody waits, so that it is there for the next one.
        for (place, wanted) in plan.waits {
            if let Some(pot) = self.grants.get_mut(place) {
                pot.holder(now).wait(wanted);
            }
        }
        Err(Gap::Lack(if is_coming { Lack::Wait } else { Lack::Unavailable }))
    }

    /// Finds out where a price is. Nothing is taken.
    fn plan(&mut self, price: u64, when: When, trust: Trust) -> Plan {
        let mut plan = Plan { takes: Vec::new(), waits: Vec::new(), missing: price, beyond: price };
        for (place, pot) in self.grants.iter_mut().enumerate() {
            if plan.missing == 0 {
                break;
            }
            if pot.is_usable(when.now) {
                plan.add(place, pot, when, trust);
            }
        }
        plan
    }

    /// Takes a price from where a plan found it, and leaves what that has beyond it.
    fn take(&mut self, plan: &Plan, price: u64, now: Duration) -> Arc<Draw> {
        let (mut left, mut shares) = (price, Vec::new());
        for (place, here) in &plan.takes {
            let Some(pot) = self.grants.get_mut(*place) else { continue };
            let part = left.min(*here);
            if part == price {
                return pot.take(price, now);
            }
            if part > 0 {
                left = left.saturating_sub(part);
                let grant = Arc::clone(&pot.grant.id);
                shares.push(Share { grant, nanos: Some(nanos(part)) });
                pot.take(part, now);
            }
        }
        debug_assert_eq!(left, 0, "the plan is complete");
        Draw::new(self.currency, shares.into_iter().collect())
    }
}

impl Plan {
    fn is_complete(&self) -> bool {
        self.missing == 0 && self.waits.is_empty()
    }

    /// Adds what a grant has of what is missing.
    fn add(&mut self, place: usize, pot: &mut Pot, when: When, trust: Trust) {
        let (arrived, now) = (moment(when.arrived), moment(when.now));
        let is_passed = trust == Trust::Recent && pot.is_passed(self.missing, now);
        let holder = pot.holder(now);
        let here = holder.left(now).min(self.missing);
        let most = match trust {
            Trust::Here => Some(here),
            Trust::Recent if is_passed => Some(here),
            Trust::Recent => holder.most(arrived, now, PASSED),
            Trust::Fresh => holder.most(arrived, now, Duration::ZERO),
        };
        // More than is known to be there is not asked for; what is not known may be all.
        let most = most.unwrap_or(u64::MAX);
        let wanted = most.min(self.missing);
        let lack = (wanted > here).then(|| holder.lack(wanted, arrived, now));
        if lack == Some(Lack::Unavailable) {
            pot.passed_until = Some(now.saturating_add(PASSED));
        }
        let found = if lack == Some(Lack::Wait) {
            self.waits.push((place, wanted));
            wanted
        } else {
            self.takes.extend((here > 0).then_some((place, here)));
            here
        };
        self.beyond = self.beyond.saturating_sub(most);
        self.missing = self.missing.saturating_sub(found);
    }
}

impl Pot {
    /// Tells whether it is passed over by a call that others can pay. Once in a while it is asked about all the same,
    /// which nobody waits for.
    fn is_passed(&mut self, missing: u64, now: Duration) -> bool {
        let Some(until) = self.passed_until else { return false };
        let holder = self.holder(now);
        if holder.left(now) >= missing {
            self.passed_until = None;
            return false;
        }
        if now >= until {
            holder.wait(missing);
            self.passed_until = Some(now.saturating_add(PASSED));
        }
        true
    }

    /// Takes for a call what is here.
    fn take(&mut self, units: u64, now: Duration) -> Arc<Draw> {
        self.hold(nanos(units));
        self.holder(now).take(units, now);
        self.whole()
    }
}
