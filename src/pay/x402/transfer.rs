//! The order that a wallet signs: to the token itself (EIP-3009), or to the contract Permit2, which moves tokens that
//! take no such orders.
//!
//! Invariant: either can be carried out once and says how much goes to whom, so that what became of one can be asked for
//! as often as need be. What a wallet signs of another kind is not taken.

use super::{
    Rules, eip712,
    eip712::{Authorization, Permit},
    number::Address,
    wire::nonce_text,
};
use crate::pay::{Window, Wrong};

/// How a token is moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Method {
    /// By an order to the token.
    Eip3009,
    /// By an order to Permit2.
    Permit2,
}

/// A signed order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Transfer {
    /// To the token.
    Authorization(Authorization),
    /// To Permit2.
    Permit(Permit),
}

/// The contract that carries out what is signed to Permit2: it pays whom the payer names, and nobody else.
pub(super) const PROXY: Address = Address([
    0x40, 0x20, 0x85, 0xc2, 0x48, 0xee, 0xa2, 0x7d, 0x92, 0xe8, 0xb3, 0x0b, 0x2c, 0x58, 0xed, 0x07,
    0xf9, 0xe2, 0x00, 0x01,
]);

/// How long before its end an order is too late to be carried out: facilitators ask for that.
const MARGIN_SECONDS: u64 = 6;

impl Method {
    /// Gives the name that x402 has for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Eip3009 => "eip3009",
            Self::Permit2 => "permit2",
        }
    }
}

impl Transfer {
    /// Gives how it moves the token.
    pub(super) fn method(&self) -> Method {
        match self {
            Self::Authorization(_) => Method::Eip3009,
            Self::Permit(_) => Method::Permit2,
        }
    }

    /// Gives whose money it is.
    pub(super) fn payer(&self) -> Address {
        match self {
            Self::Authorization(order) => order.from,
            Self::Permit(order) => order.from,
        }
    }

    /// Gives what really moves, in its one form. Permit2 counts the orders of a wallet for all tokens together.
    pub(super) fn proof(&self, network: &str, asset: Address) -> String {
        match self {
            Self::Authorization(order) => {
                format!("eip3009:{network}:{asset}:{}:{}", order.from, nonce_text(&order.nonce))
            }
            Self::Permit(order) => format!("permit2:{network}:{}:{}", order.from, order.nonce),
        }
    }

    /// Gives when it can be carried out.
    pub(super) fn window(&self) -> Window {
        let (from, until) = match self {
            Self::Authorization(order) => (order.valid_after, order.valid_before),
            Self::Permit(order) => (order.valid_after, order.deadline),
        };
        Window { from: from.seconds(), until: until.seconds().saturating_sub(MARGIN_SECONDS) }
    }

    /// Tells whether a signature is by the payer's own key. One that is not may be good all the same: that of a wallet
    /// which is a contract, for which the chain alone can tell.
    pub(super) fn is_signed(&self, signature: Option<&[u8; 65]>, domain: &eip712::Domain) -> bool {
        let signer = signature.and_then(|signature| eip712::signer(self.digest(domain), signature));
        signer == Some(self.payer())
    }

    /// Gives what is signed.
    pub(super) fn digest(&self, domain: &eip712::Domain) -> [u8; 32] {
        match self {
            Self::Authorization(order) => order.digest(domain),
            Self::Permit(order) => order.digest(domain),
        }
    }

    /// Tells whether it moves what is asked to whom it is asked for.
    pub(super) fn fits(&self, rules: Rules) -> Result<(), Wrong> {
        let Rules { asset, pay_to, amount } = rules;
        let checks: &[(bool, &str)] = match self {
            Self::Authorization(order) => &[
                (order.to == pay_to, "invalid_exact_evm_payload_recipient_mismatch"),
                (order.value == amount, "invalid_exact_evm_payload_authorization_value_mismatch"),
            ],
            Self::Permit(order) => &[
                (order.spender == PROXY, "invalid_permit2_spender"),
                (order.to == pay_to, "invalid_permit2_recipient_mismatch"),
                (order.amount == amount, "permit2_amount_mismatch"),
                (order.token == asset, "permit2_token_mismatch"),
            ],
        };
        let wrong = checks.iter().find(|(is_met, _)| !is_met);
        wrong.map_or(Ok(()), |(_, reason)| Err(Wrong::Invalid((*reason).to_owned().into())))
    }
}
