//! Plans: what is sold.

use std::{sync::Arc, time::Duration};

use super::{
    limits::{self, GivenLimits},
    names::check_id,
    url::Url,
};
use crate::{
    config::{
        file::{Field, Named, PlanTable, Spanned},
        report::{Problem, Problems},
        wording::{quote, suggest},
    },
    model::Plan,
};

/// A plan and where its limits stand.
#[derive(Debug)]
pub(super) struct CheckedPlan {
    /// The plan, with defaults where something was wrong.
    pub(super) checked: Arc<Plan>,
    /// Its limits, for its customers.
    pub(super) limits: GivenLimits,
}

/// How long an overdue customer is served, unless plan or customer say otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(3 * 24 * 3600);

/// Checks all plans.
pub(super) fn check(
    field: &Field<Vec<Named<PlanTable>>>,
    routes: &[Arc<str>],
    problems: &mut Problems,
) -> Vec<CheckedPlan> {
    let tables = field.value().map_or(&[][..], Vec::as_slice);
    let mut plans = Vec::new();
    for Named { name, value } in tables {
        check_id(name, "a plan", problems);
        let empty = PlanTable::default();
        let table = value.as_ref().map_or(&empty, |table| &table.value);
        plans.push(check_one(name, table, routes, problems));
    }
    plans
}

fn check_one(
    id: &Spanned<String>,
    table: &PlanTable,
    routes: &[Arc<str>],
    problems: &mut Problems,
) -> CheckedPlan {
    let PlanTable {
        title,
        routes: opened,
        limits,
        trial,
        grace,
        upgrade_url,
        on_sale,
        archived,
        change,
        enforce,
    } = table;
    let id: Arc<str> = id.value.as_str().into();
    let limits = limits::check(limits, problems);
    let quotas = limits.quotas.iter().flatten().map(|quota| quota.value.clone()).collect();
    let is_archived = archived.value().copied().unwrap_or(false);
    if let Some(on_sale) = on_sale.given().filter(|on_sale| is_archived && on_sale.value) {
        let message = "an archived plan is not on sale";
        let help = "leave out `on_sale`, or `archived` if new customers may still get the plan";
        problems.add(Problem::error(on_sale.span, message).help(help));
    }
    let plan = Plan {
        title: title.value().map_or(id.clone(), |title| title.as_str().into()),
        id,
        routes: check_routes(opened, routes, problems),
        quotas,
        rate: limits.rate,
        concurrency: limits.concurrency,
        trial: trial.value().copied(),
        grace: grace.value().copied().unwrap_or(DEFAULT_GRACE),
        upgrade_url: check_upgrade_url(upgrade_url, problems),
        on_sale: on_sale.value().copied().unwrap_or(!is_archived),
        archived: is_archived,
        change: change.value().copied().unwrap_or_default(),
        enforce: enforce.value().copied().unwrap_or(true),
    };
    CheckedPlan { checked: Arc::new(plan), limits }
}

fn check_routes(
    field: &Field<Vec<Spanned<String>>>,
    routes: &[Arc<str>],
    problems: &mut Problems,
) -> Option<Vec<Arc<str>>> {
    let opened = field.value()?;
    for Spanned { value: name, span } in opened {
        if !routes.iter().any(|route| **route == **name) {
            let message = format!("there is no route {}", quote(name));
            let help = match routes {
                [] => "declare it with `[[routes]]`".to_owned(),
                _ => suggest(name, routes.iter().map(|route| &**route)),
            };
            problems.add(Problem::error(*span, message).help(help));
        }
    }
    Some(opened.iter().map(|name| name.value.as_str().into()).collect())
}

fn check_upgrade_url(field: &Field<String>, problems: &mut Problems) -> Option<Arc<str>> {
    let Spanned { value: text, span } = field.given()?;
    if let Err(bad) = Url::parse(text) {
        problems.add(bad.into_problem(*span));
        return None;
    }
    // It becomes a header's value, `Link: <…>`.
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte)) {
        let message = "the URL has a space, a quote, an angle bracket or a letter beyond ASCII";
        let help = "write it percent-encoded";
        problems.add(Problem::error(*span, message).help(help));
    }
    Some(text.as_str().into())
}
