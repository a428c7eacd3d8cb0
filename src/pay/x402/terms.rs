//! What the operator says of payments by x402: which token on which network, to whom, and through whom.

use std::{sync::Arc, time::Duration};

use sha2::{Digest as _, Sha256};

use crate::{
    model::{Money, Settle},
    outgoing::{Target, TargetError, Trust},
};

use super::{
    amount::{Rate, atomic},
    eip712::Domain,
    number::{Address, Word},
    order::{Extra, Requirements},
    transfer::Method,
};

/// The one scheme that is offered.
pub(super) const SCHEME: &str = "exact";

/// How long a payer has from an offer to the end of the settlement, beside what its request takes before that.
const TIMEOUT_SECONDS: u64 = 60;

/// The terms of all payments by x402, in their checked form.
#[derive(Debug)]
pub struct Terms {
    /// Who verifies and settles payments, whom to ask first before the others; at least one.
    pub(crate) facilitators: Vec<Service>,
    /// The number of the chain (`eip155:NUMBER`).
    pub(crate) chain: u64,
    /// The token.
    pub(crate) asset: Address,
    /// What the token calls itself where it checks signatures.
    pub(crate) asset_name: String,
    /// The version that it gives there.
    pub(crate) asset_version: String,
    /// How many decimals it has.
    pub(crate) decimals: u8,
    /// Whole tokens for a dollar.
    pub(crate) rate: Rate,
    /// The same as written.
    pub(crate) rate_text: String,
    /// Who is paid.
    pub(crate) pay_to: Address,
    /// When payments are settled, where a route does not say it.
    pub(crate) order: Settle,
    /// How the token is moved.
    pub(crate) method: Method,
    /// The network's name in version 1, where that is spoken beside version 2.
    pub(crate) v1: Option<&'static str>,
}

/// Who verifies and settles payments.
#[derive(Debug)]
pub(crate) struct Service {
    /// The name that a payment keeps: the same for one URL, and another for another. It tells no secret of it.
    pub(crate) name: String,
    /// Where payments are verified.
    pub(crate) verify: Target,
    /// Where they are settled.
    pub(crate) settle: Target,
    /// Where it says what it settles.
    pub(crate) supported: Target,
}

impl Service {
    /// Makes it of the URL that its endpoints stand behind.
    pub(crate) fn parse(url: &str) -> Result<Self, TargetError> {
        let base = url.trim_end_matches('/');
        let target = |path| Target::parse(&format!("{base}{path}"), Trust::Operator);
        let verify = target("/verify")?;
        let digest = Sha256::digest(base);
        let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            name: format!("{}#{digest}", verify.origin()),
            settle: target("/settle")?,
            supported: target("/supported")?,
            verify,
        })
    }

    /// Gives its URL as far as it is shown.
    pub(crate) fn origin(&self) -> String {
        self.verify.origin()
    }
}

/// What one call over a route costs by x402.
#[derive(Debug)]
pub struct Offer {
    pub(super) terms: Arc<Terms>,
    /// The price that it comes from.
    pub(crate) price: Money,
    pub(super) requirements: Requirements,
    /// The same as a document.
    pub(super) document: String,
    /// The beginning of `PAYMENT-REQUIRED`.
    pub(super) required: String,
    /// The amount in the form that is signed.
    pub(super) amount: Word,
    pub(super) domain: Domain,
}

impl Terms {
    /// Gives the network's name.
    pub(crate) fn network(&self) -> String {
        format!("eip155:{}", self.chain)
    }
}

impl Offer {
    /// Makes the offer of a price in dollars; `None` where the amount is beyond what is counted.
    pub(crate) fn new(terms: &Arc<Terms>, price: Money, waits: Duration) -> Option<Self> {
        let Terms {
            asset, asset_name, asset_version, decimals, rate, pay_to, chain, method, ..
        } = &**terms;
        let (domain, asset_transfer_method) = match method {
            Method::Eip3009 => (Domain::new(asset_name, asset_version, *chain, *asset), None),
            Method::Permit2 => (Domain::of_permit2(*chain), Some(method.name())),
        };
        let amount = atomic(price.nanos, *rate, *decimals)?.to_string();
        let requirements = Requirements {
            scheme: SCHEME,
            network: terms.network(),
            asset: asset.to_string(),
            pay_to: pay_to.to_string(),
            max_timeout_seconds: TIMEOUT_SECONDS.saturating_add(waits.as_secs()),
            extra: Extra {
                name: asset_name.clone(),
                version: asset_version.clone(),
                asset_transfer_method,
            },
            amount,
        };
        let document = serde_json::to_string(&requirements).ok()?;
        Some(Self {
            amount: Word::from_decimal(&requirements.amount)?,
            domain,
            required: Self::begin_required(&document),
            document,
            terms: Arc::clone(terms),
            price,
            requirements,
        })
    }

    /// Gives what a person is told of it beside the price.
    pub(crate) fn parts(&self) -> [(&'static str, &str); 4] {
        let Requirements { network, amount, asset, pay_to, .. } = &self.requirements;
        [("Network", network), ("Token", asset), ("Amount", amount), ("To", pay_to)]
    }

    /// Gives how many seconds a payer has.
    pub(super) fn timeout(&self) -> u64 {
        self.requirements.max_timeout_seconds
    }

    /// Gives the terms that it follows.
    pub(crate) fn terms(&self) -> Arc<Terms> {
        Arc::clone(&self.terms)
    }

    /// Gives how much is asked, in the smallest unit of the token.
    pub(in crate::pay) fn amount_text(&self) -> &str {
        &self.requirements.amount
    }

    /// Gives what is asked, as a document of JSON.
    pub(crate) fn document(&self) -> &str {
        &self.document
    }
}
