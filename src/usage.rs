//! The usage document: what a customer has used, may still use, and when it renews.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ledger::{Accounts, CreditStanding, Level, Limits, Quota, QuotaStanding},
    model::{Currency, Customer, Nanos},
};

/// What a customer has used and may still use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
pub struct Document {
    /// The customer.
    #[schema(value_type = String)]
    customer: Arc<str>,
    /// The plan that it holds.
    #[schema(value_type = Option<String>)]
    plan: Option<Arc<str>>,
    /// The subscription's state; `none` without one.
    status: &'static str,
    /// Allowances, each with what is left of it.
    quotas: Vec<QuotaUsage>,
    /// The customer's own; those of applications and keys stand in the fields of their answers.
    rate: Option<RateLimit>,
    /// Money, by currency.
    credits: Vec<Balance>,
}

#[derive(Debug, Serialize, ToSchema)]
struct QuotaUsage {
    /// The quota's name.
    #[schema(value_type = String)]
    name: Arc<str>,
    /// Left out for the customer as a whole.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, required = false)]
    scope: Arc<str>,
    /// What its units are.
    meter: &'static str,
    /// Units in each window.
    limit: u64,
    /// Units charged.
    used: u64,
    /// Units held by requests in flight.
    reserved: u64,
    /// Units, part of those used, that a dead node held.
    forfeited: u64,
    /// Units that are left.
    remaining: u64,
    /// The window that they are counted in.
    window: WindowOfUsage,
}

#[derive(Debug, Serialize, ToSchema)]
struct WindowOfUsage {
    /// The first instant in it.
    start: Timestamp,
    /// The first instant after it; null for one without end.
    end: Option<Timestamp>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Balance {
    /// The currency (ISO 4217).
    #[schema(value_type = String)]
    currency: Currency,
    /// What is left of grants in force, less what is owed; with nine decimals.
    #[schema(value_type = String)]
    balance: Nanos,
    /// What calls in flight hold of it.
    #[schema(value_type = String)]
    reserved: Nanos,
}

#[derive(Debug, Serialize, ToSchema)]
struct RateLimit {
    /// Requests per window.
    limit: u64,
    /// The window, in seconds.
    #[schema(value_type = f64)]
    window_seconds: serde_json::Number,
}

/// Writes whole seconds without a fraction, as most windows are.
pub(crate) fn seconds(duration: Duration) -> serde_json::Number {
    let fraction = serde_json::Number::from_f64(duration.as_secs_f64());
    match fraction.filter(|_| duration.subsec_nanos() > 0) {
        Some(fraction) => fraction,
        None => duration.as_secs().into(),
    }
}

/// Makes the document of a customer, about these limits: those of one key's requests, or all that the
/// customer has. It takes nothing from the accounts.
pub fn document(
    customer: &Customer,
    limits: &Arc<Limits>,
    accounts: &Accounts,
    now: Timestamp,
) -> Document {
    let standing = accounts.standing(limits, now);
    let rate = limits.rates.iter().find(|rate| rate.level() == Level::Customer);
    let held = customer.subscription.as_ref();
    Document {
        customer: Arc::clone(&customer.id),
        plan: held.map(|held| Arc::clone(&held.plan.id)),
        status: held.map_or("none", |held| held.status.name()),
        quotas: limits.quotas.iter().zip(&standing.quotas).map(QuotaUsage::new).collect(),
        rate: rate.map(|rate| RateLimit {
            limit: rate.limit.limit,
            window_seconds: seconds(rate.limit.window),
        }),
        credits: accounts.credit(now).into_iter().map(Balance::from).collect(),
    }
}

impl From<CreditStanding> for Balance {
    fn from(standing: CreditStanding) -> Self {
        let CreditStanding { currency, balance, reserved } = standing;
        Self { currency, balance, reserved }
    }
}

impl QuotaUsage {
    fn new((quota, state): (&Quota, &QuotaStanding)) -> Self {
        Self {
            name: Arc::clone(&quota.name),
            scope: Arc::clone(&quota.scope),
            meter: "requests",
            limit: quota.limit,
            used: state.used,
            reserved: state.reserved,
            forfeited: 0,
            remaining: state.remaining(quota.limit),
            window: WindowOfUsage { start: state.window.start, end: state.window.end },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{WindowKind, WindowSpec};

    fn written(scope: &str, used: u64, reserved: u64) -> serde_json::Value {
        let spec = WindowSpec::new(WindowKind::Lifetime);
        let window = spec.window_at(Timestamp::UNIX_EPOCH);
        let (name, account) = (Arc::from("calls"), Arc::from("earlier"));
        let quota = Quota { scope: Arc::from(scope), name, account, limit: 5, window: spec };
        let state = QuotaStanding { used, reserved, window };
        serde_json::to_value(QuotaUsage::new((&quota, &state))).unwrap()
    }

    #[test]
    fn a_scope_is_told_only_of_a_part() {
        let whole = written("", 1, 2);
        assert_eq!((whole.get("scope"), &whole["name"]), (None, &"calls".into()));
        assert_eq!(written("application/mobile", 1, 2)["scope"], "application/mobile");
    }

    #[test]
    fn what_remains_is_never_negative() {
        for (used, reserved, remaining) in [(0, 0, 5), (1, 2, 2), (5, 0, 0), (9, 0, 0), (4, 3, 0)] {
            assert_eq!(written("", used, reserved)["remaining"], remaining);
        }
    }
}
