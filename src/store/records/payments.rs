//! Payments that came with a request.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    model::{Money, Nanos},
    store::records::EntryKind,
};

/// A payment that came with a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PaymentRecord {
    /// Rises with each payment; the store gives it.
    pub number: i64,
    /// What really moves. No other payment has it.
    pub proof: String,
    /// How it is paid, such as `x402`.
    pub rail: String,
    /// Whose ledger it stands in: the customer whose key came beside it, else the payer.
    pub customer: String,
    /// Whose money it is.
    pub payer: String,
    /// The route that it pays for.
    pub route: String,
    /// The request that presented it last.
    pub request_id: String,
    /// The price of the call.
    pub price: Money,
    /// Where it moves.
    pub network: String,
    /// How much, in the smallest unit of what moves.
    pub amount: String,
    /// What whoever settles it is sent.
    pub task: String,
    /// Who found it good, and settles it; `None` before that.
    pub settler: Option<String>,
    /// How far it has come.
    pub state: PaymentState,
    /// Rises with each change: who comes late finds another.
    pub attempt: i64,
    /// When it was presented first.
    pub claimed_at: Timestamp,
    /// When it was changed last.
    pub changed_at: Timestamp,
    /// When it is asked about again.
    pub next_attempt: Option<Timestamp>,
    /// The transaction that it moved with, as far as one is known.
    pub settlement: Option<String>,
    /// What was said of it last, where that was no success.
    pub reason: Option<String>,
    /// What is paid and nothing was served for.
    pub held: Nanos,
    /// Until when it can be settled; `None` where that has no end.
    pub until: Option<Timestamp>,
    /// What its payer calls it.
    pub identifier: Option<String>,
    /// The Idempotency-Key of the request that presented it first.
    pub idempotency: Option<String>,
}

/// An answer that was paid for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AnswerRecord {
    /// The number of what paid for it.
    pub payment: i64,
    /// A digest of the request that it answers.
    pub request: [u8; 32],
    /// Its status.
    pub status: u16,
    /// Its fields, as they are written.
    pub fields: Vec<u8>,
    /// What its head says of the body's length, where there is none.
    pub length: Option<u64>,
    /// Its body, whole.
    pub body: Vec<u8>,
    /// Until when it is kept.
    pub until: Timestamp,
}

/// How far a payment has come.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// It is looked at. Nobody was asked to move anything.
    Claimed,
    /// Somebody is asked to move it.
    Settling,
    /// Whether it moved is not known.
    Unknown,
    /// It moved, and opens one request.
    Settled,
    /// It moved, and a request was let through for it.
    Used,
    /// It did not move, and will not.
    Failed,
}

/// A step that a payment takes.
#[derive(Clone, Debug)]
pub struct PaymentStep<'a> {
    /// Where it leads.
    pub state: PaymentState,
    /// When it is asked about again.
    pub next_attempt: Option<Timestamp>,
    /// The request that presents it, where that is another one.
    pub request_id: Option<&'a str>,
    /// Who settles it, once somebody has found it good.
    pub settler: Option<&'a str>,
    /// The transaction, once one is known.
    pub settlement: Option<&'a str>,
    /// What was said of it.
    pub reason: Option<&'a str>,
    /// What it means for the ledger: by how much there is more that is paid and not served, and what tells more of it.
    pub entries: &'a [(EntryKind, Nanos, &'a str)],
}
