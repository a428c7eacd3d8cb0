//! A request as seen from outside: from where it came, and what its caller is told of it.

use std::net::IpAddr;

use http::{HeaderValue, uri::PathAndQuery};

use super::Exchange;
use crate::{
    answer::problem::{self, BaseUrl},
    chain::origin::{Origin, Scheme},
};

impl Exchange {
    /// Gives the client's address.
    pub fn peer(&self) -> IpAddr {
        self.origin().map_or_else(|| self.connection.peer.ip(), Origin::client)
    }

    /// Gives what a trusted proxy says of it.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    /// Gives how the client speaks to the outermost proxy, or to the gateway.
    pub fn scheme(&self) -> Scheme {
        let own = if self.connection.secured.is_some() { Scheme::Https } else { Scheme::Http };
        self.origin().map_or(own, Origin::scheme)
    }

    /// Gives the id that the caller is told: a trusted proxy's own, or else the request's.
    pub fn outward_id(&self) -> HeaderValue {
        let given = self.origin().and_then(Origin::request_id);
        given.cloned().unwrap_or_else(|| self.request_id_value())
    }

    /// Gives what the caller reached us under.
    pub fn base_url(&self) -> BaseUrl<'_> {
        let given = self.origin().and_then(Origin::host);
        match (&self.snapshot().server.public_url, given.or(self.host.as_ref())) {
            (Some(url), _) => BaseUrl::Public(url),
            (None, Some(host)) => {
                BaseUrl::Authority { scheme: self.scheme(), authority: host.authority() }
            }
            (None, None) => BaseUrl::Unknown,
        }
    }

    /// Gives the address of what is asked for, in parts; without a query, which is nobody else's business.
    pub fn resource(&self) -> [&str; 3] {
        let [scheme, authority] = self.base_url().parts();
        [scheme, authority, self.told.path.as_ref().map_or("/", PathAndQuery::path)]
    }

    /// Gives what a refusal says beside its own reason.
    pub fn context(&self) -> problem::Context<'_> {
        let snapshot = self.snapshot();
        let server = &snapshot.server;
        let plan = self.told.caller.as_ref().and_then(|caller| caller.plan());
        // Who holds no plan is shown where one can be bought.
        let on_sale = || snapshot.plans.iter().filter(|plan| plan.on_sale);
        let url = plan.and_then(|plan| plan.upgrade_url.as_deref());
        problem::Context {
            request_id: self.arrival.request_id,
            outward_id: self.origin().and_then(Origin::request_id),
            now: self.arrival.now,
            base_url: self.base_url(),
            prefix: &server.reserved_prefix,
            realm: &snapshot.realm,
            plan: plan.map(|plan| &*plan.id),
            upgrade_url: url.or_else(|| on_sale().find_map(|plan| plan.upgrade_url.as_deref())),
            status_by_code: &snapshot.status_by_code,
            paying: self.paying(),
        }
    }
}
