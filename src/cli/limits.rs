//! Limits on the command line: of a customer, an application or a key.

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::input;

/// Limits that are given.
#[derive(Args, Clone, Debug)]
pub(super) struct GivenLimits {
    /// An allowance, such as name=monthly,limit=1000,window=month; repeat it for each one. Windows:
    /// hour, day, week, month, year, period, lifetime. Further parts: align=anchor or
    /// align=calendar, zone, renamed_from, and for a customer overage='0.001 USD', the price of a unit
    /// beyond the limit. The name is the window's if none is given
    #[arg(long, value_name = "QUOTA", value_parser = input::quota)]
    quota: Vec<Value>,
    /// Requests per time, and how many at once after a pause: 50/1s or 50/1s:100
    #[arg(long, value_name = "LIMIT/WINDOW[:BURST]", value_parser = input::rate)]
    rate: Option<Value>,
    /// Requests in flight at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
}

/// Limits that are given or taken away.
#[derive(Args, Clone, Debug)]
pub(super) struct LimitChanges {
    #[command(flatten)]
    given: GivenLimits,
    /// No quotas of its own any more
    #[arg(long, conflicts_with = "quota")]
    no_quotas: bool,
    /// No rate of its own any more
    #[arg(long, conflicts_with = "rate")]
    no_rate: bool,
    /// No concurrency of its own any more
    #[arg(long, conflicts_with = "concurrency")]
    no_concurrency: bool,
}

impl GivenLimits {
    /// Puts what is given into the body of a call.
    pub(super) fn add_to(&self, body: &mut Map<String, Value>) {
        let Self { quota, rate, concurrency } = self;
        if !quota.is_empty() {
            body.insert("quotas".to_owned(), quota.clone().into());
        }
        if let Some(rate) = rate {
            body.insert("rate".to_owned(), rate.clone());
        }
        if let Some(concurrency) = concurrency {
            body.insert("concurrency".to_owned(), (*concurrency).into());
        }
    }
}

impl LimitChanges {
    /// Puts what is given into the body of a call, and null for what is taken away.
    pub(super) fn add_to(&self, body: &mut Map<String, Value>) {
        let Self { given, no_quotas, no_rate, no_concurrency } = self;
        given.add_to(body);
        let away = [("quotas", *no_quotas), ("rate", *no_rate), ("concurrency", *no_concurrency)];
        for (name, _) in away.into_iter().filter(|(_, goes)| *goes) {
            body.insert(name.to_owned(), Value::Null);
        }
    }
}
