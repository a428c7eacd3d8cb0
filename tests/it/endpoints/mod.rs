//! Upstreams that fail, that are full, and that have several endpoints: the load is shared, a bad one is
//! left out, and whatever happens a call is charged once.

mod actor;
mod choice;
mod health;
mod limits;
mod reach;
mod reload;
mod retries;
mod trouble;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::support::{Exchange, Gateway, SMALL, Then, Upstream, upstream::OK};

/// Writes the tables of an upstream with these addresses and further lines.
fn tables(addresses: &[SocketAddr], lines: &str) -> String {
    let urls: Vec<_> = addresses.iter().map(|address| format!("\"http://{address}\"")).collect();
    let given = format!("urls = [{}]\n{lines}", urls.join(", "));
    SMALL.replace("url = \"http://@UPSTREAM@\"", &given)
}

/// Starts a gateway before these addresses, with further lines for the upstream.
fn start(addresses: &[SocketAddr], lines: &str) -> Gateway {
    Gateway::start_with(&tables(addresses, lines), None)
}

/// An upstream that closes each request without an answer while it is told so.
fn moody() -> (Upstream, Arc<AtomicBool>) {
    let is_bad = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&is_bad);
    let upstream = Upstream::start(move |exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        if told.load(Ordering::SeqCst) {
            return Ok(Then::Reset);
        }
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    (upstream, is_bad)
}

/// Gives the value of a series of `faregate_upstream_…`, found by its name and what stands in its labels.
pub(crate) fn metric(gateway: &Gateway, name: &str, labels: &[&str]) -> Option<f64> {
    let page = gateway.admin("GET", "/metrics");
    let name = format!("faregate_upstream_{name}{{");
    let is_it =
        |line: &&str| line.starts_with(&name) && labels.iter().all(|label| line.contains(label));
    let line = page.text().lines().find(is_it)?;
    line.rsplit_once(' ').map(|(_, value)| value.parse().unwrap())
}
