//! What one call over a route can be paid by: an offer for each rail that is enabled, and the reading of what is brought.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Presented, Rail, Wrong, mpp, x402};
use crate::{json, model::Money};

/// What one call over a route can be paid by.
#[derive(Debug)]
pub struct Offer {
    /// The price that all of it comes from.
    pub(crate) price: Money,
    x402: x402::Offer,
    mpp: Option<mpp::Offer>,
    /// All of it as a document, as refusals list it.
    listed: Vec<u8>,
}

/// Where and when a payment is asked for, or brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// The address of what is asked for, in parts.
    pub(crate) resource: [&'a str; 3],
    /// The protection space.
    pub(crate) realm: &'a str,
    /// The request, so that no two are asked for the same payment.
    pub(crate) request_id: Uuid,
    /// The decision time.
    pub(crate) now: Timestamp,
}

/// Why what a request brings is no payment, and by which rail it came if it is one thing.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) rail: Option<Rail>,
    pub(crate) wrong: Wrong,
}

impl Offer {
    /// Makes the offer of a route.
    pub(crate) fn new(x402: x402::Offer, mpp: Option<&Arc<mpp::Terms>>, route: &str) -> Self {
        let mpp = mpp.map(|terms| mpp::Offer::new(terms, &x402, route));
        let listed = list(&x402, mpp.as_ref());
        Self { price: x402.price, x402, mpp, listed }
    }

    /// Gives an offer for each way to pay as the call is made, as a list in JSON.
    pub(crate) fn listed(&self) -> &[u8] {
        &self.listed
    }

    /// Gives what x402 is told.
    pub(crate) fn x402(&self) -> &x402::Offer {
        &self.x402
    }

    /// Gives what the scheme `Payment` is told, if it is spoken.
    pub(crate) fn mpp(&self) -> Option<&mpp::Offer> {
        self.mpp.as_ref()
    }

    /// Reads the payment that a request brings, if it brings one. Two are an error, by whatever rails they come: nobody knows
    /// which of them was meant.
    pub(crate) fn read(
        &self,
        fields: &HeaderMap,
        place: Place<'_>,
    ) -> Result<Option<Presented>, Unread> {
        let signatures: Vec<_> = fields.get_all(x402::SIGNATURE).iter().collect();
        let firsts: Vec<_> = fields.get_all(x402::SIGNATURE_V1).iter().collect();
        let mut credentials: Vec<_> =
            self.mpp.iter().flat_map(|_| mpp::brought(fields)).take(2).collect();
        let credential = credentials.pop().filter(|_| credentials.is_empty());
        let is_any = credential.is_some() || !credentials.is_empty();
        let read = match (&signatures[..], &firsts[..], credential) {
            // What is of a version that is not spoken is no payment.
            ([], _, None) if !is_any && (firsts.is_empty() || self.x402.v1().is_none()) => {
                return Ok(None);
            }
            ([value], [], None) if !is_any => self.read_x402(value, place),
            ([], [value], None) if !is_any => self.read_x402_v1(value, place),
            ([], [], Some(value)) => self.read_mpp(value, place),
            _ => {
                let wrong = Wrong::Malformed("The request brings two payments.");
                return Err(Unread { rail: None, wrong });
            }
        };
        read.map(Some)
    }

    fn read_x402(&self, value: &HeaderValue, place: Place<'_>) -> Result<Presented, Unread> {
        let read = self.x402.read(value.as_bytes(), &place.resource.concat());
        read.map_err(|wrong| Unread { rail: Some(Rail::X402), wrong })
    }

    fn read_x402_v1(&self, value: &HeaderValue, place: Place<'_>) -> Result<Presented, Unread> {
        let read = self.x402.read_v1(value.as_bytes(), &place.resource.concat());
        read.map_err(|wrong| Unread { rail: Some(Rail::X402), wrong })
    }

    fn read_mpp(&self, brought: mpp::Brought<'_>, place: Place<'_>) -> Result<Presented, Unread> {
        let unread = |wrong| Unread { rail: Some(Rail::Mpp), wrong };
        let nothing = || unread(Wrong::Malformed("The scheme `Payment` is not spoken here."));
        let offer = self.mpp.as_ref().ok_or_else(nothing)?;
        offer.read(&self.x402, brought, place).map_err(unread)
    }
}

fn list(x402: &x402::Offer, mpp: Option<&mpp::Offer>) -> Vec<u8> {
    let mut text = Vec::new();
    let begin = |rail: &[u8], text: &mut Vec<u8>| {
        text.extend_from_slice(b"{\"rail\":\"");
        text.extend_from_slice(rail);
        text.extend_from_slice(b"\",\"price\":");
        json::push_quoted(&x402.price.nanos.to_string(), text);
        text.extend_from_slice(b",\"currency\":");
        json::push_quoted(x402.price.currency.as_str(), text);
    };
    text.push(b'[');
    begin(b"x402", &mut text);
    text.extend_from_slice(b",\"x402Version\":2,\"accepts\":[");
    text.extend_from_slice(x402.document().as_bytes());
    text.extend_from_slice(b"]}");
    if let Some(mpp) = mpp {
        text.push(b',');
        begin(b"mpp", &mut text);
        // What is asked is a document already.
        text.extend_from_slice(b",\"method\":\"evm\",\"intent\":\"charge\",\"request\":");
        text.extend_from_slice(mpp.document().as_bytes());
        text.push(b'}');
    }
    text.push(b']');
    text
}
