//! Who calls: customers whose limits change as plans and configurations do.

use std::sync::Arc;

use crate::{
    ledger::{Level, Limits, Overage, Quota, WindowKind, WindowSpec},
    model::Money,
};

pub(super) const CUSTOMERS: [&str; 3] = ["acme", "other", "payer"];

/// What a call costs that money pays.
pub(super) const PRICE: i64 = 7;

fn quota(scope: &str, name: &str, limit: u64, kind: WindowKind) -> Quota {
    let name: Arc<str> = Arc::from(name);
    let (scope, window) = (Arc::from(scope), WindowSpec::new(kind));
    Quota { scope, account: Arc::clone(&name), name, limit, overage: None, window }
}

fn beyond(quota: Quota, cap: Option<&str>) -> Quota {
    let cap = cap.map(|cap| cap.parse::<Money>().expect("money"));
    let price = "0.001 USD".parse().expect("money");
    Quota { overage: Some(Box::new(Overage::new(price, cap))), ..quota }
}

/// Every set of limits that a customer may have. Each call makes new ones, as a reload does.
pub(super) fn limits(number: u64) -> Arc<Limits> {
    let month = |limit| quota("", "monthly", limit, WindowKind::Month);
    let day = |limit| quota("", "daily", limit, WindowKind::Day);
    let app = |limit| quota("application/a", "daily", limit, WindowKind::Day);
    let quotas = match number % 9 {
        0 => vec![month(20), day(8)],
        1 => vec![month(12), day(30)],
        2 => vec![day(5)],
        3 => vec![beyond(month(6), Some("0.004 USD")), day(40)],
        4 => vec![beyond(month(4), None), app(9)],
        5 => vec![month(25), app(6)],
        6 => vec![quota("", "ever", 15, WindowKind::Lifetime)],
        7 => vec![quota("", "hourly", 3, WindowKind::Hour), month(50)],
        _ => Vec::new(),
    };
    Arc::new(Limits { quotas, ..Limits::default() })
}

/// Gives those that bind whoever pays.
pub(super) fn of_money(limits: &Limits) -> Arc<Limits> {
    let mut limits = limits.clone();
    limits.quotas.retain(|quota| quota.level() != Level::Customer);
    Arc::new(limits)
}
