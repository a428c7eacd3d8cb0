//! Denials for want of room: which limit is told about, and in which words.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    answer::{Code, policy},
    json,
    ledger::{Level, Quota, Shortage, Standing, Violation, WindowKind},
    model::Money,
};

/// What the ledger refused, and for how many units.
#[derive(Clone, Debug)]
pub struct QuotaDenial {
    /// The limits, what is left of them, and which are violated.
    pub shortage: Box<Shortage>,
    /// Units that the request would have taken.
    pub cost: u64,
    /// The limit that it is about.
    binding: Binding,
}

/// The limit that a quota denial is about, when several are violated: the one that matters most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Binding {
    /// Too many requests at once for the limit of this index.
    Concurrency(usize),
    /// A quota of this index is used up.
    Quota(usize),
    /// A quota of this index is smaller than the cost.
    QuotaTooSmall(usize),
    /// Too many requests in a short time for the rate of this index.
    Rate(usize),
    /// A quota of this index is used up, and so is what may be spent beyond it.
    SpendCap(usize),
}

impl QuotaDenial {
    /// Stands for what the ledger refused.
    pub fn new(shortage: Box<Shortage>, cost: u64) -> Self {
        let mut denial = Self { shortage, cost, binding: Binding::Concurrency(0) };
        denial.binding = denial.choose();
        denial
    }

    /// Gives the violated limit to tell about.
    pub fn binding(&self) -> Binding {
        self.binding
    }

    /// Chooses the violated limit to tell about: the throttles first, so that a burst is not taken
    /// for an empty quota, and of several rates the one that lets a request through last; then a quota
    /// that no waiting helps; then the one that renews last.
    fn choose(&self) -> Binding {
        let violations = &self.shortage.violations;
        let mut rate = None;
        let mut concurrency = None;
        let mut too_small = None;
        for violation in violations {
            match *violation {
                Violation::Rate(index) => {
                    let slower = |slowest: &usize| self.next(*slowest) >= self.next(index);
                    rate = rate.filter(slower).or(Some(index));
                }
                Violation::Concurrency(index) => concurrency = concurrency.or(Some(index)),
                Violation::QuotaTooSmall(index) => too_small = too_small.or(Some(index)),
                Violation::Quota(_) | Violation::SpendCap(_) => {}
            }
        }
        let last = self.used_up().max_by_key(|(_, end)| end.unwrap_or(Timestamp::MAX));
        rate.map(Binding::Rate)
            .or(concurrency.map(Binding::Concurrency))
            .or(too_small.map(Binding::QuotaTooSmall))
            .or(last.map(|(binding, _)| binding))
            .unwrap_or(Binding::Concurrency(0))
    }

    /// Tells how long until the rate of this index lets a request through.
    fn next(&self, rate: usize) -> Duration {
        self.standing().rates.get(rate).map_or(Duration::ZERO, |rate| rate.next)
    }

    /// Gives the quotas that have no room now but may have it later, each with its window's end.
    fn used_up(&self) -> impl Iterator<Item = (Binding, Option<Timestamp>)> {
        self.shortage.violations.iter().filter_map(|violation| {
            let (binding, index) = match *violation {
                Violation::Quota(index) => (Binding::Quota(index), index),
                Violation::SpendCap(index) => (Binding::SpendCap(index), index),
                Violation::Concurrency(_) | Violation::QuotaTooSmall(_) | Violation::Rate(_) => {
                    return None;
                }
            };
            let quota = self.standing().quotas.get(index);
            Some((binding, quota.and_then(|quota| quota.window.end)))
        })
    }

    /// Tells whether nothing stands in the way but the customer's allowances, which money stands in for.
    pub fn is_about_allowance(&self) -> bool {
        let quotas = &self.standing().limits.quotas;
        self.shortage.violations.iter().all(|violation| match violation {
            Violation::Quota(index)
            | Violation::QuotaTooSmall(index)
            | Violation::SpendCap(index) => {
                quotas.get(*index).is_some_and(|quota| quota.level() == Level::Customer)
            }
            Violation::Concurrency(_) | Violation::Rate(_) => false,
        })
    }

    /// Gives the limits and what is left of them.
    pub fn standing(&self) -> &Standing {
        &self.shortage.standing
    }

    /// Gives the names of all violated limits.
    pub fn violated_policies(&self) -> impl Iterator<Item = &str> {
        let limits = &self.standing().limits;
        let name = move |violation: &Violation| match violation {
            Violation::Concurrency(index) => {
                limits.concurrency.get(*index).map(|limit| policy::concurrency(limit.level()))
            }
            Violation::Rate(index) => {
                limits.rates.get(*index).map(|rate| policy::rate(rate.level()))
            }
            Violation::Quota(index)
            | Violation::QuotaTooSmall(index)
            | Violation::SpendCap(index) => limits.quotas.get(*index).map(|quota| &*quota.name),
        };
        self.shortage.violations.iter().filter_map(name)
    }

    /// Gives the seconds after which time alone lifts the binding limit; `None` when it does not.
    pub fn retry_after(&self) -> Option<i64> {
        let standing = self.standing();
        match self.binding() {
            Binding::Concurrency(_) => Some(1),
            Binding::Rate(index) => Some(whole_seconds(self.next(index))),
            Binding::Quota(_) | Binding::SpendCap(_) => {
                let ends: Option<Vec<Timestamp>> = self.used_up().map(|(_, end)| end).collect();
                ends?.into_iter().max().map(|end| seconds_until(end, standing.at))
            }
            Binding::QuotaTooSmall(_) => None,
        }
    }

