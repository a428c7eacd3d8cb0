//! What an operator changes while the gateway runs: customers, applications, keys, subscriptions.
//!
//! A change runs on the store's thread, in a transaction. It reads what is stored, decides, writes,
//! and appends to the audit in the same transaction; once that is committed, memory learns of it,
//! and the next request is decided by it. Until the commit nothing outside the transaction changes.

mod adjustments;
mod announced;
mod applications;
mod corrections;
mod credits;
mod customers;
mod events;
mod import;
mod input;
mod keys;
mod load;
mod nodes;
mod settings;
mod subscriptions;
#[cfg(test)]
mod tests;
mod valid;

use std::{collections::BTreeSet, mem, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;

pub(crate) use self::announced::{
    learn_absence, learn_customer, learn_grant, learn_numbers, learn_removal,
};
pub use self::{
    adjustments::{Adjusted, AdjustmentInput, CreditAdjustment, CreditChoice},
    applications::ApplicationInput,
    corrections::{Correction, Corrections},
    credits::{AmountInput, GrantInput, Repayment, grant_of},
    customers::{CustomerPatch, NewCustomer, WebhookInput},
    import::{ImportLine, Imported},
    input::{FieldError, InputDate, InputDuration, OverageInput, Patch, QuotaInput, RateInput},
    keys::{KeyPatch, MadeKey, NewKey, RotateInput},
    load::{api_key, load, terms},
    settings::ENFORCEMENT,
    subscriptions::SubscriptionInput,
};
use crate::{
    gateway::Gateway,
    ledger::Grant,
    model::{ApiKey, Currency, CustomerTerms, Nanos},
    notifications::{self, Teller},
    roster::Claim,
    snapshot::Snapshot,
    store::{
        StoreError,
        records::{AuditRecord, Records},
    },
    telemetry::level::Level,
};

/// Why a change is refused; nothing is written then.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// Something of this id is there already.
    #[error("{0}")]
    AlreadyExists(String),
    /// The file declares it, so only the file changes it.
    #[error("{0} is declared in the configuration file; change it there and reload")]
    DeclaredInFile(String),
    /// Values that cannot be.
    #[error("{}", summary(.0))]
    Invalid(Vec<FieldError>),
    /// Only a node that will not come back is forgotten.
    #[error("the node `{0}` is live; stop it first")]
    NodeIsLive(String),
    /// A node is to be forgotten that may still charge something.
    #[error(
        "the node {0} has units that it may still charge; they end within a minute of its last word: \
         forget it then"
    )]
    NodeHolds(String),
    /// Only what was given up is sent again.
    #[error("the event `{0}` was not given up; it is delivered, or still to be sent")]
    NotFailed(String),
    /// There is nothing of this id.
    #[error("{}", missing(noun, id))]
    NotFound {
        /// What was looked for.
        noun: &'static str,
        /// By which id.
        id: String,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Rejection {
    /// Refuses one field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), message: message.into() }])
    }

    fn not_found(noun: &'static str, id: &str) -> Self {
        Self::NotFound { noun, id: id.to_owned() }
    }
}

fn missing(noun: &str, id: &str) -> String {
    match noun {
        // It has no id of its own.
        "subscription" => format!("the customer `{id}` has no subscription"),
        noun => format!("there is no {noun} `{id}`"),
    }
}

fn summary(errors: &[FieldError]) -> String {
    match errors {
        [error] => error.to_string(),
        [error, rest @ ..] => format!("{error} (and {} more)", rest.len()),
        [] => "the request is not valid".to_owned(),
    }
}

/// What memory learns once a change is committed.
#[derive(Debug)]
pub enum Effect {
    /// Units were given back or charged.
    Adjust(Correction),
    /// Enforcement is on or off.
    Enforce(bool),
    /// Money was given.
    Grant {
        /// To which customer.
        customer: String,
        /// What it is.
        grant: Grant,
        /// What is left of it.
        left: Nanos,
    },
    /// The program's own messages have another level.
    Level(Level),
    /// A customer owes more, or less.
    Owe {
        /// Which customer.
        customer: String,
        /// In which currency.
        currency: Currency,
        /// How much more.
        nanos: Nanos,
    },
    /// A customer is new or changed.
    PutCustomer {
        /// What it is now.
        terms: CustomerTerms,
        /// Whether its own webhook is on.
        has_webhook: bool,
    },
    /// A key is new or changed.
    PutKey(ApiKey),
    /// A customer is gone.
    RemoveCustomer(String),
    /// A grant has paid what its customer owes, or a part of that.
    Repay(Repayment),
    /// A grant has ended.
    TakeFromGrant {
        /// Whose.
        customer: String,
        /// In which currency.
        currency: Currency,
        /// The grant.
        id: String,
        /// What was left of it.
        nanos: Nanos,
    },
}

