//! Money: grants, and corrections of what there is.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use serde::Deserialize;
use utoipa::ToSchema;

use super::{Change, Effect, InputDate, Rejection, valid::Errors};
use crate::{
    ledger::{Accounts, Grant, id_of},
    model::{Currency, Money, Nanos},
    store::records::{GrantRecord, GrantSource, SharedLeft, new_id},
};

/// The most that one grant gives: a billion of the currency's unit.
pub(super) const AMOUNT_MAX: Nanos = Nanos(1_000_000_000_000_000_000);

/// The most that a customer has of a currency, so that no sum leaves the range.
const BALANCE_MAX: Nanos = Nanos(i64::MAX / 2);

/// The priority of a grant that states none: presents are drawn on before what was paid for.
const PRIORITY_PROMOTIONAL: u8 = 50;
const PRIORITY_PAID: u8 = 100;

/// Money for a customer.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantInput {
    /// How much, such as "12.50"; or with its currency, "12.50 USD".
    #[schema(value_type = String)]
    pub amount: AmountInput,
    /// The currency (ISO 4217), such as "USD".
    pub currency: Option<String>,
    /// The first instant at which it may no longer be drawn on; default: never.
    #[schema(value_type = Option<InputDate>)]
    pub expires: Option<InputDate>,
    /// The first instant at which it may be; default: now.
    #[schema(value_type = Option<InputDate>)]
    pub effective: Option<InputDate>,
    /// Lower ones are drawn on first, then what expires first, then what was granted first; default: 50
    /// for a present, else 100.
    pub priority: Option<u8>,
    /// Where it comes from: `paid` (the default) or `promotional`.
    #[serde(default)]
    pub source: GrantSource,
    /// What it is for.
    pub note: Option<String>,
}

/// An amount as it is given: a text, or a number as JSON has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum AmountInput {
    /// A number, read by its digits.
    Number(serde_json::Number),
    /// A text.
    Text(String),
}

impl AmountInput {
    /// Gives what was written.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            // A correction's sign.
            Self::Text(text) => text.strip_prefix('+').unwrap_or(text).to_owned(),
        }
    }
}

