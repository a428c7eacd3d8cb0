//! `[payments]`: by what a call may be paid for as it is made.

use std::{sync::Arc, time::Duration};

use super::number::within;
use crate::{
    config::{
        file::{Facilitators, Field, PaymentsTable, Spanned, X402Table},
        report::{Problem, Problems, Span},
        wording::quote,
    },
    model::{Access, Money},
    pay::{
        self, mpp,
        x402::{self, Address, Method, Offer, Rate, Service, Terms},
    },
};

/// What the prices of routes are said in, by x402.
const CURRENCY: &str = "USD";

/// The longest name and version of a token.
const NAME_MAX: usize = 128;

/// The most facilitators that are asked one after the other while a caller waits.
const FACILITATORS_MAX: usize = 4;

/// The most decimals that a token has.
const DECIMALS_MAX: u8 = 36;

/// Checks `[payments]`; gives the terms of x402, if it is there and right.
pub(super) fn check(field: &Field<PaymentsTable>, problems: &mut Problems) -> Option<Arc<Terms>> {
    let PaymentsTable { secret: _, x402, mpp } = field.value()?;
    let table = x402.value()?;
    let X402Table {
        span,
        facilitator,
        network,
        asset,
        asset_name,
        asset_version,
        decimals,
        usd_rate,
        pay_to,
        settle: order,
        asset_transfer_method,
        v1,
    } = table;
    let facilitators = check_facilitators(facilitator, *span, problems);
    let chain = check_network(network, *span, problems);
    let asset = check_address(asset, "asset", "the token's contract", *span, problems);
    let asset_name = check_name(asset_name, "asset_name", *span, problems);
    let asset_version = check_name(asset_version, "asset_version", *span, problems);
    let decimals = check_decimals(decimals, *span, problems);
    let rate = check_rate(usd_rate, problems);
    let pay_to = check_address(pay_to, "pay_to", "the wallet that is paid", *span, problems);
    let method = asset_transfer_method.value().copied().unwrap_or(Method::Eip3009);
    if let (Method::Permit2, Some(span), Some(_)) =
        (method, asset_transfer_method.span(), mpp.value())
    {
        let message = "the scheme `Payment` moves tokens by EIP-3009 alone";
        let help = "leave out `[payments.mpp]`, or `asset_transfer_method`";
        problems.add(Problem::error(span, message).help(help));
    }
    let v1 = check_v1(v1, chain, method, problems);
    let (rate, rate_text) = rate?;
    Some(Arc::new(Terms {
        facilitators: facilitators?,
        chain: chain?,
        asset: asset?,
        asset_name: asset_name?,
        asset_version: asset_version?,
        decimals: decimals?,
        rate,
        rate_text,
        pay_to: pay_to?,
        order: order.value().copied().unwrap_or_default(),
        method,
        v1: v1?,
    }))
}

/// What a route has of payments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Priced<'a> {
    /// The route's name.
    pub(super) name: &'a str,
    pub(super) access: Access,
    pub(super) price: &'a Field<Money>,
    pub(super) checked: Option<Money>,
    /// How long a call may take before it is settled.
    pub(super) waits: Duration,
    /// Where the route stands.
    pub(super) span: Span,
}

/// Makes the offer of a route: what a call costs that is paid for as it is made. What is wrong with the terms is told
/// already.
pub(super) fn offer(
    terms: Option<&Arc<Terms>>,
    mpp: Option<&Arc<mpp::Terms>>,
    route: Priced<'_>,
    is_wrong: bool,
    problems: &mut Problems,
) -> Option<Arc<pay::Offer>> {
    let Priced { name, access, price, checked, waits, span } = route;
    let offer = match (terms, checked.zip(price.span())) {
        (Some(terms), Some((price, span))) if access != Access::Public => {
            check_price(terms, price, waits, span, problems)
        }
        _ => None,
    };
    // Where the terms are wrong, that is told.
    if access == Access::Payment && offer.is_none() && !is_wrong {
        let message = "a route that is open to who pays needs a price and a way to pay";
        let help = "write price = \"0.002 USD\", and `[payments.x402]` with a facilitator, a token and a wallet";
        problems.add(Problem::error(span, message).help(help));
    }
    Some(Arc::new(pay::Offer::new(offer?, mpp, name)))
}

fn check_price(
    terms: &Arc<Terms>,
    price: Money,
    waits: Duration,
    span: Span,
    problems: &mut Problems,
) -> Option<Offer> {
    if price.currency.as_str() != CURRENCY {
        let message = format!("a price in {} is not offered by x402", price.currency);
        let help = "write it in USD; customers with money in the other currency pay as before";
        problems.add(Problem::warning(span, message).help(help));
        return None;
    }
    let offer = Offer::new(terms, price, waits);
    if offer.is_none() {
        let help = "compare `decimals` and `usd_rate` of `[payments.x402]` with the token's";
        let message = "the price is beyond what the token can count";
        problems.add(Problem::error(span, message).help(help));
    }
    offer
}