/// A transaction in which an operator changes something.
#[expect(missing_debug_implementations, reason = "a transaction has nothing to show")]
pub struct Change<'a> {
    records: &'a mut dyn Records,
    gateway: &'a Gateway,
    snapshot: Arc<Snapshot>,
    actor: &'a str,
    now: Timestamp,
    /// Customers whose terms memory is to learn anew.
    touched: BTreeSet<String>,
    applied: Applied,
}

/// What is to be done once the transaction is committed; until then it holds what was claimed.
#[derive(Debug, Default)]
pub struct Applied {
    effects: Vec<Effect>,
    claims: Vec<Claim>,
    /// Whether there is something new to be sent.
    has_told: bool,
}

impl<'a> Change<'a> {
    /// Begins a change in a transaction.
    pub fn new(records: &'a mut dyn Records, gateway: &'a Gateway, actor: &'a str) -> Self {
        let snapshot = gateway.snapshot();
        // In whole milliseconds, as it is stored: what is answered now is what is read later.
        let now = crate::store::instant(gateway.clock().now().as_millisecond());
        Self {
            records,
            gateway,
            snapshot,
            actor,
            now,
            touched: BTreeSet::new(),
            applied: Applied::default(),
        }
    }

    /// Ends it; gives what is to be done after the commit.
    pub fn finish(mut self) -> Result<Applied, StoreError> {
        // A customer is in memory before its keys.
        let mut effects = Vec::new();
        for id in mem::take(&mut self.touched) {
            let Some(record) = self.records.customer(&id)? else { continue };
            let has_webhook = record.has_webhook();
            let subscription = self.records.subscription(&id)?;
            let applications = self.records.applications(&id)?;
            let terms = load::terms(record, subscription, applications);
            effects.push(Effect::PutCustomer { terms, has_webhook });
        }
        effects.append(&mut self.applied.effects);
        for announcement in effects.iter().filter_map(|effect| effect.announcement(self.gateway)) {
            self.records.announce(announcement);
        }
        let mut teller = Teller::new(self.records, self.gateway, &self.snapshot, self.now);
        notifications::tell_change(&mut teller, &effects)?;
        let has_told = self.applied.has_told || teller.has_told();
        Ok(Applied { effects, has_told, ..self.applied })
    }

    /// Gives what is stored, as this transaction sees it.
    pub fn records(&mut self) -> &mut dyn Records {
        self.records
    }

    /// Gives the gateway that it changes.
    pub fn gateway(&self) -> &'a Gateway {
        self.gateway
    }

    /// Gives the configuration in force.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Gives the time of the change, in whole milliseconds.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Appends to the audit: what was there before and what is there now.
    fn audit(
        &mut self,
        action: &str,
        customer: Option<&str>,
        subject: &str,
        before: Option<&impl Serialize>,
        after: Option<&impl Serialize>,
    ) -> Result<(), Rejection> {
        self.records.append_audit(&AuditRecord {
            at: self.now,
            actor: self.actor.to_owned(),
            action: action.to_owned(),
            customer: customer.map(ToOwned::to_owned),
            subject: subject.to_owned(),
            before: before.and_then(|value| serde_json::to_value(value).ok()),
            after: after.and_then(|value| serde_json::to_value(value).ok()),
        })?;
        Ok(())
    }
}

impl Applied {
    /// Lets memory know. Called once the transaction is committed, on the store's thread.
    pub fn apply(&self, gateway: &Gateway) {
        let mut turn = gateway.writing().begin();
        for effect in &self.effects {
            effect.changes().into_iter().for_each(|customer| turn.note(customer));
            effect.apply(gateway);
        }
        drop(turn);
        if self.has_told {
            gateway.notifications().wake();
        }
    }
}

impl Effect {
    fn apply(&self, gateway: &Gateway) {
        let (live, ledger) = (gateway.live(), gateway.ledger());
        match self {
            Self::Adjust(correction) => correction.tell(ledger),
            Self::Grant { customer, grant, left } => {
                ledger.customer(customer).grant(grant, *left);
            }
            Self::Repay(repayment) => repayment.pay(),
            Self::Owe { customer, currency, nanos } => {
                ledger.customer(customer).owe(*currency, *nanos);
            }
            Self::TakeFromGrant { customer, currency, id, nanos } => {
                ledger.customer(customer).take_from_grant(*currency, id, *nanos);
            }
            Self::Enforce(enforce) => gateway.set_enforcing(*enforce),
            Self::Level(level) => gateway.level().set(level.clone()),
            Self::PutCustomer { terms, has_webhook } => {
                gateway.notifications().set_own(&terms.id, *has_webhook);
                live.put_customer(terms.clone());
            }
            Self::PutKey(key) => live.put_key(key.clone()),
            Self::RemoveCustomer(id) => {
                announced::learn_absence(gateway, id);
                ledger.remove(id);
            }
        }
    }
}
