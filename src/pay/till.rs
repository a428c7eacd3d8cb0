//! Where workers bring payments: a bounded queue to whoever settles them, and what is given for one.

use std::{
    collections::HashSet,
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

/// How many payments of one address may be asked about and not be good, of those whose signature only the chain can
/// judge: garbage costs whoever sends it nothing, and us a question.
const DOUBTED: GuessLimit = GuessLimit { limit: 60, window: Duration::from_secs(60) };

/// Where workers bring payments.
#[derive(Debug)]
pub(crate) struct Till {
    orders: mpsc::Sender<Order>,
    /// The proofs that are looked at or whose requests are under way, so that the same one a hundred times costs the store
    /// one look.
    under_way: Arc<Mutex<HashSet<String>>>,
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

/// The proof among those that are looked at, or whose request is under way here; its drop takes it out.
#[derive(Debug)]
pub(super) struct Mark {
    proof: String,
    under_way: Arc<Mutex<HashSet<String>>>,
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
        let Some(mark) = Mark::set(&self.under_way, &presented.proof) else {
            return Outcome::Refused(Refused::Pending);
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
    fn set(under_way: &Arc<Mutex<HashSet<String>>>, proof: &str) -> Option<Self> {
        let is_first =
            under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(proof.to_owned());
        is_first.then(|| Self { proof: proof.to_owned(), under_way: Arc::clone(under_way) })
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.proof);
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
