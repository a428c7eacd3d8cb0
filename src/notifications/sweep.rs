//! What time brings: windows that renew, ends that come near or have come; and the tidying of the
//! outbox. A task of its own, far from any request, that works in small transactions. Of several processes that share
//! a store one does this. Each measures the customers whom it knows, under each configuration, and counts what waits.
//!
//! Ends that come are looked for in slices of time, and the store keeps up to where: nothing is told
//! twice, and nothing is lost while the gateway does not run. Ends that are near are looked for anew
//! by each process and each configuration; their marks in the outbox keep them from being told twice.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{sync::watch, time::sleep};

use super::{
    KeptOutbox,
    ends::{self, Slice},
    tell::Teller,
};
use crate::{
    gateway::Gateway,
    keeper::Keeper,
    ledger::Window,
    model::{ApiKey, CustomerTerms},
    nodes::Membership,
    snapshot::Snapshot,
    store::{
        StoreError,
        records::{Records, SubscriptionEnd},
    },
    worker::Stop,
};

/// How much time passes between two rounds, by the clock that decides.
const PERIOD: Duration = Duration::from_secs(15);

/// How often that clock is looked at: it may step, and a reload is a reason for a round as well.
const LOOK: Duration = Duration::from_millis(500);

/// How many customers, keys or accounts are looked at in one transaction.
const PAGE: usize = 1000;

/// How often all customers in memory are gone through for trials whose end only the plan tells.
const WALK: Duration = Duration::from_secs(600);

/// How long a delivery that ended is kept. An end is told at most as long before it comes.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The setting that keeps up to when ends that came were told; empty while nobody listens.
const TOLD_UNTIL: &str = "notifications.told_until";

/// The task.
pub(super) struct Sweep {
    gateway: Arc<Gateway>,
    keeper: Arc<Keeper>,
    membership: Arc<Membership>,
    outbox: Arc<KeptOutbox>,
    /// When the last round was, and whether it was for all processes.
    last: Option<(Timestamp, bool)>,
    /// The configuration under which everybody was measured.
    measured: Option<u64>,
    /// The configuration that the last round for all processes was under.
    generation: Option<u64>,
    /// Up to when near ends were looked for.
    near_until: Timestamp,
    /// When the walk was; none before the first.
    walked: Option<Timestamp>,
    /// Whether the last round failed, so that it is logged when that begins and ends.
    is_failing: bool,
}

/// Where a page of a list by time begins.
#[derive(Clone, Debug)]
struct Cursor {
    at: Timestamp,
    /// Of what has that very time, what comes after this id.
    after: String,
}

/// What a page of subscriptions is looked at for.
#[derive(Clone, Copy, Debug)]
enum Look {
    Come,
    Near,
}

impl Sweep {
    /// Makes the task of a gateway.
    pub(super) fn new(
        gateway: Arc<Gateway>,
        keeper: Arc<Keeper>,
        membership: Arc<Membership>,
        outbox: Arc<KeptOutbox>,
    ) -> Self {
        Self {
            gateway,
            keeper,
            membership,
            outbox,
            last: None,
            measured: None,
            generation: None,
            near_until: Timestamp::MIN,
            walked: None,
            is_failing: false,
        }
    }

    /// Does a round whenever it is time, until the stop. What it is in the middle of then is done anew
    /// by the next start.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<Stop>) {
        let rounds = async {
            loop {
                // Who cannot keep what came of a delivery would hold up all the others.
                self.membership.lead().set_able(self.keeper.is_healthy());
                let now = self.gateway.clock().now();
                if self.is_time(now) {
                    let result = self.round(now).await;
                    self.note(result.as_ref().err());
                }
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = rounds => {}
            _ = stop.wait_for(|stop| *stop != Stop::No) => {}
        }
    }

    /// Tells whether a round is due: time has passed, in either direction, the configuration is
    /// another, or this process does it for all from now on.
    fn is_time(&self, now: Timestamp) -> bool {
        let Some((last, was_for_all)) = self.last else { return true };
        now.duration_since(last).unsigned_abs() >= PERIOD
            || self.measured != Some(self.gateway.snapshot().generation)
            || (!was_for_all && self.membership.lead().is_held())
    }

    async fn round(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let snapshot = self.gateway.snapshot();
        if self.measured != Some(snapshot.generation) {
            if Teller::is_heard(&self.gateway, &snapshot) {
                self.measure_everybody().await?;
            }
            self.measured = Some(snapshot.generation);
        }
        let is_for_all = self.membership.lead().is_held();
        if is_for_all {
            self.round_for_all(&snapshot, now).await?;
        }
        self.count().await?;
        self.last = Some((now, is_for_all));
        Ok(())
    }

