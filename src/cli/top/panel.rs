//! The lists: what stands in which, before anybody knows how much room there is.

use clap::ValueEnum;
use jiff::Timestamp;

use super::{
    quantile::{Estimate, Quantiles},
    sample::{CustomerRates, Figures, Rates},
    words,
};
use crate::{
    cli::{print::plain, table::Side},
    live::{EndpointState, Quota},
};

/// Which list.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Kind {
    #[default]
    Customers,
    Answers,
    Quotas,
    Routes,
    Upstreams,
}

/// By what customers and routes are sorted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum Sort {
    /// The most requests first
    #[default]
    Requests,
    /// The most refusals first
    Refused,
    /// The most units first
    Units,
    /// By name
    Name,
}

/// A list that can be shown.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    /// What is said when there are none.
    pub(super) empty: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) heading: &'static str,
    pub(super) side: Side,
    /// The higher it is, the sooner the column is left out where there is no room.
    pub(super) rank: u8,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    pub(super) mark: Mark,
}

/// What a row means to the operator.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Mark {
    #[default]
    Plain,
    Warning,
    Bad,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Customers, Self::Answers, Self::Quotas, Self::Routes, Self::Upstreams];

    /// Gives the list so many places behind it, in a circle.
    pub(super) fn step(self, by: usize) -> Self {
        let place = Self::ALL.iter().position(|kind| *kind == self).unwrap_or(0);
        Self::ALL.into_iter().cycle().nth(place + by).unwrap_or_default()
    }
}

impl Sort {
    pub(super) const ALL: [Self; 4] = [Self::Requests, Self::Refused, Self::Units, Self::Name];

    /// Gives the order so many places behind it, in a circle.
    pub(super) fn step(self, by: usize) -> Self {
        let place = Self::ALL.iter().position(|sort| *sort == self).unwrap_or(0);
        Self::ALL.into_iter().cycle().nth(place + by).unwrap_or_default()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Refused => "refused",
            Self::Units => "units",
            Self::Name => "name",
        }
    }

    fn sort<T>(self, rows: &mut [T], of: impl Fn(&T) -> (Rates, &str)) {
        rows.sort_by(|a, b| {
            let ((left, a), (right, b)) = (of(a), of(b));
            let by = match self {
                Self::Requests => right.requests.total_cmp(&left.requests),
                Self::Refused => right.refused.total_cmp(&left.refused),
                Self::Units => right.units.total_cmp(&left.units),
                Self::Name => std::cmp::Ordering::Equal,
            };
            by.then_with(|| right.requests.total_cmp(&left.requests).then_with(|| a.cmp(b)))
        });
        if self == Self::Name {
            rows.sort_by(|a, b| of(a).1.cmp(of(b).1));
        }
    }
}

impl Panel {
    /// Makes a list of what the figures tell.
    pub(super) fn new(kind: Kind, figures: &Figures, sort: Sort) -> Self {
        match kind {
            Kind::Customers => customers(figures, sort),
            Kind::Answers => answers(figures),
            Kind::Quotas => quotas(figures),
            Kind::Routes => routes(figures, sort),
            Kind::Upstreams => upstreams(figures),
        }
    }
}

const fn left(heading: &'static str, rank: u8) -> Column {
    Column { heading, side: Side::Left, rank }
}

const fn right(heading: &'static str, rank: u8) -> Column {
    Column { heading, side: Side::Right, rank }
}

fn customers(figures: &Figures, sort: Sort) -> Panel {
    let mut listed: Vec<&CustomerRates> = figures.customers.iter().collect();
    sort.sort(&mut listed, |one| (one.rates, &one.customer));
    let row = |name: String, rates: Rates| {
        let is_refused = rates.refused > 0.0 && rates.refused >= rates.requests;
        let left = figures.quotas.iter().find(|quota| quota.customer == name).map(left_of);
        Row {
            cells: vec![
                plain(&name),
                words::rate(rates.requests),
                words::rate(rates.refused),
                words::rate(rates.units),
                left.unwrap_or_else(|| "-".to_owned()),
            ],
            mark: if is_refused { Mark::Warning } else { Mark::Plain },
        }
    };
    let mut rows: Vec<_> = listed.iter().map(|one| row(one.customer.clone(), one.rates)).collect();
    for (name, rates) in [("(others)", figures.others), ("(no customer)", figures.unknown)] {
        if rates.requests > 0.0 {
            rows.push(row(name.to_owned(), rates));
        }
    }
    let over = figures.customer_seconds;
    Panel {
        title: format!("customers, last {over:.0} s, by {}", sort.name()),
        columns: vec![
            left("customer", 0),
            right("req/s", 0),
            right("refused", 1),
            right("units/s", 2),
            right("quota left", 3),
        ],
        rows,
        empty: if over > 0.0 { "no requests" } else { "counting…" },
    }
}

