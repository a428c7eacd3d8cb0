//! The limits that plans, customers, applications and keys have alike: quotas, rate, concurrency.

use std::{sync::Arc, time::Duration};

use super::{
    names::{Unique, check_id},
    number::{UNITS, integer, within},
};
use crate::{
    config::{
        file::{Field, LimitFields, QuotaTable, RateTable, Spanned},
        report::{Problem, Problems},
        wording::{list, quote},
    },
    ledger::{Rate, UNITS_MAX, WindowKind},
    model::{OwnLimits, QuotaTerms},
};

/// Limits as far as they are given.
#[derive(Clone, Debug, Default)]
pub(super) struct GivenLimits {
    /// The quotas and where they stand.
    pub(super) quotas: Option<Vec<Spanned<QuotaTerms>>>,
    /// The rate.
    pub(super) rate: Option<Rate>,
    /// Requests in flight at once.
    pub(super) concurrency: Option<u32>,
}

impl GivenLimits {
    /// Leaves out where they stand.
    pub(super) fn into_own(self) -> OwnLimits {
        let Self { quotas, rate, concurrency } = self;
        let terms = |quotas: Vec<Spanned<QuotaTerms>>| quotas.into_iter().map(|quota| quota.value);
        OwnLimits { quotas: quotas.map(|quotas| terms(quotas).collect()), rate, concurrency }
    }
}

/// Checks the limits of a plan, a customer, an application or a key.
pub(super) fn check(fields: &LimitFields, problems: &mut Problems) -> GivenLimits {
    let LimitFields { quotas, rate, concurrency } = fields;
    GivenLimits {
        quotas: quotas.value().map(|quotas| check_quotas(quotas, problems)),
        rate: rate.value().and_then(|rate| check_rate(rate, problems)),
        concurrency: check_concurrency(concurrency, problems),
    }
}

fn check_quotas(
    tables: &[Spanned<QuotaTable>],
    problems: &mut Problems,
) -> Vec<Spanned<QuotaTerms>> {
    let mut names = Unique::new("quotas", QUOTA_NAME_HELP);
    let mut quotas = Vec::new();
    for Spanned { value: table, span } in tables {
        let Some(terms) = check_quota(table, problems) else { continue };
        let name_span = table.name.given().map_or(*span, |name| name.span);
        if names.claim(&terms.name, name_span, problems) {
            quotas.push(Spanned { value: terms, span: *span });
        }
    }
    quotas
}

const QUOTA_NAME_HELP: &str =
    "without a `name` a quota is called by its window; give this one another";

fn check_quota(table: &QuotaTable, problems: &mut Problems) -> Option<QuotaTerms> {
    let QuotaTable { span, name, limit, window, align } = table;
    let missing = || {
        let help = format!("write limit = N, the units in each window, from 0 to {UNITS_MAX}");
        Problem::error(*span, "the quota has no `limit`").help(help)
    };
    let limit = limit.required(problems, missing).and_then(|limit| within(limit, UNITS, problems));
    let missing = || {
        let windows = ["hour", "day", "week", "month", "year", "lifetime"];
        let help = format!("write window = one of {}", list(&windows));
        Problem::error(*span, "the quota has no `window`").help(help)
    };
    let window = window.required(problems, missing).map(|window| window.value);
    if let (Some(WindowKind::Lifetime), Some(align)) = (window, align.given()) {
        let message = "a lifetime never renews, so it has no place to begin";
        problems.add(Problem::error(align.span, message).help("leave out `align`"));
    }
    let name: Option<Arc<str>> = match name.given() {
        Some(name) => {
            check_quota_name(name, problems);
            Some(name.value.as_str().into())
        }
        None => window.map(|window| window.name().into()),
    };
    Some(QuotaTerms { name: name?, limit: limit?, window: window?, align: align.value().copied() })
}

/// Names that answers use for the other limits, in headers beside those of quotas.
const RESERVED: [&str; 2] = ["concurrency", "rate"];

fn check_quota_name(name: &Spanned<String>, problems: &mut Problems) {
    check_id(name, "a quota", problems);
    if RESERVED.contains(&name.value.as_str()) {
        let message = format!("{} cannot be the name of a quota", quote(&name.value));
        let help = format!("answers call the {0} limit so; choose another name", name.value);
        problems.add(Problem::error(name.span, message).help(help));
    }
}

/// The longest window of a rate; what is longer is a quota.
const RATE_WINDOW_MAX: Duration = Duration::from_secs(24 * 3600);

fn check_rate(table: &RateTable, problems: &mut Problems) -> Option<Rate> {
    const HELP: &str = "write it such as { limit = 50, window = \"1s\" }";
    let RateTable { span, limit, window, burst } = table;
    let missing = || Problem::error(*span, "the rate has no `limit`").help(HELP);
    let limit =
        limit.required(problems, missing).and_then(|limit| within(limit, 1..=UNITS_MAX, problems));
    let missing = || Problem::error(*span, "the rate has no `window`").help(HELP);
    let window = window.required(problems, missing);
    if let Some(Spanned { value, span }) = window
        && (value.is_zero() || *value > RATE_WINDOW_MAX)
    {
        let message = "the window of a rate is out of range";
        let help = "it is from \"1ms\" to \"24h\"; for longer ones write a quota";
        problems.add(Problem::error(*span, message).help(help));
    }
    let burst = integer(burst, 1..=UNITS_MAX, limit.unwrap_or(1), problems);
    Some(Rate { limit: limit?, window: window?.value, burst })
}

fn check_concurrency(field: &Field<i64>, problems: &mut Problems) -> Option<u32> {
    let given = field.given()?;
    if given.value == 0 {
        let message = "with no request in flight at once none is ever served";
        let help = "write at least 1; to stop a customer write suspended = true";
        problems.add(Problem::error(given.span, message).help(help));
        return None;
    }
    within(given, 1..=u32::MAX, problems)
}
