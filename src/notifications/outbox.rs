//! The sender's outbox, kept in the store.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::tell::OPERATOR;
use crate::{
    gateway::Gateway,
    keeper::Keeper,
    nodes::Membership,
    store::{
        Reader, StoreError, instant,
        records::{
            Announcement, AuditRecord, CustomerRecord, DeliveryRecord, DeliveryState, DueRecord,
            Receivers, Records,
        },
    },
    webhooks::{
        Answer, Ask, CustomerId, Delivery, DeliveryId, Due, Endpoint, EndpointId, Event, Lane,
        MessageId, Outbox, OutboxError, Record, SigningSecret, Target, Trust, Verdict,
    },
};

/// How many deliveries of an endpoint that is not there are given up in one transaction.
const FAILED_MAX: usize = 10_000;

/// How many deliveries are put in order in one transaction.
const ORDERED_MAX: usize = 1000;

/// Reads by a connection of its own and writes by the store's thread.
pub(super) struct KeptOutbox {
    gateway: Arc<Gateway>,
    keeper: Arc<Keeper>,
    membership: Arc<Membership>,
    reader: Arc<Mutex<Box<dyn Reader>>>,
}

/// Why an endpoint cannot be sent to, in words for its owner.
pub(super) type Missing = String;

/// What a look at the store found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) due: Due,
    /// Endpoints that have something due and are not there.
    pub(super) missing: Vec<(String, Missing)>,
    /// Whether something is due that has others before it.
    pub(super) is_disordered: bool,
}

impl KeptOutbox {
    /// Joins what the sender reads and writes by.
    pub(super) fn new(
        gateway: Arc<Gateway>,
        keeper: Arc<Keeper>,
        membership: Arc<Membership>,
        reader: Box<dyn Reader>,
    ) -> Self {
        Self { gateway, keeper, membership, reader: Arc::new(Mutex::new(reader)) }
    }

    /// Counts what waits.
    pub(super) async fn pending(&self) -> Result<u64, StoreError> {
        self.read(|reads, _| reads.pending_deliveries()).await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Reader, &Gateway) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (gateway, reader) = (Arc::clone(&self.gateway), Arc::clone(&self.reader));
        let reading = tokio::task::spawn_blocking(move || {
            // A panic while it was held left a connection that is in no transaction.
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            read(&**reader, &gateway)
        });
        reading.await.unwrap_or_else(|error| Err(StoreError::new("read", error)))
    }

    async fn look(&self, ask: Ask) -> Result<Due, OutboxError> {
        let now = ask.now;
        let found = self.read(move |reads, gateway| find(reads, gateway, &ask)).await?;
        // A process that was held still while it read finds another one at it.
        if !self.membership.lead().is_held() {
            return Ok(Due::default());
        }
        let Found { mut due, missing, is_disordered } = found;
        if is_disordered {
            let work = move |records: &mut dyn Records| records.put_in_order(now, ORDERED_MAX);
            self.keeper.submit(work, |()| ()).await??;
            // It stood in the place of others.
            due.next = Some(Timestamp::MIN);
        }
        for (endpoint, reason) in missing {
            self.give_up(endpoint, reason).await?;
            // What stood behind it is to be looked at.
            due.next = Some(Timestamp::MIN);
        }
        Ok(due)
    }

    async fn give_up(&self, endpoint: String, reason: Missing) -> Result<(), OutboxError> {
        tracing::warn!(endpoint, reason, "events are given up");
        let work = move |records: &mut dyn Records| -> Result<usize, StoreError> {
            records.fail_deliveries(&endpoint, &reason, FAILED_MAX)
        };
        self.keeper.submit(work, |_| ()).await??;
        Ok(())
    }

    async fn keep(&self, record: Record) -> Result<(), OutboxError> {
        let gateway = Arc::clone(&self.gateway);
        let result = match &record.verdict {
            Verdict::Dead(_) | Verdict::Gone => "given_up",
            Verdict::Delivered { .. } => "delivered",
            Verdict::Retry { .. } => "failed",
        };
        let work = move |records: &mut dyn Records| keep(records, &record);
        let after = move |switched_off: &Option<String>| {
            if let Some(customer) = switched_off {
                gateway.writing().begin().note(customer);
                gateway.notifications().set_own(customer, false);
            }
        };
        self.keeper.submit(work, after).await??;
        self.gateway.metrics().count_delivery(result);
        Ok(())
    }
}

impl Outbox for KeptOutbox {
    fn due(&self, ask: Ask) -> Answer<'_, Due> {
        Box::pin(self.look(ask))
    }

    fn record(&self, record: Record) -> Answer<'_, ()> {
        Box::pin(self.keep(record))
    }
}

pub(super) fn find(reads: &dyn Reader, gateway: &Gateway, ask: &Ask) -> Result<Found, StoreError> {
    let Ask { now, max, busy, full } = ask;
    // A customer's own endpoint has one lane, so it is full when that is busy.
    let is_operator_full = full.iter().any(|endpoint| &*endpoint.0 == OPERATOR);
    let to = if is_operator_full { Receivers::Customers } else { Receivers::All };
    let mut found = Found::default();
    for due in reads.due_deliveries(to, *now, max.saturating_add(busy.len()))? {
        let DueRecord { delivery: row, is_first } = due;
        if !is_first {
            found.is_disordered = true;
            continue;
        }
        let lane = lane(&row);
        if busy.contains(&lane) || full.contains(&lane.endpoint) {
            continue;
        }
        if found.due.deliveries.len() == *max {
            break;
        }
        match endpoint(reads, gateway, &row.event.endpoint)? {
            Ok(endpoint) => found.due.deliveries.push(delivery(row, endpoint, lane)),
            Err(reason) => {
                let is_known = found.missing.iter().any(|(id, _)| *id == row.event.endpoint);
                if !is_known {
                    found.missing.push((row.event.endpoint, reason));
                }
            }
        }
    }
    found.due.next = reads.next_delivery(to, *now)?;
    Ok(found)
}

