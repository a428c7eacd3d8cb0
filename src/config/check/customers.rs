//! Customers: what they bought and the limits that follow from it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    keys::KeyRing,
    limits::{self, GivenLimits},
    names::check_foreign_id,
    plans::CheckedPlan,
};
use crate::{
    config::{
        file::{ApplicationTable, CustomerTable, Field, Named, Spanned},
        report::{Problem, Problems, Span},
        wording::{quote, suggest},
    },
    ledger::WindowKind,
    model::{Align, ApiKey, CustomerTerms, Money, Nanos, OwnLimits, StatusName, SubscriptionTerms},
};

/// What was found of the customers.
#[derive(Debug)]
pub(super) struct Customers {
    /// Those without mistakes.
    pub(super) checked: Vec<Arc<CustomerTerms>>,
    /// The keys of all of them.
    pub(super) keys: Vec<Arc<ApiKey>>,
}

/// Checks all customers.
pub(super) fn check(
    field: &Field<Vec<Named<CustomerTable>>>,
    plans: &[CheckedPlan],
    problems: &mut Problems,
) -> Customers {
    let plans: HashMap<&str, &CheckedPlan> =
        plans.iter().map(|plan| (&*plan.checked.id, plan)).collect();
    let tables = field.value().map_or(&[][..], Vec::as_slice);
    let mut keys = KeyRing::new();
    let mut checked = Vec::new();
    for Named { name, value } in tables {
        check_foreign_id(name, "a customer", problems);
        let Some(Spanned { value: table, .. }) = value else { continue };
        let id: Arc<str> = name.value.as_str().into();
        keys.add(&id, None, &table.keys, problems);
        let applications = check_applications(&id, &table.applications, &mut keys, problems);
        let terms = check_one(id, name.span, table, &plans, problems);
        checked.extend(terms.map(|terms| Arc::new(CustomerTerms { applications, ..terms })));
    }
    Customers { checked, keys: keys.into_keys() }
}

/// Checks the applications of a customer; gives those that have limits of their own.
fn check_applications(
    customer: &Arc<str>,
    field: &Field<Vec<Named<ApplicationTable>>>,
    keys: &mut KeyRing,
    problems: &mut Problems,
) -> Vec<(Arc<str>, OwnLimits)> {
    let mut limited = Vec::new();
    for Named { name, value } in field.value().into_iter().flatten() {
        check_foreign_id(name, "an application", problems);
        let Some(Spanned { value: table, .. }) = value else { continue };
        keys.add(customer, Some(&name.value), &table.keys, problems);
        let limits = limits::check_part(&table.limits, problems).into_own();
        if !limits.is_empty() {
            limited.push((name.value.as_str().into(), limits));
        }
    }
    limited
}

fn check_one(
    id: Arc<str>,
    span: Span,
    table: &CustomerTable,
    plans: &HashMap<&str, &CheckedPlan>,
    problems: &mut Problems,
) -> Option<CustomerTerms> {
    let own = limits::check(&table.limits, problems);
    let plan = match check_plan(&table.plan, plans, problems) {
        Held::Nothing => {
            warn_without_plan(table, problems);
            None
        }
        Held::Plan(plan) => Some(plan),
        Held::Unknown => return None,
    };
    check_anchor(&own, plan.map(|plan| &plan.limits), span, &table.anchor, problems);
    let subscription = match plan {
        None => None,
        Some(plan) => Some(Box::new(check_subscription(table, plan, problems)?)),
    };
    let spend_cap = plan.and_then(|plan| check_spend_cap(table, &own, &plan.limits, problems));
    let limits = own.into_own();
    Some(CustomerTerms {
        id,
        suspended: table.suspended.value().copied().unwrap_or(false),
        subscription,
        limits: (!limits.is_empty()).then(|| Box::new(limits)),
        spend_cap: spend_cap.map(Box::new),
        applications: Vec::new(),
    })
}

