//! First step: which route takes the request.

use std::sync::Arc;

use http::{Method, request::Parts};

use crate::{
    answer::Denial,
    chain::target::{Host, Target},
    model::Route,
    snapshot::table::{Entry, Found, RouteTable},
};

/// A request that a route takes.
#[derive(Debug)]
pub struct Routed {
    entry: Entry,
    target: Target,
    /// Decided once for all steps, because the gateway's switch may move meanwhile.
    enforced: bool,
}

/// Finds the route for a target in normal form. A gateway that is not `enforcing` enforces no route.
pub fn route(
    routes: &RouteTable,
    head: &Parts,
    target: Target,
    enforcing: bool,
) -> Result<Routed, Denial> {
    let host = target.host().map(Host::name);
    match routes.find(host, target.path(), &head.method) {
        // It would send back what the gateway adds for the upstream, a credential among it.
        Found::Route(_) if head.method == Method::TRACE => Err(Denial::NotImplemented),
        Found::Route(entry) => {
            let enforced = enforcing && entry.route.enforce;
            Ok(Routed { entry: entry.clone(), target, enforced })
        }
        Found::OtherMethods(allowed) => Err(Denial::MethodNotAllowed { allowed }),
        Found::Nothing => Err(Denial::RouteNotFound),
    }
}

impl Routed {
    /// Gives the route.
    pub fn route(&self) -> &Arc<Route> {
        &self.entry.route
    }

    /// Gives the route with its number.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Tells whether who may not be served is refused, rather than forwarded all the same.
    pub fn is_enforced(&self) -> bool {
        self.enforced
    }

    /// Gives the target in normal form.
    pub fn target(&self) -> &Target {
        &self.target
    }
}
