//! A plan: what is sold.

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::{
    ledger::{Overage, Quota, Rate, WindowKind, WindowSpec},
    model::{ChangeRule, Money},
};

/// An offer: the routes it opens and the limits it sets.
#[derive(Debug)]
pub struct Plan {
    /// The plan's key in the file.
    pub id: Arc<str>,
    /// The name that people read.
    pub title: Arc<str>,
    /// The names of the routes in it; `None` means every route.
    pub routes: Option<Vec<Arc<str>>>,
    /// The allowances.
    pub quotas: Vec<QuotaTerms>,
    /// Requests per short time.
    pub rate: Option<Rate>,
    /// Requests in flight at once.
    pub concurrency: Option<u32>,
    /// Length of a trial that has no end of its own.
    pub trial: Option<Duration>,
    /// How long an overdue customer is still served.
    pub grace: Duration,
    /// Where a caller can buy more.
    pub upgrade_url: Option<Arc<str>>,
    /// Whether it may be offered to callers of other plans.
    pub on_sale: bool,
    /// Whether nobody new gets it; who has it keeps it.
    pub archived: bool,
    /// What a change to this plan in the middle of a window does to what was used.
    pub change: ChangeRule,
    /// Whether its holders are refused what it does not cover, rather than forwarded all the same.
    pub enforce: bool,
}

impl Plan {
    /// Tells whether the plan opens the route.
    pub fn opens(&self, route: &str) -> bool {
        self.routes.as_ref().is_none_or(|routes| routes.iter().any(|name| &**name == route))
    }
}

/// A quota as a plan states it, before a customer's anchor is known.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct QuotaTerms {
    /// The name that is told, and under which usage is kept unless it was renamed.
    pub name: Arc<str>,
    /// Units per window.
    pub limit: u64,
    /// How long a window is.
    pub window: WindowKind,
    /// Where windows begin; `None` means the rule of the window's kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<Align>,
    /// Whose days, months and years are meant; `None` means UTC.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::tz::optional"
    )]
    pub zone: Option<TimeZone>,
    /// The quota's earlier name, whose usage it continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<Arc<str>>,
    /// How it goes on beyond the limit; `None` where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overage: Option<OverageTerms>,
}

/// How a quota goes on beyond its limit: what is taken there is billed later.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OverageTerms {
    /// What one unit costs; positive.
    pub price: Money,
}

impl QuotaTerms {
    /// Makes the quota of a scope, with windows that count from the anchor and with what is used
    /// beyond the limit uncapped.
    pub fn quota(&self, scope: Arc<str>, anchor: Option<Timestamp>) -> Quota {
        let Self { name, limit, window, align: _, zone, renamed_from, overage } = self;
        Quota {
            scope,
            name: Arc::clone(name),
            account: Arc::clone(renamed_from.as_ref().unwrap_or(name)),
            limit: *limit,
            overage: overage.map(|terms| Box::new(Overage::new(terms.price, None))),
            window: WindowSpec { anchor, zone: zone.clone(), ..WindowSpec::new(*window) },
        }
    }
}

/// Where windows begin.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// At the subscription's anchor and every window's length from it.
    Anchor,
    /// At the calendar's own boundaries.
    Calendar,
}
