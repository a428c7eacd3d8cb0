//! An offer to try readers with: a price of 0.01 USD is 10000 of its token's smallest units.

use std::{sync::Arc, time::Duration};

use super::{Address, Method, Offer, Service, Terms};
use crate::model::Settle;

/// Where it is.
pub(crate) const URL: &str = "http://127.0.0.1:14020/b";

/// Makes it.
pub(crate) fn offer() -> Offer {
    offer_of(terms())
}

/// Makes it of other terms.
pub(crate) fn offer_of(terms: Terms) -> Offer {
    let price = "0.01 USD".parse().expect("it is money");
    Offer::new(&Arc::new(terms), price, Duration::ZERO).expect("it is counted")
}

/// Gives the terms that it follows.
pub(crate) fn terms() -> Terms {
    let address = |text| Address::parse(text).expect("it is an address");
    Terms {
        facilitators: vec![Service::parse("http://127.0.0.1:1").expect("it is a URL")],
        chain: 84532,
        asset: address("0x5fbdb2315678afecb367f032d93f642f64180aa3"),
        asset_name: "USD Coin".to_owned(),
        asset_version: "2".to_owned(),
        decimals: 6,
        rate: "1".parse().expect("it is a rate"),
        rate_text: "1".to_owned(),
        pay_to: address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
        order: Settle::Before,
        method: Method::Eip3009,
        v1: None,
    }
}
