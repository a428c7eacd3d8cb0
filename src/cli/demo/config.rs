//! The demo's configuration, as an operator would write it.

use std::net::SocketAddr;

use crate::{
    cli::demo::{pay::Terms, state::Keys},
    model::KeyDigest,
};

/// How the file begins, by which a demo knows the one of a demo before.
pub(super) const MARK: &str = "# Written by `faregate demo` at each start.";

/// The directory of the journal, beside the file.
pub(super) const JOURNAL: &str = "demo.db.journal";

/// On the small plan: soon out of units.
pub(super) const SMALL: &str = "acme";

/// On the larger plan.
pub(super) const LARGE: &str = "globex";

/// Has not paid.
pub(super) const LAPSED: &str = "lapsed";

/// Stopped by the operator.
pub(super) const SUSPENDED: &str = "suspended";

/// May call once in a while only.
pub(super) const HASTY: &str = "hasty";

/// Every customer.
pub(super) const CUSTOMERS: [&str; 5] = [SMALL, LARGE, LAPSED, SUSPENDED, HASTY];

/// Units of the small plan.
pub(super) const SMALL_LIMIT: u64 = 5;

/// Units that the expensive route takes.
pub(super) const REPORT_COST: u64 = 10;

/// Requests in flight that the larger plan allows.
pub(super) const CONCURRENCY: u32 = 2;

/// Seconds until that customer may call again.
pub(super) const RATE_SECONDS: u64 = 30;

/// Who listens where.
#[derive(Debug)]
pub(super) struct Addresses {
    /// The gateway.
    pub(super) listen: SocketAddr,
    /// Its admin listener.
    pub(super) admin_listen: SocketAddr,
    /// The sample API.
    pub(super) sample: SocketAddr,
}

/// Writes the configuration.
pub(super) fn text(addresses: &Addresses, keys: &Keys) -> String {
    [surroundings(addresses), routes(), sold(keys)].concat()
}

fn surroundings(addresses: &Addresses) -> String {
    let Addresses { listen, admin_listen, sample } = addresses;
    format!(
        r#"{MARK}

[server]
listen = "{listen}"
drain_timeout = "3s"

[admin]
listen = "{admin_listen}"

[store]
url = "sqlite:demo.db"
journal = "{JOURNAL}"

[log]
access_format = "text"
level = "warn"

[upstreams.sample]
url = "http://{sample}"

"#
    )
}

fn routes() -> String {
    format!(
        r#"[[routes]]
path = "/status"
upstream = "sample"
access = "public"

[[routes]]
name = "stats"
path = "/v1/stats"
methods = ["GET", "POST"]
upstream = "sample"

[[routes]]
name = "report"
path = "/v1/report"
methods = ["GET"]
upstream = "sample"
cost = {REPORT_COST}

[[routes]]
name = "stream"
path = "/v1/stream"
methods = ["GET"]
upstream = "sample"

[[routes]]
name = "slow"
path = "/v1/slow"
methods = ["GET"]
upstream = "sample"

[[routes]]
name = "fail"
path = "/v1/fail"
methods = ["GET"]
upstream = "sample"

"#
    )
}

fn sold(keys: &Keys) -> String {
    let digest = |customer: &str| {
        let key = keys.get(customer).map_or("", String::as_str);
        KeyDigest::of(key.as_bytes()).to_string()
    };
    let [small, large, lapsed, suspended, hasty] = CUSTOMERS.map(digest);
    format!(
        r#"[plans.starter]
title = "Starter"
routes = ["stats"]
quotas = [{{ name = "monthly", limit = {SMALL_LIMIT}, window = "month" }}]
upgrade_url = "https://example.com/billing"

[plans.pro]
title = "Pro"
quotas = [{{ name = "monthly", limit = 100000, window = "month" }}]
rate = {{ limit = 50, window = "1s" }}
concurrency = {CONCURRENCY}
upgrade_url = "https://example.com/billing"

[customers.{SMALL}]
plan = "starter"
keys = [{{ id = "{SMALL}-key", digest = "{small}" }}]

[customers.{LARGE}]
plan = "pro"
keys = [{{ id = "{LARGE}-key", digest = "{large}" }}]

[customers.{LAPSED}]
plan = "pro"
status = "unpaid"
keys = [{{ id = "{LAPSED}-key", digest = "{lapsed}" }}]

[customers.{SUSPENDED}]
plan = "pro"
suspended = true
keys = [{{ id = "{SUSPENDED}-key", digest = "{suspended}" }}]

[customers.{HASTY}]
plan = "pro"
rate = {{ limit = 1, window = "{RATE_SECONDS}s" }}     # instead of the plan's
keys = [{{ id = "{HASTY}-key", digest = "{hasty}" }}]
"#
    )
}

/// Writes how calls are paid for as they are made: by the token of a chain.
pub(super) fn payments(facilitator: &str, terms: &Terms) -> String {
    let Terms { network, asset, pay_to } = terms;
    format!(
        r#"
[payments.x402]
facilitator = "{facilitator}"
network = "{network}"
asset = "{asset}"
asset_name = "Test Dollar"
asset_version = "2"
decimals = 6
pay_to = "{pay_to}"

[[routes]]
name = "paid"
path = "/paid/{{*path}}"
methods = ["GET"]
upstream = "sample"
strip_prefix = "/paid"
access = "payment"
price = "0.01 USD"
"#
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Loaded;

    #[test]
    fn configuration_has_no_problem() {
        let addresses = Addresses {
            listen: ([127, 0, 0, 1], 0).into(),
            admin_listen: ([127, 0, 0, 1], 0).into(),
            sample: ([127, 0, 0, 1], 9000).into(),
        };
        let keys = CUSTOMERS.map(|name| (name.to_owned(), format!("key of {name}")));
        let text = text(&addresses, &keys.into());
        assert!(text.starts_with(MARK));
        let loaded = Loaded::parse(&text, Path::new("/demo/demo.toml"));
        assert!(loaded.report().problems().is_empty(), "{:?}", loaded.report());
        let config = loaded.into_config().unwrap();
        assert_eq!(config.customers.len(), CUSTOMERS.len());
        assert_eq!(config.store.journal, Path::new("/demo").join(JOURNAL));
        let terms = Terms {
            network: "eip155:84532".to_owned(),
            asset: "0x5FbDB2315678afecb367f032d93F642f64180aa3".to_owned(),
            pay_to: "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC".to_owned(),
        };
        let text = text + &payments("http://127.0.0.1:9", &terms);
        let loaded = Loaded::parse(&text, Path::new("/demo/demo.toml"));
        assert!(loaded.report().problems().is_empty(), "{:?}", loaded.report());
    }
}
