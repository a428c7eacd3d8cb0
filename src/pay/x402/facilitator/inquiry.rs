//! Whether a facilitator agrees with what the configuration says: what it settles, and what it says of a payment that
//! nobody can pay.
//!
//! Nothing moves: it is only asked to verify, and the wallet that signs is made for that and has nothing.

use std::{sync::Arc, time::Duration};

use http::{Method as Verb, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
use secp256k1::SecretKey;

use super::{
    Asked, Facilitator,
    judge::Judged,
    supported::{self, Kind},
};
use crate::{
    model::{Money, Nanos},
    outgoing::{self, Fault},
    pay::x402::{
        Method, Offer, Service, Terms, Word,
        eip712::{self, Authorization, Permit},
        number::Address,
        order::Order,
        transfer::{PROXY, Transfer},
    },
};

/// What a facilitator says.
#[derive(Debug)]
pub(crate) struct Inquiry {
    /// What it settles.
    pub(crate) kinds: Result<Vec<Kind>, Unsaid>,
    /// What it says of a payment that nobody can pay: that it is not good, and why; `None` where it calls that good.
    pub(crate) tried: Tried,
}

/// Why it does not say what it settles.
#[derive(Debug)]
pub(crate) enum Unsaid {
    /// It cannot be asked.
    Fault(Fault),
    /// It asks who we are.
    Key,
    /// It says something else.
    Nothing(StatusCode),
}

/// What came of a payment to try it with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Tried {
    /// It is good, as far as it says.
    Good,
    /// It is not, and why.
    Invalid(String),
    /// It says nothing of it.
    Nothing,
}

/// What the payment is for.
const RESOURCE: &str = "http://localhost/";

impl Facilitator {
    /// Asks one.
    pub(crate) async fn inquire(
        &self,
        terms: &Arc<Terms>,
        service: &Service,
        now: Timestamp,
    ) -> Inquiry {
        let kinds = self.ask_kinds(service).await;
        let tried = match asked(terms, now) {
            Some(asked) if kinds.is_ok() => self.verify_by(service, &asked).await,
            _ => Judged::Nothing,
        };
        let tried = match tried {
            Judged::Invalid { reason } => Tried::Invalid(reason),
            Judged::Nothing => Tried::Nothing,
            Judged::Valid => Tried::Good,
        };
        Inquiry { kinds, tried }
    }

    async fn ask_kinds(&self, service: &Service) -> Result<Vec<Kind>, Unsaid> {
        let request = outgoing::request(&service.supported).method(Verb::GET);
        let request = request.body(Full::default()).map_err(|error| Unsaid::Fault(error.into()))?;
        let answer = self.asking.ask(&service.supported, request).await.map_err(Unsaid::Fault)?;
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Unsaid::Key),
            status => supported::kinds(status, &answer.body).ok_or(Unsaid::Nothing(status)),
        }
    }
}

/// Makes a payment of the least amount there is, by a wallet that has nothing.
fn asked(terms: &Arc<Terms>, now: Timestamp) -> Option<Asked> {
    let price = Money { nanos: Nanos(1), currency: "USD".parse().ok()? };
    let offer = Offer::new(terms, price, Duration::ZERO)?;
    let (mut secret, mut nonce) = ([0; 32], [0; 32]);
    getrandom::fill(&mut secret).ok()?;
    getrandom::fill(&mut nonce).ok()?;
    let secret = SecretKey::from_secret_bytes(secret).ok()?;
    let from = eip712::address(&secret)?;
    let until = u64::try_from(now.as_second()).ok()?.checked_add(offer.timeout())?;
    let transfer = transfer(&offer, from, nonce, until.into());
    let signature = eip712::sign(transfer.digest(&offer.domain), &secret);
    let order = Order::new(&transfer, &signature, &offer.requirements, RESOURCE);
    Some(Asked {
        by: None,
        order: serde_json::to_string(&order).ok()?,
        payer: from.to_string(),
        network: terms.network(),
        amount: offer.requirements.amount.clone(),
    })
}

fn transfer(offer: &Offer, from: Address, nonce: [u8; 32], until: Word) -> Transfer {
    let terms = &offer.terms;
    match terms.method {
        Method::Eip3009 => Transfer::Authorization(Authorization {
            from,
            to: terms.pay_to,
            value: offer.amount,
            valid_after: Word::default(),
            valid_before: until,
            nonce,
        }),
        Method::Permit2 => Transfer::Permit(Permit {
            from,
            token: terms.asset,
            amount: offer.amount,
            spender: PROXY,
            nonce: Word(nonce),
            deadline: until,
            to: terms.pay_to,
            valid_after: Word::default(),
        }),
    }
}
