//! Money and movements: grants, corrections of money, entries, differences.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::record::WindowDocument;
use crate::{
    model::{Currency, Nanos},
    provisioning::CreditAdjustment,
    store::records::{
        Difference, EntryAccount, EntryKind, EntryRecord, GrantRecord, GrantSource, Verified,
    },
};

/// Money that a customer was given.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct GrantDocument {
    /// Its identifier.
    id: String,
    /// The customer.
    customer: String,
    /// How much was given; with nine decimals.
    #[schema(value_type = String)]
    amount: Nanos,
    /// The currency (ISO 4217).
    #[schema(value_type = String)]
    currency: Currency,
    /// What is left of it, without what is charged and not stored yet.
    #[schema(value_type = String)]
    remaining: Nanos,
    /// Lower ones are drawn on first.
    priority: u8,
    /// Where it comes from.
    source: GrantSource,
    /// The first instant at which it may be drawn on.
    effective: Timestamp,
    /// The first instant at which it may no longer be; null for never.
    expires: Option<Timestamp>,
    /// What it is for.
    note: Option<String>,
    /// Who gave it.
    actor: String,
    /// When.
    created_at: Timestamp,
}

impl From<GrantRecord> for GrantDocument {
    fn from(record: GrantRecord) -> Self {
        let GrantRecord {
            id,
            number: _,
            customer,
            currency,
            amount,
            left: remaining,
            priority,
            source,
            effective,
            expires,
            note,
            actor,
            created_at,
        } = record;
        Self {
            id,
            customer,
            amount,
            currency,
            remaining,
            priority,
            source,
            effective,
            expires,
            note,
            actor,
            created_at,
        }
    }
}

/// A correction of a customer's money.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CreditAdjustmentDocument {
    /// Its identifier.
    id: String,
    /// When.
    at: Timestamp,
    /// The customer.
    customer: String,
    /// The currency (ISO 4217).
    #[schema(value_type = String)]
    credit: Currency,
    /// How much was given (positive) or taken (negative).
    #[schema(value_type = String)]
    amount: Nanos,
    /// What the customer has then; below zero for a debt.
    #[schema(value_type = String)]
    balance: Nanos,
    /// Why.
    reason: String,
    /// Who.
    actor: String,
}

impl From<CreditAdjustment> for CreditAdjustmentDocument {
    fn from(made: CreditAdjustment) -> Self {
        let CreditAdjustment { id, at, customer, money, balance, reason, actor } = made;
        let (credit, amount) = (money.currency, money.nanos);
        Self { id, at, customer, credit, amount, balance, reason, actor }
    }
}

/// A movement of an account. Of a quota the amount is what is used more, in units, and the balance what
/// is used then; of money the amount is what there is more, and the balance what there is then.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EntryDocument {
    /// Rising; null for what is not entered yet, since its minute may not be over.
    sequence: Option<u64>,
    /// The minute in which it was entered, or will be counted to.
    at: Timestamp,
    /// What moved it.
    kind: EntryKind,
    /// The quota's account; null for money.
    quota: Option<String>,
    /// Whose quota; left out for the customer as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// The quota's window.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<WindowDocument>,
    /// The currency of money; null for a quota.
    #[schema(value_type = Option<String>)]
    credit: Option<Currency>,
    /// The grant; left out for a quota and for what is owed.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    /// The proof of a payment that came with a request; left out for what is no payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<String>,
    /// The minute in which it was consumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    minute: Option<Timestamp>,
    /// The route over which it was consumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    /// By how many requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    /// Units as a number, money as a text with nine decimals.
    amount: Amount,
    /// Likewise.
    balance: Amount,
    /// What tells more of it: the id of a correction or a grant; of a payment the transaction that it moved with, or
    /// the request that it was spent on.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
}

/// Units or money.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Amount {
    /// Money.
    #[schema(value_type = String)]
    Money(Nanos),
    /// Units.
    Units(i64),
}

impl From<EntryRecord> for EntryDocument {
    fn from(record: EntryRecord) -> Self {
        let EntryRecord {
            number,
            entered,
            account,
            kind,
            minute,
            route,
            requests,
            amount,
            balance,
            reference,
        } = record;
        let is_money = !matches!(account, EntryAccount::Quota { .. });
        let told =
            |value| if is_money { Amount::Money(Nanos(value)) } else { Amount::Units(value) };
        let (amount, balance) = (told(amount), told(balance));
        let base = Self {
            sequence: Some(number).filter(|number| *number > 0),
            at: entered,
            kind,
            quota: None,
            scope: None,
            window: None,
            credit: None,
            grant: None,
            payment: None,
            minute,
            route,
            requests,
            amount,
            balance,
            reference,
        };
        match account {
            EntryAccount::Credit { currency, grant } => {
                Self { credit: Some(currency), grant, ..base }
            }
            EntryAccount::Payment { currency, proof } => {
                Self { credit: Some(currency), payment: Some(proof), ..base }
            }
            EntryAccount::Quota { scope, quota, window } => Self {
                quota: Some(quota),
                scope: Some(scope).filter(|scope| !scope.is_empty()),
                window: Some(window.into()),
                ..base
            },
        }
    }
}

/// What adding up the whole ledger found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VerifiedDocument {
    /// Whether everything is what its entries come to.
    pub(crate) ok: bool,
    /// Accounts that were added up: quotas in their windows, and money by customer and currency.
    accounts: u64,
    /// Grants that were added up.
    grants: u64,
    /// Entries that were read.
    entries: u64,
    /// Things that differ.
    differences: u64,
    /// The first hundred of them.
    first: Vec<DifferenceDocument>,
}

/// Something that is not what its entries come to.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct DifferenceDocument {
    /// The customer; empty where it is not known.
    customer: String,
    /// What differs.
    subject: String,
    /// What its entries come to.
    #[schema(value_type = i64)]
    expected: i128,
    /// What stands there.
    #[schema(value_type = i64)]
    found: i128,
}

impl VerifiedDocument {
    /// Makes it of what was found.
    pub(crate) fn new(found: Verified, first: Vec<Difference>) -> Self {
        let Verified { accounts, grants, entries, differences } = found;
        let told = |difference: Difference| {
            let Difference { customer, subject, expected, found } = difference;
            DifferenceDocument { customer, subject, expected, found }
        };
        let first = first.into_iter().map(told).collect();
        Self { ok: differences == 0, accounts, grants, entries, differences, first }
    }
}