    async fn round_for_all(
        &mut self,
        snapshot: &Arc<Snapshot>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let is_new = self.generation != Some(snapshot.generation);
        if Teller::is_heard(&self.gateway, snapshot) {
            if is_new {
                self.near_until = now;
                self.walked = None;
            }
            self.renewals().await?;
            self.ends(snapshot, now, is_new).await?;
        } else {
            self.forget_time().await?;
        }
        let before = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        self.tell(move |teller| teller.records.forget_deliveries(before)).await?;
        self.generation = Some(snapshot.generation);
        Ok(())
    }

    /// Measures everybody who has used something: limits may be others, and what was folded by the
    /// start itself was not watched.
    async fn measure_everybody(&self) -> Result<(), StoreError> {
        let gateway = Arc::clone(&self.gateway);
        let listed = tokio::task::spawn_blocking(move || gateway.ledger().ids()).await;
        for ids in listed.unwrap_or_default().chunks(PAGE) {
            let ids = ids.to_vec();
            self.tell(move |teller| ids.iter().try_for_each(|id| teller.measure_customer(id)))
                .await?;
        }
        Ok(())
    }

    /// Tells the quotas that have renewed since something was told of them.
    async fn renewals(&self) -> Result<(), StoreError> {
        loop {
            let page = self.tell(|teller| {
                let ended = teller.records.ended_thresholds(teller.now, PAGE)?;
                ended.iter().try_for_each(|(account, _)| teller.renew(account))?;
                Ok(ended.len())
            });
            if page.await? < PAGE {
                return Ok(());
            }
        }
    }

    async fn ends(
        &mut self,
        snapshot: &Arc<Snapshot>,
        now: Timestamp,
        is_new: bool,
    ) -> Result<(), StoreError> {
        let told_until = self.tell(|teller| told_until(&*teller.records)).await?;
        let come = Slice { from: told_until.unwrap_or(now), to: now };
        let horizon = now.checked_add(snapshot.webhooks.ahead).unwrap_or(Timestamp::MAX);
        let near = Slice { from: self.near_until.max(now), to: horizon };
        for by in [SubscriptionEnd::CancelAt, SubscriptionEnd::TrialEnd] {
            self.subscriptions(by, come, Look::Come).await?;
            self.subscriptions(by, near, Look::Near).await?;
        }
        self.keys(near).await?;
        self.declared(snapshot, near, come).await?;
        let since = self.walked.map(|walked| now.duration_since(walked));
        if is_new || since.is_none_or(|since| since.unsigned_abs() >= WALK) {
            self.walk(come.from, now, horizon).await?;
            self.walked = Some(now);
        }
        self.tell(move |teller| {
            let until = come.from.max(come.to).to_string();
            teller.records.put_setting(TOLD_UNTIL, &until)
        })
        .await?;
        self.near_until = self.near_until.max(horizon);
        Ok(())
    }

    /// Looks at the stored subscriptions that end in a slice, page by page.
    async fn subscriptions(
        &self,
        by: SubscriptionEnd,
        slice: Slice,
        look: Look,
    ) -> Result<(), StoreError> {
        let mut next = Some(Cursor { at: slice.from, after: String::new() });
        while let Some(Cursor { at, after }) = next.filter(|cursor| cursor.at < slice.to) {
            let page = self.tell(move |teller| {
                let window = Window { start: at, end: Some(slice.to) };
                let found = teller.records.subscriptions_ending(by, window, &after, PAGE)?;
                for (customer, held) in &found {
                    let audience = teller.audience(customer);
                    match look {
                        _ if audience.is_empty() => {}
                        Look::Come => teller.tell_ended(customer, audience, held, slice)?,
                        Look::Near => teller.tell_ending(customer, audience, held, slice)?,
                    }
                }
                let last = found.last().filter(|_| found.len() == PAGE);
                Ok(last.and_then(|(customer, held)| {
                    let at = match by {
                        SubscriptionEnd::CancelAt => held.cancel_at?,
                        SubscriptionEnd::TrialEnd => held.trial_end?,
                    };
                    Some(Cursor { at, after: customer.clone() })
                }))
            });
            next = page.await?;
        }
        Ok(())
    }

