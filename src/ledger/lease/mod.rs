//! How several nodes count exactly against one limit without asking for each request.
//!
//! The [`Pool`] is an account's side, kept where all nodes find it: it gives each node a *lease*, a ceiling up to
//! which that node may charge. The [`Holder`] is a node's side: it spends from memory up to its ceiling, asks for
//! a higher one before it reaches it, and lowers it where it needs less. Between them [`Letter`]s and [`Reply`]s
//! travel, which may be lost, late, repeated and out of order.
//!
//! What makes that harmless: a node's letters about an account have turns, the next one is written only when the
//! one before is answered, and the pool answers a turn once and for all. So of each node the pool never knows a
//! lower ceiling than the node has, and no clock has a part in never giving out too much: a lease that ends
//! unreported counts as used, and only its own node's word, or its journal's, brings the units back.
//!
//! Blocks of units with numbers of their own were considered. A ceiling is one number for each node and account: the
//! journal need not say of which block a charge was, the pool has one row for each node, and what comes again
//! is told by its turn alone.

mod holder;
mod pace;
mod pool;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::{
    holder::{Holder, Lack},
    pool::{Forfeit, NotEnded, Pool, SHARE},
};

/// How long a lease may be spent, and how long behind the last word of a node the pool waits before it takes the
/// node's lease for lost.
pub const LASTS: Duration = Duration::from_secs(60);

/// How old what is said of others may be where somebody wants to know it, and how old what the pool knows of an account
/// gets of which little is free. A little less than a second, which is what is promised.
pub const RECENT: Duration = Duration::from_millis(900);

/// All that a node says of one account at one moment; it is acted on whole, or not at all.
///
/// Everything is counted since the node's process began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Letter {
    /// Counts a process's letters of this account, from 1. What is asked again has the turn that it had.
    pub turn: u64,
    /// The account's limit, as the node knows it.
    pub limit: u64,
    /// Units charged.
    pub spent: u64,
    /// Units held by requests in flight.
    pub held: u64,
    /// Up to where the node may go without an answer: never above what it was granted.
    pub ceiling: u64,
    /// What is asked for on top.
    pub ask: Option<Ask>,
    /// Somebody wants to know what others did: those that said nothing for a while are told to.
    pub is_question: bool,
}

/// More that is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ask {
    /// With less than this nothing can be done: the cost of a request.
    pub least: u64,
    /// How much would be of use.
    pub wanted: u64,
    /// A request waits for it, so others are to give back what they do not need.
    pub is_waited_for: bool,
}

/// What the pool answers to a letter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reply {
    /// Of the letter.
    pub turn: u64,
    /// By how much the ceiling that the letter said is raised.
    pub granted: u64,
    /// How long the lease may be spent from now on. The holder counts from before it asked.
    pub lasts: Duration,
    /// What there is behind it.
    pub rest: Rest,
    /// It was a question, and others that may have done something since were told to say so: it is to be asked again.
    pub is_behind: bool,
}

/// What an account has besides what the node itself may spend.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rest {
    /// Free for whoever asks.
    pub free: u64,
    /// At other nodes, for whoever comes there. They give it back when they are told that somebody waits.
    pub left: u64,
    /// Charged by others, or before any node counted here; with what is forfeited.
    pub used: u64,
    /// Held by requests in flight on other nodes.
    pub held: u64,
    /// Counts as used because the node that had it is silent.
    pub forfeited: u64,
}

impl Rest {
    /// Tells whether it would be enough if others gave back what they have left, so that they are to be asked.
    pub fn is_enough(&self, cost: u64) -> bool {
        self.free.saturating_add(self.left) >= cost
    }
}
