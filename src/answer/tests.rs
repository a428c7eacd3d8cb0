//! How limits of applications and keys are told.

use std::{sync::Arc, time::Duration};

use super::{Binding, Code, Denial, QuotaDenial, headers::push_rate_limit};
use crate::http1::Fields;
use crate::ledger::{Ledger, Limits, Overage, Quota, Rate, Scoped, WindowKind, WindowSpec};

const NOW: &str = "2026-03-03T00:00:00Z";

const SCOPES: [&str; 3] = ["", "application/mobile", "key/acme-ci"];

fn limits(scopes: &[&str], limit: u64, burst: u64, in_flight: u32) -> Arc<Limits> {
    let rate = Rate { limit: burst, window: Duration::from_secs(10), burst };
    let scoped = |scope: &&str| Scoped { scope: Arc::from(*scope), limit: rate };
    let flights = |scope: &&str| Scoped { scope: Arc::from(*scope), limit: in_flight };
    let quota = |scope: &&str| Quota {
        scope: Arc::from(*scope),
        name: Arc::from("day"),
        account: Arc::from("day"),
        limit,
        overage: None,
        window: WindowSpec::new(WindowKind::Day),
    };
    Arc::new(Limits {
        quotas: scopes.iter().map(quota).collect(),
        rates: scopes.iter().map(scoped).collect(),
        concurrency: scopes.iter().map(flights).collect(),
    })
}

/// Refuses a request of this cost after one of cost 1, which is still in flight.
fn refusal(limits: &Arc<Limits>, cost: u64) -> QuotaDenial {
    let now = NOW.parse().unwrap();
    let accounts = Ledger::new(now).customer("acme");
    let _open = accounts.reserve(limits, 1, now).unwrap();
    let shortage = accounts.reserve(limits, cost, now).unwrap_err();
    QuotaDenial::new(shortage, cost)
}

#[test]
fn limits_of_every_level_are_listed() {
    let denial = refusal(&limits(&SCOPES, 5, 9, 2), 5);
    let mut fields = Fields::default();
    push_rate_limit(denial.standing(), &mut fields);
    assert_eq!(
        str::from_utf8(&fields.lines).unwrap(),
        "ratelimit-policy: \"day\";q=5;w=86400, \"day\";q=5;w=86400, \"day\";q=5;w=86400, \
         \"rate\";q=9;w=10, \"application-rate\";q=9;w=10, \"key-rate\";q=9;w=10, \
         \"concurrency\";q=2;qu=\"concurrent-requests\", \
         \"application-concurrency\";q=2;qu=\"concurrent-requests\", \
         \"key-concurrency\";q=2;qu=\"concurrent-requests\"\r\n\
         ratelimit: \"day\";r=4;t=86400, \"day\";r=4;t=86400, \"day\";r=4;t=86400, \
         \"rate\";r=8;t=2, \"application-rate\";r=8;t=2, \"key-rate\";r=8;t=2, \
         \"concurrency\";r=1, \"application-concurrency\";r=1, \"key-concurrency\";r=1\r\n"
    );
}

#[test]
fn every_violated_policy_is_named() {
    let denial = refusal(&limits(&SCOPES, 1, 1, 1), 1);
    let names = [
        "rate",
        "application-rate",
        "key-rate",
        "concurrency",
        "application-concurrency",
        "key-concurrency",
        "day",
        "day",
        "day",
    ];
    assert_eq!(denial.violated_policies().collect::<Vec<_>>(), names);
    assert_eq!(denial.retry_after(), Some(10));
}

#[test]
fn of_several_rates_the_slowest_is_told() {
    let mut limits = (*limits(&SCOPES, 9, 1, 9)).clone();
    limits.rates[1].limit.window = Duration::from_secs(30);
    let denial = refusal(&Arc::new(limits), 1);
    assert_eq!((denial.binding(), denial.retry_after()), (Binding::Rate(1), Some(30)));
}

/// A unit beyond the limit costs a cent.
fn with_cap(limits: &mut Limits, index: usize, cap: &str) {
    let overage = Overage::new("0.01 USD".parse().unwrap(), Some(cap.parse().unwrap()));
    limits.quotas[index].overage = Some(Box::new(overage));
}