/// What a customer's `plan` says.
enum Held<'p> {
    Nothing,
    Plan(&'p CheckedPlan),
    /// Something wrong, which is reported.
    Unknown,
}

fn check_plan<'p>(
    field: &Field<String>,
    plans: &HashMap<&str, &'p CheckedPlan>,
    problems: &mut Problems,
) -> Held<'p> {
    let Spanned { value: id, span } = match field {
        Field::Absent => return Held::Nothing,
        Field::Given(given) => given,
        Field::Wrong => return Held::Unknown,
    };
    if let Some(plan) = plans.get(id.as_str()) {
        return Held::Plan(plan);
    }
    let mut ids: Vec<&str> = plans.keys().copied().collect();
    ids.sort_unstable();
    let help = match ids.as_slice() {
        [] => format!("declare it: {} with its `quotas`", quote(&format!("[plans.{id}]"))),
        _ => suggest(id, ids),
    };
    problems.add(Problem::error(*span, format!("there is no plan {}", quote(id))).help(help));
    Held::Unknown
}

fn warn_without_plan(table: &CustomerTable, problems: &mut Problems) {
    let CustomerTable {
        plan: _,
        status,
        suspended: _,
        anchor,
        starts,
        trial_end,
        past_due_since,
        cancel_at,
        period_start,
        period_end,
        pause_collection,
        grace,
        spend_cap,
        limits,
        keys: _,
        applications: _,
    } = table;
    let spans = [
        ("status", status.span()),
        ("anchor", anchor.span()),
        ("starts", starts.span()),
        ("trial_end", trial_end.span()),
        ("past_due_since", past_due_since.span()),
        ("cancel_at", cancel_at.span()),
        ("period_start", period_start.span()),
        ("period_end", period_end.span()),
        ("pause_collection", pause_collection.span()),
        ("grace", grace.span()),
        ("spend_cap", spend_cap.span()),
        ("quotas", limits.quotas.span()),
        ("rate", limits.rate.span()),
        ("concurrency", limits.concurrency.span()),
    ];
    for (name, span) in spans {
        let Some(span) = span else { continue };
        let message = format!("`{name}` has no effect without a plan");
        let help = "a customer without a plan is answered 402; write its `plan`";
        problems.add(Problem::warning(span, message).help(help));
    }
}

fn check_subscription(
    table: &CustomerTable,
    plan: &CheckedPlan,
    problems: &mut Problems,
) -> Option<SubscriptionTerms> {
    let status = match &table.status {
        Field::Absent => StatusName::Active,
        Field::Given(given) => given.value,
        Field::Wrong => return None,
    };
    match (status, table.status.span()) {
        (StatusName::Trialing, Some(span)) => check_trial_end(table, plan, span, problems),
        (StatusName::PastDue, Some(span)) => check_past_due(table, span, problems),
        _ => {}
    }
    check_period(table, problems);
    let instant = |field: &Field<Timestamp>| field.value().copied();
    Some(SubscriptionTerms {
        plan: Arc::clone(&plan.checked.id),
        status,
        anchor: instant(&table.anchor),
        starts: instant(&table.starts),
        trial_end: instant(&table.trial_end),
        past_due_since: instant(&table.past_due_since),
        cancel_at: instant(&table.cancel_at),
        period_start: instant(&table.period_start),
        period_end: instant(&table.period_end),
        pause_collection: table.pause_collection.value().copied().unwrap_or(false),
        grace: table.grace.value().copied(),
        changed: None,
        restarted: None,
        next: None,
    })
}

