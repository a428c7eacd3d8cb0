//! What an operator made and changed, as rows; `access` has the traits by which they are read and
//! written.
//!
//! The rules of what may be changed are not here: a store keeps what it is given.

mod access;
mod announcement;
mod ledger;
mod nodes;
mod payments;

use std::collections::BTreeMap;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ledger::Window,
    model::{Environment, KeyDigest, KeyState, Money, Nanos, OwnLimits},
};

pub use access::{Reads, Records};
pub use announcement::Announcement;
pub use ledger::{
    Difference, EntryAccount, EntryKind, EntryRecord, GrantRecord, GrantSource, LedgerPlace, Owed,
    SharedLeft, Verified,
};
pub use nodes::{NodeHolds, NodeRecord, NodeState};
pub use payments::{AnswerRecord, PaymentRecord, PaymentState, PaymentStep};

/// A stored customer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CustomerRecord {
    /// Its identifier.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// The operator's own notes, by name.
    pub metadata: BTreeMap<String, String>,
    /// An operator's stop.
    pub suspended: bool,
    /// Limits that replace the plan's.
    pub limits: OwnLimits,
    /// The most that its quotas may cost in one window beyond their limits.
    pub spend_cap: Option<Money>,
    /// Where its own events are sent.
    pub webhook: Option<WebhookRecord>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last; a change of its subscription is not one.
    pub updated_at: Timestamp,
}

impl CustomerRecord {
    /// Tells whether its own events are sent to it.
    pub fn has_webhook(&self) -> bool {
        self.webhook.as_ref().is_some_and(|webhook| webhook.disabled.is_none())
    }
}

/// Where a customer's events are sent.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct WebhookRecord {
    /// The receiver.
    pub url: String,
    /// What the events are signed with, `whsec_…`. Not serialised: an audit must not tell it.
    #[serde(skip)]
    pub secret: String,
    /// Why nothing is sent any more, if so.
    pub disabled: Option<String>,
}

/// A stored application.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ApplicationRecord {
    /// Its owner.
    pub customer: String,
    /// Its name, unique within the customer.
    pub name: String,
    /// Limits that come in addition to the customer's.
    pub limits: OwnLimits,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A stored key.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct KeyRecord {
    /// Its identifier.
    pub id: String,
    /// Its owner.
    pub customer: String,
    /// The application that it belongs to, if any.
    pub application: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// The SHA-256 digest of the key.
    #[serde(skip)]
    pub digest: KeyDigest,
    /// What may be shown of the key: its beginning and its last four characters.
    pub hint: Option<String>,
    /// What it is for; `None` for a key that was made elsewhere.
    pub env: Option<Environment>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The networks that it may be used from; empty means any.
    pub allow_from: Vec<IpNet>,
    /// The first instant at which it is no longer good.
    pub expires: Option<Timestamp>,
    /// Whether it is in use.
    pub status: KeyState,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The id of the key that takes its place.
    pub replaced_by: Option<String>,
    /// The id of the first key of the line that rotations made: what the key's own quotas count
    /// under, so that a rotation keeps them.
    pub lineage: String,
    /// Limits that come in addition to the customer's.
    pub limits: OwnLimits,
    /// When it was made.
    pub created_at: Timestamp,
    /// The minute in which a request by it was last let through. Written by the fold alone.
    pub last_used: Option<Timestamp>,
}

/// Who changed what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// Who, as far as is known.
    pub actor: String,
    /// What was done, such as `customer.create`.
    pub action: String,
    /// The customer it is about, if one.
    pub customer: Option<String>,
    /// What it was done to: a customer's, key's or application's id, or a setting's name.
    pub subject: String,
    /// What was there before, as JSON; `None` when nothing was.
    pub before: Option<serde_json::Value>,
    /// What is there now, as JSON; `None` when nothing is.
    pub after: Option<serde_json::Value>,
}

/// A correction of what was used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AdjustmentRecord {
    /// Its identifier, `adj_…`.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// The customer.
    pub customer: String,
    /// Empty for the customer as a whole; `application/NAME` or `key/ID` for a part of it.
    pub scope: String,
    /// The quota's name.
    pub quota: String,
    /// The window that was corrected.
    pub window: Window,
    /// Units given back (positive) or charged (negative).
    pub amount: i64,
    /// Units used afterwards.
    pub used: u64,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
}

