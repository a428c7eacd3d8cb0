//! The seam to the store: which deliveries are due, and what came of them.
//!
//! The sender keeps nothing that a crash could lose. A delivery that it has not told the end of is
//! due again after a restart, and goes out under the same message id.

use std::{error::Error, pin::Pin, sync::Arc};

use jiff::Timestamp;

use crate::{
    outgoing::Target,
    webhooks::{event::Event, sign::Secrets},
};

/// Why the outbox could not answer.
pub type OutboxError = Box<dyn Error + Send + Sync>;

/// An answer to come. It is boxed because the store answers from a thread of its own.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, OutboxError>> + Send + 'a>>;

/// Deliveries that wait, kept somewhere that outlives the process.
pub trait Outbox: Send + Sync {
    /// Gives deliveries that are due, those that are due longest first.
    ///
    /// Of each lane only the oldest delivery that is neither delivered nor dead is looked at, and
    /// none of those behind it: that is what keeps a customer's events in order.
    fn due(&self, ask: Ask) -> Answer<'_, Due>;

    /// Keeps what came of an attempt. After an error the same record is given again, so it must not
    /// matter whether one is kept twice.
    fn record(&self, record: Record) -> Answer<'_, ()>;
}

/// What the sender has room for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The decision time: what is due at it or before.
    pub now: Timestamp,
    /// How many deliveries to give at most.
    pub max: usize,
    /// Lanes that have a delivery in flight; nothing of theirs is wanted.
    pub busy: Vec<Lane>,
    /// Endpoints that have as many in flight as they may; nothing of theirs is wanted. Without this
    /// one endpoint's backlog would hide what others are due.
    pub full: Vec<EndpointId>,
}

/// What is due.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// At most one delivery of a lane.
    pub deliveries: Vec<Delivery>,
    /// When the next one of a lane that was asked for will be due, if nothing new comes.
    pub next: Option<Timestamp>,
}

/// An event on its way to one endpoint.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The outbox's own number.
    pub id: DeliveryId,
    /// Where it goes.
    pub endpoint: Arc<Endpoint>,
    /// Whose event it is; none for events of the whole gateway.
    pub customer: Option<CustomerId>,
    /// What is sent.
    pub event: Event,
    /// How many attempts have failed.
    pub attempts: u32,
}

/// A receiver.
#[derive(Debug)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Its URL.
    pub target: Target,
    /// What its messages are signed with.
    pub secrets: Secrets,
}

/// What came of an attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// When the attempt was over.
    pub at: Timestamp,
    /// What it means for the delivery.
    pub verdict: Verdict,
}

/// What becomes of a delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is put aside as failed, and the next one of its lane takes its turn.
    Dead(Failure),
    /// The receiver has it.
    Delivered {
        /// The status, a 2xx.
        status: u16,
    },
    /// The receiver wants nothing any more: its endpoint is switched off, with all that waits for
    /// it, until someone switches it on.
    Gone,
    /// It is tried again.
    Retry {
        /// What went wrong.
        failure: Failure,
        /// When it is due again.
        due: Timestamp,
    },
}

/// Why an attempt failed, in words that the endpoint's owner may read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// The receiver's status, if it gave one.
    pub status: Option<u16>,
    /// What went wrong.
    pub reason: String,
}

/// What is sent one after the other: the events of one customer to one endpoint.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Lane {
    /// Where it goes.
    pub endpoint: EndpointId,
    /// Whose events.
    pub customer: Option<CustomerId>,
}

/// A delivery's number in the outbox.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DeliveryId(pub i64);

/// An endpoint's id.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct EndpointId(pub Arc<str>);

/// A customer's id.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CustomerId(pub Arc<str>);

impl Delivery {
    /// Gives the lane it stands in.
    pub fn lane(&self) -> Lane {
        Lane { endpoint: self.endpoint.id.clone(), customer: self.customer.clone() }
    }
}
