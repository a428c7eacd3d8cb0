//! The task that carries deliveries from the outbox to their receivers.
//!
//! Invariant: of a lane one delivery is in flight at most, from its start until the outbox has kept
//! what came of it. So the next one cannot overtake it, and an attempt that was not kept is made
//! again.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, watch},
    task::{self, JoinSet},
    time::{Instant, sleep, timeout},
};

use crate::{
    clock::Clock,
    webhooks::{
        client::{Client, Outcome},
        outbox::{
            Ask, Delivery, DeliveryId, EndpointId, Failure, Lane, Outbox, OutboxError, Record,
            Verdict,
        },
        schedule,
    },
};

/// Sends what is due until it is stopped. It belongs on a runtime that serves no requests.
pub struct Sender {
    shared: Arc<Shared>,
    wake: Arc<Notify>,
    bounds: Bounds,
    attempts: JoinSet<()>,
    /// The lanes of what is in flight.
    lanes: HashMap<task::Id, Lane>,
    /// Not to be asked before: the outbox has just failed.
    rest_until: Option<Instant>,
    stopping: watch::Sender<bool>,
}

/// How much is in flight at once, so that a slow receiver does not stop the others.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// In all.
    pub in_flight: usize,
    /// To one endpoint.
    pub per_endpoint: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { in_flight: 16, per_endpoint: 4 }
    }
}

struct Shared {
    outbox: Arc<dyn Outbox>,
    client: Arc<Client>,
    clock: Arc<Clock>,
    /// Whether the outbox failed last time, so that it is logged when that begins and ends.
    failing: AtomicBool,
}

/// The longest time between two looks at the outbox. It bounds what a step of the clock can delay, and
/// a wake-up that came before what it was for was committed.
const POLL: Duration = Duration::from_secs(5);

/// How long an outbox that fails is left alone.
const REST: Duration = Duration::from_secs(1);

/// How long a stop waits for the outbox to keep what came of attempts that are over.
const STOP_GRACE: Duration = Duration::from_secs(2);

impl Sender {
    /// Makes a sender. Whoever adds to the outbox wakes it.
    pub fn new(
        outbox: Arc<dyn Outbox>,
        client: Arc<Client>,
        clock: Arc<Clock>,
        wake: Arc<Notify>,
        bounds: Bounds,
    ) -> Self {
        Self {
            shared: Arc::new(Shared { outbox, client, clock, failing: AtomicBool::new(false) }),
            wake,
            bounds,
            attempts: JoinSet::new(),
            lanes: HashMap::new(),
            rest_until: None,
            stopping: watch::Sender::new(false),
        }
    }

    /// Sends until the stop comes. Attempts that have no end yet are given up, and made again by the
    /// next start.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            let turn = async {
                let pause = self.start_due().await;
                self.wait(pause).await;
            };
            tokio::select! {
                () = &mut stop => break,
                () = turn => {}
            }
        }
        self.stopping.send_replace(true);
        let ending = async { while self.attempts.join_next().await.is_some() {} };
        if timeout(STOP_GRACE, ending).await.is_err() {
            tracing::warn!("the outbox does not answer; some webhooks may be sent once more");
        }
    }

    /// Starts what is due as far as there is room, and tells how long nothing else will be due.
    async fn start_due(&mut self) -> Duration {
        if let Some(rest) =
            self.rest_until.and_then(|end| end.checked_duration_since(Instant::now()))
            && !rest.is_zero()
        {
            return rest;
        }
        self.rest_until = None;
        // Asked again until nothing more starts: what an endpoint that is full by now had in the
        // first answer took the room of others.
        while self.lanes.len() < self.bounds.in_flight {
            let now = self.shared.clock.now();
            let answer = self.shared.outbox.due(self.ask(now)).await;
            self.shared.note(answer.as_ref().err());
            let Ok(due) = answer else {
                self.rest_until = Some(Instant::now() + REST);
                return REST;
            };
            let before = self.lanes.len();
            for delivery in due.deliveries {
                self.start(delivery);
            }
            if self.lanes.len() == before {
                return due.next.map_or(POLL, |next| until(next, now).min(POLL));
            }
        }
        POLL
    }

    /// Starts an attempt, unless it does not fit. An outbox gives nothing that does not, except that
    /// one answer can hold more for an endpoint than it has room for.
    fn start(&mut self, delivery: Delivery) {
        let lane = delivery.lane();
        let fits = self.lanes.len() < self.bounds.in_flight
            && self.in_flight_to(&lane.endpoint) < self.bounds.per_endpoint
            && !self.lanes.values().any(|busy| *busy == lane);
        if fits {
            let attempt = attempt(Arc::clone(&self.shared), delivery, self.stopping.subscribe());
            let task = self.attempts.spawn(attempt);
            self.lanes.insert(task.id(), lane);
        }
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self, pause: Duration) {
        tokio::select! {
            Some(ended) = self.attempts.join_next_with_id() => {
                let id = match ended {
                    Ok((id, ())) => id,
                    // The outbox panicked; what it did not keep is due again.
                    Err(error) => {
                        tracing::error!(%error, "a webhook's attempt ended in a panic");
                        self.rest_until = Some(Instant::now() + REST);
                        error.id()
                    }
                };
                self.lanes.remove(&id);
            }
            () = self.wake.notified() => {}
            () = sleep(pause) => {}
        }
    }

    fn ask(&self, now: Timestamp) -> Ask {
        let busy: Vec<Lane> = self.lanes.values().cloned().collect();
        let mut full: Vec<EndpointId> = Vec::new();
        for Lane { endpoint, .. } in &busy {
            if self.in_flight_to(endpoint) >= self.bounds.per_endpoint && !full.contains(endpoint) {
                full.push(endpoint.clone());
            }
        }
        Ask { now, max: self.bounds.in_flight - self.lanes.len(), busy, full }
    }

    fn in_flight_to(&self, endpoint: &EndpointId) -> usize {
        self.lanes.values().filter(|lane| lane.endpoint == *endpoint).count()
    }
}