impl Change<'_> {
    /// Gives money to a customer, declared or stored.
    pub fn grant(&mut self, customer: &str, input: GrantInput) -> Result<GrantRecord, Rejection> {
        let GrantInput { amount, currency, expires, effective, priority, source, note } = input;
        self.check_customer(customer)?;
        let mut errors = Errors::default();
        let money = money(&amount.text(), currency.as_deref(), &mut errors);
        let effective = effective.map_or(self.now, |date| date.0);
        let expires = expires.map(|date| date.0);
        if expires.is_some_and(|expires| expires <= self.now.max(effective)) {
            errors.add("expires", "this is over before it begins, or now");
        }
        if source == GrantSource::Correction {
            errors.add("source", "write `paid` or `promotional`; corrections are adjustments");
        }
        if let Some(note) = &note {
            errors.text("note", note);
        }
        errors.finish()?;
        let money = money.ok_or_else(|| Rejection::field("amount", "no amount"))?;
        let by_source = match source {
            GrantSource::Promotional => PRIORITY_PROMOTIONAL,
            GrantSource::Correction | GrantSource::Paid => PRIORITY_PAID,
        };
        let priority = priority.unwrap_or(by_source);
        let made = Made { money, priority, source, effective, expires, note };
        let made = self.put_grant(customer, made)?;
        let told = serde_json::json!({ "id": made.id, "amount": made.amount,
            "currency": made.currency, "expires": made.expires, "source": made.source });
        self.audit("credit.grant", Some(customer), &made.id, None::<&()>, Some(&told))?;
        Ok(made)
    }

    /// Corrects a customer's money: more of it is a grant without end, less is owed. Gives the balance.
    pub(super) fn correct_credit(
        &mut self,
        customer: &str,
        money: Money,
        (id, reason): (&str, &str),
    ) -> Result<Nanos, Rejection> {
        let Money { nanos, currency } = money;
        let before = self.balance(customer, currency);
        if nanos > Nanos::ZERO {
            let (priority, source, effective) = (PRIORITY_PAID, GrantSource::Correction, self.now);
            let note = Some(reason.to_owned());
            let made = Made { money, priority, source, effective, expires: None, note };
            self.put_grant(customer, made)?;
        } else {
            let owed = Nanos(nanos.0.saturating_neg());
            self.records.owe(self.now, customer, currency, owed, id)?;
            let customer = customer.to_owned();
            self.applied.effects.push(Effect::Owe { customer, currency, nanos: owed });
        }
        let after = before.saturating_add(nanos);
        let told = serde_json::json!({ "currency": currency, "balance": after, "amount": nanos,
            "reason": reason, "id": id });
        let before = serde_json::json!({ "balance": before });
        let subject = currency.as_str();
        self.audit("credit.adjust", Some(customer), subject, Some(&before), Some(&told))?;
        Ok(after)
    }

    /// Takes from grants that have ended what is left of them, up to `max`; tells whether that was all.
    pub fn expire_grants(&mut self, max: usize) -> Result<bool, Rejection> {
        let ended = self.records.ended_grants(self.now, max)?;
        let (found, mut expired) = (ended.len(), 0_usize);
        for grant in ended {
            let left = self.left_of_ended(&grant)?.filter(|left| *left != Nanos::ZERO);
            // Of some it is not known yet, and of some not in the store.
            let Some(left) = left else { continue };
            expired = expired.saturating_add(1);
            let repayment = self.repayment(&grant.customer, grant.currency, left)?;
            let repays = repayment.as_ref().map_or(Nanos::ZERO, Repayment::nanos);
            self.records.expire_grant(self.now, &grant, left, repays)?;
            let GrantRecord { id, customer, currency, .. } = grant;
            self.applied.effects.push(Effect::TakeFromGrant {
                customer,
                currency,
                id,
                nanos: left,
            });
            self.applied.effects.extend(repayment.map(Effect::Repay));
        }
        Ok(found < max || expired == 0)
    }

    /// Gives what is left of a grant that has ended; `None` while calls hold some of it, on any node.
    fn left_of_ended(&mut self, grant: &GrantRecord) -> Result<Option<Nanos>, Rejection> {
        Ok(match self.records.shared_left(grant)? {
            Some(SharedLeft::Out) => None,
            Some(SharedLeft::Left(left)) => Some(left),
            None => match self.gateway.ledger().find(&grant.customer) {
                // As memory has it, since the store is behind.
                Some(accounts) => accounts.left_unheld(&grant.id),
                // It was the money of a customer who is gone.
                None => Some(grant.left),
            },
        })
    }

    /// Promises what a customer owes, so much at most; `None` for one who is gone.
    fn repayment(
        &mut self,
        customer: &str,
        currency: Currency,
        most: Nanos,
    ) -> Result<Option<Repayment>, Rejection> {
        let Some(accounts) = self.gateway.ledger().find(customer) else { return Ok(None) };
        // What another node repays at this moment is owed by memory still.
        let owed = self.records.owed_shared(customer, currency)?;
        let most = owed.map_or(most, |owed| owed.min(most));
        Ok(Some(Repayment::promise(accounts, currency, most)))
    }

    /// Refuses a customer that is not there.
    pub(super) fn check_customer(&self, customer: &str) -> Result<(), Rejection> {
        let lookup = self.gateway.lookup(&self.snapshot, self.now);
        let limits = lookup.all_limits(customer);
        limits.map(|_| ()).ok_or_else(|| Rejection::not_found("customer", customer))
    }

    fn put_grant(&mut self, customer: &str, made: Made) -> Result<GrantRecord, Rejection> {
        let Made { money, priority, source, effective, expires, note } = made;
        let Money { nanos, currency } = money;
        let has = self.gateway.ledger().customer(customer).grants().into_iter();
        let has = has.filter(|(grant, _)| grant.currency == currency).map(|(_, left)| left);
        if has.sum::<Nanos>().saturating_add(nanos) > BALANCE_MAX {
            let message = format!("at most {BALANCE_MAX} may be left of all grants together");
            return Err(Rejection::field("amount", message));
        }
        let repayment = self.repayment(customer, currency, nanos)?;
        let repays = repayment.as_ref().map_or(Nanos::ZERO, Repayment::nanos);
        let left = nanos.saturating_sub(repays);
        let mut record = GrantRecord {
            id: new_id("grant", self.now),
            number: 0,
            customer: customer.to_owned(),
            currency,
            amount: nanos,
            left,
            priority,
            source,
            effective,
            expires,
            note,
            actor: self.actor.to_owned(),
            created_at: self.now,
        };
        record.number = self.records.put_grant(&record, repays)?;
        let (grant, customer) = (grant_of(&record), customer.to_owned());
        self.applied.effects.push(Effect::Grant { customer, grant, left });
        self.applied.effects.extend(repayment.map(Effect::Repay));
        Ok(record)
    }

    fn balance(&self, customer: &str, currency: Currency) -> Nanos {
        let standings = self.gateway.ledger().customer(customer).credit(self.now);
        let found = standings.into_iter().find(|standing| standing.currency == currency);
        found.map_or(Nanos::ZERO, |standing| standing.balance)
    }
}

