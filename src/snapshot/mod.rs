//! Everything that a reload replaces at once: routes, plans, declared customers and their keys.
//!
//! Invariant: a snapshot never changes. A request loads one and keeps it, so that no request sees
//! half of a reload. Counters and what was made at run time live outside it.

mod held;
pub mod table;
pub mod uid;

use std::{collections::HashMap, sync::Arc};

use http::StatusCode;

pub use self::held::Held;
use self::table::RouteTable;
use crate::{
    answer::{Code, problem},
    config::{self, Config, KeyLocation, Retention, Server, Webhooks},
    cors,
    guesses::GuessLimit,
    model::{Access, Money, Plan, Route, Upstream},
    pay::x402::Terms,
    roster::Declared,
    telemetry::traces::Traces,
    tls::Validity,
};

/// What one request is decided by.
#[derive(Debug)]
pub struct Snapshot {
    /// Tells snapshots apart; each reload makes a larger one.
    pub generation: u64,
    /// The data listener's settings.
    pub server: Server,
    /// Where a key may stand in a request.
    pub key_locations: Vec<KeyLocation>,
    /// Which pages of other origins may use the API; `None` leaves that to the upstreams.
    pub cors: Option<cors::Policy>,
    /// How many keys may fail from one address; `None` means any number.
    pub guesses: Option<GuessLimit>,
    /// For how long what is told about the past is kept.
    pub retention: Retention,
    /// The operator's own statuses.
    pub status_by_code: HashMap<Code, StatusCode>,
    /// What is told by webhook, and where to.
    pub webhooks: Webhooks,
    /// Which requests are traced, and where that goes; `None` when none is.
    pub traces: Option<Arc<Traces>>,
    /// What payments with requests go by; `None` takes none.
    pub x402: Option<Arc<Terms>>,
    /// The realm of challenges.
    pub realm: Arc<str>,
    /// All upstreams.
    pub upstreams: Vec<Arc<Upstream>>,
    /// The table of routes.
    pub routes: RouteTable,
    /// All plans, for upgrades.
    pub plans: Vec<Arc<Plan>>,
    /// What one call costs by the route's name, in the order of the file.
    pub prices: Vec<(Arc<str>, Money)>,
    /// What the file declares of customers and keys.
    pub declared: Declared,
    /// The whole configuration as it may be shown.
    pub described: serde_json::Value,
    plans_by_id: HashMap<Arc<str>, Arc<Plan>>,
}

impl Snapshot {
    /// Makes the snapshot of a checked configuration.
    pub fn new(config: &Config) -> Self {
        let by_id = |plan: &Arc<Plan>| (Arc::clone(&plan.id), Arc::clone(plan));
        Self {
            generation: uid::next(),
            server: config.server.clone(),
            key_locations: config.key_locations.clone(),
            cors: config.cors.as_ref().map(|cors| cors::Policy::new(cors, config.x402.is_some())),
            guesses: config.guesses,
            retention: config.retention,
            status_by_code: config.status_by_code.clone(),
            webhooks: config.webhooks.clone(),
            traces: config.traces.clone(),
            x402: config.x402.clone(),
            realm: problem::realm(config.server.public_url.as_deref()),
            upstreams: config.upstreams.clone(),
            routes: RouteTable::new(&config.routes),
            plans: config.plans.clone(),
            prices: config.routes.iter().filter_map(|route| price(route)).collect(),
            declared: Declared::new(&config.customers, &config.keys),
            described: config::describe(config),
            plans_by_id: config.plans.iter().map(by_id).collect(),
        }
    }

    /// Gives until when each certificate holds that the gateway shows, and to whom: `clients`, or an upstream's id.
    pub fn certificates(&self) -> impl Iterator<Item = (&str, &Validity)> {
        let shown = self.server.spoken().filter_map(|(tls, _)| tls);
        let clients = shown.flat_map(|tls| tls.ready.validities());
        let upstreams = self.upstreams.iter().filter_map(|upstream| {
            let shown = upstream.tls.as_deref()?.validity()?;
            Some((&*upstream.id, shown))
        });
        clients.map(|shown| ("clients", shown)).chain(upstreams)
    }

    /// Finds a plan by its id.
    pub fn plan(&self, id: &str) -> Option<&Arc<Plan>> {
        self.plans_by_id.get(id)
    }
}

/// Gives a route's price; a public route has none, whatever the file says.
fn price(route: &Route) -> Option<(Arc<str>, Money)> {
    let price = route.price.filter(|_| route.access != Access::Public)?;
    Some((Arc::clone(&route.name), price))
}
