//! The usage document: what a customer has used, may still use, and when it renews.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ledger::{Accounts, CreditStanding, Level, Limits, Overage, Quota, QuotaStanding},
    model::{Currency, Customer, Money, Nanos},
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
    /// Units that are left; what goes on beyond the limit is not among them.
    remaining: u64,
    /// What goes on beyond the limit; left out where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    overage: Option<OverageUsage>,
    /// The window that they are counted in.
    window: WindowOfUsage,
}

/// Units beyond a quota's limit, and what they cost.
#[derive(Debug, Serialize, ToSchema)]
struct OverageUsage {
    /// What one unit costs.
    #[schema(value_type = String, examples("0.001000000"))]
    price: Nanos,
    /// The currency of all amounts here.
    #[schema(value_type = String, examples("USD"))]
    currency: Currency,
    /// Units charged beyond the limit.
    units: u64,
    /// What they cost.
    #[schema(value_type = String, examples("1.200000000"))]
    amount: Nanos,
    /// The customer's ceiling to the amount in one window; null without one.
    #[schema(value_type = Option<String>, examples("50.000000000"))]
    spend_cap: Option<Nanos>,
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

/// Has what other nodes did brought up to date, where there are any; for so long is it waited for at most.
pub async fn refresh(limits: &Arc<Limits>, accounts: &Arc<Accounts>, now: Timestamp) {
    const PATIENCE: Duration = Duration::from_millis(500);
    let asked = async {
        // Until all of it is known: those whose word is old are told to say what they did.
        while let Some(heard) = accounts.inquire(limits, now) {
            accounts.hearing(heard).await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, asked).await;
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
            forfeited: state.forfeited,
            remaining: state.remaining(quota.limit),
            overage: quota
                .overage
                .as_deref()
                .map(|overage| OverageUsage::new(overage, state.beyond(quota.limit))),
            window: WindowOfUsage { start: state.window.start, end: state.window.end },
        }
    }
}

impl OverageUsage {
    fn new(overage: &Overage, units: u64) -> Self {
        let Money { nanos: price, currency } = overage.price();
        Self { price, currency, units, amount: overage.amount(units), spend_cap: overage.cap() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ledger::{WindowKind, WindowSpec};

    fn written(scope: &str, used: u64, reserved: u64) -> serde_json::Value {
        with_overage(scope, used, reserved, None)
    }

    fn with_overage(
        scope: &str,
        used: u64,
        reserved: u64,
        overage: Option<Overage>,
    ) -> serde_json::Value {
        let spec = WindowSpec::new(WindowKind::Lifetime);
        let window = spec.window_at(Timestamp::UNIX_EPOCH);
        let (name, account) = (Arc::from("calls"), Arc::from("earlier"));
        let (scope, overage) = (Arc::from(scope), overage.map(Box::new));
        let quota = Quota { scope, name, account, limit: 5, overage, window: spec };
        let state = QuotaStanding { used, reserved, forfeited: 0, window };
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

    #[test]
    fn overage_is_told_with_what_it_costs() {
        assert_eq!(written("", 9, 0).get("overage"), None);
        let price = "0.001 USD".parse().unwrap();
        let cap = Some("50 USD".parse().unwrap());
        for (used, cap, units, amount, told) in [
            (3, cap, 0, "0.000000000", json!("50.000000000")),
            (12, None, 7, "0.007000000", json!(null)),
            (u64::MAX, None, u64::MAX - 5, "9223372036.854775807", json!(null)),
        ] {
            let quota = with_overage("", used, 1, Some(Overage::new(price, cap)));
            let expected = json!({
                "price": "0.001000000", "currency": "USD",
                "units": units, "amount": amount, "spend_cap": told,
            });
            assert_eq!(quota["overage"], expected);
            assert_eq!(quota["used"], used);
        }
    }
}
