//! Where workers bring payments: a bounded queue to whoever settles them, and what is given for one.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{
    Presented, Wrong,
    books::{For, PaidBefore},
    kept::{COPIED_BYTES_MAX, Keeping, Shelf},
    x402::Terms,
};
use crate::{
    answer::Ending,
    guesses::{GuessLimit, Guesses},
    store::records::PaymentRecord,
};

/// How many payments may be under way in one process, from their claim to the end of what they paid for.
const PLACES: usize = 4096;

/// How many of them one payer may have under way: what is held for a request and not settled yet costs nothing, so nobody
/// could else be kept from holding all places.
const PLACES_EACH: usize = PLACES / 8;

/// How many payments of one address may be asked about and not be good, of those whose signature only the chain can
/// judge: garbage costs whoever sends it nothing, and us a question.
const DOUBTED: GuessLimit = GuessLimit { limit: 60, window: Duration::from_secs(60) };

/// Where workers bring payments.
#[derive(Debug)]
pub(crate) struct Till {
    orders: mpsc::Sender<Order>,
    under_way: Arc<Mutex<UnderWay>>,
    places: Arc<Semaphore>,
    /// For copies of answers, by the byte.
    room: Arc<Semaphore>,
    doubted: Guesses,
}

/// What is brought.
#[derive(Debug)]
pub(super) enum Order {
    /// A payment is to be given back.
    GiveBack(Box<PaymentRecord>),
    /// An answer that was paid for is to be kept.
    Keep(Box<Keeping>),
    /// A payment is to be settled.
    Settle(Box<Bill>),
}

/// A payment that is to be settled.
#[derive(Debug)]
pub(super) struct Bill {
    pub(super) presented: Presented,
    pub(super) of: For,
    /// Whether it may be settled: pays what is asked, and in time.
    pub(super) good: Result<(), Wrong>,
    pub(super) terms: Arc<Terms>,
    pub(super) reply: Reply,
}

/// Where the answer goes.
pub(super) struct Reply {
    pub(super) to: oneshot::Sender<Outcome>,
    pub(super) given: Given,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// What a payment has of its process while it is under way.
pub(super) struct Given {
    place: OwnedSemaphorePermit,
    room: Arc<Semaphore>,
    orders: mpsc::Sender<Order>,
    mark: Mark,
}

/// What is looked at, or whose request is under way here.
#[derive(Debug, Default)]
struct UnderWay {
    /// The proofs, so that the same one a hundred times costs the store one look.
    proofs: HashSet<String>,
    /// How many of them each payer has.
    payers: HashMap<String, usize>,
}

/// A payment among those that are under way; its drop takes it out.
#[derive(Debug)]
pub(super) struct Mark {
    proof: String,
    payer: String,
    under_way: Arc<Mutex<UnderWay>>,
}

/// What came of a payment.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It opened a request before, and this is the answer of that.
    Answered(Box<PaidBefore>),
    /// It is settled, and spent on the request.
    Granted(Grant),
    /// It is good, and held for the request; it is not settled yet.
    Pledged(Pledge),
    /// It opens nothing.
    Refused(Refused),
}

/// Why a payment opens nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// It opened a request before.
    AlreadyUsed,
    /// Its payer has too many under way.
    Crowded,
    /// It did not move, and will not.
    Failed {
        /// What was said of it.
        reason: String,
    },
    /// What became of it is not known, or will be in a moment.
    Pending,
    /// Nobody can be asked about it. Nothing moved.
    Unavailable,
    /// It is not good. Nothing moved.
    Wrong(Wrong),
}

/// A payment that is held for one request and not settled. Unless it is collected, its drop lets it go: nothing moved,
/// and it may be presented again.
#[must_use = "a payment that is dropped is let go"]
#[derive(Debug)]
pub(crate) struct Pledge {
    word: oneshot::Sender<()>,
    outcome: oneshot::Receiver<Outcome>,
}

/// A payment that is spent on one request. Unless it is kept, its drop gives it back.
#[must_use = "a payment that is dropped is given back"]
pub(crate) struct Grant {
    payment: Option<Box<PaymentRecord>>,
    room: Arc<Semaphore>,
    orders: mpsc::Sender<Order>,
    /// A copy of the answer has it as well: that is brought like a payment.
    place: Arc<OwnedSemaphorePermit>,
    /// Who presents it meanwhile is told to come again.
    mark: Option<Mark>,
}