fn check_facilitators(
    field: &Field<Facilitators>,
    table: Span,
    problems: &mut Problems,
) -> Option<Vec<Service>> {
    let help = "write facilitator = \"https://…\", whoever verifies and settles payments";
    let Spanned { value: Facilitators(urls), span } =
        required(field, "facilitator", help, table, problems)?;
    if urls.is_empty() {
        return wrong(*span, "the list has nobody in it", help, problems);
    }
    if urls.len() > FACILITATORS_MAX {
        let message = format!("the list has more than {FACILITATORS_MAX} of them");
        return wrong(*span, &message, "keep those that are asked first", problems);
    }
    let checked: Vec<_> = urls.iter().map(|url| check_facilitator(url, problems)).collect();
    let mut services: Vec<Service> = Vec::new();
    for (service, url) in checked.into_iter().zip(urls) {
        match service {
            Some(service) if services.iter().all(|other| other.name != service.name) => {
                services.push(service);
            }
            Some(_) => {
                let message = "this one is in the list already";
                wrong::<()>(url.span, message, "leave one of the two out", problems);
            }
            None => {}
        }
    }
    (services.len() == urls.len()).then_some(services)
}

fn check_facilitator(url: &Spanned<String>, problems: &mut Problems) -> Option<Service> {
    let Spanned { value, span } = url;
    // What stands behind a question mark would stand before the path.
    if value.contains('?') {
        return wrong(*span, "the URL has a query", "leave out what begins with `?`", problems);
    }
    match Service::parse(value) {
        Ok(service) => {
            if !service.verify.is_https() && !service.verify.is_loopback() {
                let message = "payments go over http, where others on the way can change what is said of them";
                problems.add(Problem::warning(*span, message).help("write https://…").hidden());
            }
            Some(service)
        }
        Err(error) => {
            let text = error.to_string();
            let (message, help) = text
                .split_once("; ")
                .unwrap_or((&text, "write a whole URL, such as https://HOST/PATH"));
            wrong(*span, message, help, problems)
        }
    }
}

/// Gives the network's name in version 1, where that is to be spoken.
fn check_v1(
    field: &Field<bool>,
    chain: Option<u64>,
    method: Method,
    problems: &mut Problems,
) -> Option<Option<&'static str>> {
    let Some(Spanned { value: true, span }) = field.given() else { return Some(None) };
    if method != Method::Eip3009 {
        let help = "leave out `v1`, or `asset_transfer_method`";
        let message = format!("x402 version 1 knows no transfers by {}", method.name());
        problems.add(Problem::error(*span, message).help(help));
        return None;
    }
    let name = x402::v1_name(chain?);
    if name.is_none() {
        let help = "leave out `v1`; clients of version 2 pay on any network";
        let message = "x402 version 1 has no name for this network";
        problems.add(Problem::error(*span, message).help(help));
    }
    name.map(Some)
}

/// Gives the number of a chain. Its name is that of CAIP-2.
fn check_network(field: &Field<String>, table: Span, problems: &mut Problems) -> Option<u64> {
    let help = "write network = \"eip155:8453\" for Base, \"eip155:84532\" for Base Sepolia";
    let Spanned { value, span } = required(field, "network", help, table, problems)?;
    let chain = value.strip_prefix("eip155:").and_then(|number| {
        let chain: u64 = number.parse().ok()?;
        (chain > 0 && chain.to_string() == number).then_some(chain)
    });
    if chain.is_none() {
        let message = format!("{} is not a network that payments are taken on", quote(value));
        problems.add(Problem::error(*span, message).help(help));
    }
    chain
}

/// Reads an address. What stands there is not shown: it may be a key.
fn check_address(
    field: &Field<String>,
    name: &str,
    what: &str,
    table: Span,
    problems: &mut Problems,
) -> Option<Address> {
    let help = format!("write {name} = \"0x…\", {what}: `0x` and 40 hexadecimal digits");
    let Spanned { value, span } = required(field, name, &help, table, problems)?;
    match Address::parse(value).filter(|address| !address.is_zero()) {
        None => wrong(*span, "this is no address", &help, problems),
        address => address,
    }
}

fn check_name(
    field: &Field<String>,
    name: &str,
    table: Span,
    problems: &mut Problems,
) -> Option<String> {
    let help = format!(
        "write {name} as the token's contract says it (EIP-712); with another one no signature is good"
    );
    let Spanned { value, span } = required(field, name, &help, table, problems)?;
    if value.is_empty() || value.len() > NAME_MAX {
        let message = format!("`{name}` is empty or longer than {NAME_MAX} bytes");
        problems.add(Problem::error(*span, message).help(help));
        return None;
    }
    Some(value.clone())
}

fn check_decimals(field: &Field<i64>, table: Span, problems: &mut Problems) -> Option<u8> {
    let help = "write decimals = 6 for USDC; the token's contract says how many it has";
    let given = required(field, "decimals", help, table, problems)?;
    within(given, 0..=DECIMALS_MAX, problems)
}

/// Gives the rate and its text.
fn check_rate(field: &Field<String>, problems: &mut Problems) -> Option<(Rate, String)> {
    let text = match (field.given(), field.span()) {
        (Some(given), _) => given.value.as_str(),
        (None, None) => "1",
        (None, Some(_)) => return None,
    };
    match text.parse() {
        Ok(rate) => Some((rate, text.to_owned())),
        Err(error) => {
            let span = field.span().unwrap_or_default();
            let message = format!("{} is no rate", quote(text));
            problems.add(Problem::error(span, message).help(format!("{error}")));
            None
        }
    }
}

fn required<'f, T>(
    field: &'f Field<T>,
    name: &str,
    help: &str,
    table: Span,
    problems: &mut Problems,
) -> Option<&'f Spanned<T>> {
    let missing = || Problem::error(table, format!("`[payments.x402]` has no `{name}`")).help(help);
    field.required(problems, missing)
}

fn wrong<T>(span: Span, message: &str, help: &str, problems: &mut Problems) -> Option<T> {
    problems.add(Problem::error(span, message).help(help).hidden());
    None
}
