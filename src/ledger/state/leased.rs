//! Accounts that several nodes share: what stands in a lease here, and what is said of it.

use std::{
    cmp::Ordering::{Equal, Greater, Less},
    mem,
    sync::Arc,
    task::Waker,
    time::Duration,
};

use jiff::Timestamp;

use super::State;
use crate::ledger::{
    AccountId, Lacking, Limits, Quota, Standing, Violation, When,
    credit::Credit,
    lease::{Holder, Lack, Letter, Reply},
    tally::Tally,
    view::View,
};

/// What a customer has besides whose accounts are shared.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Leased {
    /// When whoever carries letters looks at it next; zero where it is listed.
    looks_at: Option<Duration>,
    /// Counts what was heard, so that nobody waits for what has come.
    heard: u64,
    waiters: Vec<Waker>,
}

/// Gives the time as leases count it.
pub(in crate::ledger) fn moment(at: Timestamp) -> Duration {
    Duration::try_from(at.as_duration()).unwrap_or_default()
}

impl State {
    /// Tells what the leases of a view lack for a request, if it fits everything else: the limits that it
    /// does not fit, or that this is not known. Nothing is taken.
    pub(in crate::ledger) fn lacks(
        &mut self,
        limits: &Limits,
        view: &View,
        cost: u64,
        when: When,
    ) -> (Vec<Violation>, Option<Lack>) {
        let (arrived, now) = (moment(when.arrived), moment(when.now));
        let (mut violations, mut lack) = (Vec::new(), None);
        for (index, (quota, place)) in limits.quotas.iter().zip(&view.accounts).enumerate() {
            let Some(tally) = self.accounts.get_mut(*place) else { continue };
            let before = mem::replace(&mut tally.limit, quota.units_max());
            let holder = tally.holder(now);
            match quota.units_max().cmp(&before) {
                Less => holder.lower(),
                Equal => {}
                Greater => holder.correct(|used| used),
            }
            if holder.fits(cost, now) {
                continue;
            }
            if quota.units_max() < cost {
                violations.push(Violation::QuotaTooSmall(index));
                continue;
            }
            match holder.lack(cost, arrived, now) {
                Lack::UsedUp => violations.push(Standing::used_up(index, quota)),
                Lack::Unavailable => lack = Some(Lack::Unavailable),
                Lack::Wait => lack = lack.or(Some(Lack::Wait)),
            }
        }
        (violations, lack)
    }

    /// Notes that a request of this cost waits for the leases of a view.
    pub(in crate::ledger) fn wait(&mut self, view: &View, cost: u64, now: Timestamp) {
        let now = moment(now);
        for place in &view.accounts {
            let Some(tally) = self.accounts.get_mut(*place) else { continue };
            let holder = tally.holder(now);
            if !holder.fits(cost, now) {
                holder.wait(cost);
            }
        }
    }

    /// Asks what others have used of the accounts that limits mean. Tells whether there is something to ask.
    pub(in crate::ledger) fn ask_about(
        &mut self,
        customer: &Arc<str>,
        limits: &Arc<Limits>,
        now: Timestamp,
    ) -> bool {
        let view = self.advance(customer, limits, now);
        let mut is_asked = false;
        for (quota, place) in limits.quotas.iter().zip(&view.accounts) {
            if let Some(tally) = self.accounts.get_mut(*place) {
                tally.limit = quota.units_max();
                is_asked |= tally.holder(moment(now)).ask_about(moment(now));
            }
        }
        self.credit.as_mut().is_some_and(|credit| credit.ask_about(now)) || is_asked
    }

    /// Tells whether it is to be listed, now that something was taken, settled or asked for by this view: there is
    /// something to say earlier than it is looked at. Then it counts as listed.
    pub(in crate::ledger) fn is_to_be_listed(&mut self, view: &View, now: Duration) -> bool {
        let Some(leased) = &mut self.leased else { return false };
        let looks_at = leased.looks_at.unwrap_or(Duration::MAX);
        let tallies = view.accounts.iter().filter_map(|place| self.accounts.get(*place));
        let leases = tallies.filter_map(|tally| tally.lease.as_deref());
        let mut dues = leases.chain(of_grants(&self.credit)).filter_map(|lease| lease.due(now));
        let is_soon = dues.any(|due| due < looks_at);
        if is_soon {
            leased.looks_at = Some(Duration::ZERO);
        }
        is_soon
    }

    /// The same at the latest time that was seen.
    pub(in crate::ledger) fn is_to_be_listed_now(&mut self, view: &View) -> bool {
        self.is_to_be_listed(view, moment(self.latest))
    }

    /// Tells whether it is to be listed at once; then it counts as listed.
    pub(in crate::ledger) fn is_to_be_listed_at_once(&mut self) -> bool {
        let Some(leased) = &mut self.leased else { return false };
        leased.looks_at.replace(Duration::ZERO) != Some(Duration::ZERO)
    }

