//! The page of plans: what can be bought.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use crate::model::Plan;

/// All plans on sale, in the order of the file.
#[derive(Debug, Serialize)]
pub(super) struct Offers<'a> {
    plans: Vec<Offer<'a>>,
}

#[derive(Debug, Serialize)]
struct Offer<'a> {
    id: &'a str,
    title: &'a str,
    /// `None` means every route.
    routes: Option<&'a [Arc<str>]>,
    quotas: Vec<Allowance<'a>>,
    rate: Option<OfferedRate>,
    concurrency: Option<u32>,
    trial_seconds: Option<u64>,
    upgrade_url: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Allowance<'a> {
    name: &'a str,
    meter: &'static str,
    limit: u64,
    window: &'static str,
}

#[derive(Debug, Serialize)]
struct OfferedRate {
    limit: u64,
    window_seconds: serde_json::Number,
    burst: u64,
}

impl<'a> Offers<'a> {
    /// Lists the plans that are on sale.
    pub(super) fn of(plans: &'a [Arc<Plan>]) -> Self {
        let on_sale = plans.iter().filter(|plan| plan.on_sale);
        Self { plans: on_sale.map(|plan| Offer::of(plan)).collect() }
    }
}

impl<'a> Offer<'a> {
    fn of(plan: &'a Plan) -> Self {
        let allowance = |quota: &'a crate::model::QuotaTerms| Allowance {
            name: &quota.name,
            meter: "requests",
            limit: quota.limit,
            window: quota.window.name(),
        };
        Self {
            id: &plan.id,
            title: &plan.title,
            routes: plan.routes.as_deref(),
            quotas: plan.quotas.iter().map(allowance).collect(),
            rate: plan.rate.map(|rate| OfferedRate {
                limit: rate.limit,
                window_seconds: crate::usage::seconds(rate.window),
                burst: rate.burst,
            }),
            concurrency: plan.concurrency,
            trial_seconds: plan.trial.as_ref().map(Duration::as_secs),
            upgrade_url: plan.upgrade_url.as_deref(),
        }
    }
}