impl Till {
    /// Makes one, and the other end of its queue.
    pub(super) fn new() -> (Self, mpsc::Receiver<Order>) {
        // Each payment under way brings itself, and is brought back or its answer kept, once at most: so there is always
        // room.
        let (orders, receiver) = mpsc::channel(PLACES * 2);
        let places = Arc::new(Semaphore::new(PLACES));
        let room = Arc::new(Semaphore::new(COPIED_BYTES_MAX));
        let (under_way, doubted) = (Arc::default(), Guesses::default());
        (Self { orders, under_way, places, room, doubted }, receiver)
    }

    /// Gives the time that an address must wait before it may bring a payment whose signature only the chain can judge.
    pub(crate) fn wait(&self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        self.doubted.wait(address, DOUBTED, now)
    }

    /// Counts such a payment that was not good.
    pub(crate) fn note_bad(&self, address: IpAddr, now: Timestamp) {
        self.doubted.fail(address, DOUBTED, now);
    }

    /// Brings a payment. What it is for goes on when its outcome is there; who goes away meanwhile leaves a payment
    /// that was settled for another request.
    pub(crate) async fn pay(
        &self,
        presented: Presented,
        of: For,
        good: Result<(), Wrong>,
        terms: Arc<Terms>,
    ) -> Outcome {
        let unavailable = Outcome::Refused(Refused::Unavailable);
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return unavailable };
        let mark = match Mark::set(&self.under_way, &presented) {
            Ok(mark) => mark,
            Err(refused) => return Outcome::Refused(refused),
        };
        let (to, outcome) = oneshot::channel();
        let room = Arc::clone(&self.room);
        let given = Given { place, room, orders: self.orders.clone(), mark };
        let reply = Reply { to, given };
        let bill = Bill { presented, of, good, terms, reply };
        if self.orders.try_send(Order::Settle(Box::new(bill))).is_err() {
            return unavailable;
        }
        // Nobody answers once the gateway stops: then it may be at any point.
        outcome.await.unwrap_or(Outcome::Refused(Refused::Pending))
    }
}

impl Mark {
    fn set(under_way: &Arc<Mutex<UnderWay>>, presented: &Presented) -> Result<Self, Refused> {
        let Presented { proof, payer, is_signed, .. } = presented;
        // What no key has signed may be a stranger's, who must not fill the payer's own places.
        let payer = if *is_signed { payer.clone() } else { format!("?{payer}") };
        let mut all = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if all.proofs.contains(proof) {
            return Err(Refused::Pending);
        }
        let has = all.payers.entry(payer.clone()).or_default();
        if *has >= PLACES_EACH {
            return Err(Refused::Crowded);
        }
        *has += 1;
        all.proofs.insert(proof.clone());
        Ok(Self { proof: proof.clone(), payer, under_way: Arc::clone(under_way) })
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        all.proofs.remove(&self.proof);
        if let Some(has) = all.payers.get_mut(&self.payer) {
            *has = has.saturating_sub(1);
            if *has == 0 {
                all.payers.remove(&self.payer);
            }
        }
    }
}

impl Reply {
    /// Refuses.
    pub(super) fn refuse(self, refused: Refused) {
        let Self { to, given } = self;
        // Before it is told: who is told may come again at once.
        drop(given);
        // Who left need not know.
        let _ = to.send(Outcome::Refused(refused));
    }

    /// Gives the answer that was paid for before.
    pub(super) fn answer(self, answer: Box<PaidBefore>) {
        let Self { to, given } = self;
        drop(given);
        let _ = to.send(Outcome::Answered(answer));
    }

    /// Pledges, and gives where it is told that the payment is to be collected, and where the outcome goes then. Who
    /// left has let it go.
    pub(super) fn pledge(self) -> (oneshot::Receiver<()>, Self) {
        let Self { to, given } = self;
        let (word, told) = oneshot::channel();
        let (later, outcome) = oneshot::channel();
        let _ = to.send(Outcome::Pledged(Pledge { word, outcome }));
        (told, Self { to: later, given })
    }

    /// Grants. Where nobody takes it any more it is given back.
    pub(super) fn grant(self, payment: PaymentRecord) {
        let Self { to, given: Given { place, room, orders, mark } } = self;
        let payment = Some(Box::new(payment));
        let grant = Grant { payment, room, orders, place: Arc::new(place), mark: Some(mark) };
        let _ = to.send(Outcome::Granted(grant));
    }
}

