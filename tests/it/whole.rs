//! The property of the whole: at any quiet moment the cost of what was accepted, the usage by minute, the
//! movements of the ledger and what `usage` tells are one and the same.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};

use crate::support::{Client, Gateway, Then, Upstream, upstream::OK};

const TABLES: &str = r#"
[server]
listen = "127.0.0.1:0"
workers = 2

[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "one"
path = "/one/{*rest}"
upstream = "api"
price = "0.010000001 USD"

[[routes]]
name = "three"
path = "/three/{*rest}"
upstream = "api"
cost = 3

[plans.p]
quotas = [
  { name = "monthly", limit = 90, window = "month", overage = { price = "0.001 USD" } },
  { name = "daily", limit = 120, window = "day" },
]

[customers.acme]
plan = "p"
spend_cap = "0.010 USD"
keys = ["key:a", "key:b"]

[customers.payer]
keys = ["key:c"]
"#;

const FAILS: &str = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";

/// What answers said that they cost.
#[derive(Default)]
struct Told {
    units: AtomicU64,
    nanos: AtomicU64,
    served: AtomicU64,
}

/// A small generator, so that a run can be repeated.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn call(client: &mut Client, told: &Told, draw: u64) {
    let path = ["/one/x", "/three/x", "/one/fail", "/three/fail"][(draw % 4) as usize];
    let key = ["a", "b", "c"][(draw / 4 % 3) as usize];
    let answer = client.get(path, key);
    let number = |text: &str| text.parse::<u64>().unwrap();
    let units = answer.field("faregate-cost").map_or(0, number);
    let price = answer.field("faregate-price").map_or(0, |price| {
        assert_eq!(price, "0.010000001 USD");
        10_000_001
    });
    assert_eq!(answer.status() == 200, units + price > 0, "{}", answer.verdict());
    told.units.fetch_add(units, Ordering::Relaxed);
    told.nanos.fetch_add(price, Ordering::Relaxed);
    told.served.fetch_add(u64::from(answer.status() == 200), Ordering::Relaxed);
}

fn nanos(text: &Value) -> i128 {
    text.as_str().unwrap().replace('.', "").parse().unwrap()
}

/// What the rows of the report come to: requests that were charged, units, money.
fn reported(gateway: &Gateway) -> (u64, u64, i128) {
    let path = "/v1/usage?from=2026-11-01&to=2026-12-01&by=customer,ending,currency";
    let report = gateway.admin("GET", path).json();
    let rows = report["rows"].as_array().unwrap();
    let charged = rows.iter().filter(|row| row["ending"] == "completed");
    let sum = |name: &str| rows.iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
    let requests = charged.map(|row| row["requests"].as_u64().unwrap()).sum();
    (requests, sum("units"), rows.iter().map(|row| nanos(&row["credit"])).sum())
}

/// What was consumed of an account, by the ledger.
fn entered(gateway: &Gateway, customer: &str, account: (&str, &str)) -> i128 {
    let path = format!("/v1/customers/{customer}/ledger?limit=1000");
    let page = gateway.admin("GET", &path).json();
    assert_eq!(page["next"], Value::Null);
    let entries = page["items"].as_array().unwrap().iter();
    let consumed = entries.filter(|e| e["kind"] == "consumed" && e[account.0] == account.1);
    let amount = |entry: &Value| match entry["amount"].as_i64() {
        Some(units) => i128::from(units),
        None => -nanos(&entry["amount"]),
    };
    consumed.map(amount).sum()
}

#[test]
fn what_was_accepted_is_told_alike_everywhere() {
    let seed = std::env::var("FAREGATE_SEED").map_or(7, |seed| seed.parse().unwrap());
    println!("FAREGATE_SEED={seed}");
    let upstream = Upstream::start(|exchange| {
        let fails = exchange.request().target().ends_with("fail");
        exchange.send(if fails { FAILS } else { OK })?;
        Ok(Then::KeepAlive)
    });
    let mut gateway = Gateway::start_at("2026-11-16T00:00:00Z", TABLES, &upstream);
    for customer in ["acme", "payer"] {
        let body = json!({"amount": "0.5 USD"});
        gateway.changed("POST", &format!("/v1/customers/{customer}/credits"), &body);
    }
    let (told, state) = (Told::default(), Mutex::new(seed));
    let mut given = 0;
    for round in 0..6 {
        let address = gateway.running().address();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut client = Client::connect(address);
                    for _ in 0..20 {
                        let draw = next(&mut state.lock().unwrap());
                        call(&mut client, &told, draw);
                    }
                });
            }
        });
        let [units, paid, served] =
            [&told.units, &told.nanos, &told.served].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(reported(&gateway), (served, units, i128::from(paid)), "round {round}");
        let quotas = &gateway.usage("acme")["quotas"];
        for (quota, name) in [(&quotas[0], "monthly"), (&quotas[1], "daily")] {
            let corrected = if name == "monthly" { given } else { 0 };
            assert_eq!(quota["used"].as_i64().unwrap() + corrected, units as i64);
            assert_eq!(quota["reserved"], 0);
            assert_eq!(entered(&gateway, "acme", ("quota", name)), i128::from(units));
        }
        let customers = ["acme", "payer"];
        let balances = customers.map(|one| nanos(&gateway.usage(one)["credits"][0]["balance"]));
        assert_eq!(1_000_000_000 - balances.iter().sum::<i128>(), i128::from(paid));
        let movements = customers.map(|one| entered(&gateway, one, ("credit", "USD")));
        assert_eq!(movements.iter().sum::<i128>(), i128::from(paid));
        assert_eq!(gateway.admin("POST", "/v1/verify").json()["ok"], true);
        match round {
            // Both are entered, and change what is told by as much.
            1 => {
                given += 5;
                let body = json!({"quota": "monthly", "amount": 5, "reason": "goodwill"});
                gateway.changed("POST", "/v1/customers/acme/adjustments", &body);
            }
            3 => gateway.restart(),
            _ => {}
        }
    }
    assert!(told.units.load(Ordering::Relaxed) > 90, "the allowance was used up");
    assert!(told.nanos.load(Ordering::Relaxed) > 0, "money was drawn on");
}
