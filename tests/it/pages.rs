//! The gateway's own pages for callers.

use serde_json::json;

use crate::support::{Gateway, SMALL, Upstream};

#[test]
fn plans_on_sale_are_listed() {
    let upstream = Upstream::ok();
    let priced = "path = \"/{*path}\"\nprice = \"0.002 USD\"";
    let small = SMALL.replace("path = \"/{*path}\"", priced);
    let tables = format!(
        "{small}
[plans.pro]
title = \"Pro\"
routes = [\"api\"]
quotas = [{{ name = \"calls\", limit = 5, window = \"hour\", overage = {{ price = \"0.01 EUR\" }} }}]
rate = {{ limit = 3, window = \"500ms\" }}
concurrency = 2
trial = \"1d\"
upgrade_url = \"https://example.com/buy\"
[plans.inside]
on_sale = false
"
    );
    let gateway = Gateway::start(&tables, &upstream);
    let response = gateway.request("GET", "/_faregate/plans", &[]);
    assert_eq!(response.status(), 200);
    assert_eq!(response.field("content-type"), Some("application/json"));
    let starter = json!({
        "id": "starter", "title": "starter", "routes": null,
        "quotas": [{"name": "month", "meter": "requests", "limit": 1000, "window": "month"}],
        "rate": null, "concurrency": null, "trial_seconds": null, "upgrade_url": null,
    });
    let pro = json!({
        "id": "pro", "title": "Pro", "routes": ["api"],
        "quotas": [{"name": "calls", "meter": "requests", "limit": 5, "window": "hour",
                    "overage": {"price": "0.010000000", "currency": "EUR"}}],
        "rate": {"limit": 3, "window_seconds": 0.5, "burst": 3},
        "concurrency": 2, "trial_seconds": 86_400, "upgrade_url": "https://example.com/buy",
    });
    let price = json!({"route": "api", "price": "0.002000000", "currency": "USD"});
    assert_eq!(response.json(), json!({"plans": [starter, pro], "prices": [price]}));
    assert_eq!(upstream.count(), 0);
    let refused = gateway.request("POST", "/_faregate/plans", &[]);
    assert_eq!(refused.verdict(), "405 method_not_allowed");
}
