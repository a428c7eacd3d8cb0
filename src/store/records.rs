//! What an operator made and changed, as rows; and the traits by which they are read and written.
//!
//! The rules of what may be changed are not here: a store keeps what it is given.

use std::collections::BTreeMap;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ledger::Window,
    model::{Environment, KeyDigest, KeyState, OwnLimits, SubscriptionTerms},
    store::StoreError,
};

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
    /// Where its own events are sent.
    pub webhook: Option<WebhookRecord>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it or its subscription was changed last.
    pub updated_at: Timestamp,
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
    /// The quota's account.
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
    /// The start of the stretch of time.
    pub start: Option<Timestamp>,
    /// Requests.
    pub requests: u64,
    /// Units charged.
    pub units: u64,
}

/// Reads what is stored.
pub trait Reads {
    /// Finds a customer.
    fn customer(&self, id: &str) -> Result<Option<CustomerRecord>, StoreError>;

    /// Gives a customer's subscription.
    fn subscription(&self, customer: &str) -> Result<Option<SubscriptionTerms>, StoreError>;

    /// Gives a customer's applications by name.
    fn applications(&self, customer: &str) -> Result<Vec<ApplicationRecord>, StoreError>;

    /// Finds a key.
    fn key(&self, id: &str) -> Result<Option<KeyRecord>, StoreError>;

    /// Finds a key by its digest.
    fn key_by_digest(&self, digest: &KeyDigest) -> Result<Option<KeyRecord>, StoreError>;