    /// Gives what is to be said of each account now, and when there is more.
    pub(in crate::ledger) fn letters(
        &mut self,
        now: Timestamp,
    ) -> (Vec<(AccountId, Letter)>, Option<Duration>) {
        self.latest = self.latest.max(now);
        let (latest, now) = (self.latest, moment(now));
        let (mut letters, mut due) = (Vec::new(), None::<Duration>);
        for tally in self.accounts.iter_mut() {
            let Tally { id, limit, lease: Some(holder), .. } = tally else { continue };
            if id.window.end.is_some_and(|end| end <= latest) {
                holder.stop();
            }
            if let Some(letter) = holder.letter(*limit, now) {
                letters.push((id.clone(), letter));
            }
            due = [due, holder.due(now)].into_iter().flatten().min();
        }
        if let Some(credit) = &mut self.credit {
            let due_of_grants = credit.letters(latest, now, &mut letters);
            due = [due, due_of_grants].into_iter().flatten().min();
        }
        if let Some(leased) = &mut self.leased {
            leased.looks_at = due.map(|due| due.max(Duration::from_nanos(1)));
        }
        self.drop_ended();
        (letters, due)
    }

    /// Tells whether letters are due at a time that [`State::letters`] gave: it may have been asked since.
    pub(in crate::ledger) fn is_looked_at(&self, at: Duration) -> bool {
        let looks_at = self.leased.as_ref().and_then(|leased| leased.looks_at);
        looks_at.is_some_and(|looks_at| looks_at <= at)
    }

    /// Acts on a reply, and gives those who wait for one.
    pub(in crate::ledger) fn receive(
        &mut self,
        account: &AccountId,
        reply: &Reply,
        now: Timestamp,
    ) -> Vec<Waker> {
        if let Some(holder) = self.lease_mut(account) {
            holder.receive(reply, moment(now));
        }
        self.hear()
    }

    /// Gives back what nobody holds of an account, since somebody waits for it elsewhere.
    pub(in crate::ledger) fn recall(&mut self, account: &AccountId, now: Timestamp) {
        if let Some(holder) = self.lease_mut(account) {
            holder.recall(moment(now));
        }
    }

    /// Says what is used of an account here, since somebody wants to know it elsewhere.
    pub(in crate::ledger) fn report(&mut self, account: &AccountId, now: Timestamp) {
        if let Some(holder) = self.lease_mut(account) {
            holder.report(moment(now));
        }
    }

    /// Stops all leases: the node ends, or is not listened to any more.
    pub(in crate::ledger) fn stop_leases(&mut self) -> Vec<Waker> {
        let leases = self.accounts.iter_mut().filter_map(|tally| tally.lease.as_deref_mut());
        let of_grants = self.credit.iter_mut().flat_map(|credit| credit.leases_mut());
        leases.chain(of_grants).for_each(Holder::stop);
        self.hear()
    }

    /// Lets a request wait until something was heard since a count of that; gives `false` where it was.
    pub(in crate::ledger) fn wake_later(&mut self, since: u64, waker: &Waker) -> bool {
        let Some(leased) = self.leased.as_mut().filter(|leased| leased.heard == since) else {
            return false;
        };
        if !leased.waiters.iter().any(|known| known.will_wake(waker)) {
            leased.waiters.push(waker.clone());
        }
        true
    }

    /// Tells what a request does about a lack: nobody is waited for who is away.
    pub(in crate::ledger) fn lacking(&self, lack: Lack, is_away: bool) -> Lacking {
        match lack {
            Lack::Wait if !is_away => Lacking::Wait { heard: self.heard() },
            Lack::Wait | Lack::Unavailable | Lack::UsedUp => Lacking::Unavailable,
        }
    }

    /// Counts what was heard.
    pub(in crate::ledger) fn heard(&self) -> u64 {
        self.leased.as_ref().map_or(0, |leased| leased.heard)
    }

    fn hear(&mut self) -> Vec<Waker> {
        let Some(leased) = &mut self.leased else { return Vec::new() };
        leased.heard = leased.heard.wrapping_add(1);
        mem::take(&mut leased.waiters)
    }

    fn lease_mut(&mut self, account: &AccountId) -> Option<&mut Box<Holder>> {
        if let Some(place) = self.accounts.position(|tally| tally.id.is(account)) {
            return self.accounts.get_mut(place)?.lease.as_mut();
        }
        self.credit.as_mut()?.lease_mut(account)
    }
}

fn of_grants(credit: &Option<Box<Credit>>) -> impl Iterator<Item = &Holder> {
    credit.iter().flat_map(|credit| credit.leases())
}

impl Standing {
    fn used_up(index: usize, quota: &Quota) -> Violation {
        match quota.overage.as_ref().and_then(|overage| overage.cap()) {
            Some(_) => Violation::SpendCap(index),
            None => Violation::Quota(index),
        }
    }
}
