//! The page of plans: what can be bought.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use crate::model::{Currency, Money, Nanos, OverageTerms, Plan, QuotaTerms};

/// All plans on sale and all routes with a price, each in the order of the file.
#[derive(Debug, Serialize)]
pub(super) struct Offers<'a> {
    plans: Vec<Offer<'a>>,
    /// What one call costs a caller whose plan does not cover it.
    prices: Vec<Price<'a>>,
}

#[derive(Debug, Serialize)]
struct Price<'a> {
    route: &'a str,
    price: Nanos,
    currency: Currency,
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
    /// What goes on beyond the limit; `None` where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    overage: Option<OfferedOverage>,
}

#[derive(Debug, Serialize)]
struct OfferedOverage {
    /// What one unit costs.
    price: Nanos,
    currency: Currency,
}

#[derive(Debug, Serialize)]
struct OfferedRate {
    limit: u64,
    window_seconds: serde_json::Number,
    burst: u64,
}

impl<'a> Offers<'a> {
    /// Lists the plans that are on sale and what single calls cost.
    pub(super) fn of(plans: &'a [Arc<Plan>], prices: &'a [(Arc<str>, Money)]) -> Self {
        let on_sale = plans.iter().filter(|plan| plan.on_sale);
        let price = |(route, price): &'a (Arc<str>, Money)| {
            let Money { nanos: price, currency } = *price;
            Price { route, price, currency }
        };
        Self {
            plans: on_sale.map(|plan| Offer::of(plan)).collect(),
            prices: prices.iter().map(price).collect(),
        }
    }
}

impl<'a> Offer<'a> {
    fn of(plan: &'a Plan) -> Self {
        let overage = |OverageTerms { price }: OverageTerms| OfferedOverage {
            price: price.nanos,
            currency: price.currency,
        };
        let allowance = |quota: &'a QuotaTerms| Allowance {
            name: &quota.name,
            meter: "requests",
            limit: quota.limit,
            window: quota.window.name(),
            overage: quota.overage.map(overage),
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
