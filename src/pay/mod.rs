//! Paying with the request: a proof that comes beside it is claimed, settled, and opens one request.
//!
//! Invariant: one proof, one grant. What is kept of a payment is found by what really moves, not by how it was
//! sent, and is written before anybody is asked about it.
//!
//! Invariant: unknown is not failed. While it is not known what became of a settlement nobody is asked to pay again.

mod books;
mod cashier;
mod kept;
pub mod mpp;
mod offer;
mod receipt;
#[cfg(test)]
mod tests;
mod till;
pub mod x402;

use std::borrow::Cow;

pub(crate) use self::{
    books::{For, PaidBefore},
    cashier::Cashier,
    kept::{Copied, Print},
    offer::Unread,
    receipt::Receipts,
    till::{Grant, Outcome, Pledge, Refused, Till},
};
pub use self::{
    offer::{Offer, Place},
    receipt::Receipt,
};
use jiff::Timestamp;

use crate::model::Money;

/// A payment as a request brings it: read, signed by whose money it is, and compared with what is offered for the request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Presented {
    /// By what it came.
    pub(crate) rail: Rail,
    /// The challenge that it answers, where the rail has such.
    pub(crate) answered: Option<Answered>,
    /// What really moves, in its one form: nothing else has this text, whatever it is wrapped in.
    pub(crate) proof: String,
    /// Whose money it is.
    pub(crate) payer: String,
    /// The price that it pays.
    pub(crate) price: Money,
    /// Where it moves.
    pub(crate) network: String,
    /// How much, in the smallest unit of what moves.
    pub(crate) amount: String,
    /// What whoever settles it is sent.
    pub(crate) order: String,
    /// When it can be settled.
    pub(crate) window: Window,
    /// What its payer calls it.
    pub(crate) identifier: Option<String>,
    /// Whether it is signed by the payer's own key. Of a wallet that is a contract the chain alone can tell.
    pub(crate) is_signed: bool,
    /// Whether it pays what is asked. Only what pays that is settled; what was settled before opens a request all the same.
    pub(crate) fit: Result<(), Wrong>,
}

/// By what a payment comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rail {
    /// The scheme `Payment`.
    Mpp,
    /// x402.
    X402,
}

impl Rail {
    /// Gives the name that offers and books have.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mpp => "mpp",
            Self::X402 => "x402",
        }
    }
}

/// A challenge that a payment answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answered {
    /// Its id.
    pub(crate) challenge: String,
    /// The digest of the body that it is for.
    pub(crate) digest: Option<String>,
}

/// When a payment can be settled, in seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Window {
    /// The first.
    pub(crate) from: u64,
    /// The last.
    pub(crate) until: u64,
}

impl Window {
    /// Gives when it is over; `None` where that is beyond all time.
    fn end(self) -> Option<Timestamp> {
        let last = i64::try_from(self.until).ok()?;
        Timestamp::from_second(last.checked_add(1)?).ok()
    }
}

/// What is wrong with a payment that was not claimed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Wrong {
    /// Its time is over.
    Expired,
    /// It pays for something else, or nobody signed it; the reason is for programs.
    Invalid(Cow<'static, str>),
    /// It is none, for people.
    Malformed(&'static str),
}
