//! What the other processes that share a store learn of a change, and what one of them does with it.

use super::{Effect, credits::grant_of, load};
use crate::{
    gateway::Gateway,
    ledger::{AccountId, Window},
    model::{Nanos, SubscriptionTerms},
    store::{
        instant,
        records::{Announcement, ApplicationRecord, CustomerRecord, GrantRecord},
    },
};

impl Effect {
    /// Gives what others are to learn; `None` where it is this process's alone.
    pub(super) fn announcement(&self, gateway: &Gateway) -> Option<Announcement> {
        Some(match self {
            Self::Adjust(correction) => {
                let account = &correction.account;
                Announcement::Adjusted {
                    customer: correction.customer.to_string(),
                    scope: account.scope.to_string(),
                    quota: account.quota.to_string(),
                    start: account.window.start.as_millisecond(),
                    end: account.window.end.map(|end| end.as_millisecond()),
                    units: correction.units,
                }
            }
            Self::Enforce(_) => Announcement::Enforcement,
            Self::Grant { customer, .. } => Announcement::Customer { id: customer.clone() },
            // A level is in the file's words again after a start, and when a grant ends everybody knows.
            Self::Level(_) | Self::TakeFromGrant { .. } => return None,
            Self::Owe { customer, currency, nanos } => Announcement::Owed {
                customer: customer.clone(),
                currency: *currency,
                nanos: nanos.0,
            },
            Self::PutCustomer { terms, .. } => Announcement::Customer { id: terms.id.to_string() },
            Self::PutKey(key) => Announcement::Customer { id: key.customer.to_string() },
            Self::RemoveCustomer(id) => {
                let name = gateway.ledger().name_of(id).to_string();
                Announcement::Removed { id: id.clone(), name }
            }
            Self::Repay(repayment) => {
                let (customer, currency, nanos) = repayment.what();
                if nanos == Nanos::ZERO {
                    return None;
                }
                let nanos = nanos.0.saturating_neg();
                Announcement::Owed { customer, currency, nanos }
            }
        })
    }

    /// Gives whose entry in the tables of customers and keys it changes; empty for a setting.
    pub(super) fn changes(&self) -> Option<&str> {
        match self {
            Self::Enforce(_) => Some(""),
            Self::PutCustomer { terms, .. } => Some(&terms.id),
            Self::PutKey(key) => Some(&key.customer),
            Self::RemoveCustomer(id) => Some(id),
            Self::Adjust(_)
            | Self::Grant { .. }
            | Self::Level(_)
            | Self::Owe { .. }
            | Self::Repay(_)
            | Self::TakeFromGrant { .. } => None,
        }
    }
}

/// Brings what another process changed of counts and debts into memory, once.
pub(crate) fn learn_numbers(gateway: &Gateway, change: &Announcement) {
    let ledger = gateway.ledger();
    match change {
        Announcement::Adjusted { customer, scope, quota, start, end, units } => {
            let window = Window { start: instant(*start), end: end.map(instant) };
            let account =
                AccountId { scope: scope.as_str().into(), quota: quota.as_str().into(), window };
            ledger.customer(customer).adjust(&account, *units);
        }
        Announcement::Indebted { customer, currency, nanos }
        | Announcement::Owed { customer, currency, nanos } => {
            ledger.customer(customer).owe(*currency, Nanos(*nanos));
        }
        Announcement::Customer { .. }
        | Announcement::Enforcement
        | Announcement::Removed { .. } => {}
    }
}

/// Puts what is stored of a customer into memory.
pub(crate) fn learn_customer(
    gateway: &Gateway,
    customer: CustomerRecord,
    subscription: Option<SubscriptionTerms>,
    applications: Vec<ApplicationRecord>,
) {
    let has_webhook = customer.has_webhook();
    let terms = load::terms(customer, subscription, applications);
    Effect::PutCustomer { terms, has_webhook }.apply(gateway);
}

/// Puts a stored grant into memory. It may be known already.
pub(crate) fn learn_grant(gateway: &Gateway, grant: &GrantRecord) {
    gateway.ledger().customer(&grant.customer).grant(&grant_of(grant), grant.left);
}

/// Lets nobody call for a customer that is stored no more.
pub(crate) fn learn_absence(gateway: &Gateway, id: &str) {
    gateway.notifications().set_own(id, false);
    gateway.live().remove_customer(id);
}

/// Takes a customer out of memory that was removed under this name.
pub(crate) fn learn_removal(gateway: &Gateway, id: &str, name: &str) {
    learn_absence(gateway, id);
    gateway.ledger().forget(name);
}
