//! What a payer is told of a payment, in the words of the rail that brought it.

use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;

use super::{Presented, Rail, mpp, x402};
use crate::answer::headers::field_value;

/// What is told of a payment beside an answer.
#[derive(Clone, Debug)]
pub struct Receipt {
    rail: Rail,
    value: HeaderValue,
}

/// Writes the receipts of one payment.
#[derive(Debug)]
pub(crate) struct Receipts {
    rail: Rail,
    network: String,
    chain: u64,
    payer: String,
    challenge: String,
}

static RESPONSE: HeaderName = HeaderName::from_static(x402::RESPONSE);
static RECEIPT: HeaderName = HeaderName::from_static(mpp::RECEIPT);

impl Receipts {
    /// Makes what writes those of a payment.
    pub(crate) fn of(presented: &Presented, chain: u64) -> Self {
        let challenge = presented.answered.as_ref().map(|answered| answered.challenge.clone());
        Self {
            rail: presented.rail,
            network: presented.network.clone(),
            chain,
            payer: presented.payer.clone(),
            challenge: challenge.unwrap_or_default(),
        }
    }

    /// Tells that it is settled.
    pub(crate) fn settled(&self, transaction: &str, now: Timestamp) -> Receipt {
        let Self { rail, network, chain, payer, challenge } = self;
        let value = match rail {
            Rail::Mpp => mpp::receipt(challenge, *chain, transaction, now),
            Rail::X402 => x402::receipt(network, payer, transaction),
        };
        Receipt { rail: *rail, value: field_value(&value) }
    }

    /// Tells that it has failed, where the rail has a receipt for that.
    pub(crate) fn failed(&self, reason: &str) -> Option<Receipt> {
        let Self { rail, network, payer, .. } = self;
        match rail {
            Rail::Mpp => None,
            Rail::X402 => {
                let value = field_value(&x402::failure(network, payer, reason));
                Some(Receipt { rail: *rail, value })
            }
        }
    }
}

impl Receipt {
    /// Gives the field that tells it, beside an answer of a status; `None` where the rail tells nothing beside that.
    pub(crate) fn field(&self, status: StatusCode) -> Option<(&'static HeaderName, &HeaderValue)> {
        match self.rail {
            Rail::Mpp => status.is_success().then_some((&RECEIPT, &self.value)),
            Rail::X402 => Some((&RESPONSE, &self.value)),
        }
    }
}