impl Shared {
    /// Gives the outbox a record until it has kept it, or until the stop.
    async fn keep(&self, record: Record, stopping: &mut watch::Receiver<bool>) {
        loop {
            let kept = self.outbox.record(record.clone()).await;
            self.note(kept.as_ref().err());
            if kept.is_ok() || *stopping.borrow() {
                return;
            }
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = sleep(REST) => {}
            }
        }
    }

    /// Logs when the outbox begins to fail and when that is over.
    fn note(&self, error: Option<&OutboxError>) {
        let was_failing = self.failing.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !was_failing => {
                tracing::error!(%error, "the outbox of webhooks fails; will try again");
            }
            None if was_failing => tracing::info!("the outbox of webhooks works again"),
            _ => {}
        }
    }
}

async fn attempt(shared: Arc<Shared>, delivery: Delivery, mut stopping: watch::Receiver<bool>) {
    let Delivery { id, endpoint, event, attempts, .. } = delivery;
    let message = event.id.clone();
    // A task of its own, so that a panic counts as a failure and does not repeat for ever.
    let mut posting = JoinSet::new();
    posting.spawn({
        let (client, endpoint) = (Arc::clone(&shared.client), Arc::clone(&endpoint));
        let now = shared.clock.now();
        async move { client.post(&endpoint.target, &endpoint.secrets, &event, now).await }
    });
    let posted = tokio::select! {
        biased;
        _ = stopping.wait_for(|stopping| *stopping) => return,
        posted = posting.join_next() => posted,
    };
    let outcome = posted.and_then(Result::ok).unwrap_or_else(|| Outcome::Failed {
        failure: Failure { status: None, reason: "an internal error".to_owned() },
        retry_after: None,
    });
    // Without random numbers the waits are the shortest, which is no harm.
    let random = getrandom::u32().unwrap_or(0);
    let record = decide(id, outcome, attempts, shared.clock.now(), random);
    let verdict = &record.verdict;
    tracing::info!(endpoint = %endpoint.id.0, %message, ?verdict, "webhook attempted");
    shared.keep(record, &mut stopping).await;
}

/// Decides what an attempt means for its delivery.
fn decide(
    delivery: DeliveryId,
    outcome: Outcome,
    attempts_before: u32,
    now: Timestamp,
    random: u32,
) -> Record {
    let verdict = match outcome {
        Outcome::Delivered { status } => Verdict::Delivered { status },
        Outcome::Failed { failure, retry_after } => {
            let attempts = attempts_before.saturating_add(1);
            match schedule::delay_after(attempts, retry_after, random) {
                Some(delay) => Verdict::Retry { failure, due: after(now, delay) },
                None => Verdict::Dead(failure),
            }
        }
        Outcome::Gone => Verdict::Gone,
    };
    Record { delivery, at: now, verdict }
}

fn until(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO)
}

fn after(now: Timestamp, delay: Duration) -> Timestamp {
    now.saturating_add(delay).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