impl Pledge {
    /// Has the payment settled. Who goes away meanwhile leaves a payment that was settled for another request.
    pub(crate) async fn collect(self) -> Outcome {
        let Self { word, outcome } = self;
        // As where it is brought: who settles has stopped, at whatever point.
        let pending = Outcome::Refused(Refused::Pending);
        if word.send(()).is_err() { pending } else { outcome.await.unwrap_or(pending) }
    }
}

impl Grant {
    /// Gives what is known of the payment.
    pub(crate) fn payment(&self) -> Option<&PaymentRecord> {
        self.payment.as_deref()
    }

    /// Gives where a copy of the answer is made that it pays for. Who presents it again is told to come later until the
    /// copy is there, or given up.
    pub(crate) fn shelf(&mut self) -> Option<Shelf> {
        let payment = self.payment.as_ref()?.number;
        Some(Shelf {
            payment,
            room: Arc::clone(&self.room),
            orders: self.orders.clone(),
            place: Some(Arc::clone(&self.place)),
            mark: self.mark.take(),
        })
    }

    /// Ends it with what it paid for: kept where that is charged, else given back.
    pub(crate) fn end(mut self, ending: Ending) {
        if ending.charges() {
            self.payment = None;
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let Some(payment) = self.payment.take() else { return };
        if let Err(error) = self.orders.try_send(Order::GiveBack(payment)) {
            tracing::error!(%error, "a payment stays spent on a request that was not served");
        }
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Grant").field(&self.payment.as_ref().map(|payment| payment.number)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use super::*;
    use crate::{
        model::Settle,
        pay::{Rail, Window, x402::example},
    };

    fn presented(payer: &str, number: usize) -> Presented {
        let (payer, is_signed) =
            payer.strip_prefix('?').map_or((payer, true), |payer| (payer, false));
        Presented {
            rail: Rail::X402,
            answered: None,
            proof: format!("{payer}:{is_signed}:{number}"),
            payer: payer.to_owned(),
            price: "0.01 USD".parse().unwrap(),
            network: "eip155:1".to_owned(),
            amount: "10000".to_owned(),
            order: "{}".to_owned(),
            window: Window { from: 0, until: u64::MAX },
            is_signed,
            identifier: None,
            fit: Ok(()),
        }
    }

    type Brought<'t> = Pin<Box<dyn Future<Output = Outcome> + 't>>;

    fn bring<'t>(till: &'t Till, payer: &str, number: usize) -> Brought<'t> {
        let of = For {
            request_id: "r".to_owned(),
            route: "weather".to_owned(),
            customer: None,
            settle: Settle::AfterHeaders,
            key: None,
        };
        let terms = Arc::new(example::terms());
        Box::pin(till.pay(presented(payer, number), of, Ok(()), terms))
    }

    /// Gives why it is refused at once, if it is.
    fn refused(mut brought: Brought<'_>) -> Option<Refused> {
        match poll(&mut brought) {
            Poll::Ready(Outcome::Refused(refused)) => Some(refused),
            Poll::Ready(other) => panic!("{other:?}"),
            Poll::Pending => None,
        }
    }

    fn poll(brought: &mut Brought<'_>) -> Poll<Outcome> {
        brought.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn one_payer_has_a_part_of_the_places() {
        let (till, mut orders) = Till::new();
        let mut waiting: Vec<_> =
            (0..PLACES_EACH).map(|number| bring(&till, "a", number)).collect();
        assert!(waiting.iter_mut().all(|one| poll(one).is_pending()));
        let next = || refused(bring(&till, "a", PLACES_EACH));
        assert_eq!(next(), Some(Refused::Crowded));
        assert_eq!(refused(bring(&till, "a", 0)), Some(Refused::Pending), "it is under way itself");
        assert_eq!(refused(bring(&till, "b", 0)), None);
        assert_eq!(refused(bring(&till, "?a", 0)), None, "of nobody's key");
        // Who goes away leaves what is brought; it is over when whoever settles has done with it.
        waiting.clear();
        assert_eq!(next(), Some(Refused::Crowded));
        drop(orders.try_recv().unwrap());
        assert_eq!(next(), None);
        while orders.try_recv().is_ok() {}
        let under_way = till.under_way.lock().unwrap();
        assert!(under_way.proofs.is_empty() && under_way.payers.is_empty());
    }
}
