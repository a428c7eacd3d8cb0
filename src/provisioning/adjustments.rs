//! Corrections of what was used.

use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Change, Effect, Rejection,
    credits::{AMOUNT_MAX, AmountInput},
    valid::Errors,
};
use crate::{
    ledger::{AccountId, Quota, QuotaStanding, UNITS_MAX},
    model::{Currency, Money, MoneyError, Nanos},
    store::records::{AccountKey, AdjustmentRecord, EntryKind, new_id},
};

/// A correction of a quota's count, or of a customer's money.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustmentInput {
    /// The quota's name; or else `credit`.
    pub quota: Option<String>,
    /// The currency of the money to correct, such as "USD"; `true` where the customer has but one.
    #[schema(value_type = Option<String>)]
    pub credit: Option<CreditChoice>,
    /// Whose quota: nothing for the customer's, `application/NAME` or `key/ID` for another.
    #[serde(default)]
    pub scope: String,
    /// Units or money to give to the customer (positive), or to charge (negative).
    #[schema(value_type = String)]
    pub amount: AmountInput,
    /// Why; it is entered with the correction.
    pub reason: String,
}

/// Which money is corrected.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum CreditChoice {
    /// The only one that there is.
    Only(bool),
    /// That of a currency.
    Currency(String),
}

/// A correction that was made.
#[derive(Clone, Debug)]
pub enum Adjusted {
    /// Of money.
    Credit(CreditAdjustment),
    /// Of a quota.
    Quota(AdjustmentRecord),
}

/// A correction of a customer's money.
#[derive(Clone, Debug)]
pub struct CreditAdjustment {
    /// Its identifier, `adj_…`.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// The customer.
    pub customer: String,
    /// How much was given (positive) or taken (negative).
    pub money: Money,
    /// What the customer has then.
    pub balance: Nanos,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
}

