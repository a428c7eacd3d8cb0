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
        file::{CustomerTable, Field, Named, Spanned, StatusName},
        report::{Problem, Problems, Span},
        wording::{quote, suggest},
    },
    ledger::{Limits, Scoped, WindowKind},
    model::{Align, ApiKey, Customer, QuotaTerms, Status, Subscription},
};

/// What was found of the customers.
#[derive(Debug)]
pub(super) struct Customers {
    /// Those without mistakes.
    pub(super) checked: Vec<Arc<Customer>>,
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
        for application in table.applications.value().into_iter().flatten() {
            check_foreign_id(&application.name, "an application", problems);
            let Some(Spanned { value: table, .. }) = &application.value else { continue };
            keys.add(&id, Some(&application.name.value), &table.keys, problems);
        }
        checked.extend(check_one(id, name.span, table, &plans, problems).map(Arc::new));
    }
    Customers { checked, keys: keys.into_keys() }
}

fn check_one(
    id: Arc<str>,
    span: Span,
    table: &CustomerTable,
    plans: &HashMap<&str, &CheckedPlan>,
    problems: &mut Problems,
) -> Option<Customer> {
    let own = limits::check(&table.limits, problems);
    let plan = match check_plan(&table.plan, plans, problems) {
        Held::Nothing => {
            warn_without_plan(table, problems);
            None
        }
        Held::Plan(plan) => Some(plan),
        Held::Unknown => return None,
    };
    let subscription = match plan {
        None => None,
        Some(plan) => Some(check_subscription(table, plan, problems)?),
    };
    let anchor = Anchor { customer: span, field: &table.anchor };
    let limits = merge(own, plan.map(|plan| &plan.limits), &anchor, problems);
    Some(Customer {
        id,
        suspended: table.suspended.value().copied().unwrap_or(false),
        subscription,
        limits: Arc::new(limits),
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
        pause_collection,
        grace,
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
        ("pause_collection", pause_collection.span()),
        ("grace", grace.span()),
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
) -> Option<Subscription> {
    let status = check_status(table, plan, problems);
    let instant = |field: &Field<Timestamp>| field.value().copied();
    Some(Subscription {
        plan: plan.checked.clone(),
        status: status?,
        anchor: instant(&table.anchor),
        starts: instant(&table.starts),
        cancel_at: instant(&table.cancel_at),
    })
}

fn check_status(
    table: &CustomerTable,
    plan: &CheckedPlan,
    problems: &mut Problems,
) -> Option<Status> {
    let given = match &table.status {
        Field::Absent => return Some(Status::Active),
        Field::Given(given) => given,
        Field::Wrong => return None,
    };
    Some(match given.value {
        StatusName::Active => Status::Active,
        StatusName::Canceled => Status::Canceled,
        StatusName::Incomplete => Status::Incomplete,
        StatusName::IncompleteExpired => Status::IncompleteExpired,
        StatusName::Paused => Status::Paused,
        StatusName::Unpaid => Status::Unpaid,
        StatusName::Trialing => {
            Status::Trialing { end: trial_end(table, plan, given.span, problems)? }
        }
        StatusName::PastDue => {
            let missing = || {
                Problem::error(given.span, "`past_due` needs `past_due_since`").help(
                    "write past_due_since = \"…\", the date of the first failed payment; the grace \
                     counts from it",
                )
            };
            let since = table.past_due_since.required(problems, missing)?.value;
            let grace = table.grace.value().copied().unwrap_or(plan.checked.grace);
            Status::PastDue { since, grace }
        }
    })
}

/// Finds the end of a trial: as given, else the anchor and the plan's trial.
fn trial_end(
    table: &CustomerTable,
    plan: &CheckedPlan,
    status: Span,
    problems: &mut Problems,
) -> Option<Timestamp> {
    match (&table.trial_end, &table.anchor) {
        (Field::Given(end), _) => return Some(end.value),
        (Field::Wrong, _) | (Field::Absent, Field::Wrong) => return None,
        (Field::Absent, _) => {}
    }
    let length: Option<Duration> = plan.checked.trial;
    let end = table.anchor.value().copied().zip(length);
    if let Some(end) = end.and_then(|(anchor, trial)| anchor.checked_add(trial).ok()) {
        return Some(end);
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
    None
}

/// A customer's anchor, and whom to blame when a quota needs one.
struct Anchor<'f> {
    customer: Span,
    field: &'f Field<Timestamp>,
}

/// Puts the limits together: the customer's own replace the plan's, each kind by itself.
fn merge(
    own: GivenLimits,
    plan: Option<&GivenLimits>,
    anchor: &Anchor<'_>,
    problems: &mut Problems,
) -> Limits {
    let plan = plan.cloned().unwrap_or_default();
    let quotas = own.quotas.or(plan.quotas).unwrap_or_default();
    let place = |Spanned { value, span }: Spanned<QuotaTerms>| {
        let anchor = anchor.resolve(value.window, value.align, span, problems);
        value.quota(Arc::default(), anchor)
    };
    Limits {
        quotas: quotas.into_iter().map(place).collect(),
        rates: own.rate.or(plan.rate).map(Scoped::whole).into_iter().collect(),
        concurrency: own.concurrency.or(plan.concurrency).map(Scoped::whole).into_iter().collect(),
    }
}

impl Anchor<'_> {
    /// Decides where the windows of a quota count from.
    fn resolve(
        &self,
        window: WindowKind,
        align: Option<Align>,
        quota: Span,
        problems: &mut Problems,
    ) -> Option<Timestamp> {
        match (align, window) {
            (_, WindowKind::Lifetime) | (Some(Align::Calendar), _) => None,
            (None, WindowKind::Hour | WindowKind::Day | WindowKind::Week) => None,
            (None, WindowKind::Month | WindowKind::Year | WindowKind::Period) => {
                self.field.value().copied()
            }
            (Some(Align::Anchor), _) => {
                let missing = || {
                    Problem::error(self.customer, "the customer needs an `anchor`")
                        .related(quota, "this quota counts from it")
                        .help("write anchor = \"…\", the date from which its windows count")
                };
                self.field.required(problems, missing).map(|anchor| anchor.value)
            }
        }
    }
}
