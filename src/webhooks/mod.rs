//! Outgoing events: from a stored event for an endpoint to a receiver that has it.
//!
//! Nothing here is on the path of a request. The sender asks its [`Outbox`] for what is due, signs
//! it, posts it, and tells the outbox what came of it.

mod client;
mod event;
mod outbox;
mod schedule;
mod sender;
mod sign;

pub use client::{Client, Outcome};
pub use event::{Event, MessageId};
pub use outbox::{
    Answer, Ask, CustomerId, Delivery, DeliveryId, Due, Endpoint, EndpointId, Failure, Lane,
    Outbox, OutboxError, Record, Verdict,
};
pub use schedule::{ATTEMPTS_MAX, delay_after};
pub use sender::{Bounds, Sender};
pub use sign::{SecretError, Secrets, SigningSecret};

pub use crate::outgoing::{
    Forbidden, Resolved, Resolver, Roots, RootsError, SystemResolver, Target, TargetError, Timing,
    Trust,
};