impl Change<'_> {
    /// Corrects what a customer, declared or stored, has used of a quota in its window, or the money
    /// that it has.
    pub fn adjust(
        &mut self,
        customer: &str,
        input: AdjustmentInput,
    ) -> Result<Adjusted, Rejection> {
        let AdjustmentInput { quota, credit, scope, amount, reason } = input;
        let mut errors = Errors::default();
        errors.text("reason", &reason);
        errors.finish()?;
        let amount = amount.text();
        match (quota, credit) {
            (Some(quota), None) => {
                let made = self.adjust_quota(customer, (&scope, &quota), &amount, reason)?;
                Ok(Adjusted::Quota(made))
            }
            (None, Some(credit)) => {
                let made = self.adjust_credit(customer, &credit, &amount, reason)?;
                Ok(Adjusted::Credit(made))
            }
            _ => Err(Rejection::field("quota", "write either `quota` or `credit`")),
        }
    }

    fn adjust_credit(
        &mut self,
        customer: &str,
        credit: &CreditChoice,
        amount: &str,
        reason: String,
    ) -> Result<CreditAdjustment, Rejection> {
        self.check_customer(customer)?;
        let (amount, of_amount) = match amount.split_once(' ') {
            Some((amount, currency)) => (amount, Some(currency)),
            None => (amount, None),
        };
        let currency = self.currency(customer, credit, of_amount)?;
        let nanos = amount.parse::<Nanos>();
        let nanos = nanos.map_err(|error| Rejection::field("amount", error.to_string()))?;
        if nanos == Nanos::ZERO || nanos.0.unsigned_abs() > AMOUNT_MAX.0.unsigned_abs() {
            let message = format!("an amount that is not zero, at most {AMOUNT_MAX}");
            return Err(Rejection::field("amount", message));
        }
        let (id, money) = (new_id("adj", self.now), Money { nanos, currency });
        let balance = self.correct_credit(customer, money, (&id, &reason))?;
        let (at, actor) = (self.now, self.actor.to_owned());
        let customer = customer.to_owned();
        Ok(CreditAdjustment { id, at, customer, money, balance, reason, actor })
    }

    /// Decides which money is meant.
    fn currency(
        &self,
        customer: &str,
        credit: &CreditChoice,
        of_amount: Option<&str>,
    ) -> Result<Currency, Rejection> {
        let code = match credit {
            CreditChoice::Currency(code) => Some(code.as_str()),
            CreditChoice::Only(_) => of_amount,
        };
        if let Some(code) = code {
            return code
                .parse()
                .map_err(|error: MoneyError| Rejection::field("credit", error.to_string()));
        }
        let has = self.gateway.ledger().customer(customer).credit(self.now);
        match &has[..] {
            [only] => Ok(only.currency),
            [] => {
                Err(Rejection::field("credit", "the customer has no money yet; name its currency"))
            }
            _ => Err(Rejection::field("credit", "the customer has several currencies; name one")),
        }
    }

    fn adjust_quota(
        &mut self,
        customer: &str,
        (scope, quota): (&str, &str),
        amount: &str,
        reason: String,
    ) -> Result<AdjustmentRecord, Rejection> {
        let amount = amount.parse::<i64>().ok();
        let is_possible = |amount: &i64| *amount != 0 && amount.unsigned_abs() <= UNITS_MAX;
        let Some(amount) = amount.filter(is_possible) else {
            let message =
                format!("from 1 to {UNITS_MAX} units to give back, less than 0 to charge");
            return Err(Rejection::field("amount", message));
        };
        let (quota, QuotaStanding { used, window, .. }) =
            self.find_quota(customer, scope, quota)?;
        let (scope, name) = (quota.scope.to_string(), quota.name.to_string());
        let account = AccountId { scope: quota.scope, quota: quota.account, window };
        let used = self.gateway.corrections().used(customer, &account, used);
        let after = i128::from(used) - i128::from(amount);
        let Ok(after) = u64::try_from(after) else {
            let message = format!(
                "{used} units are used in this window, so at most that many can be given back; to \
                 give more raise the limit"
            );
            return Err(Rejection::field("amount", message));
        };
        let id = new_id("adj", self.now);
        self.correct(customer, account, amount, (EntryKind::Corrected, Some(&id)))?;
        let entry = AdjustmentRecord {
            id,
            at: self.now,
            customer: customer.to_owned(),
            scope,
            quota: name,
            window,
            amount,
            used: after,
            reason,
            actor: self.actor.to_owned(),
        };
        self.records.append_adjustment(&entry)?;
        let told = serde_json::json!({ "quota": entry.quota, "scope": entry.scope, "used": after,
            "amount": amount, "reason": entry.reason, "id": entry.id });
        let before = serde_json::json!({ "used": used });
        self.audit("quota.adjust", Some(customer), &entry.quota, Some(&before), Some(&told))?;
        Ok(entry)
    }

    /// Gives units back, or charges them if they are negative, in the store and then in memory: the
    /// same number in both, whatever of the journal the store does not have yet.
    pub(super) fn correct(
        &mut self,
        customer: &str,
        account: AccountId,
        units: i64,
        why: (EntryKind, Option<&str>),
    ) -> Result<(), Rejection> {
        let AccountId { scope, quota, window } = &account;
        let key = AccountKey { customer, scope, quota, window: *window };
        self.records.add_used(self.now, &key, units.saturating_neg(), why)?;
        let correction = self.gateway.corrections().begin(customer, account, units);
        self.applied.effects.push(Effect::Adjust(correction));
        Ok(())
    }

    /// Finds a quota and where it stands, as memory has it: the store is some of a second behind.
    fn find_quota(
        &self,
        customer: &str,
        scope: &str,
        name: &str,
    ) -> Result<(Quota, QuotaStanding), Rejection> {
        let lookup = self.gateway.lookup(&self.snapshot, self.now);
        let limits = lookup
            .all_limits(customer)
            .ok_or_else(|| Rejection::not_found("customer", customer))?;
        let standing = self.gateway.ledger().customer(customer).standing(&limits, self.now);
        let in_scope = limits.quotas.iter().zip(&standing.quotas);
        let in_scope = in_scope.filter(|(quota, _)| *quota.scope == *scope);
        if let Some((quota, standing)) = in_scope.clone().find(|(q, _)| *q.name == *name) {
            return Ok((quota.clone(), *standing));
        }
        let names: Vec<&str> = in_scope.map(|(quota, _)| &*quota.name).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(Rejection::field("quota", format!("there is no such quota; there is: {known}")))
    }
}