    /// Gives a customer's keys, by id, from the one after `after`.
    fn keys_of(
        &self,
        customer: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<KeyRecord>, StoreError>;

    /// Gives the minute in which a key was last used, also one that is declared in the file.
    fn last_used(&self, key_id: &str) -> Result<Option<Timestamp>, StoreError>;

    /// Gives customers by id, from the one after `after`.
    fn customers(
        &self,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<(CustomerRecord, Option<SubscriptionTerms>)>, StoreError>;

    /// Gives the audit, the newest first, from the entry before the number `before`; of one
    /// customer alone if it is given. Each comes with its number.
    fn audit(
        &self,
        customer: Option<&str>,
        before: Option<u64>,
        max: usize,
    ) -> Result<Vec<(u64, AuditRecord)>, StoreError>;

    /// Gives a customer's corrections, the oldest first, from the one after the number `after`.
    fn adjustments(
        &self,
        customer: &str,
        after: Option<u64>,
        max: usize,
    ) -> Result<Vec<(u64, AdjustmentRecord)>, StoreError>;

    /// Gives the answer to a call that was made before.
    fn idempotent(&self, key: &[u8; 32]) -> Result<Option<IdempotencyRecord>, StoreError>;

    /// Gives a setting.
    fn setting(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Gives the units used of an account.
    fn used(&self, account: &AccountKey<'_>) -> Result<u64, StoreError>;

    /// Gives which thresholds of an account were told.
    fn threshold(&self, account: &AccountKey<'_>) -> Result<Option<ThresholdRecord>, StoreError>;

    /// Gives up to `max` accounts with a told threshold whose window ended at or before `now`.
    fn ended_thresholds(
        &self,
        now: Timestamp,
        max: usize,
    ) -> Result<Vec<(OwnedAccountKey, ThresholdRecord)>, StoreError>;

    /// Gives deliveries in this state, the newest first, from the one before the number `before`.
    fn deliveries(
        &self,
        state: Option<DeliveryState>,
        before: Option<u64>,
        max: usize,
    ) -> Result<Vec<DeliveryRecord>, StoreError>;

    /// Gives the pending deliveries whose time has come, the oldest of each (endpoint, customer)
    /// alone, so that order is kept.
    fn due_deliveries(&self, now: Timestamp, max: usize)
    -> Result<Vec<DeliveryRecord>, StoreError>;

    /// Gives the time at which the next pending delivery is due.
    fn next_delivery(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Gives subscriptions that end (`cancel_at`, or `trial_end` while trialing) in the stretch.
    fn subscriptions_ending(
        &self,
        window: Window,
        max: usize,
    ) -> Result<Vec<(String, SubscriptionTerms)>, StoreError>;

    /// Gives active keys that expire in the stretch.
    fn keys_expiring(&self, window: Window, max: usize) -> Result<Vec<KeyRecord>, StoreError>;

    /// Adds up usage until `each` answers `false`; rows come in the order of what they are told
    /// apart by. Told apart by nothing there is one row, also when nothing was used.
    fn report(
        &self,
        range: &ReportRange<'_>,
        each: &mut dyn FnMut(ReportRow) -> bool,
    ) -> Result<(), StoreError>;

    /// Calls `each` for every customer by id, with its subscription and its applications by name.
    /// A callback, since there may be a million.
    fn load_customers(
        &self,
        each: &mut dyn FnMut(CustomerRecord, Option<SubscriptionTerms>, Vec<ApplicationRecord>),
    ) -> Result<(), StoreError>;

    /// Calls `each` for every key by id.
    fn load_keys(&self, each: &mut dyn FnMut(KeyRecord)) -> Result<(), StoreError>;
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

/// Reads and writes within one transaction.
pub trait Records: Reads {
    /// Writes a customer, new or known.
    fn put_customer(&mut self, customer: &CustomerRecord) -> Result<(), StoreError>;

    /// Removes a customer with its subscription, applications and keys. What it used is kept under
    /// the pseudonym, also what is in flight now and counted later. Audit and corrections keep the
    /// id: they are only appended to.
    fn delete_customer(&mut self, id: &str, pseudonym: &str) -> Result<(), StoreError>;

    /// Lets usage count under the id of a removed customer again: one that the file declares now.
    /// To write a customer of that id does the same.
    fn readmit_customer(&mut self, id: &str) -> Result<(), StoreError>;

    /// Writes a customer's subscription, new or known.
    fn put_subscription(
        &mut self,
        customer: &str,
        terms: &SubscriptionTerms,
    ) -> Result<(), StoreError>;

    /// Writes an application, new or known.
    fn put_application(&mut self, application: &ApplicationRecord) -> Result<(), StoreError>;

    /// Removes an application.
    fn delete_application(&mut self, customer: &str, name: &str) -> Result<(), StoreError>;

    /// Writes a key, new or known; `last_used` is left as it is.
    fn put_key(&mut self, key: &KeyRecord) -> Result<(), StoreError>;

    /// Adds to the units used of an account, or takes off. What the store does not know yet may be
    /// taken off too: the sum is below zero then until the journal is folded.
    fn add_used(&mut self, account: &AccountKey<'_>, units: i64) -> Result<(), StoreError>;

    /// Appends to the audit.
    fn append_audit(&mut self, entry: &AuditRecord) -> Result<(), StoreError>;

    /// Appends a correction.
    fn append_adjustment(&mut self, entry: &AdjustmentRecord) -> Result<(), StoreError>;

    /// Keeps the answer to a call; forgets those older than `forget_before`.
    fn put_idempotent(
        &mut self,
        entry: &IdempotencyRecord,
        forget_before: Timestamp,
    ) -> Result<(), StoreError>;

    /// Writes a setting.
    fn put_setting(&mut self, name: &str, value: &str) -> Result<(), StoreError>;

    /// Keeps an event for delivery, due at once; tells whether it is new.
    fn put_event(&mut self, event: &EventRecord) -> Result<bool, StoreError>;

    /// Writes which thresholds of an account were told.
    fn put_threshold(
        &mut self,
        account: &AccountKey<'_>,
        told: &ThresholdRecord,
    ) -> Result<(), StoreError>;

    /// Forgets which thresholds of an account were told.
    fn delete_threshold(&mut self, account: &AccountKey<'_>) -> Result<(), StoreError>;

    /// Writes how a delivery went, by its number.
    fn put_delivery(
        &mut self,
        sequence: u64,
        state: DeliveryState,
        attempts: u32,
        next_attempt: Option<Timestamp>,
        last_status: Option<u16>,
        last_error: Option<&str>,
    ) -> Result<(), StoreError>;

    /// Removes deliveries that ended before the time.
    fn forget_deliveries(&mut self, before: Timestamp) -> Result<(), StoreError>;
}

/// Makes an identifier that sorts by time: a prefix and a UUID of version 7 without dashes.
pub fn new_id(prefix: &str, now: Timestamp) -> String {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    let time = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos);
    format!("{prefix}_{}", Uuid::new_v7(time).simple())
}
