//! The right to what lasts: whether who is served may still be, by what is known at present.
//!
//! The decisions are those of the steps, in their order, were the request free. The route is the one that
//! took it.

use std::{net::IpAddr, sync::Arc};

use jiff::Timestamp;

use crate::{
    answer::Denial,
    chain::{
        authenticate,
        payer::{About, Payer},
        subscription,
    },
    model::Route,
    roster::Caller,
    worker::Worker,
};

/// What a look found.
#[derive(Debug)]
pub(super) struct Found {
    /// Who pays, as things stand.
    pub(super) payer: Payer,
    /// Why the plan does not cover the route, which has a price.
    pub(super) uncovered: Option<Denial>,
    /// Whether the route's refusals are carried out.
    pub(super) by_route: bool,
    /// The time that it was decided by.
    pub(super) now: Timestamp,
}

/// Looks at the caller of a request again.
pub(super) fn look(
    worker: &Worker,
    caller: &Caller,
    route: &Route,
    peer: IpAddr,
) -> Result<Found, Denial> {
    let (gateway, held) = (worker.gateway(), worker.snapshot());
    let (snapshot, now) = (held.snapshot(), gateway.clock().now());
    let by_route = gateway.enforcing() && route.enforce;
    let found = gateway.lookup(snapshot, now).caller(&caller.key.digest);
    let payer = Payer::of(found.ok_or(Denial::InvalidApiKey), by_route)?;
    let permits = |caller: &Arc<Caller>| authenticate::permits(caller, route, Some(peer), now);
    let (payer, _) = payer.judge(by_route, About::Key, permits)?;
    let admits = |caller: &Arc<Caller>| subscription::admits(caller, route, snapshot, now);
    let (payer, admitted) = payer.judge(by_route, About::Plan, admits)?;
    let (_, uncovered) = admitted.unwrap_or_default();
    Ok(Found { payer, uncovered, by_route, now })
}