/// Checks that a spend cap is a ceiling to what a quota of the customer costs beyond its limit.
fn check_spend_cap(
    table: &CustomerTable,
    own: &GivenLimits,
    plan: &GivenLimits,
    problems: &mut Problems,
) -> Option<Money> {
    let Spanned { value: cap, span } = *table.spend_cap.given()?;
    if cap.nanos < Nanos::ZERO {
        let help = "write 0 for nothing beyond the allowance, or leave it out for no ceiling";
        problems.add(Problem::error(span, "a spend cap is not negative").help(help));
        return None;
    }
    let quotas = own.quotas.as_ref().or(plan.quotas.as_ref());
    let mut overages = quotas.into_iter().flatten().filter_map(|quota| {
        quota.value.overage.map(|overage| (overage.price.currency, quota.span))
    });
    match overages.next() {
        None => {
            let message = "`spend_cap` has no effect: no quota of the customer has overage";
            let help = "give a quota overage = { price = \"…\" }, or leave out `spend_cap`";
            problems.add(Problem::warning(span, message).help(help));
        }
        Some((currency, quota)) if currency != cap.currency => {
            let message =
                format!("the spend cap is in {} and the price in {currency}", cap.currency);
            let problem = Problem::error(span, message).related(quota, "the price of this quota");
            problems.add(problem.help(format!("write the spend cap in {currency}")));
        }
        Some(_) => {}
    }
    Some(cap)
}

fn check_past_due(table: &CustomerTable, status: Span, problems: &mut Problems) {
    let missing = || {
        Problem::error(status, "`past_due` needs `past_due_since`").help(
            "write past_due_since = \"…\", the date of the first failed payment; the grace counts \
             from it",
        )
    };
    table.past_due_since.required(problems, missing);
}

/// Checks that a period has both its ends, in order.
fn check_period(table: &CustomerTable, problems: &mut Problems) {
    match (table.period_start.given(), table.period_end.given()) {
        (Some(start), Some(end)) if start.value >= end.value => {
            let problem = Problem::error(end.span, "the period ends before it begins")
                .related(start.span, "it begins here")
                .help("`period_end` is the first instant after the period");
            problems.add(problem);
        }
        (Some(alone), None) | (None, Some(alone)) => {
            let message = "a period needs both `period_start` and `period_end`";
            let help = "write both, as the billing provider gives them, or neither";
            problems.add(Problem::error(alone.span, message).help(help));
        }
        _ => {}
    }
}

/// Checks that a trial has an end: as given, else the anchor and the plan's trial.
fn check_trial_end(
    table: &CustomerTable,
    plan: &CheckedPlan,
    status: Span,
    problems: &mut Problems,
) {
    match (&table.trial_end, &table.anchor) {
        (Field::Given(_) | Field::Wrong, _) | (Field::Absent, Field::Wrong) => return,
        (Field::Absent, _) => {}
    }
    let length: Option<Duration> = plan.checked.trial;
    let end = table.anchor.value().copied().zip(length);
    if end.is_some_and(|(anchor, trial)| anchor.checked_add(trial).is_ok()) {
        return;
    }
    let help = match (table.anchor.value(), length) {
        (Some(_), None) => format!(
            "write trial_end = \"…\", or give plan {} a `trial`, which counts from the anchor",
            quote(&plan.checked.id)
        ),
        (None, Some(_)) => {
            "write trial_end = \"…\", or an `anchor`, from which the plan's trial counts".to_owned()
        }
        _ => {
            "write trial_end = \"…\", or both an `anchor` here and a `trial` in the plan".to_owned()
        }
    };
    problems.add(Problem::error(status, "this trial has no end").help(help));
}

/// Checks that a customer has the anchor from which its quotas, its own or else the plan's, count.
fn check_anchor(
    own: &GivenLimits,
    plan: Option<&GivenLimits>,
    customer: Span,
    anchor: &Field<Timestamp>,
    problems: &mut Problems,
) {
    let quotas = own.quotas.as_ref().or_else(|| plan?.quotas.as_ref());
    for Spanned { value: quota, span } in quotas.into_iter().flatten() {
        if quota.align != Some(Align::Anchor) || quota.window == WindowKind::Lifetime {
            continue;
        }
        let missing = || {
            Problem::error(customer, "the customer needs an `anchor`")
                .related(*span, "this quota counts from it")
                .help("write anchor = \"…\", the date from which its windows count")
        };
        anchor.required(problems, missing);
    }
}
