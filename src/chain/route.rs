//! First step: which route takes the request.

use std::sync::Arc;

use http::{Method, request::Parts};

use crate::{
    answer::Denial,
    chain::target::{Host, Target},
    model::{HttpVersion, Methods, Route, WebSocket},
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
        Found::Route(entry) => {
            may_be_forwarded(&head.method)?;
            let enforced = enforcing && entry.route.enforce;
            Ok(Routed { entry: entry.clone(), target, enforced })
        }
        Found::OtherMethods(allowed) => Err(Denial::MethodNotAllowed { allowed }),
        Found::Nothing => Err(Denial::RouteNotFound),
    }
}

/// Decides whether a method that a route answers is forwarded at all.
fn may_be_forwarded(method: &Method) -> Result<(), Denial> {
    // It would send back what the gateway adds for the upstream, a credential among it.
    if *method == Method::TRACE { Err(Denial::NotImplemented) } else { Ok(()) }
}

/// Decides whether a route opens a WebSocket to anybody.
pub(super) fn opens_websocket(route: &Route) -> Result<(), Denial> {
    if route.upstream.version == HttpVersion::Http2 {
        return Err(Denial::InvalidRequest("No WebSocket is opened here."));
    }
    match route.websocket {
        WebSocket::Off => Err(Denial::InvalidRequest("No WebSocket is opened here.")),
        WebSocket::Connection | WebSocket::Message | WebSocket::Time(_) => Ok(()),
    }
}

/// Decides whether a route takes a method, where the path is not asked.
pub fn answers(route: &Route, method: &Method) -> Result<(), Denial> {
    match &route.methods {
        Methods::Only(allowed) if !route.methods.contains(method) => {
            Err(Denial::MethodNotAllowed { allowed: allowed.clone() })
        }
        Methods::Any | Methods::Only(_) => may_be_forwarded(method),
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
