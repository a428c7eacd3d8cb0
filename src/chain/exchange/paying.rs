//! How a request is paid for, or can be, as far as that is known on its way.

use http::HeaderValue;

use super::Exchange;
use crate::{
    answer::problem,
    chain::{origin::Origin, target::Host},
    pay::{Offer, Place, Rail, Receipt},
};

/// What is known of how a request is paid for, or can be.
#[derive(Debug, Default)]
pub(super) struct Paying {
    /// By what its payment came.
    rail: Option<Rail>,
    /// The digest of its body, where that was read.
    digest: Option<String>,
    /// What it says that it can be paid by.
    accepted: Option<HeaderValue>,
    /// What its caller is told of the payment that came with it.
    receipt: Option<Receipt>,
}

impl Exchange {
    /// Notes what the caller is told of the payment that came with it.
    pub(in crate::chain) fn note_receipt(&mut self, receipt: Receipt) {
        self.paying.receipt = Some(receipt);
    }

    /// Notes by what its payment came.
    pub(in crate::chain) fn note_rail(&mut self, rail: Option<Rail>) {
        self.paying.rail = rail;
    }

    /// Notes the digest of its body, as far as that is known.
    pub(in crate::chain) fn note_digest(&mut self, digest: Option<String>) {
        self.paying.digest = digest;
    }

    /// Notes what it says that it can be paid by.
    pub(in crate::chain) fn note_accepted(&mut self, accepted: Option<&HeaderValue>) {
        self.paying.accepted = accepted.cloned();
    }

    /// Gives what the caller is told of the payment that came with it.
    pub(in crate::chain) fn receipt(&self) -> Option<&Receipt> {
        self.paying.receipt.as_ref()
    }

    /// Gives what it can be paid by as it is made.
    fn offer(&self) -> Option<&Offer> {
        let route = self.told.route.as_deref().filter(|_| self.told.is_payable)?;
        route.offer.as_deref()
    }

    /// Tells whether what is paid for is to be its body.
    pub(in crate::chain) fn wants_digest(&self) -> bool {
        self.offer().is_some_and(|offer| offer.mpp().is_some())
    }

    /// Gives where and when a payment for it is asked for, or brought.
    pub(in crate::chain) fn place(&self) -> Place<'_> {
        let given = self.origin().and_then(Origin::host);
        let host = given.or(self.host.as_ref()).map(Host::name);
        let mpp = self.offer().and_then(Offer::mpp);
        let realm = mpp.map_or("", |mpp| mpp.realm(host, &self.snapshot().realm));
        let (request_id, now) = (self.arrival.request_id, self.arrival.now);
        Place { resource: self.resource(), realm, request_id, now }
    }

    /// Gives what a refusal says of payments.
    pub(super) fn paying(&self) -> problem::Paying<'_> {
        problem::Paying {
            offer: self.offer(),
            place: self.place(),
            rail: self.paying.rail,
            digest: self.paying.digest.as_deref(),
            accepted: self.paying.accepted.as_ref(),
            receipt: self.receipt(),
        }
    }
}
