//! The limits that plans, customers, applications and keys have alike: quotas, rate, concurrency.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    names::{Unique, check_id},
    number::{UNITS, integer, within},
};
use crate::{
    answer::policy,
    config::{
        file::{Field, LimitFields, OverageTable, QuotaTable, RateTable, Spanned, Zone},
        report::{Problem, Problems, Span},
        wording::{list, quote},
    },
    ledger::{Rate, UNITS_MAX, WindowKind},
    model::{Align, Money, Nanos, OverageTerms, OwnLimits, PRICE_MAX, QuotaTerms},
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

/// Checks the limits of an application or a key. They come in addition to the customer's, whose
/// quotas alone may go on beyond their limits: a call is billed once.
pub(super) fn check_part(fields: &LimitFields, problems: &mut Problems) -> GivenLimits {
    for quota in fields.quotas.value().into_iter().flatten() {
        if let Some(span) = quota.value.overage.span() {
            let message = "only the quotas of plans and customers have overage";
            let help = "leave out `overage`; an application or a key is refused at its own limit";
            problems.add(Problem::error(span, message).help(help));
        }
    }
    check(fields, problems)
}

/// Checks the limits of a plan or a customer.
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
    check_renames(tables, &names, problems);
    check_one_overage(tables, problems);
    quotas
}

/// Sees to it that no two quotas count in one account.
fn check_renames(tables: &[Spanned<QuotaTable>], names: &Unique, problems: &mut Problems) {
    const HELP: &str = "two quotas cannot count in one account; leave out this `renamed_from`";
    let mut first: HashMap<&str, Span> = HashMap::new();
    for Spanned { value: old, span } in
        tables.iter().filter_map(|table| table.value.renamed_from.given())
    {
        if names.contains(old) {
            let message = format!("{} is the name of a quota here", quote(old));
            problems.add(Problem::error(*span, message).help(HELP));
        } else if let Some(first) = first.get(old.as_str()) {
            let message = format!("two quotas go on from {}", quote(old));
            let problem = Problem::error(*span, message).related(*first, "first here");
            problems.add(problem.help(HELP));
        } else {
            first.insert(old, *span);
        }
    }
}

/// Sees to it that a call is billed once, and that a spend cap has one meaning.
fn check_one_overage(tables: &[Spanned<QuotaTable>], problems: &mut Problems) {
    let mut spans = tables.iter().filter_map(|table| table.value.overage.span());
    let Some(first) = spans.next() else { return };
    for span in spans {
        let problem = Problem::error(span, "two quotas have overage").related(first, "first here");
        let help = "a call would be billed twice; leave out one `overage`";
        problems.add(problem.help(help));
    }
}

const QUOTA_NAME_HELP: &str =
    "without a `name` a quota is called by its window; give this one another";

fn check_quota(table: &QuotaTable, problems: &mut Problems) -> Option<QuotaTerms> {
    let QuotaTable { span, name, limit, window, align, zone, renamed_from, overage } = table;
    let missing = || {
        let help = format!("write limit = N, the units in each window, from 0 to {UNITS_MAX}");
        Problem::error(*span, "the quota has no `limit`").help(help)
    };
    let limit = limit.required(problems, missing).and_then(|limit| within(limit, UNITS, problems));
    let missing = || {
        let help =
            format!("write window = one of {}", list(&WindowKind::ALL.map(WindowKind::name)));
        Problem::error(*span, "the quota has no `window`").help(help)
    };
    let window = window.required(problems, missing).map(|window| window.value);
    if let Some(window) = window {
        check_place(window, align, zone, problems);
    }
    let name: Option<Arc<str>> = match name.given() {
        Some(name) => {
            check_quota_name(name, problems);
            Some(name.value.as_str().into())
        }
        None => window.map(|window| window.name().into()),
    };
    if let Some(old) = renamed_from.given() {
        check_id(old, "a quota", problems);
    }
    let overage = overage.value().and_then(|overage| check_overage(overage, problems));
    Some(QuotaTerms {
        name: name?,
        limit: limit?,
        window: window?,
        align: align.value().copied(),
        zone: zone.value().and_then(|zone| zone.0.clone()),
        renamed_from: renamed_from.value().map(|old| old.as_str().into()),
        overage,
    })
}

fn check_overage(table: &OverageTable, problems: &mut Problems) -> Option<OverageTerms> {
    let OverageTable { span, price } = table;
    let missing = || {
        let help = "write overage = { price = \"0.001 USD\" }, what a unit beyond the limit costs";
        Problem::error(*span, "the overage has no `price`").help(help)
    };
    let price = price.required(problems, missing)?;
    Some(OverageTerms { price: check_price(price, problems)? })
}

/// Checks what one call or one unit costs.
pub(super) fn check_price(given: &Spanned<Money>, problems: &mut Problems) -> Option<Money> {
    let Spanned { value: price, span } = *given;
    if (Nanos(1)..=PRICE_MAX).contains(&price.nanos) {
        return Some(price);
    }
    let most = Money { nanos: PRICE_MAX, ..price };
    let help = format!("a price is more than 0 and at most {most}; leave it out for none");
    problems.add(Problem::error(span, "the price is out of range").help(help));
    None
}

/// Refuses a place to begin where a window has its own, and warns of a zone that nothing asks for.
fn check_place(
    window: WindowKind,
    align: &Field<Align>,
    zone: &Field<Zone>,
    problems: &mut Problems,
) {
    let own_place = match window {
        WindowKind::Lifetime => Some("a lifetime never renews, so it has no place to begin"),
        WindowKind::Period => Some("a period begins and ends with the subscription's own"),
        _ => None,
    };
    if let (Some(message), Some(align)) = (own_place, align.given()) {
        problems.add(Problem::error(align.span, message).help("leave out `align`"));
    }
    let is_absolute = matches!(window, WindowKind::Hour | WindowKind::Lifetime);
    if let Some(zone) = zone.given().filter(|zone| is_absolute && zone.value.0.is_some()) {
        let message = format!("`zone` has no effect on the window `{}`", window.name());
        problems.add(Problem::warning(zone.span, message).help("leave out `zone`"));
    }
}

fn check_quota_name(name: &Spanned<String>, problems: &mut Problems) {
    check_id(name, "a quota", problems);
    if policy::RESERVED.contains(&name.value.as_str()) {
        let message = format!("{} cannot be the name of a quota", quote(&name.value));
        let help = "answers call another limit so; choose another name";
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
