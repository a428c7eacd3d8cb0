//! How records are read and written.

use jiff::Timestamp;

use crate::{
    ledger::Window,
    model::{Currency, KeyDigest, Nanos, SubscriptionTerms},
    store::{
        StoreError,
        records::{
            AccountKey, AdjustmentRecord, Announcement, AnswerRecord, ApplicationRecord,
            AuditRecord, CustomerRecord, DeliveryRecord, DeliveryState, Difference, DueRecord,
            EntryKind, EntryRecord, EventRecord, GrantRecord, IdempotencyRecord, KeyRecord,
            LedgerPlace, NodeRecord, Owed, OwnedAccountKey, PaymentRecord, PaymentStep, Receivers,
            ReportRange, ReportRow, SharedLeft, SubscriptionEnd, ThresholdRecord, Verified,
        },
    },
};

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

    /// Gives the minute in which a customer's key was last used, also one that is declared in the file.
    fn last_used(&self, customer: &str, key_id: &str) -> Result<Option<Timestamp>, StoreError>;

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

    /// Finds a delivery by its event's id.
    fn delivery(&self, id: &str) -> Result<Option<DeliveryRecord>, StoreError>;

    /// Counts the pending deliveries.
    fn pending_deliveries(&self) -> Result<u64, StoreError>;

    /// Gives the pending deliveries whose time has come, the oldest of each (endpoint, customer)
    /// alone, so that order is kept. Where several processes put events some may not be the oldest, which they tell.
    fn due_deliveries(
        &self,
        to: Receivers,
        now: Timestamp,
        max: usize,
    ) -> Result<Vec<DueRecord>, StoreError>;

    /// Gives the first time after `after` at which a pending delivery is due.
    fn next_delivery(
        &self,
        to: Receivers,
        after: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// Gives subscriptions that end so in the stretch, in the order of time and customer. Of those
    /// that end at its start come only the customers after `after`: that is how to go on behind a
    /// page, however many end at one instant.
    fn subscriptions_ending(
        &self,
        by: SubscriptionEnd,
        window: Window,
        after: &str,
        max: usize,
    ) -> Result<Vec<(String, SubscriptionTerms)>, StoreError>;

    /// Gives active keys that expire in the stretch, in the order of time and id. Of those that
    /// expire at its start come only the ids after `after`.
    fn keys_expiring(
        &self,
        window: Window,
        after: &str,
        max: usize,
    ) -> Result<Vec<KeyRecord>, StoreError>;

    /// Adds up usage until `each` answers `false`; rows come in the order of what they are told
    /// apart by. Told apart by nothing there is one row, also when nothing was used.
    fn report(
        &self,
        range: &ReportRange<'_>,
        each: &mut dyn FnMut(ReportRow) -> bool,
    ) -> Result<(), StoreError>;

    /// Gives a customer's grants, the oldest first, from the one after the number `after`.
    fn grants(
        &self,
        customer: &str,
        after: Option<u64>,
        max: usize,
    ) -> Result<Vec<GrantRecord>, StoreError>;

    /// Gives up to `max` grants that ended at or before `now` with something left of them.
    fn ended_grants(&self, now: Timestamp, max: usize) -> Result<Vec<GrantRecord>, StoreError>;

    /// Gives what a customer owes, by currency.
    fn owed(&self, customer: &str) -> Result<Vec<Owed>, StoreError>;

    /// Calls `each` for every grant of which something is left.
    fn load_grants(&self, each: &mut dyn FnMut(GrantRecord)) -> Result<(), StoreError>;

    /// Calls `each` for every customer that ever had money, with what it owes, by currency.
    fn load_owed(&self, each: &mut dyn FnMut(&str, Owed)) -> Result<(), StoreError>;

    /// Gives a customer's ledger, the oldest entry first, from the one after a place, and tells whether
    /// there are more. Behind the last entry stands what requests took in minutes that may not be over.
    fn ledger(
        &self,
        customer: &str,
        after: Option<LedgerPlace>,
        max: usize,
    ) -> Result<(Vec<EntryRecord>, bool), StoreError>;

    /// Finds a payment by its proof.
    fn payment(&self, proof: &str) -> Result<Option<PaymentRecord>, StoreError>;

    /// Finds the payment that a request presented, if no other did since.
    fn payment_by_request(&self, request_id: &str) -> Result<Option<PaymentRecord>, StoreError>;

    /// Gives up to `max` payments that are to be asked about by now, the longest due first.
    fn due_payments(&self, now: Timestamp, max: usize) -> Result<Vec<PaymentRecord>, StoreError>;

    /// Tells whether a payer has given a name to a payment, unless that has failed, or was claimed and nothing happened to
    /// it since an instant.
    fn is_identifier_used(
        &self,
        payer: &str,
        identifier: &str,
        gone: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Finds the payment that a payer presented first with an Idempotency-Key, of those that have not failed, and were not
    /// claimed so that nothing happened to them since an instant.
    fn payment_by_key(
        &self,
        payer: &str,
        key: &str,
        gone: Timestamp,
    ) -> Result<Option<PaymentRecord>, StoreError>;

    /// Finds the answer that a payment paid for, by its number, if it is kept still.
    fn kept_answer(&self, payment: i64, now: Timestamp)
    -> Result<Option<AnswerRecord>, StoreError>;

    /// Tells whether payments stand in a ledger.
    fn has_payments(&self, customer: &str) -> Result<bool, StoreError>;

    /// Adds up the whole ledger and calls `each` for everything that is not what it comes to.
    fn verify(&self, each: &mut dyn FnMut(Difference)) -> Result<Verified, StoreError>;

    /// Lists the nodes that share the store, by id. A store that one process has for itself knows none.
    fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError>;

    /// Calls `each` for every removed customer whose name in the journals must not be given to another, with that.
    fn load_removals(&self, each: &mut dyn FnMut(&str)) -> Result<(), StoreError>;

    /// Calls `each` for every customer by id, with its subscription and its applications by name.
    /// A callback, since there may be a million.
    fn load_customers(
        &self,
        each: &mut dyn FnMut(CustomerRecord, Option<SubscriptionTerms>, Vec<ApplicationRecord>),
    ) -> Result<(), StoreError>;

    /// Calls `each` for every key by id, without its last use.
    fn load_keys(&self, each: &mut dyn FnMut(KeyRecord)) -> Result<(), StoreError>;
}

/// Reads and writes within one transaction.
pub trait Records: Reads {
    /// Writes a customer, new or known.
    fn put_customer(&mut self, customer: &CustomerRecord) -> Result<(), StoreError>;

    /// Removes a customer with its subscription, applications and keys. What it used is kept under
    /// the pseudonym, also what is in flight now and counted later: `name` is what the journal calls
    /// the customer. Audit and corrections keep the id: they are only appended to.
    fn delete_customer(&mut self, id: &str, name: &str, pseudonym: &str) -> Result<(), StoreError>;

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

    /// Adds to the units used of an account, or takes off, and enters it. What the store does not know
    /// yet may be taken off too: the sum is below zero then until the journal is folded.
    fn add_used(
        &mut self,
        now: Timestamp,
        account: &AccountKey<'_>,
        units: i64,
        why: (EntryKind, Option<&str>),
    ) -> Result<(), StoreError>;

    /// Writes a new payment and gives its number; `None` where its proof is there already.
    fn put_payment(&mut self, payment: &PaymentRecord) -> Result<Option<i64>, StoreError>;

    /// Takes a payment a step on, enters what that means, and gives it as it is then. `None` where it is not any
    /// more as it was.
    fn advance_payment(
        &mut self,
        now: Timestamp,
        was: &PaymentRecord,
        step: &PaymentStep<'_>,
    ) -> Result<Option<PaymentRecord>, StoreError>;

    /// Notes that a payment is still under way, where nothing else of it changes; false where it is not any more as it
    /// was.
    fn renew_payment(&mut self, now: Timestamp, was: &PaymentRecord) -> Result<bool, StoreError>;

    /// Forgets a payment by which nothing can have moved, unless it is not any more as it was.
    fn forget_payment(&mut self, was: &PaymentRecord) -> Result<(), StoreError>;

    /// Forgets up to `max` payments that were not changed since `before`, that cannot be settled any more, and of which
    /// nothing is left to serve; the ledger must tell nothing of them any more. Tells whether those were all.
    fn forget_payments(&mut self, before: Timestamp, max: usize) -> Result<bool, StoreError>;

    /// Keeps an answer that was paid for, and forgets the oldest of those that take more than `bytes_max` together.
    fn keep_answer(&mut self, answer: &AnswerRecord, bytes_max: i64) -> Result<(), StoreError>;

    /// Forgets up to `max` answers whose time is over, of the oldest: one whose time is longer hides those behind it.
    /// Tells whether those were all.
    fn forget_answers(&mut self, now: Timestamp, max: usize) -> Result<bool, StoreError>;

    /// Writes a new grant and enters it; gives its number. `repays` of it goes to what is owed.
    fn put_grant(&mut self, grant: &GrantRecord, repays: Nanos) -> Result<u64, StoreError>;

    /// Takes from a grant that has ended what is left of it, and enters that. `repays` of it goes to what
    /// is owed.
    fn expire_grant(
        &mut self,
        now: Timestamp,
        grant: &GrantRecord,
        left: Nanos,
        repays: Nanos,
    ) -> Result<(), StoreError>;

    /// Gives what is left of a grant that has ended, by the word of all who share it, and lets nobody change that
    /// until the transaction ends. `None` where one process has the store for itself, whose memory knows.
    fn shared_left(&mut self, grant: &GrantRecord) -> Result<Option<SharedLeft>, StoreError>;

    /// Gives what a customer owes by the books, and lets nobody change that until the transaction ends. `None` where
    /// one process has the store for itself, whose memory knows.
    fn owed_shared(
        &mut self,
        customer: &str,
        currency: Currency,
    ) -> Result<Option<Nanos>, StoreError>;

    /// Adds to what a customer owes, and enters it; `reference` is the correction's id.
    fn owe(
        &mut self,
        now: Timestamp,
        customer: &str,
        currency: Currency,
        nanos: Nanos,
        reference: &str,
    ) -> Result<(), StoreError>;

    /// Enters what was gathered in minutes that begin before the time, up to `max` rows of it; tells
    /// whether that was all.
    fn enter_gathered(
        &mut self,
        now: Timestamp,
        before: Timestamp,
        max: usize,
    ) -> Result<bool, StoreError>;

    /// Drops entries from before the time and carries what they add up to, up to `max` of them; tells
    /// whether that was all.
    fn carry_entries(&mut self, before: Timestamp, max: usize) -> Result<bool, StoreError>;

    /// Forgets what several processes had of accounts whose windows ended before the time, where nothing is out,
    /// up to `max` of them; tells whether that was all.
    fn forget_shared_windows(&mut self, before: Timestamp, max: usize) -> Result<bool, StoreError>;

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

    /// Removes a node that is not live, with what it held; gives what it was, also when it is live and
    /// stays.
    fn forget_node(&mut self, id: &str) -> Result<Option<NodeRecord>, StoreError>;

    /// Lets the other processes that share the store learn of a change once it is committed.
    fn announce(&mut self, change: Announcement);

    /// Writes a setting.
    fn put_setting(&mut self, name: &str, value: &str) -> Result<(), StoreError>;

    /// Keeps an event for delivery, due at once; tells whether it is new.
    fn put_event(&mut self, event: &EventRecord) -> Result<bool, StoreError>;

    /// Writes which thresholds of an account were told, if that is still as it is known: `false` where another process
    /// has told some meanwhile.
    fn put_threshold(
        &mut self,
        account: &AccountKey<'_>,
        known: Option<&ThresholdRecord>,
        record: &ThresholdRecord,
    ) -> Result<bool, StoreError>;

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

    /// Gives up what is pending for an endpoint, up to `max` of it; tells how much that was.
    fn fail_deliveries(
        &mut self,
        endpoint: &str,
        reason: &str,
        max: usize,
    ) -> Result<usize, StoreError>;

    /// Lets wait what is due and not the oldest of its (endpoint, customer), up to `max` of it.
    fn put_in_order(&mut self, now: Timestamp, max: usize) -> Result<(), StoreError>;

    /// Removes deliveries that ended before the time.
    fn forget_deliveries(&mut self, before: Timestamp) -> Result<(), StoreError>;
}
