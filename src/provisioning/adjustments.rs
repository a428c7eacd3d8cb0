//! Corrections of what was used.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{Change, Effect, Rejection, valid::Errors};
use crate::{
    ledger::{AccountId, Quota, QuotaStanding, UNITS_MAX},
    store::records::{AccountKey, AdjustmentRecord, new_id},
};

/// A correction of a quota's count.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustmentInput {
    /// The quota's name.
    pub quota: String,
    /// Whose quota: nothing for the customer's, `application/NAME` or `key/ID` for another.
    #[serde(default)]
    pub scope: String,
    /// Units to give back to the customer (positive), or to charge (negative).
    pub amount: i64,
    /// Why; it is entered with the correction.
    pub reason: String,
}

impl Change<'_> {
    /// Corrects what a customer, declared or stored, has used of a quota in its window.
    pub fn adjust(
        &mut self,
        customer: &str,
        input: AdjustmentInput,
    ) -> Result<AdjustmentRecord, Rejection> {
        let AdjustmentInput { quota, scope, amount, reason } = input;
        let mut errors = Errors::default();
        errors.text("reason", &reason);
        if amount == 0 || amount.unsigned_abs() > UNITS_MAX {
            let message =
                format!("from 1 to {UNITS_MAX} units to give back, less than 0 to charge");
            errors.add("amount", message);
        }
        errors.finish()?;
        let (quota, QuotaStanding { used, window, .. }) =
            self.find_quota(customer, &scope, &quota)?;
        let (scope, name) = (quota.scope.to_string(), quota.name.to_string());
        let account = AccountId { scope: quota.scope, quota: quota.account, window };
        let after = i128::from(used) - i128::from(amount);
        let Ok(after) = u64::try_from(after) else {
            let message = format!(
                "{used} units are used in this window, so at most that many can be given back; to \
                 give more raise the limit"
            );
            return Err(Rejection::field("amount", message));
        };
        self.correct(customer, account, amount)?;
        let entry = AdjustmentRecord {
            id: new_id("adj", self.now),
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
    ) -> Result<(), Rejection> {
        let AccountId { scope, quota, window } = &account;
        let key = AccountKey { customer, scope, quota, window: *window };
        self.records.add_used(&key, units.saturating_neg())?;
        let customer = customer.to_owned();
        self.applied.effects.push(Effect::Adjust { customer, account, units });
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