fn lane(row: &DeliveryRecord) -> Lane {
    Lane {
        endpoint: EndpointId(row.event.endpoint.as_str().into()),
        customer: Some(CustomerId(row.event.customer.as_str().into())),
    }
}

fn delivery(row: DeliveryRecord, endpoint: Arc<Endpoint>, lane: Lane) -> Delivery {
    Delivery {
        id: DeliveryId(i64::try_from(row.sequence).unwrap_or(i64::MAX)),
        endpoint,
        customer: lane.customer,
        event: Event { id: MessageId::from_stored(row.event.id), body: row.event.body.into() },
        attempts: row.attempts,
    }
}

/// Finds an endpoint: the operator's in the configuration in force, a customer's with the customer.
fn endpoint(
    reads: &dyn Reader,
    gateway: &Gateway,
    id: &str,
) -> Result<Result<Arc<Endpoint>, Missing>, StoreError> {
    if id == OPERATOR {
        let endpoint = gateway.snapshot().webhooks.endpoint.clone();
        return Ok(endpoint.ok_or_else(|| "no `[webhooks]` are configured".to_owned()));
    }
    let Some(CustomerRecord { webhook: Some(webhook), .. }) = reads.customer(id)? else {
        return Ok(Err("the customer has no webhook any more".to_owned()));
    };
    if let Some(reason) = webhook.disabled {
        return Ok(Err(format!("the customer's webhook is off: {reason}")));
    }
    let target = Target::parse(&webhook.url, Trust::Tenant).map_err(|error| error.to_string());
    let secret = SigningSecret::parse(&webhook.secret).map_err(|error| error.to_string());
    Ok(target.and_then(|target| {
        Ok(Arc::new(Endpoint { id: EndpointId(id.into()), target, secrets: secret?.into() }))
    }))
}

/// Keeps what came of an attempt. What is not pending any more was kept before, or given up meanwhile.
/// Gives the customer whose webhook this switches off.
pub(super) fn keep(
    records: &mut dyn Records,
    record: &Record,
) -> Result<Option<String>, StoreError> {
    let Record { delivery: DeliveryId(sequence), at, verdict } = record;
    let sequence = u64::try_from(*sequence).unwrap_or(0);
    let found = records.deliveries(None, Some(sequence.saturating_add(1)), 1)?;
    let is_pending =
        |row: &&DeliveryRecord| row.sequence == sequence && row.state == DeliveryState::Pending;
    let Some(row) = found.first().filter(is_pending) else { return Ok(None) };
    let attempts = row.attempts.saturating_add(1);
    match verdict {
        Verdict::Dead(failure) => {
            let (status, reason) = (failure.status, Some(&*failure.reason));
            records.put_delivery(
                sequence,
                DeliveryState::Failed,
                attempts,
                None,
                status,
                reason,
            )?;
        }
        Verdict::Delivered { status } => {
            let state = DeliveryState::Delivered;
            records.put_delivery(sequence, state, attempts, None, Some(*status), None)?;
        }
        Verdict::Gone => {
            let reason = Some("the receiver answered 410: it wants no more");
            let state = DeliveryState::Failed;
            records.put_delivery(sequence, state, attempts, None, Some(410), reason)?;
            return gone(records, &row.event.endpoint, *at);
        }
        // The same time again is the same record again.
        Verdict::Retry { due, .. } if row.next_attempt == Some(*due) => {}
        Verdict::Retry { failure, due } => {
            let (status, reason) = (failure.status, Some(&*failure.reason));
            let state = DeliveryState::Pending;
            records.put_delivery(sequence, state, attempts, Some(*due), status, reason)?;
        }
    }
    Ok(None)
}

/// Switches a customer's webhook off. The operator's is left on: it is the operator who has to know,
/// and each event is tried until then.
fn gone(
    records: &mut dyn Records,
    endpoint: &str,
    at: Timestamp,
) -> Result<Option<String>, StoreError> {
    if endpoint == OPERATOR {
        tracing::error!("the receiver of `[webhooks]` answered 410; events to it fail");
        return Ok(None);
    }
    let Some(before) = records.customer(endpoint)? else { return Ok(None) };
    let mut after = before.clone();
    let Some(webhook) = &mut after.webhook else { return Ok(None) };
    webhook.disabled = Some("the receiver answered 410".to_owned());
    // As it is stored, so that the audit tells what is there.
    after.updated_at = instant(at.as_millisecond());
    records.put_customer(&after)?;
    records.announce(Announcement::Customer { id: endpoint.to_owned() });
    records.append_audit(&AuditRecord {
        at,
        actor: "gateway".to_owned(),
        action: "webhook.disable".to_owned(),
        customer: Some(endpoint.to_owned()),
        subject: endpoint.to_owned(),
        before: serde_json::to_value(&before).ok(),
        after: serde_json::to_value(&after).ok(),
    })?;
    records.fail_deliveries(
        endpoint,
        "the customer's webhook is off: it answered 410",
        FAILED_MAX,
    )?;
    Ok(Some(endpoint.to_owned()))
}