/// What a grant pays of what its customer owes. It is promised until memory is told: changes that share a
/// transaction decide by the same memory, and each would pay the same debt.
#[derive(Debug)]
pub struct Repayment {
    accounts: Arc<Accounts>,
    currency: Currency,
    /// Nothing once it is paid.
    nanos: AtomicI64,
}

impl Repayment {
    /// Promises what is owed and not promised yet, so much at most.
    fn promise(accounts: Arc<Accounts>, currency: Currency, most: Nanos) -> Self {
        let nanos = accounts.promise(currency, most).0.into();
        Self { accounts, currency, nanos }
    }

    fn nanos(&self) -> Nanos {
        Nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// Gives whose debt it pays, and how much of that.
    pub(super) fn what(&self) -> (String, Currency, Nanos) {
        (id_of(self.accounts.id()).to_owned(), self.currency, self.nanos())
    }

    /// Lets memory know of it.
    pub(super) fn pay(&self) {
        let nanos = self.nanos.swap(0, Ordering::Relaxed);
        self.accounts.repay(self.currency, Nanos(nanos));
    }
}

/// What was not committed is not paid.
impl Drop for Repayment {
    fn drop(&mut self) {
        let nanos = *self.nanos.get_mut();
        if nanos != 0 {
            self.accounts.withdraw(self.currency, Nanos(nanos));
        }
    }
}

/// A grant that is about to be.
struct Made {
    money: Money,
    priority: u8,
    source: GrantSource,
    effective: jiff::Timestamp,
    expires: Option<jiff::Timestamp>,
    note: Option<String>,
}

/// Gives what the ledger knows of a grant.
pub fn grant_of(record: &GrantRecord) -> Grant {
    let GrantRecord { id, number, currency, amount, priority, effective, expires, .. } = record;
    let (number, currency, priority) = (*number, *currency, *priority);
    Grant {
        id: Arc::from(&**id),
        number,
        currency,
        amount: *amount,
        priority,
        effective: *effective,
        expires: *expires,
    }
}

/// Reads an amount that is more than nothing.
fn money(text: &str, currency: Option<&str>, errors: &mut Errors) -> Option<Money> {
    let (amount, of_amount) = match text.split_once(' ') {
        Some((amount, currency)) => (amount, Some(currency)),
        None => (text, None),
    };
    let code = match (currency, of_amount) {
        (Some(one), Some(other)) if one != other => {
            errors.add("currency", "the amount is in another currency");
            return None;
        }
        (one, other) => one.or(other),
    };
    let Some(code) = code else {
        errors.add("currency", "required: three capital letters, such as \"USD\"");
        return None;
    };
    let currency = code.parse().map_err(|error: crate::model::MoneyError| {
        errors.add("currency", error.to_string());
    });
    let nanos: Result<Nanos, _> = amount.parse();
    match nanos {
        Err(error) => errors.add("amount", error.to_string()),
        Ok(nanos) if nanos <= Nanos::ZERO => errors.add("amount", "more than nothing"),
        Ok(nanos) if nanos > AMOUNT_MAX => errors.add("amount", format!("at most {AMOUNT_MAX}")),
        Ok(nanos) => return currency.ok().map(|currency| Money { nanos, currency }),
    }
    None
}
