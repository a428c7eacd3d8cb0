//! A customer: who pays, and the owner of keys, subscription and limits.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    ledger::Limits,
    model::{Money, OwnLimits, Subscription, SubscriptionTerms},
};

/// What is known of a customer, declared in the file or stored; what decides, nothing else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CustomerTerms {
    /// The identifier under which usage is kept; it never changes.
    pub id: Arc<str>,
    /// An operator's stop for reasons that payment does not cure.
    pub suspended: bool,
    /// What was bought; `None` when nothing was.
    pub subscription: Option<Box<SubscriptionTerms>>,
    /// Limits that replace the plan's.
    pub limits: Option<Box<OwnLimits>>,
    /// The most that its quotas may cost in one window beyond their limits; `None` for no ceiling of its
    /// own. Boxed, as most have none.
    pub spend_cap: Option<Box<Money>>,
    /// Applications with limits of their own, which come in addition.
    pub applications: Vec<(Arc<str>, OwnLimits)>,
}

/// A customer with everything that decides about its requests.
#[derive(Debug)]
pub struct Customer {
    /// The identifier under which usage is kept; it never changes.
    pub id: Arc<str>,
    /// An operator's stop for reasons that payment does not cure.
    pub suspended: bool,
    /// What was bought; `None` when nothing was.
    pub subscription: Option<Subscription>,
    /// The limits in force: the customer's own where given, else the plan's.
    pub limits: Arc<Limits>,
    /// What it was made of.
    pub terms: Arc<CustomerTerms>,
    /// Of which configuration the plan is.
    pub generation: u64,
    /// The first instant at which a date in the terms makes it another; `None` for never.
    pub until: Option<Timestamp>,
}

impl Customer {
    /// Tells whether it is still what its terms mean, if they are the same.
    pub fn is_current(&self, generation: u64, now: Timestamp) -> bool {
        self.generation == generation && self.until.is_none_or(|until| now < until)
    }
}