fn answers(figures: &Figures) -> Panel {
    let all = figures.rates.requests;
    let rows = figures.outcomes.iter().map(|one| {
        let ending = one.ending.as_deref().unwrap_or("own page");
        let what = one.code.as_deref().unwrap_or(ending);
        let status = if one.status == 0 { "-".to_owned() } else { one.status.to_string() };
        Row {
            cells: vec![
                plain(&format!("{status} {what}")),
                words::rate(one.requests),
                words::percent(one.requests, all),
                plain(ending),
            ],
            mark: match one.status {
                0 | 500.. => Mark::Bad,
                400..500 => Mark::Warning,
                _ => Mark::Plain,
            },
        }
    });
    Panel {
        title: "answers".to_owned(),
        columns: vec![left("answer", 0), right("req/s", 0), right("share", 1), left("ending", 3)],
        rows: rows.collect(),
        empty: "no requests",
    }
}

fn quotas(figures: &Figures) -> Panel {
    let rows = figures.quotas.iter().map(|quota| {
        let Quota { customer, quota: name, scope, limit, used, reserved, remaining, renews_at } =
            quota;
        let name = scope.as_ref().map_or_else(|| name.clone(), |scope| format!("{name} {scope}"));
        Row {
            cells: vec![
                plain(customer),
                plain(&name),
                left_of(quota),
                words::count(*remaining),
                words::count(used.saturating_add(*reserved)),
                words::count(*limit),
                renews_at.map_or_else(|| "never".to_owned(), |at| until(figures.time, at)),
            ],
            mark: match remaining {
                0 => Mark::Bad,
                // At most a tenth.
                left if left.saturating_mul(10) <= *limit => Mark::Warning,
                _ => Mark::Plain,
            },
        }
    });
    Panel {
        title: "quotas near their end".to_owned(),
        columns: vec![
            left("customer", 0),
            left("quota", 1),
            right("left", 0),
            right("units", 3),
            right("used", 4),
            right("of", 4),
            right("renews in", 2),
        ],
        rows: rows.collect(),
        empty: "none",
    }
}

/// Tells which share of a quota is left. Rounded down, so that 0 % with units left is told apart by the
/// row's mark, and 100 % is untouched.
fn left_of(quota: &Quota) -> String {
    let share = u128::from(quota.remaining) * 100;
    format!("{} %", share.checked_div(quota.limit.into()).unwrap_or(0))
}

fn until(now: Timestamp, at: Timestamp) -> String {
    words::age(at.duration_since(now).as_secs_f64())
}

fn routes(figures: &Figures, sort: Sort) -> Panel {
    let mut listed: Vec<_> = figures.routes.iter().collect();
    sort.sort(&mut listed, |one| (one.rates, one.route.as_deref().unwrap_or_default()));
    let rows = listed.iter().map(|one| {
        let time =
            |of: Option<Quantiles>| of.map_or_else(|| "-".to_owned(), |of| words::estimate(of.p95));
        Row {
            cells: vec![
                plain(one.route.as_deref().unwrap_or("(no route)")),
                words::rate(one.rates.requests),
                words::rate(one.rates.refused),
                words::rate(one.rates.failed),
                words::rate(one.rates.units),
                time(one.gateway),
                time(one.whole),
            ],
            mark: if one.rates.failed > 0.0 { Mark::Bad } else { Mark::Plain },
        }
    });
    Panel {
        title: format!("routes, by {}", sort.name()),
        columns: vec![
            left("route", 0),
            right("req/s", 0),
            right("refused", 2),
            right("5xx/s", 3),
            right("units/s", 5),
            right("own p95", 4),
            right("whole p95", 1),
        ],
        rows: rows.collect(),
        empty: "no requests yet",
    }
}

fn upstreams(figures: &Figures) -> Panel {
    let rows = figures.upstreams.iter().map(|one| {
        let (state, mark) = match one.state {
            EndpointState::Down => ("down", Mark::Bad),
            EndpointState::Unknown => ("not asked", Mark::Plain),
            EndpointState::Up if one.failed > 0.0 => ("up", Mark::Warning),
            EndpointState::Up => ("up", Mark::Plain),
        };
        let time = |of: fn(&Quantiles) -> Estimate| {
            one.time.as_ref().map_or_else(|| "-".to_owned(), |times| words::estimate(of(times)))
        };
        Row {
            cells: vec![
                plain(&one.upstream),
                plain(&one.endpoint),
                state.to_owned(),
                words::rate(one.requests),
                words::rate(one.failed),
                time(|times| times.p50),
                time(|times| times.p95),
                one.busy.to_string(),
                one.idle.to_string(),
            ],
            mark,
        }
    });
    Panel {
        title: "upstreams".to_owned(),
        columns: vec![
            left("upstream", 0),
            left("endpoint", 4),
            left("state", 0),
            right("req/s", 0),
            right("failed/s", 1),
            right("p50", 3),
            right("p95", 2),
            right("busy", 5),
            right("idle", 5),
        ],
        rows: rows.collect(),
        empty: "none was asked yet",
    }
}
