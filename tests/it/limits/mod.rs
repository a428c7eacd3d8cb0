//! What clients may take: connections of one address, time for what they send and take, memory; and
//! the end of the listening socket.

mod addresses;
mod memory;
mod pace;
mod stop;

use crate::support::Gateway;

/// Gives a number of `/metrics`.
fn metric(gateway: &Gateway, name: &str) -> f64 {
    let page = gateway.admin("GET", "/metrics");
    let line = page.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {}", page.text())).parse().unwrap()
}
