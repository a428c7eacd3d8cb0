//! What is believed about where a request comes from, and which names a client may use.

mod names;
mod proxy_protocol;
mod trusted;

use crate::support::{Gateway, SMALL, Upstream};

const NOW: &str = "2026-11-20T12:00:00Z";

/// A key that is used from one network alone, a public route, and one that is not enforced.
const MORE: &str = r#"
[customers.bound]
plan = "starter"
keys = [{ id = "bound-1", digest = "key:bound", allow_from = ["203.0.113.0/24"] }]

[[routes]]
name = "free"
path = "/free"
upstream = "api"
access = "public"

[[routes]]
name = "shadow"
path = "/shadow"
upstream = "api"
enforce = false
"#;

/// Writes tables with lines for the data listener.
fn tables(server: &str) -> String {
    let log = "[log]\naccess = \"./access.log\"\nlevel = \"error\"\n";
    let listener = "listen = \"127.0.0.1:0\"\nworkers = 1\ndrain_timeout = \"5s\"";
    format!("[server]\n{listener}\n{server}\n{log}{SMALL}{MORE}")
}

fn start(server: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, &tables(server), &upstream);
    (gateway, upstream)
}
