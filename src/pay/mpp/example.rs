//! An offer to try readers with: that of x402's example, for the route `r1`.

use std::sync::Arc;

use super::{Offer, Place, Secret, Terms};
use crate::pay::x402;

/// The secret that binds its challenges.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Makes it, for a route and under a secret, with what moves the money.
pub(crate) fn offer(secret: &str, route: &str) -> (x402::Offer, Offer) {
    let x402 = x402::example::offer();
    let terms = Terms { secret: Secret::new(secret), realm: None, is_beside_keys: false };
    let offer = Offer::new(&Arc::new(terms), &x402, route);
    (x402, offer)
}

/// Where and when it is asked for.
pub(crate) fn place() -> Place<'static> {
    let now = "2026-11-20T11:30:00Z".parse().expect("it is an instant");
    let resource = ["http://", "localhost", "/b"];
    Place { resource, realm: "localhost", request_id: uuid::Uuid::from_u128(7), now }
}
