//! What keeps the ledger: consumption is entered when its minute is over, grants that have ended expire,
//! entries that are older than they are kept for are carried, and what nodes shared of windows that are long over, answers
//! whose time is over, and payments of which nothing can come are forgotten. A task of its own, far from any
//! request, that works in small transactions. Of several processes that share a store one does this.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use crate::{
    gateway::Gateway,
    keeper::Keeper,
    nodes::Membership,
    provisioning::{Change, Rejection},
    store::StoreError,
    worker::Stop,
};

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(15);

/// How long after its end a minute is entered: most of what was reserved in it has ended then, and is
/// folded. What comes later is an entry more.
const LATE: Duration = Duration::from_secs(60);

/// How many rows one transaction enters or carries.
const ROWS: usize = 4096;

/// How many grants one transaction ends.
const GRANTS: usize = 256;

/// How often entries are carried. They go by the minute, and there are as many of them as are made.
const CARRY_PERIOD: Duration = Duration::from_secs(600);

/// How long after its end a window is forgotten as nodes share it: whatever was in flight then has ended.
const SHARED: Duration = Duration::from_secs(24 * 3600);

/// How long after its last change a payment is forgotten of which nothing can come, at the least.
const PAYMENTS: Duration = Duration::from_secs(90 * 24 * 3600);

/// How many payments or answers one transaction forgets.
const FORGOTTEN: usize = 256;

/// The task.
pub(crate) struct Upkeep {
    gateway: Arc<Gateway>,
    keeper: Arc<Keeper>,
    membership: Arc<Membership>,
    carry_at: Instant,
    /// So that it is logged when failures begin and end.
    is_failing: bool,
}

/// Why a round broke off.
#[derive(Debug, thiserror::Error)]
enum UpkeepError {
    #[error("the store's thread has ended")]
    Ended,
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Upkeep {
    /// Makes the task of a gateway.
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        keeper: Arc<Keeper>,
        membership: Arc<Membership>,
    ) -> Self {
        Self { gateway, keeper, membership, carry_at: Instant::now(), is_failing: false }
    }

    /// Runs until the stop.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<Stop>) {
        loop {
            let result = self.round().await;
            let was_failing = std::mem::replace(&mut self.is_failing, result.is_err());
            match result {
                Err(error) if !was_failing => {
                    tracing::error!(%error, "the ledger is not kept; will try again");
                }
                Ok(()) if was_failing => tracing::info!("the ledger is kept again"),
                _ => {}
            }
            let stopped = stop.wait_for(|stop| *stop != Stop::No);
            if tokio::time::timeout(PERIOD, stopped).await.is_ok() {
                return;
            }
        }
    }

    async fn round(&mut self) -> Result<(), UpkeepError> {
        if !self.membership.lead().is_held() {
            return Ok(());
        }
        let now = self.gateway.clock().now();
        let before = now.checked_sub(LATE + Duration::from_secs(60)).unwrap_or(now);
        while !self.enter(now, before).await? {}
        while !self.expire().await? {}
        while !self.forget_answers(now).await? {}
        if Instant::now() >= self.carry_at {
            let kept = self.gateway.look(|snapshot| snapshot.retention.entries);
            let before = now.checked_sub(kept).unwrap_or(jiff::Timestamp::MIN);
            while !self.carry(before).await? {}
            let before = now.checked_sub(SHARED).unwrap_or(jiff::Timestamp::MIN);
            while !self.forget_shared(before).await? {}
            let before = now.checked_sub(PAYMENTS.max(kept)).unwrap_or(jiff::Timestamp::MIN);
            while !self.forget_payments(before).await? {}
            self.carry_at = Instant::now() + CARRY_PERIOD;
        }
        Ok(())
    }

    async fn enter(
        &self,
        now: jiff::Timestamp,
        before: jiff::Timestamp,
    ) -> Result<bool, UpkeepError> {
        let work = move |records: &mut dyn crate::store::records::Records| {
            records.enter_gathered(now, before, ROWS)
        };
        Ok(self.keeper.submit(work, |_| ()).await.map_err(|_| UpkeepError::Ended)??)
    }

    async fn carry(&self, before: jiff::Timestamp) -> Result<bool, UpkeepError> {
        let work = move |records: &mut dyn crate::store::records::Records| {
            records.carry_entries(before, ROWS)
        };
        Ok(self.keeper.submit(work, |_| ()).await.map_err(|_| UpkeepError::Ended)??)
    }

    async fn forget_shared(&self, before: jiff::Timestamp) -> Result<bool, UpkeepError> {
        let work = move |records: &mut dyn crate::store::records::Records| {
            records.forget_shared_windows(before, ROWS)
        };
        Ok(self.keeper.submit(work, |_| ()).await.map_err(|_| UpkeepError::Ended)??)
    }

    async fn forget_answers(&self, now: jiff::Timestamp) -> Result<bool, UpkeepError> {
        let work = move |records: &mut dyn crate::store::records::Records| {
            records.forget_answers(now, FORGOTTEN)
        };
        Ok(self.keeper.submit(work, |_| ()).await.map_err(|_| UpkeepError::Ended)??)
    }

    async fn forget_payments(&self, before: jiff::Timestamp) -> Result<bool, UpkeepError> {
        let work = move |records: &mut dyn crate::store::records::Records| {
            records.forget_payments(before, FORGOTTEN)
        };
        Ok(self.keeper.submit(work, |_| ()).await.map_err(|_| UpkeepError::Ended)??)
    }

    async fn expire(&self) -> Result<bool, UpkeepError> {
        let (gateway, told) = (Arc::clone(&self.gateway), Arc::clone(&self.gateway));
        let answer = self.keeper.submit(
            move |records| {
                let mut change = Change::new(records, &gateway, "faregate");
                let is_all = change.expire_grants(GRANTS)?;
                Ok::<_, Rejection>((is_all, change.finish()?))
            },
            move |(_, applied)| applied.apply(&told),
        );
        let (is_all, _) = answer.await.map_err(|_| UpkeepError::Ended)??;
        Ok(is_all)
    }
}
