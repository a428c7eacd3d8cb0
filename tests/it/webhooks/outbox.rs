//! An outbox in memory, which checks what it is asked.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard},
};

use faregate::webhooks::{
    Answer, Ask, CustomerId, Delivery, DeliveryId, Due, Endpoint, EndpointId, Event, Lane,
    MessageId, Outbox, Record, Verdict,
};
use jiff::Timestamp;

use crate::support::wait_for;

#[derive(Default)]
pub(super) struct MemoryOutbox(Mutex<State>);

#[derive(Default)]
struct State {
    rows: Vec<Row>,
    records: Vec<Record>,
    off: HashSet<EndpointId>,
    asked_at: Option<Timestamp>,
    due_failures: usize,
    record_failures: usize,
    panic_at_record: bool,
}

struct Row {
    delivery: Delivery,
    due: Timestamp,
    is_over: bool,
}

impl MemoryOutbox {
    /// Adds an event of a customer, due at once.
    pub(super) fn add(
        &self,
        endpoint: &Arc<Endpoint>,
        customer: &str,
        now: Timestamp,
    ) -> MessageId {
        let data = serde_json::json!({ "customer": customer });
        let event = Event::new("quota.exhausted", &data, now).unwrap();
        let message = event.id.clone();
        let mut state = self.lock();
        let delivery = Delivery {
            id: DeliveryId(i64::try_from(state.rows.len()).unwrap()),
            endpoint: Arc::clone(endpoint),
            customer: Some(CustomerId(customer.into())),
            event,
            attempts: 0,
        };
        state.rows.push(Row { delivery, due: now, is_over: false });
        message
    }

    /// Makes the next questions for what is due fail.
    pub(super) fn fail_due(&self, times: usize) {
        self.lock().due_failures = times;
    }

    /// Makes the next records fail.
    pub(super) fn fail_records(&self, times: usize) {
        self.lock().record_failures = times;
    }

    /// Makes the next record panic.
    pub(super) fn panic_at_record(&self) {
        self.lock().panic_at_record = true;
    }

    /// Gives how many records are still to fail.
    pub(super) fn record_failures_left(&self) -> usize {
        self.lock().record_failures
    }

    /// Waits for so many verdicts, and gives all there are.
    pub(super) fn wait_for(&self, count: usize) -> Vec<Verdict> {
        wait_for(&format!("{count} records"), || {
            let state = self.lock();
            let verdicts = state.records.iter().map(|record| record.verdict.clone());
            (state.records.len() >= count).then(|| verdicts.collect())
        })
    }

    /// Waits until it was asked what is due at a time.
    pub(super) fn wait_asked(&self, at: Timestamp) {
        wait_for("a question to the outbox", || (self.lock().asked_at == Some(at)).then_some(()));
    }

    /// Gives how many attempts were recorded.
    pub(super) fn records(&self) -> usize {
        self.lock().records.len()
    }

    /// Gives when the oldest delivery that is not over is due.
    pub(super) fn next_due(&self) -> Timestamp {
        self.lock().rows.iter().find(|row| !row.is_over).unwrap().due
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Outbox for MemoryOutbox {
    fn due(&self, ask: Ask) -> Answer<'_, Due> {
        Box::pin(async move { self.lock().due(&ask) })
    }

    fn record(&self, record: Record) -> Answer<'_, ()> {
        Box::pin(async move {
            let panics = std::mem::take(&mut self.lock().panic_at_record);
            assert!(!panics, "a panic as the test wants it");
            self.lock().record(record)
        })
    }
}

impl State {
    fn due(&mut self, ask: &Ask) -> Result<Due, faregate::webhooks::OutboxError> {
        let Ask { now, max, busy, full } = ask;
        assert!(*max > 0 && max + busy.len() <= 16, "{ask:?}");
        self.asked_at = Some(*now);
        if self.due_failures > 0 {
            self.due_failures -= 1;
            return Err("the disk is full".into());
        }
        let mut seen: HashSet<Lane> = HashSet::new();
        let mut due = Due::default();
        for row in self.rows.iter().filter(|row| !row.is_over) {
            let lane = row.delivery.lane();
            if self.off.contains(&lane.endpoint)
                || !seen.insert(lane.clone())
                || busy.contains(&lane)
                || full.contains(&lane.endpoint)
            {
                continue;
            }
            if row.due > *now {
                due.next = Some(due.next.map_or(row.due, |next| next.min(row.due)));
            } else if due.deliveries.len() < *max {
                due.deliveries.push(row.delivery.clone());
            }
        }
        Ok(due)
    }

    fn record(&mut self, record: Record) -> Result<(), faregate::webhooks::OutboxError> {
        if self.record_failures > 0 {
            self.record_failures -= 1;
            return Err("the disk is full".into());
        }
        let row = &mut self.rows[usize::try_from(record.delivery.0).unwrap()];
        assert!(!row.is_over, "{record:?} comes after the end");
        match &record.verdict {
            Verdict::Dead(_) | Verdict::Delivered { .. } => row.is_over = true,
            Verdict::Gone => {
                self.off.insert(row.delivery.endpoint.id.clone());
            }
            Verdict::Retry { due, .. } => {
                row.delivery.attempts += 1;
                row.due = *due;
            }
        }
        self.records.push(record);
        Ok(())
    }
}
