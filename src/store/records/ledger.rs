//! Money that customers have, and the ledger: every movement of an account.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ledger::{GRANT_SCOPE, Window},
    model::{Currency, Nanos},
    store::records::AccountKey,
};

/// Money that a customer was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GrantRecord {
    /// Its identifier, `grant_…`.
    pub id: String,
    /// Rises with each grant; the store gives it.
    pub number: u64,
    /// The owner's customer id.
    pub customer: String,
    /// What the money is.
    pub currency: Currency,
    /// How much was given.
    pub amount: Nanos,
    /// What is left of it.
    pub left: Nanos,
    /// Lower ones are drawn on first.
    pub priority: u8,
    /// Where it comes from.
    pub source: GrantSource,
    /// The first instant at which it may be drawn on.
    pub effective: Timestamp,
    /// The first instant at which it may no longer be.
    pub expires: Option<Timestamp>,
    /// What it is for.
    pub note: Option<String>,
    /// Who gave it.
    pub actor: String,
    /// When.
    pub created_at: Timestamp,
}

impl GrantRecord {
    /// Gives the account that nodes share it by: its limit is the amount, in nano-units.
    pub fn account(&self) -> AccountKey<'_> {
        let window = Window { start: self.effective, end: self.expires };
        AccountKey { customer: &self.customer, scope: GRANT_SCOPE, quota: &self.id, window }
    }
}

/// What is left of a grant by the word of all who share it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SharedLeft {
    /// Nobody has any of it to spend, and so much was not spent.
    Left(Nanos),
    /// Somebody has some of it, or had and is silent, so it is not known yet.
    Out,
}

/// Where the money of a grant comes from.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantSource {
    /// A correction in the customer's favour.
    Correction,
    /// The customer paid for it.
    #[default]
    Paid,
    /// It is a present.
    Promotional,
}

/// What a customer owes, or what is left of its grants, by currency.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Owed {
    /// The currency.
    pub currency: Currency,
    /// How much; below zero while a repayment is known and what it repays is not.
    pub nanos: Nanos,
}

/// What moved an account.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// The sum of what is older than entries are kept.
    Carried,
    /// Requests of one minute over one route took it.
    Consumed,
    /// An operator corrected it.
    Corrected,
    /// What was left of a grant at its end.
    Expired,
    /// Money was given.
    Granted,
    /// A change of plan took it to a window that begins elsewhere.
    Moved,
    /// A payment that came with a request.
    Paid,
    /// A grant paid what was owed.
    Repaid,
    /// What a payment was spent on was not served, so that it is there for another request.
    Returned,
    /// A request was let through for a payment.
    Spent,
}

impl EntryKind {
    /// Gives the name by which it is stored and told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Carried => "carried",
            Self::Consumed => "consumed",
            Self::Corrected => "corrected",
            Self::Expired => "expired",
            Self::Granted => "granted",
            Self::Moved => "moved",
            Self::Paid => "paid",
            Self::Repaid => "repaid",
            Self::Returned => "returned",
            Self::Spent => "spent",
        }
    }
}

/// A movement of an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EntryRecord {
    /// Rising; tells where to go on.
    pub number: u64,
    /// The minute in which it was entered.
    pub entered: Timestamp,
    /// What it is a movement of.
    pub account: EntryAccount,
    /// What moved it.
    pub kind: EntryKind,
    /// The minute in which it was consumed.
    pub minute: Option<Timestamp>,
    /// The route over which it was consumed.
    pub route: Option<String>,
    /// By how many requests.
    pub requests: Option<u64>,
    /// Of units what is used more, of money what there is more.
    pub amount: i64,
    /// Of units what is used then, of money what is left of all grants, less what is owed.
    pub balance: i64,
    /// What tells more of it: the id of a correction; of a payment the transaction, or the request.
    pub reference: Option<String>,
}

/// What an entry is a movement of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EntryAccount {
    /// Money.
    Credit {
        /// What it is.
        currency: Currency,
        /// The grant; `None` for what is owed.
        grant: Option<String>,
    },
    /// A payment that came with a request.
    Payment {
        /// What it is.
        currency: Currency,
        /// Its proof.
        proof: String,
    },
    /// Units of a quota.
    Quota {
        /// Empty for the customer as a whole.
        scope: String,
        /// The quota's account.
        quota: String,
        /// The window.
        window: Window,
    },
}

/// Where a page of the ledger begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LedgerPlace {
    /// The minute of the entry before it.
    pub entered: Timestamp,
    /// The number of the entry before it.
    pub number: u64,
}

/// Something that does not add up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// The owner's customer id.
    pub customer: String,
    /// What is wrong, for people: the account or the grant.
    pub subject: String,
    /// What its entries add up to.
    pub expected: i128,
    /// What stands there.
    pub found: i128,
}

/// What a look at all books found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Verified {
    /// Accounts and purses that were added up.
    pub accounts: u64,
    /// Grants that were added up.
    pub grants: u64,
    /// Entries that were read.
    pub entries: u64,
    /// Things that do not add up; only the first of them are told.
    pub differences: u64,
}
