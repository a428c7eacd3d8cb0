//! What a served request looks like to the upstream, and its answer to the caller.

mod answers;
mod connections;
mod hops;
mod requests;

/// Tables with one upstream: more lines for it, and for the paid route.
fn tables(upstream: &str, route: &str) -> String {
    format!(
        r#"
[upstreams.api]
url = "http://@UPSTREAM@"
{upstream}

[[routes]]
name = "paid"
path = "/v1/{{*rest}}"
upstream = "api"
{route}

[[routes]]
name = "free"
path = "/free/{{*rest}}"
upstream = "api"
access = "public"

[plans.starter]
quotas = [{{ name = "monthly", limit = 1000, window = "month" }}]

[plans.wide]
quotas = [
  {{ name = "monthly", limit = 1000, window = "month" }},
  {{ name = "ever", limit = 10, window = "lifetime" }},
]
rate = {{ limit = 50, window = "1s", burst = 100 }}
concurrency = 20

[customers.acme]
plan = "starter"
keys = [{{ id = "acme-1", digest = "key:key-of-acme" }}]

[customers.acme.applications.mobile]
keys = [{{ id = "acme-m", digest = "key:mobile" }}]

[customers.wide]
plan = "wide"
keys = ["key:wide"]

[customers.leaving]
plan = "starter"
cancel_at = "2026-12-24T00:00:00Z"
keys = ["key:leaving"]

[customers.late]
plan = "starter"
status = "past_due"
past_due_since = "2026-11-19T00:00:00Z"
keys = ["key:late"]

[customers.trying]
plan = "starter"
status = "trialing"
trial_end = "2026-11-30T00:00:00Z"
keys = ["key:trying"]
"#
    )
}

const NOW: &str = "2026-11-20T12:00:00Z";