#[test]
fn of_a_spend_cap_and_quotas_the_one_that_renews_last_is_told() {
    let mut limits = (*limits(&["", ""], 1, 9, 9)).clone();
    limits.quotas[1].name = Arc::from("month");
    limits.quotas[1].account = Arc::from("month");
    limits.quotas[1].window = WindowSpec::new(WindowKind::Month);
    for (capped, expected) in [(0, Binding::Quota(1)), (1, Binding::SpendCap(1))] {
        let mut limits = limits.clone();
        with_cap(&mut limits, capped, "0 USD");
        let denial = refusal(&Arc::new(limits), 1);
        assert_eq!(denial.binding(), expected);
        assert_eq!(denial.retry_after(), Some(29 * 86_400));
        assert_eq!(denial.violated_policies().collect::<Vec<_>>(), ["day", "month"]);
    }
}

#[test]
fn a_spend_cap_is_told_in_money_and_units() {
    let cases = [
        (
            "0 USD",
            1,
            "The spend cap of 0.00 USD beyond the daily allowance of 1 request is reached. It renews \
             on 2026-03-04T00:00:00Z.",
        ),
        (
            "0.035 USD",
            4,
            "The spend cap of 0.035 USD beyond the daily allowance of 1 request has room for 3 \
             requests, and this call costs 4. It renews on 2026-03-04T00:00:00Z.",
        ),
        (
            "0.03 USD",
            5,
            "One call costs 5 requests, the whole daily allowance is 1, and the spend cap lets 3 \
             requests beyond it.",
        ),
    ];
    for (cap, cost, expected) in cases {
        let mut limits = (*limits(&SCOPES[..1], 1, 9, 9)).clone();
        with_cap(&mut limits, 0, cap);
        let denial = Denial::QuotaExceeded(Box::new(refusal(&Arc::new(limits), cost)));
        assert_eq!(denial.detail(), expected);
        let too_small = expected.starts_with("One call");
        let code = if too_small { Code::CostExceedsAllowance } else { Code::SpendCapReached };
        assert_eq!(denial.code(), code);
    }
}

#[test]
fn a_detail_says_whose_the_limit_is_and_no_id() {
    let cases = [
        (limits(&SCOPES[..1], 9, 1, 9), 1, "At most 1 request per 10 s are allowed."),
        (
            limits(&SCOPES[1..2], 9, 1, 9),
            1,
            "At most 1 request of this application per 10 s are allowed.",
        ),
        (
            limits(&SCOPES[2..], 9, 1, 9),
            1,
            "At most 1 request of this API key per 10 s are allowed.",
        ),
        (limits(&SCOPES[..1], 9, 9, 1), 1, "At most 1 request may be in flight at once."),
        (
            limits(&SCOPES[1..2], 9, 9, 1),
            1,
            "At most 1 request of this application may be in flight at once.",
        ),
        (
            limits(&SCOPES[2..], 9, 9, 1),
            1,
            "At most 1 request of this API key may be in flight at once.",
        ),
        (
            limits(&SCOPES[..1], 1, 9, 9),
            1,
            "The daily allowance of 1 request is used up. It renews on 2026-03-04T00:00:00Z.",
        ),
        (
            limits(&SCOPES[1..2], 5, 9, 9),
            5,
            "This application's daily allowance of 5 requests has 4 left, and this call costs 5. It \
             renews on 2026-03-04T00:00:00Z.",
        ),
        (
            limits(&SCOPES[2..], 1, 9, 9),
            1,
            "This API key's daily allowance of 1 request is used up. It renews on \
             2026-03-04T00:00:00Z.",
        ),
        (
            limits(&SCOPES[2..], 3, 9, 9),
            4,
            "One call costs 4 requests, this API key's whole daily allowance is 3.",
        ),
    ];
    for (limits, cost, expected) in cases {
        let denial = Denial::QuotaExceeded(Box::new(refusal(&limits, cost)));
        assert_eq!(denial.detail(), expected);
        let is_throttled = matches!(denial.code(), Code::RateLimited | Code::TooManyConcurrent);
        assert_eq!(is_throttled, expected.starts_with("At most"));
    }
}
