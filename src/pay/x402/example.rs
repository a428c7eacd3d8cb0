//! An offer to try readers with: a price of 0.01 USD is 10000 of its token's smallest units.

use std::{sync::Arc, time::Duration};

use super::{Address, Offer, Terms};
use crate::{
    model::Settle,
    outgoing::{Target, Trust},
};

/// Where it is.
pub(crate) const URL: &str = "http://127.0.0.1:14020/b";

/// Makes it.
pub(crate) fn offer() -> Offer {
    let target = |path: &str| {
        let url = format!("http://127.0.0.1:1/{path}");
        Target::parse(&url, Trust::Operator).expect("it is a URL")
    };
    let address = |text| Address::parse(text).expect("it is an address");
    let terms = Terms {
        verify: target("verify"),
        settle: target("settle"),
        facilitator: "http://127.0.0.1:1".to_owned(),
        chain: 84532,
        asset: address("0x5fbdb2315678afecb367f032d93f642f64180aa3"),
        asset_name: "USD Coin".to_owned(),
        asset_version: "2".to_owned(),
        decimals: 6,
        rate: "1".parse().expect("it is a rate"),
        rate_text: "1".to_owned(),
        pay_to: address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
        order: Settle::Before,
    };
    let price = "0.01 USD".parse().expect("it is money");
    Offer::new(&Arc::new(terms), price, Duration::ZERO).expect("it is counted")
}
