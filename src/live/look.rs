//! Which quotas are near their end: those of the busiest customers, and of all others those of which little
//! is left.
//!
//! There may be a million customers. So the others are looked at a part at a time, with a pause after each,
//! and only as the ledger knows them: what their last requests were measured against. What is found
//! there is then measured anew by the limits in force, which may be others.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::Quota;
use crate::{
    gateway::Gateway,
    ledger::{self, Accounts, Ledger, QuotaStanding},
};

/// How much time passes from one look at a part of the customers to the next.
const PAUSE: Duration = Duration::from_secs(3);

/// How many customers are a part.
const PART: usize = 100_000;

/// From how much on a quota is near its end, in millionths.
const NEAR: u64 = 800_000;

/// What is used up, in millionths.
const WHOLE: u64 = 1_000_000;

/// How many customers are kept in mind whose quotas are near their end, and as many with one that is
/// used up: these would otherwise take all places.
const KEPT_MAX: usize = 50;

/// How many quotas are told of one customer.
const QUOTAS_MAX: usize = 3;

/// How many keys of a customer are looked at for quotas of their own.
const KEYS_MAX: usize = 100;

/// What is kept from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Look {
    last: Option<Instant>,
    /// Where the next part begins.
    next: usize,
    /// Who has a quota near its end, as far as the last looks have found.
    near: Vec<Arc<str>>,
}

impl Look {
    /// Gives the quotas near their end; of customers who are busy, the fullest in any case.
    pub(super) fn quotas<'a>(
        &mut self,
        gateway: &Gateway,
        busy: impl Iterator<Item = &'a Arc<str>>,
        now: Timestamp,
    ) -> Vec<Quota> {
        if self.last.is_none_or(|last| last.elapsed() >= PAUSE) {
            self.look(gateway.ledger(), PART, now);
            self.last = Some(Instant::now());
        }
        let busy: HashSet<&Arc<str>> = busy.collect();
        let mut found: Vec<(u64, Quota)> = Vec::new();
        for id in &busy {
            found.extend(fullest(gateway, id, now));
        }
        for id in self.near.iter().filter(|id| !busy.contains(id)) {
            found.extend(fullest(gateway, id, now).into_iter().filter(|(taken, _)| *taken >= NEAR));
        }
        let order = |taken: u64| (taken >= WHOLE, std::cmp::Reverse(taken));
        found.sort_unstable_by(|(a, left), (b, right)| {
            let name = |quota: &Quota| (quota.customer.clone(), quota.quota.clone());
            order(*a).cmp(&order(*b)).then_with(|| name(left).cmp(&name(right)))
        });
        found.into_iter().map(|(_, quota)| quota).collect()
    }

    /// Looks at the next so many of all customers, and again at those that were found before.
    fn look(&mut self, ledger: &Ledger, size: usize, now: Timestamp) {
        let part = ledger.some(self.next, size);
        self.next = if part.len() < size { 0 } else { self.next.saturating_add(size) };
        let known: Vec<Arc<Accounts>> = self.near.iter().filter_map(|id| ledger.find(id)).collect();
        let (mut near, mut over) = (Vec::new(), Vec::new());
        for accounts in part.iter().chain(&known) {
            match accounts.fullest_millionths(now) {
                Some(taken @ NEAR..WHOLE) => near.push((taken, accounts)),
                Some(taken @ WHOLE..) => over.push((taken, accounts)),
                Some(_) | None => {}
            }
        }
        let found = [near, over].into_iter().flat_map(first).collect();
        self.near = found;
    }
}

/// Gives the ids of those with the most.
fn first(mut found: Vec<(u64, &Arc<Accounts>)>) -> Vec<Arc<str>> {
    // By name where they are equal: who was found before may be in the part again, and is one then.
    found
        .sort_unstable_by(|(a, left), (b, right)| b.cmp(a).then_with(|| left.id().cmp(right.id())));
    found.dedup_by(|(_, a), (_, b)| Arc::ptr_eq(a, b));
    let first = found.into_iter().take(KEPT_MAX);
    first.map(|(_, accounts)| ledger::id_of(accounts.id()).into()).collect()
}

