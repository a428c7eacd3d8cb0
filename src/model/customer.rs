//! A customer: who pays, and the owner of keys, subscription and limits.

use std::sync::Arc;

use crate::{ledger::Limits, model::Subscription};

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
}