    /// Looks at the stored keys that expire in a slice, page by page.
    async fn keys(&self, slice: Slice) -> Result<(), StoreError> {
        let mut next = Some(Cursor { at: slice.from, after: String::new() });
        while let Some(Cursor { at, after }) = next.filter(|cursor| cursor.at < slice.to) {
            let page = self.tell(move |teller| {
                let window = Window { start: at, end: Some(slice.to) };
                let found = teller.records.keys_expiring(window, &after, PAGE)?;
                for key in &found {
                    if let Some(expires) = key.expires {
                        teller.tell_expiring(&key.id, &key.customer, expires, slice)?;
                    }
                }
                let last = found.last().filter(|_| found.len() == PAGE);
                Ok(last.and_then(|key| Some(Cursor { at: key.expires?, after: key.id.clone() })))
            });
            next = page.await?;
        }
        Ok(())
    }

    /// Looks at what the file declares.
    async fn declared(
        &self,
        snapshot: &Arc<Snapshot>,
        near: Slice,
        come: Slice,
    ) -> Result<(), StoreError> {
        let customers = ends::declared(snapshot, [near, come]);
        let is_near = |key: &&Arc<ApiKey>| key.expires.is_some_and(|at| near.contains(at));
        let keys: Vec<_> = snapshot.declared.api_keys().filter(is_near).cloned().collect();
        self.all_of(customers, near, come).await?;
        for keys in keys.chunks(PAGE) {
            let keys = keys.to_vec();
            self.tell(move |teller| keys.iter().try_for_each(|key| teller.tell_key(key, near)))
                .await?;
        }
        Ok(())
    }

    /// Goes through the customers in memory for trials whose end no column of the store has, because
    /// the plan tells it. That takes long with a million, so it is done seldom.
    async fn walk(
        &self,
        come_from: Timestamp,
        now: Timestamp,
        horizon: Timestamp,
    ) -> Result<(), StoreError> {
        let gateway = Arc::clone(&self.gateway);
        let walked = self.walked.unwrap_or(come_from).min(come_from);
        // What came between the last walk of another process and its last round is looked at again.
        let from = walked.checked_sub(WALK).unwrap_or(Timestamp::MIN);
        let (near, come) = (Slice { from: now, to: horizon }, Slice { from, to: now });
        let found = tokio::task::spawn_blocking(move || ends::computed(&gateway, [near, come]));
        self.all_of(found.await.unwrap_or_default(), near, come).await
    }

    async fn all_of(
        &self,
        customers: Vec<Arc<CustomerTerms>>,
        near: Slice,
        come: Slice,
    ) -> Result<(), StoreError> {
        for customers in customers.chunks(PAGE) {
            let customers = customers.to_vec();
            self.tell(move |teller| {
                customers.iter().try_for_each(|terms| teller.tell_ends(terms, near, come))
            })
            .await?;
        }
        Ok(())
    }

    /// Takes back up to when ends were told: who begins to listen later is told what comes then.
    async fn forget_time(&self) -> Result<(), StoreError> {
        self.tell(|teller| {
            if told_until(&*teller.records)?.is_some() {
                teller.records.put_setting(TOLD_UNTIL, "")?;
            }
            Ok(())
        })
        .await
    }

    /// Counts what waits.
    async fn count(&self) -> Result<(), StoreError> {
        let pending = self.outbox.pending().await?;
        self.gateway.notifications().count(pending);
        if pending > 0 {
            self.gateway.notifications().wake();
        }
        Ok(())
    }

    /// Does something in a transaction, and wakes the sender for what was told in it.
    async fn tell<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Teller<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (gateway, woken) = (Arc::clone(&self.gateway), Arc::clone(&self.gateway));
        let work = move |records: &mut dyn Records| -> Result<(T, bool), StoreError> {
            let (snapshot, now) = (gateway.snapshot(), gateway.clock().now());
            let mut teller = Teller::new(records, &gateway, &snapshot, now);
            let value = work(&mut teller)?;
            Ok((value, teller.has_told()))
        };
        let after = move |(_, has_told): &(T, bool)| {
            if *has_told {
                woken.notifications().wake();
            }
        };
        let ended = |_| Err(StoreError::new("write to", "the thread that has it has ended"));
        let (value, _) = self.keeper.submit(work, after).await.unwrap_or_else(ended)?;
        Ok(value)
    }

    fn note(&mut self, error: Option<&StoreError>) {
        match error {
            Some(error) if !self.is_failing => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(%error, cause, "events of time are not told; will try again");
            }
            None if self.is_failing => tracing::info!("events of time are told again"),
            _ => {}
        }
        self.is_failing = error.is_some();
    }
}

fn told_until(records: &dyn Records) -> Result<Option<Timestamp>, StoreError> {
    Ok(records.setting(TOLD_UNTIL)?.and_then(|text| text.parse().ok()))
}
