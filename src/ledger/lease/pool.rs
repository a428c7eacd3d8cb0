//! An account's side: what is used of it, and what each node has of it.
//!
//! Invariant: `base + sum(out) + free = limit`, where a node's `out` is the higher of its ceiling and what it
//! charged and holds; except while more is out than a limit that was lowered, or a debt, leaves room for: then
//! nothing is free.

use std::{collections::BTreeMap, time::Duration};

use super::{Ask, LASTS, Letter, RECENT, Reply, Rest};

/// A lease takes one in so many of the units that are free, at most, so that several nodes find some.
pub const SHARE: u64 = 4;

/// One account, as all nodes share it. Nodes are told apart by a number of theirs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pool {
    /// What is charged for good, and belongs to no lease; below zero where more was given back than that.
    base: i64,
    leases: BTreeMap<u128, Lease>,
}

/// What is known of one node's process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Lease {
    turn: u64,
    spent: u64,
    held: u64,
    ceiling: u64,
    /// To the letter of this turn.
    granted: u64,
    ends: Duration,
    /// It ended without a word, so that what was out counts as used.
    is_forfeited: bool,
}

/// Units of a lease that count as used because its node said nothing until its end.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Forfeit {
    /// The node.
    pub node: u128,
    /// How much it may have charged beyond what it said.
    pub units: u64,
}

/// A node has a lease that may still be spent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the node has leases that have not ended")]
pub struct NotEnded;

impl Pool {
    /// Begins with what was used already.
    pub fn new(used: u64) -> Self {
        Self { base: 0_i64.saturating_add_unsigned(used), leases: BTreeMap::new() }
    }

    /// Acts on a letter of a node's latest process; one that is older than what was heard is not answered.
    pub fn receive(&mut self, node: u128, letter: &Letter, now: Duration) -> Option<Reply> {
        let Letter { turn, limit, spent, held, ceiling, ask, is_question } = *letter;
        let lease = self.leases.entry(node).or_default();
        if turn < lease.turn {
            return None;
        }
        (lease.ends, lease.is_forfeited) = (now.saturating_add(LASTS), false);
        if turn > lease.turn {
            (lease.turn, lease.spent, lease.held, lease.ceiling) = (turn, spent, held, ceiling);
            let portion = ask.map_or(0, |ask| portion(&ask, self.free(limit)));
            if let Some(lease) = self.leases.get_mut(&node) {
                // A debt is no part of it, or what is given would go into that.
                let raised =
                    if portion > 0 { lease.out().saturating_add(portion) } else { ceiling };
                lease.granted = raised.saturating_sub(ceiling);
                lease.ceiling = raised;
            }
        }
        let granted = self.leases.get(&node).map_or(0, |lease| lease.granted);
        let is_behind = is_question && self.is_behind(node, now);
        Some(Reply { turn, granted, lasts: LASTS, rest: self.rest(node, limit), is_behind })
    }

    /// Takes leases for lost whose end has come, since their nodes said nothing of them for so long. What was out
    /// counts as used from here on.
    pub fn expire(&mut self, now: Duration) -> Vec<Forfeit> {
        let mut forfeited = Vec::new();
        for (node, lease) in &mut self.leases {
            if lease.unspent() > 0 && !lease.is_forfeited && lease.ends <= now {
                lease.is_forfeited = true;
                forfeited.push(Forfeit { node: *node, units: lease.unspent() });
            }
        }
        forfeited
    }

    /// Ends what a node's process that is gone had, which charged so much by the node's journal. Gives the units
    /// that had counted as used and were not.
    pub fn recover(&mut self, node: u128, spent: u64) -> u64 {
        // What is in the journal is charged, also where nobody knows of a lease.
        let lease = self.leases.remove(&node).unwrap_or_default();
        self.base = self.base.saturating_add_unsigned(spent);
        if lease.is_forfeited { lease.out().saturating_sub(spent) } else { 0 }
    }

