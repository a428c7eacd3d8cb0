//! First step: which route takes the request.

use std::sync::Arc;

use http::{Method, request::Parts};

use crate::{
    answer::Denial,
    chain::target::{Host, Target},
    model::Route,
    snapshot::{
        Snapshot,
        table::{Entry, Found},
    },
};

/// A request that a route takes.
#[derive(Debug)]
pub struct Routed {
    entry: Entry,
    target: Target,
}

/// Finds the route for a target in normal form.
pub fn route(snapshot: &Snapshot, head: &Parts, target: Target) -> Result<Routed, Denial> {
    let host = target.host().map(Host::name);
    match snapshot.routes.find(host, target.path(), &head.method) {
        // It would send back what the gateway adds for the upstream, a credential among it.
        Found::Route(_) if head.method == Method::TRACE => Err(Denial::NotImplemented),
        Found::Route(entry) => Ok(Routed { entry: entry.clone(), target }),
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

    /// Gives the target in normal form.
    pub fn target(&self) -> &Target {
        &self.target
    }
}
