//! A plan: what is sold.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    ledger::{Rate, WindowKind},
    model::ChangeRule,
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
    /// The name under which usage is kept and told.
    pub name: Arc<str>,
    /// Units per window.
    pub limit: u64,
    /// How long a window is.
    pub window: WindowKind,
    /// Where windows begin; `None` means the rule of the window's kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<Align>,
}

/// Where windows begin.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// At the subscription's anchor and every window's length from it.
    Anchor,
    /// At the calendar's own boundaries, in UTC.
    Calendar,
}
