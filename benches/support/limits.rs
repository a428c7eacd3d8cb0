//! Limits that are never reached, and taking from them.

use std::{sync::Arc, time::Duration};

use faregate::ledger::{
    Hold, Ledger, Limits, Quota, Rate, Scoped, UNITS_MAX, WindowKind, WindowSpec,
};
use jiff::Timestamp;

/// Gives the instant at which everything is decided.
pub(crate) fn noon() -> Timestamp {
    Timestamp::constant(1_795_176_000, 0)
}

/// Gives three quotas, a rate and a limit on requests in flight.
pub(crate) fn every_kind() -> Arc<Limits> {
    Arc::new(Limits {
        quotas: [WindowKind::Day, WindowKind::Month, WindowKind::Year].map(quota).into(),
        // The time stands still, so all that is ever taken is taken from the burst.
        rates: vec![Scoped::whole(Rate {
            limit: 1000,
            window: Duration::from_secs(1),
            burst: UNITS_MAX,
        })],
        concurrency: vec![Scoped::whole(1000)],
    })
}

/// Gives a quota.
pub(crate) fn quota(window: WindowKind) -> Quota {
    Quota {
        scope: Arc::default(),
        name: window.name().into(),
        account: window.name().into(),
        limit: UNITS_MAX,
        overage: None,
        window: WindowSpec::new(window),
    }
}

/// Takes units of a customer, as one request does.
pub(crate) fn take(ledger: &Ledger, customer: &str, limits: &Arc<Limits>) -> Hold {
    ledger.customer(customer).reserve(limits, 2, noon()).unwrap()
}