/// The answer to a call that may be repeated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdempotencyRecord {
    /// The SHA-256 digest of the caller's Idempotency-Key.
    pub key: [u8; 32],
    /// The SHA-256 digest of method, path and body.
    pub request: [u8; 32],
    /// The status that was answered.
    pub status: u16,
    /// The body that was answered, without secrets.
    pub body: String,
    /// When.
    pub at: Timestamp,
}

/// Something that happened and is to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventRecord {
    /// Its identifier, `msg_…`.
    pub id: String,
    /// To whom: empty for the operator's endpoint, else the id of the customer whose own it is.
    pub endpoint: String,
    /// Whom it is about.
    pub customer: String,
    /// Its type, such as `quota.threshold_reached`.
    pub kind: String,
    /// The body as it is sent and signed.
    pub body: String,
    /// When it happened.
    pub at: Timestamp,
    /// Unique where given: of two events with one mark and one endpoint only the first is kept.
    pub mark: Option<String>,
}

/// How far the delivery of an event has come.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Still to be sent, or sent again.
    Pending,
    /// Received.
    Delivered,
    /// Given up.
    Failed,
}

/// An event with its delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeliveryRecord {
    /// A number that grows with time.
    pub sequence: u64,
    /// The event.
    pub event: EventRecord,
    /// How far it has come.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next one is due.
    pub next_attempt: Option<Timestamp>,
    /// The status of the last answer, if there was one.
    pub last_status: Option<u16>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// A pending delivery whose time has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DueRecord {
    /// It.
    pub delivery: DeliveryRecord,
    /// Whether nothing older waits for the same endpoint about the same customer. What does was put at the same time
    /// by another process; see [`Records::put_in_order`].
    pub is_first: bool,
}

/// Whose endpoints deliveries are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Receivers {
    /// The operator's and the customers'.
    All,
    /// The customers' own alone.
    Customers,
}

/// By what a subscription ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionEnd {
    /// It is cancelled at a date.
    CancelAt,
    /// It is a trial with a stated end.
    TrialEnd,
}

/// Which thresholds of an account were told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ThresholdRecord {
    /// The highest that was told, in percent; 0 for none.
    pub told: u8,
    /// The limit it was measured against.
    pub limit: u64,
}

/// The identity of an account in the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AccountKey<'a> {
    /// The owner's customer id.
    pub customer: &'a str,
    /// Empty for the customer as a whole; `application/NAME` or `key/ID` for a part of it.
    pub scope: &'a str,
    /// The quota's account.
    pub quota: &'a str,
    /// The window; its start is the identity.
    pub window: Window,
}

/// By what usage is told apart in a report.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Grouping {
    /// By customer.
    pub customer: bool,
    /// By key.
    pub key: bool,
    /// By route.
    pub route: bool,
    /// By ending.
    pub ending: bool,
    /// By the currency that paid; then the money is added up too.
    pub currency: bool,
    /// By time, in stretches of this many milliseconds from the epoch (an hour, a day in UTC).
    pub step_ms: Option<i64>,
}

/// Which usage a report is about.
#[derive(Clone, Copy, Debug)]
pub struct ReportRange<'a> {
    /// The first minute.
    pub from: Timestamp,
    /// The first minute after.
    pub to: Timestamp,
    /// One customer alone.
    pub customer: Option<&'a str>,
    /// By what it is told apart.
    pub by: Grouping,
}

/// A line of a usage report; what it is not told apart by is `None`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReportRow {
    /// The customer.
    pub customer: Option<String>,
    /// The key's id.
    pub key_id: Option<String>,
    /// The route's name.
    pub route: Option<String>,
    /// The ending.
    pub ending: Option<String>,
    /// What money paid; empty where allowances did.
    pub currency: Option<String>,
    /// The start of the stretch of time.
    pub start: Option<Timestamp>,
    /// Requests.
    pub requests: u64,
    /// Units charged.
    pub units: u64,
    /// Money charged, where rows are told apart by its currency.
    pub credit: Option<Nanos>,
}

/// An account's identity, owned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnedAccountKey {
    /// The owner's customer id.
    pub customer: String,
    /// Empty for the customer as a whole.
    pub scope: String,
    /// The quota's account.
    pub quota: String,
    /// The window.
    pub window: Window,
}

/// Makes an identifier that sorts by time: a prefix and a UUID of version 7 without dashes.
pub fn new_id(prefix: &str, now: Timestamp) -> String {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    let time = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos);
    format!("{prefix}_{}", Uuid::new_v7(time).simple())
}
