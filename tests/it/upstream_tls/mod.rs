//! TLS to upstreams: who is believed, what is shown to them, and that calls are charged as in clear.

mod bodies;
mod client;
mod doubted;
mod endpoints;
mod files;
mod reload;
mod served;

use crate::support::{
    Client, Front, Gateway, KEY, SMALL, Then, Upstream,
    certificates::{Authority, Leaf},
    upstream::OK,
};

const NOW: &str = "2026-11-20T12:00:00Z";

/// What an upstream has that is called by an address, vouched for by `ca.pem`.
const NAMED: &str = r#"tls = { ca = "ca.pem", server_name = "api.test" }"#;

/// Writes tables of an upstream at this address, with these lines.
fn tables(front: &Front, lines: &str) -> String {
    at(&format!("https://{}", front.address()), lines)
}

fn at(url: &str, lines: &str) -> String {
    SMALL.replace("url = \"http://@UPSTREAM@\"", &format!("url = \"{url}\"\n{lines}"))
}

/// Starts a gateway before it, with files beside its configuration.
fn start(front: &Front, lines: &str, files: &[(&str, &str)]) -> Gateway {
    start_on(&tables(front, lines), files)
}

fn start_on(tables: &str, files: &[(&str, &str)]) -> Gateway {
    // Its address stands in the tables.
    Gateway::start_with_files(NOW, tables, &Upstream::ok(), files)
}

/// Gives the value of a metric with these labels.
fn metric(gateway: &Gateway, name: &str, labels: &str) -> Option<f64> {
    let page = gateway.admin("GET", "/metrics");
    let is_it = |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains(labels);
    let line = page.text().lines().find(is_it)?;
    line.rsplit_once(' ').map(|(_, value)| value.parse().unwrap())
}

/// How many handshakes with the upstream ended so.
fn handshakes(gateway: &Gateway, result: &str) -> Option<f64> {
    let label = format!("result=\"{result}\"");
    metric(gateway, "faregate_upstream_tls_handshakes_total", &label)
}