/// Gives the fullest quotas of a customer by the limits in force, and how much is taken of each.
fn fullest(gateway: &Gateway, id: &str, now: Timestamp) -> Vec<(u64, Quota)> {
    let snapshot = gateway.snapshot();
    let limits = gateway.lookup(&snapshot, now).limits_with_keys(id, KEYS_MAX);
    let Some((limits, accounts)) = limits.zip(gateway.ledger().find(id)) else {
        return Vec::new();
    };
    let standing = accounts.standing(&limits, now);
    let told = limits.quotas.iter().zip(&standing.quotas).filter_map(|(quota, standing)| {
        let QuotaStanding { used, reserved, window, .. } = *standing;
        let told = Quota {
            customer: id.to_owned(),
            quota: quota.name.to_string(),
            scope: Some(quota.scope.to_string()).filter(|scope| !scope.is_empty()),
            limit: quota.limit,
            used,
            reserved,
            remaining: standing.remaining(quota.limit),
            renews_at: window.end,
        };
        Some((standing.taken_millionths(quota.limit)?, told))
    });
    let mut told: Vec<_> = told.collect();
    told.sort_by_key(|(taken, _)| std::cmp::Reverse(*taken));
    told.truncate(QUOTAS_MAX);
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Limits, Quota as Limit, WindowKind, WindowSpec};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn limits() -> Arc<Limits> {
        let (scope, name) = (Arc::default(), Arc::from("daily"));
        let window = WindowSpec::new(WindowKind::Day);
        let account = Arc::clone(&name);
        let quota = Limit { scope, account, name, limit: 100, overage: None, window };
        Arc::new(Limits { quotas: vec![quota], ..Limits::default() })
    }

    fn take(ledger: &Ledger, limits: &Arc<Limits>, customer: usize, units: u64) {
        let accounts = ledger.customer(&format!("c{customer}"));
        accounts.reserve(limits, units, NOW).unwrap().settle(units);
    }

    fn found(look: &Look) -> Vec<&str> {
        let mut found: Vec<&str> = look.near.iter().map(|id| &**id).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn all_are_looked_at_part_after_part_and_what_was_found_is_kept() {
        let (ledger, limits) = (Ledger::new(NOW), limits());
        for customer in 0..35 {
            take(&ledger, &limits, customer, 79);
        }
        for (customer, units) in [(3, 1), (17, 21), (29, 2)] {
            take(&ledger, &limits, customer, units);
        }
        let mut look = Look::default();
        for next in [10, 20, 30, 0] {
            look.look(&ledger, 10, NOW);
            assert_eq!(look.next, next);
        }
        assert_eq!(found(&look), ["c17", "c29", "c3"]);
        // The next round goes on with those, and drops who is not near the end any more.
        look.look(&ledger, 10, NOW);
        assert_eq!(found(&look), ["c17", "c29", "c3"]);
        ledger.remove("c17");
        look.look(&ledger, 10, "1970-01-01T12:00:00Z".parse().unwrap());
        assert_eq!(found(&look), ["c29", "c3"]);
        look.look(&ledger, 10, "1970-01-02T00:00:00Z".parse().unwrap());
        assert!(look.near.is_empty(), "a new day: {look:?}");
    }

    #[test]
    fn those_that_are_used_up_leave_places_for_those_that_are_not() {
        let (ledger, limits) = (Ledger::new(NOW), limits());
        for customer in 0..10_000 {
            take(&ledger, &limits, customer, if customer % 100 == 0 { 99 } else { 100 });
        }
        let mut look = Look::default();
        look.look(&ledger, PART, NOW);
        assert_eq!(look.near.len(), 2 * KEPT_MAX);
        let is_left = |id: &&Arc<str>| id[1..].parse::<usize>().unwrap() % 100 == 0;
        assert_eq!(look.near.iter().filter(is_left).count(), KEPT_MAX);
        // What was found is met again in the part, and counts once.
        look.look(&ledger, PART, NOW);
        let ids: HashSet<_> = look.near.iter().collect();
        assert_eq!(ids.len(), 2 * KEPT_MAX);
    }
}