    /// Gives the code of the binding limit.
    pub(super) fn code(&self) -> Code {
        match self.binding() {
            Binding::Concurrency(_) => Code::TooManyConcurrent,
            Binding::Quota(_) => Code::QuotaExceeded,
            Binding::QuotaTooSmall(_) => Code::CostExceedsAllowance,
            Binding::Rate(_) => Code::RateLimited,
            Binding::SpendCap(_) => Code::SpendCapReached,
        }
    }

    /// Tells what is short, for people.
    pub(super) fn detail(&self) -> String {
        let standing = self.standing();
        let limits = &standing.limits;
        match self.binding() {
            Binding::Concurrency(index) => {
                let Some(limit) = limits.concurrency.get(index) else { return String::new() };
                let (most, whose) = (requests(limit.limit.into()), of_whom(limit.level()));
                format!("At most {most}{whose} may be in flight at once.")
            }
            Binding::Rate(index) => {
                let Some(rate) = limits.rates.get(index) else { return String::new() };
                let (most, whose) = (requests(rate.limit.limit), of_whom(rate.level()));
                let window = rate.limit.window.as_secs_f64();
                format!("At most {most}{whose} per {window} s are allowed.")
            }
            Binding::QuotaTooSmall(index) => {
                let Some(quota) = limits.quotas.get(index) else { return String::new() };
                let ((_, whose), name) = (whose(quota.level()), adjective(quota));
                let (cost, limit) = (requests(self.cost), quota.limit);
                let beyond = quota.overage.as_ref().map(|overage| {
                    format!(", and the spend cap lets {} beyond it", requests(overage.units_max()))
                });
                let beyond = beyond.unwrap_or_default();
                format!("One call costs {cost}, {whose} whole {name} allowance is {limit}{beyond}.")
            }
            Binding::Quota(index) => self.quota_detail(index),
            Binding::SpendCap(index) => self.spend_cap_detail(index),
        }
    }

    /// The one that is told most, so it is put together without the machinery of formats.
    fn quota_detail(&self, index: usize) -> String {
        let standing = self.standing();
        let (Some(quota), Some(state)) =
            (standing.limits.quotas.get(index), standing.quotas.get(index))
        else {
            return String::new();
        };
        let ((whose, _), name) = (whose(quota.level()), adjective(quota));
        let (limit, remaining) = (quota.limit, state.remaining(quota.limit));
        let (mut limit_text, mut text) = (itoa::Buffer::new(), String::with_capacity(128));
        let plural = if limit == 1 { " request" } else { " requests" };
        let parts = [whose, " ", name, " allowance of ", limit_text.format(limit), plural];
        text.extend(parts);
        if remaining == 0 {
            text.push_str(" is used up.");
        } else {
            let cost = self.cost;
            text.push_str(&format!(" has {remaining} left, and this call costs {cost}."));
        }
        push_renewal(state.window.end, &mut text);
        text
    }

    fn spend_cap_detail(&self, index: usize) -> String {
        let standing = self.standing();
        let (Some(quota), Some(state)) =
            (standing.limits.quotas.get(index), standing.quotas.get(index))
        else {
            return String::new();
        };
        let Some(overage) = &quota.overage else { return String::new() };
        let currency = overage.price().currency;
        let cap = Money { nanos: overage.cap().unwrap_or_default(), currency };
        let (name, limit) = (adjective(quota), requests(quota.limit));
        let mut text = format!("The spend cap of {cap} beyond the {name} allowance of {limit}");
        match state.remaining(quota.units_max()) {
            0 => text.push_str(" is reached."),
            left => {
                let (left, cost) = (requests(left), self.cost);
                text.push_str(&format!(" has room for {left}, and this call costs {cost}."));
            }
        }
        push_renewal(state.window.end, &mut text);
        text
    }
}

/// Says when more is to be had.
fn push_renewal(end: Option<Timestamp>, text: &mut String) {
    match end {
        Some(end) => {
            let mut written = Vec::with_capacity(32);
            json::push_instant(end, &mut written);
            text.extend([" It renews on ", str::from_utf8(&written).unwrap_or_default(), "."]);
        }
        None => text.push_str(" It does not renew."),
    }
}

/// Counts units of the meter.
fn requests(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} request{plural}")
}

/// Says whose an allowance is, at the beginning of a sentence and within it.
fn whose(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::Customer => ("The", "the"),
        Level::Application => ("This application's", "this application's"),
        Level::Key => ("This API key's", "this API key's"),
    }
}

/// Says whose requests a limit counts.
fn of_whom(level: Level) -> &'static str {
    match level {
        Level::Customer => "",
        Level::Application => " of this application",
        Level::Key => " of this API key",
    }
}

/// Gives a quota's name as it reads before "allowance": one that is called by its window is so.
fn adjective(quota: &Quota) -> &str {
    if *quota.name != *quota.window.kind.name() {
        return &quota.name;
    }
    match quota.window.kind {
        WindowKind::Hour => "hourly",
        WindowKind::Day => "daily",
        WindowKind::Week => "weekly",
        WindowKind::Month => "monthly",
        WindowKind::Year => "yearly",
        WindowKind::Period => "period",
        WindowKind::Lifetime => "lifetime",
    }
}

/// Gives the whole seconds from `now` to `at`, rounded up and at least 1.
pub(crate) fn seconds_until(at: Timestamp, now: Timestamp) -> i64 {
    let left = at.duration_since(now);
    left.as_secs().saturating_add(i64::from(left.subsec_nanos() > 0)).max(1)
}

/// Gives the duration in whole seconds, rounded up and at least 1.
pub(crate) fn whole_seconds(duration: Duration) -> i64 {
    let seconds = duration.as_nanos().div_ceil(1_000_000_000);
    i64::try_from(seconds).unwrap_or(i64::MAX).max(1)
}
