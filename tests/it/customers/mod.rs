//! Customers, keys and subscriptions made and changed while the gateway runs.

mod access;
mod audit;
mod changes;
mod description;
mod full_disk;
mod keys;
mod kill;
mod kill_import;
mod limits;
mod load;
mod program;
mod repetition;
mod walk;

use serde_json::{Value, json};

use crate::support::{Gateway, Upstream};

/// Two plans on sale, one archived, and a customer of the file.
pub(super) const PLANS: &str = "
[server]
listen = \"127.0.0.1:0\"
workers = 2
public_url = \"http://gateway.test\"

[admin]
listen = \"127.0.0.1:0\"
read_token = { file = \"read-token\" }

[upstreams.api]
url = \"http://@UPSTREAM@\"

[[routes]]
name = \"calls\"
path = \"/calls/{*rest}\"
upstream = \"api\"

[[routes]]
name = \"reports\"
path = \"/reports\"
upstream = \"api\"
scopes = [\"read\"]

[plans.starter]
routes = [\"calls\"]
quotas = [{ name = \"monthly\", limit = 3, window = \"month\" }]

[plans.pro]
quotas = [{ name = \"monthly\", limit = 10, window = \"month\" }]

[plans.old]
archived = true
quotas = [{ name = \"monthly\", limit = 100, window = \"month\" }]

[customers.filed]
plan = \"starter\"
keys = [{ id = \"filed-key\", digest = \"key:key-of-filed\" }]
";

/// Starts a gateway on the plans, at noon of a day in the middle of a month.
pub(super) fn start(upstream: &Upstream) -> Gateway {
    start_with("", upstream)
}

/// Starts a gateway on the plans and more.
pub(super) fn start_with(more: &str, upstream: &Upstream) -> Gateway {
    let tables = format!("{PLANS}{more}");
    let file = ("read-token", "only-reading\n");
    Gateway::start_with_file("2026-11-16T00:00:00Z", &tables, upstream, file)
}

/// Makes a customer with a plan and gives a key of its.
pub(super) fn customer(gateway: &Gateway, id: &str, plan: &str) -> String {
    gateway.changed("POST", "/v1/customers", &json!({"id": id, "subscription": {"plan": plan}}));
    secret(&gateway.changed("POST", &format!("/v1/customers/{id}/keys"), &json!({})))
}

/// Gives the secret of a key that was just made.
pub(super) fn secret(key: &Value) -> String {
    key["secret"].as_str().unwrap().to_owned()
}

/// Calls the API with a key and tells status and code.
pub(super) fn call(gateway: &Gateway, key: &str) -> String {
    gateway.get("/calls/x", key).verdict()
}

/// Calls the API so many times, and tells the verdicts.
pub(super) fn calls(gateway: &Gateway, key: &str, count: usize) -> Vec<String> {
    (0..count).map(|_| call(gateway, key)).collect()
}
