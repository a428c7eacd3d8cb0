//! What a payer is told of a payment, in the words of the rail that brought it.

use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;

use super::{Presented, Rail, mpp, x402};
use crate::answer::headers::field_value;

/// What is told of a payment beside an answer.
#[derive(Clone, Debug)]
pub struct Receipt {
    rail: Rail,
    is_v1: bool,
    value: HeaderValue,
}

/// Writes the receipts of one payment.
#[derive(Debug)]
pub(crate) struct Receipts {
    rail: Rail,
    /// Whether it came in version 1 of x402.
    is_v1: bool,
    network: String,
    chain: u64,
    payer: String,
    challenge: String,
}

static RESPONSE: HeaderName = HeaderName::from_static(x402::RESPONSE);
static RESPONSE_V1: HeaderName = HeaderName::from_static(x402::RESPONSE_V1);
static RECEIPT: HeaderName = HeaderName::from_static(mpp::RECEIPT);

impl Receipts {
    /// Makes what writes those of a payment.
    pub(crate) fn of(presented: &Presented, chain: u64) -> Self {
        let challenge = presented.answered.as_ref().map(|answered| answered.challenge.clone());
        let is_v1 = x402::is_v1(&presented.order);
        let v1_name = x402::v1_name(chain).filter(|_| is_v1);
        Self {
            rail: presented.rail,
            is_v1,
            network: v1_name.map_or_else(|| presented.network.clone(), str::to_owned),
            chain,
            payer: presented.payer.clone(),
            challenge: challenge.unwrap_or_default(),
        }
    }

    /// Tells that it is settled.
    pub(crate) fn settled(&self, transaction: &str, now: Timestamp) -> Receipt {
        let Self { rail, is_v1, network, chain, payer, challenge } = self;
        let value = match rail {
            Rail::Mpp => mpp::receipt(challenge, *chain, transaction, now),
            Rail::X402 => x402::receipt(network, payer, transaction),
        };
        Receipt { rail: *rail, is_v1: *is_v1, value: field_value(&value) }
    }

    /// Tells that it has failed, where the rail has a receipt for that.
    pub(crate) fn failed(&self, reason: &str) -> Option<Receipt> {
        let Self { rail, is_v1, network, payer, .. } = self;
        match rail {
            Rail::Mpp => None,
            Rail::X402 => {
                let value = field_value(&x402::failure(network, payer, reason));
                Some(Receipt { rail: *rail, is_v1: *is_v1, value })
            }
        }
    }
}

impl Receipt {
    /// Gives the field that tells it, beside an answer of a status; `None` where the rail tells nothing beside that.
    pub(crate) fn field(&self, status: StatusCode) -> Option<(&'static HeaderName, &HeaderValue)> {
        match self.rail {
            Rail::Mpp => status.is_success().then_some((&RECEIPT, &self.value)),
            Rail::X402 if self.is_v1 => Some((&RESPONSE_V1, &self.value)),
            Rail::X402 => Some((&RESPONSE, &self.value)),
        }
    }
}