    /// Ends what a node has for good, so that all of it counts as used. Gives how much that is beyond what the
    /// node had said. It must not be heard any more.
    pub fn forget(&mut self, node: u128) -> Result<u64, NotEnded> {
        let Some(lease) = self.leases.get(&node).copied() else { return Ok(0) };
        if lease.unspent() > 0 && !lease.is_forfeited {
            return Err(NotEnded);
        }
        self.leases.remove(&node);
        self.base = self.base.saturating_add_unsigned(lease.out());
        Ok(lease.unspent())
    }

    /// Corrects what is used.
    pub fn adjust(&mut self, used: i64) {
        self.base = self.base.saturating_add(used);
    }

    /// Gives what is charged, as far as nodes have said so, without what is forfeited.
    pub fn used(&self) -> u64 {
        let leases = self.leases.values();
        let spent = leases.fold(0_u64, |sum, lease| sum.saturating_add(lease.spent));
        spent.saturating_add_signed(self.base)
    }

    /// Gives what is held by requests in flight, left at nodes, and forfeited.
    pub fn out(&self) -> (u64, u64, u64) {
        let rest = self.sums(|_| true);
        (rest.held, rest.left, rest.forfeited)
    }

    /// Gives what may be leased.
    pub fn free(&self, limit: u64) -> u64 {
        let leases = self.leases.values();
        let out = leases.fold(0_u64, |sum, lease| sum.saturating_add(lease.out()));
        limit.saturating_sub(out.saturating_add_signed(self.base))
    }

    /// Tells whether others may have done something that they have not said for a while.
    fn is_behind(&self, node: u128, now: Duration) -> bool {
        let others = self.leases.iter().filter(|(other, _)| **other != node);
        let mut living = others.map(|(_, lease)| lease).filter(|lease| !lease.is_forfeited);
        living.any(|lease| {
            lease.unspent() > 0 && lease.ends.saturating_add(RECENT) <= now.saturating_add(LASTS)
        })
    }

    fn rest(&self, node: u128, limit: u64) -> Rest {
        let others = self.sums(|other| other != node);
        let used = others.used.saturating_add(others.forfeited).saturating_add_signed(self.base);
        Rest { free: self.free(limit), used, ..others }
    }

    fn sums(&self, counts: impl Fn(u128) -> bool) -> Rest {
        let leases = self.leases.iter().filter(|(node, _)| counts(**node));
        leases.fold(Rest::default(), |mut sums, (_, lease)| {
            sums.used = sums.used.saturating_add(lease.spent);
            if lease.is_forfeited {
                sums.forfeited = sums.forfeited.saturating_add(lease.unspent());
            } else {
                sums.held = sums.held.saturating_add(lease.held);
                sums.left = sums.left.saturating_add(lease.unspent().saturating_sub(lease.held));
            }
            sums
        })
    }
}

#[cfg(test)]
impl Pool {
    /// Gives what is charged, which corrections may have brought below zero.
    pub(crate) fn charged(&self) -> i64 {
        self.leases.values().fold(self.base, |sum, lease| sum.saturating_add_unsigned(lease.spent))
    }

    /// Gives what is taken for left at a node.
    pub(crate) fn left_of(&self, node: u128) -> u64 {
        self.leases.get(&node).map_or(0, |lease| lease.unspent().saturating_sub(lease.held))
    }

    /// Gives what is charged of a node's lease as far as is known here, and what is out.
    pub(crate) fn lease(&self, node: u128) -> Option<(u64, u64)> {
        self.leases.get(&node).map(|lease| (lease.spent, lease.out()))
    }
}

impl Lease {
    /// All that may be charged by it.
    fn out(&self) -> u64 {
        self.ceiling.max(self.spent.saturating_add(self.held))
    }

    /// What may be charged beyond what was said.
    fn unspent(&self) -> u64 {
        self.out().saturating_sub(self.spent)
    }
}

/// How much is given of what is free: a share of it, but not less than is of use, and near the end whole costs.
fn portion(ask: &Ask, free: u64) -> u64 {
    let least = ask.least.max(1);
    if free < least {
        return 0;
    }
    let most = least.max(free / SHARE);
    if ask.wanted <= most {
        return ask.wanted.max(least);
    }
    let costs = most.checked_div(least).unwrap_or(0);
    costs.saturating_mul(least)
}
