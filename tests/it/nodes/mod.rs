//! Several gateways that share one store on a PostgreSQL server.

mod changes;
mod counting;
mod money;
mod presence;
mod processes;
mod rates;
#[expect(dead_code, reason = "it can do more than is needed here")]
#[expect(clippy::duplicate_mod, reason = "one relay does for all tests")]
#[path = "../../../src/store/tests/relay.rs"]
mod relay;

use std::time::Duration;

use serde_json::{Value, json};

use self::relay::{Mode, Relay};
use crate::support::{Gateway, SMALL, Schema, Upstream, postgres::server, wait_for};

/// Gives the tables of a gateway on this database.
fn tables(url: &str) -> String {
    format!("[store]\nurl = \"{url}\"\n{SMALL}")
}

/// Gateways that share a database, the second one by a relay.
///
/// They are dropped in this order: a schema that is in use may not let itself be dropped.
struct Scene {
    first: Gateway,
    second: Gateway,
    relay: Relay,
    schema: Schema,
}

impl Scene {
    fn new(tables: impl Fn(&str) -> String, upstream: &Upstream) -> Self {
        let schema = Schema::new();
        let relay = Relay::start(server().parse().unwrap());
        let first = Gateway::start(&tables(&schema.url()), upstream);
        let by_relay = schema.url_at(&relay.address.to_string());
        let second = Gateway::start(&tables(&by_relay), upstream);
        Self { first, second, relay, schema }
    }
}

/// Gives the identifier of a gateway's node.
fn id(gateway: &Gateway) -> String {
    let nodes = gateway.changed("GET", "/v1/nodes", &json!(null));
    let nodes = nodes["items"].as_array().unwrap();
    let this = nodes.iter().find(|node| node["this"] == true).unwrap();
    this["id"].as_str().unwrap().to_owned()
}

/// Gives what a gateway says of a node.
fn node(gateway: &Gateway, id: &str) -> Value {
    let nodes = gateway.changed("GET", "/v1/nodes", &json!(null));
    let nodes = nodes["items"].as_array().unwrap();
    nodes.iter().find(|node| node["id"] == id).cloned().unwrap_or_default()
}

fn wait_state(gateway: &Gateway, id: &str, state: &str) {
    wait_for(state, || (node(gateway, id)["state"] == state).then_some(()));
}
