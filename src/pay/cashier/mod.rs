//! The task that settles payments: it claims them, asks, writes down what it is told, and asks again about what it
//! was not told.
//!
//! It is on no worker's thread, so that a request that is given up does not break off a settlement.

mod writing;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{
    books::{self, Found, RENEWAL},
    till::{Bill, Order, Refused, Reply, Till},
    x402::{
        Terms,
        facilitator::{Asked, Facilitator, Settled, Verified},
    },
};
use crate::{
    gateway::Gateway,
    keeper::Keeper,
    model::Settle,
    outgoing::{Resolver, Roots, RootsError, SystemResolver},
    store::records::{PaymentRecord, PaymentState, Records},
    telemetry::metrics::payments::Calls,
};

/// How often it looks for payments whose outcome is to be asked for.
const LOOK: Duration = Duration::from_secs(1);

/// How many of them are asked for at a time.
const ASKED_MAX: usize = 16;

/// The task, not started yet.
pub(crate) struct Cashier {
    desk: Arc<Desk>,
    orders: mpsc::Receiver<Order>,
}

/// What all that it does needs.
struct Desk {
    gateway: Arc<Gateway>,
    keeper: Arc<Keeper>,
    facilitator: Facilitator,
    /// When the workers ended.
    ended: OnceLock<Instant>,
}

impl Cashier {
    /// Makes the task of a gateway, and where workers bring payments.
    pub(crate) fn new(
        gateway: &Arc<Gateway>,
        keeper: &Arc<Keeper>,
    ) -> Result<(Self, Till), RootsError> {
        let (till, orders) = Till::new();
        let resolver: Arc<dyn Resolver> = Arc::new(SystemResolver);
        let facilitator = Facilitator::new(&resolver, &Roots::System)?;
        let (gateway, keeper) = (Arc::clone(gateway), Arc::clone(keeper));
        let desk = Desk { gateway, keeper, facilitator, ended: OnceLock::new() };
        Ok((Self { desk: Arc::new(desk), orders }, till))
    }

    /// Runs until the workers have ended, and what they brought. What is being settled then is waited for: whoever settles it
    /// may not tell again what he told nobody.
    pub(crate) async fn run(self, mut ended: watch::Receiver<bool>) {
        let Self { desk, mut orders } = self;
        let mut asking = JoinSet::new();
        let mut returning = JoinSet::new();
        let mut looking = JoinSet::new();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Settle(bill)) => drop(asking.spawn(Arc::clone(&desk).settle(*bill))),
                    Some(Order::GiveBack(payment)) => {
                        returning.spawn(Arc::clone(&desk).give_back(*payment));
                    }
                    Some(Order::Keep(keeping)) => {
                        returning.spawn(desk.keep(*keeping));
                    }
                    None => break,
                },
                Some(_) = asking.join_next() => {}
                Some(_) = returning.join_next() => {}
                Some(_) = looking.join_next() => {}
                _ = look.tick(), if looking.len() < ASKED_MAX && !desk.is_ending() => {
                    looking.spawn(Arc::clone(&desk).ask_again());
                }
                _ = ended.wait_for(|ended| *ended), if !desk.is_ending() => {
                    // It is set here alone.
                    let _ = desk.ended.set(Instant::now());
                }
            }
            // What is settled now for nobody is given back by way of the queue.
            if desk.is_ending() && asking.is_empty() {
                orders.close();
            }
        }
        while looking.join_next().await.is_some() {}
        while returning.join_next().await.is_some() {}
    }
}

impl Desk {
    async fn settle(self: Arc<Self>, bill: Bill) {
        let Bill { presented, of, good, terms, reply } = bill;
        let now = self.gateway.clock().now();
        let settle = of.settle;
        let claim =
            move |records: &mut dyn Records| books::claim(records, now, &presented, &of, good);
        match self.write(claim).await {
            Ok(Found::Claimed(payment)) => {
                self.settle_claimed(payment, settle, &terms, reply).await
            }
            Ok(Found::Failed { reason }) => reply.refuse(Refused::Failed { reason }),
            Ok(Found::Pending) => reply.refuse(Refused::Pending),
            Ok(Found::Spent(payment)) => reply.grant(payment),
            Ok(Found::Used(Some(answer))) => reply.answer(answer),
            Ok(Found::Used(None)) => reply.refuse(Refused::AlreadyUsed),
            Ok(Found::Wrong(wrong)) => reply.refuse(Refused::Wrong(wrong)),
            Err(error) => {
                tracing::error!(%error, "a payment cannot be claimed");
                reply.refuse(Refused::Unavailable);
            }
        }
    }

    async fn settle_claimed(
        &self,
        mut claimed: PaymentRecord,
        settle: Settle,
        terms: &Terms,
        reply: Reply,
    ) {
        let refused = match self.verify(terms, &asked(&claimed)).await {
            Verified::Invalid { reason } => Refused::Wrong(super::Wrong::Invalid(reason.into())),
            Verified::Unavailable => Refused::Unavailable,
            Verified::Valid { by } => {
                claimed.settler = Some(by);
                return match settle {
                    Settle::AfterHeaders => self.hold(claimed, terms, reply).await,
                    Settle::Before => self.settle_verified(claimed, terms, reply).await,
                };
            }
        };
        self.forget(claimed).await;
        reply.refuse(refused);
    }

