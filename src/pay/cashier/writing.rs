//! What the cashier writes: each of these is one transaction, and what must not be lost is tried again.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    super::{
        books,
        kept::{Answer, KEPT_BYTES_MAX, Keeping},
    },
    Desk,
};
use crate::store::{
    StoreError,
    records::{AnswerRecord, PaymentRecord, Records},
};

/// How long what must not be lost is tried to be written while somebody waits for it, or behind the end of the workers;
/// and how often.
const WRITE_TIME: Duration = Duration::from_secs(10);
const WRITE_PAUSE: Duration = Duration::from_millis(500);

impl Desk {
    /// Writes that a payment moved. Whether it is spent at once somebody waits for; without that it takes as long as it
    /// takes.
    pub(super) async fn write_settled(
        &self,
        settling: &PaymentRecord,
        transaction: &str,
        spends: bool,
    ) -> Result<Option<PaymentRecord>, StoreError> {
        let (from, told) = (settling.clone(), transaction.to_owned());
        let settle = move |records: &mut dyn Records, now: Timestamp| {
            books::settle(records, now, &from, &told, spends)
        };
        let written = self.insist(spends, settle).await;
        let cause = match &written {
            Ok(Some(_)) => return written,
            Ok(None) => "it went on elsewhere".to_owned(),
            Err(error) => error.to_string(),
        };
        let proof = &settling.proof;
        tracing::error!(proof, transaction, cause, "a payment moved that is not written down");
        written
    }

    pub(super) async fn write_doubt(
        &self,
        settling: PaymentRecord,
        reason: String,
        transaction: Option<String>,
    ) {
        let now = self.gateway.clock().now();
        let proof = settling.proof.clone();
        let told = reason.clone();
        let doubt = move |records: &mut dyn Records| {
            books::doubt(records, now, &settling, &reason, transaction.as_deref())
        };
        match self.write(doubt).await {
            Ok(Some(payment)) if payment.next_attempt.is_none() => tracing::error!(
                proof,
                reason = told,
                "what became of a payment is not known and asked for no more"
            ),
            Ok(_) => {}
            // It is found as being settled, when its time is over.
            Err(error) => tracing::error!(%error, proof, "what is not known is not written down"),
        }
    }

    /// Forgets a claim by which nothing moved. One that cannot be forgotten may be claimed again in a minute.
    pub(super) async fn forget(&self, payment: PaymentRecord) {
        let forgotten = self.write(move |records| records.forget_payment(&payment)).await;
        if let Err(error) = forgotten {
            tracing::error!(%error, "a claim that came to nothing is not forgotten");
        }
    }

    pub(super) async fn give_back(self: Arc<Self>, used: PaymentRecord) {
        let proof = used.proof.clone();
        let give_back = move |records: &mut dyn Records, now| books::give_back(records, now, &used);
        if let Err(error) = self.insist(false, give_back).await {
            tracing::error!(%error, proof, "a payment is not given back");
        }
    }

    /// Has an answer written down that was paid for, before anything of the orders behind it; gives the wait for that. What
    /// is lost here cannot be fetched again, and that is all.
    pub(super) fn keep(&self, keeping: Keeping) -> impl Future<Output = ()> + Send + use<> {
        let Keeping { payment, request, answer, room, place } = keeping;
        let (kept, now) =
            (self.gateway.look(|snapshot| snapshot.retention.answers), self.gateway.clock().now());
        let until = now.checked_add(kept).unwrap_or(now);
        let Answer { status, fields, length, body } = answer;
        let record = AnswerRecord { payment, request, status, fields, length, body, until };
        let written = self.keeper.submit(
            move |records: &mut dyn Records| records.keep_answer(&record, KEPT_BYTES_MAX),
            |()| (),
        );
        async move {
            if let Ok(Err(error)) = written.await {
                tracing::error!(%error, "an answer that was paid for is not kept");
            }
            drop((room, place));
        }
    }

    /// Writes what must not be lost, again and again where the store cannot: for a while where somebody waits for it, and
    /// else until the gateway stops.
    pub(super) async fn insist<T: Send + 'static>(
        &self,
        is_awaited: bool,
        work: impl Fn(&mut dyn Records, Timestamp) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        loop {
            let (work, now) = (work.clone(), self.gateway.clock().now());
            let written = self.write(move |records| work(records, now)).await;
            let since = if is_awaited { Some(&began) } else { self.ended.get() };
            let is_over = since.is_some_and(|since| since.elapsed() >= WRITE_TIME);
            if written.is_ok() || is_over {
                return written;
            }
            sleep(WRITE_PAUSE).await;
        }
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Records) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let answer = self.keeper.submit(work, |_| ()).await;
        answer.unwrap_or_else(|_| Err(StoreError::new("write to", "its thread has ended")))
    }
}