    /// Keeps a payment that is good for its request while that is at the upstream: it is settled once that is answered
    /// so that it is charged, and else forgotten, since nothing moved.
    async fn hold(&self, claimed: PaymentRecord, terms: &Terms, reply: Reply) {
        let (mut word, reply) = reply.pledge();
        let is_collected = loop {
            tokio::select! {
                biased;
                told = &mut word => break told.is_ok(),
                () = sleep(RENEWAL) => self.renew(&claimed).await,
            }
        };
        match is_collected {
            true => self.settle_verified(claimed, terms, reply).await,
            false => {
                self.forget(claimed).await;
                // Only now may it be presented again.
                drop(reply);
            }
        }
    }

    /// Keeps a claim from being taken for one whose request is gone. What is lost here is found when it is settled.
    async fn renew(&self, claimed: &PaymentRecord) {
        let (now, held) = (self.gateway.clock().now(), claimed.clone());
        match self.write(move |records| records.renew_payment(now, &held)).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!(proof = claimed.proof, "a payment was claimed by another"),
            Err(error) => {
                tracing::error!(%error, proof = claimed.proof, "a claim cannot be renewed");
            }
        }
    }

    async fn settle_verified(&self, claimed: PaymentRecord, terms: &Terms, reply: Reply) {
        let now = self.gateway.clock().now();
        let begun = self.write(move |records| books::begin(records, now, &claimed)).await;
        let settling = match begun {
            Ok(Some(settling)) => settling,
            // It took so long that another has it.
            Ok(None) => return reply.refuse(Refused::Pending),
            Err(error) => {
                tracing::error!(%error, "a payment is not settled");
                return reply.refuse(Refused::Unavailable);
            }
        };
        let calls = &self.gateway.metrics().payments().settle;
        let settled = self.ask_to_settle(terms, &asked(&settling), calls).await;
        match settled {
            Settled::Failed { reason } => {
                let failed = reason.clone();
                let fail = move |records: &mut dyn Records, now: Timestamp| {
                    books::fail(records, now, &settling, &failed)
                };
                match self.insist(true, fail).await {
                    Ok(Some(_)) => reply.refuse(Refused::Failed { reason }),
                    _ => reply.refuse(Refused::Pending),
                }
            }
            Settled::NotAsked => {
                self.forget(settling).await;
                reply.refuse(Refused::Unavailable);
            }
            Settled::Success { transaction } => {
                match self.write_settled(&settling, &transaction, true).await {
                    Ok(Some(payment)) if payment.state == PaymentState::Used => {
                        reply.grant(payment);
                    }
                    Ok(_) => reply.refuse(Refused::Pending),
                    Err(_) => {
                        reply.refuse(Refused::Pending);
                        drop(self.write_settled(&settling, &transaction, false).await);
                    }
                }
            }
            Settled::Unknown { reason, transaction } => {
                self.write_doubt(settling, reason, transaction).await;
                reply.refuse(Refused::Pending);
            }
        }
    }

    /// Asks what became of one settlement, if one is due. To ask for the same again is safe: what it orders can be
    /// carried out once.
    async fn ask_again(self: Arc<Self>) {
        let Some(terms) = self.gateway.look(|snapshot| snapshot.x402.clone()) else { return };
        let now = self.gateway.clock().now();
        let taken = match self.write(move |records| books::take_due(records, now)).await {
            Ok(Some(taken)) => taken,
            Ok(None) => return,
            Err(error) => return tracing::error!(%error, "payments cannot be looked at"),
        };
        let calls = &self.gateway.metrics().payments().settle_again;
        match self.ask_to_settle(&terms, &asked(&taken), calls).await {
            Settled::Success { transaction } => {
                drop(self.write_settled(&taken, &transaction, false).await);
            }
            // That it cannot be carried out now does not say that it was not before.
            Settled::Failed { reason } => self.write_doubt(taken, reason, None).await,
            Settled::NotAsked => self.write_doubt(taken, "not asked".to_owned(), None).await,
            Settled::Unknown { reason, transaction } => {
                self.write_doubt(taken, reason, transaction).await;
            }
        }
    }

    async fn verify(&self, terms: &Terms, asked: &Asked) -> Verified {
        let began = Instant::now();
        let verified = self.facilitator.verify(terms, asked).await;
        let result = match &verified {
            Verified::Invalid { .. } => "invalid",
            Verified::Unavailable => "unavailable",
            Verified::Valid { .. } => "valid",
        };
        self.gateway.metrics().payments().verify.count(result, began.elapsed());
        verified
    }

    async fn ask_to_settle(&self, terms: &Terms, asked: &Asked, calls: &Calls) -> Settled {
        let began = Instant::now();
        let settled = self.facilitator.settle(terms, asked).await;
        let result = match &settled {
            Settled::Failed { .. } => "failed",
            Settled::NotAsked => "unavailable",
            Settled::Success { .. } => "settled",
            Settled::Unknown { .. } => "in_doubt",
        };
        calls.count(result, began.elapsed());
        settled
    }

    fn is_ending(&self) -> bool {
        self.ended.get().is_some()
    }
}

fn asked(payment: &PaymentRecord) -> Asked {
    let PaymentRecord { task, settler, payer, network, amount, .. } = payment;
    Asked {
        by: settler.clone(),
        order: task.clone(),
        payer: payer.clone(),
        network: network.clone(),
        amount: amount.clone(),
    }
}
