//! The list of checks, each with its outcome and its numbers.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::step::Step;
use crate::{
    answer::{Code, policy},
    ledger::{Quota, QuotaStanding, Rate, RateStanding, Scoped, Violation},
    requests::{CallerFacts, Decided, RouteFacts},
    usage::seconds,
};

/// What is known of a request, for the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// Where it was stopped; `None` where it passed.
    pub(super) stop: Option<Stop>,
    pub(super) route: Option<&'a RouteFacts>,
    pub(super) caller: Option<&'a CallerFacts>,
    /// What it was measured by, if it came so far.
    pub(super) decided: Option<&'a Decided>,
}

/// The check that said no.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) step: Step,
    pub(super) code: Code,
    /// It was forwarded all the same.
    pub(super) is_overlooked: bool,
}

/// One check. Which numbers it has goes by what is checked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Check {
    /// What is checked.
    check: Step,
    /// What came of it.
    outcome: Outcome,
    /// The code that it refuses with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    code: Option<&'static str>,
    /// Of a route: everyone may call it, so that nothing else is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    public: Option<bool>,
    /// The scopes that the route asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Option<Vec<String>>)]
    required: Option<Vec<Arc<str>>>,
    /// The subscription's state; `none` without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Option<String>)]
    status: Option<Arc<str>>,
    /// The limit's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Option<String>)]
    name: Option<Arc<str>>,
    /// Whose the limit is; left out for the customer as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Option<String>)]
    scope: Option<Arc<str>>,
    /// Units or requests in each window, or requests at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    limit: Option<u64>,
    /// Requests that may come at once after a quiet time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    burst: Option<u64>,
    /// The rate's window.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Option<f64>)]
    window_seconds: Option<serde_json::Number>,
    /// Requests in flight besides this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    in_flight: Option<u32>,
    /// Units charged before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    used: Option<u64>,
    /// Units held by other requests in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    reserved: Option<u64>,
    /// What was left: units, or requests of the rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    remaining: Option<u64>,
    /// Units that the request asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    cost: Option<u64>,
    /// The window that the units are counted in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    window: Option<WindowOfCheck>,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It was not asked.
    NotReached,
    /// It said no, and the request was forwarded all the same.
    Overlooked,
    /// It said yes.
    Passed,
    /// It said no.
    Refused,
}

#[derive(Debug, Serialize, ToSchema)]
struct WindowOfCheck {
    /// The first instant in it.
    start: Timestamp,
    /// The first instant after it; null for one without end.
    end: Option<Timestamp>,
}

/// Lists the checks.
pub(super) fn list(facts: &Facts<'_>) -> Vec<Check> {
    let mut checks = Vec::with_capacity(Step::LISTED.len());
    let stop = facts.stop.map(|stop| stop.step);
    let extra = stop.filter(|step| !Step::LISTED.contains(step));
    let mut steps: Vec<Step> = Step::LISTED.into_iter().chain(extra).collect();
    steps.sort_unstable();
    for step in steps {
        match (step, facts.decided) {
            (Step::Rate, Some(decided)) => checks.extend(rates(facts, decided)),
            (Step::Concurrency, Some(decided)) => checks.extend(concurrency(facts, decided)),
            (Step::Quota, Some(decided)) => checks.extend(quotas(facts, decided)),
            _ => checks.push(single(facts, step)),
        }
    }
    checks
}

impl Facts<'_> {
    /// What came of a check that has no numbers.
    fn outcome(&self, step: Step) -> Outcome {
        let is_public = self.route.is_some_and(|route| route.is_public);
        match self.stop {
            Some(stop) if stop.step == step => stop.outcome(),
            Some(stop) if stop.step < step => Outcome::NotReached,
            _ if is_public && step > Step::Method => Outcome::NotReached,
            _ => Outcome::Passed,
        }
    }

    /// What came of a limit that was measured.
    fn outcome_of(&self, is_violated: bool) -> Outcome {
        match self.stop {
            Some(stop) if is_violated => stop.outcome(),
            _ => Outcome::Passed,
        }
    }
}

impl Stop {
    fn outcome(self) -> Outcome {
        if self.is_overlooked { Outcome::Overlooked } else { Outcome::Refused }
    }
}

fn single(facts: &Facts<'_>, step: Step) -> Check {
    let outcome = facts.outcome(step);
    let stop = facts.stop.filter(|stop| stop.step == step);
    let mut check = Check { code: stop.map(|stop| stop.code.name()), ..Check::new(step, outcome) };
    let is_asked = outcome != Outcome::NotReached;
    match step {
        Step::Route => {
            check.public = facts.route.map(|route| route.is_public).filter(|is_public| *is_public);
        }
        Step::Scope if is_asked => {
            let scopes = facts.route.map(|route| route.scopes.clone());
            check.required = scopes.filter(|scopes| !scopes.is_empty());
        }
        Step::Subscription if is_asked => {
            let status = facts.caller.map(|caller| caller.status.clone());
            check.status = status.map(|status| status.unwrap_or_else(|| "none".into()));
        }
        _ => {}
    }
    check
}

fn rates(facts: &Facts<'_>, decided: &Decided) -> Vec<Check> {
    let standing = &decided.standing;
    let violations = standing.violations(decided.cost);
    let check = |(index, (limit, state)): (usize, (&Scoped<Rate>, &RateStanding))| {
        let Rate { limit: requests, window, burst } = limit.limit;
        let is_violated = violations.contains(&Violation::Rate(index));
        Check {
            code: is_violated.then(|| Code::RateLimited.name()),
            name: Some(policy::rate(limit.level()).into()),
            scope: scope(&limit.scope),
            limit: Some(requests),
            burst: Some(burst),
            window_seconds: Some(seconds(window)),
            remaining: Some(state.remaining),
            ..Check::new(Step::Rate, facts.outcome_of(is_violated))
        }
    };
    standing.limits.rates.iter().zip(&standing.rates).enumerate().map(check).collect()
}

fn concurrency(facts: &Facts<'_>, decided: &Decided) -> Vec<Check> {
    let standing = &decided.standing;
    let violations = standing.violations(decided.cost);
    let check = |(index, (limit, in_flight)): (usize, (&Scoped<u32>, &u32))| {
        let is_violated = violations.contains(&Violation::Concurrency(index));
        Check {
            code: is_violated.then(|| Code::TooManyConcurrent.name()),
            name: Some(policy::concurrency(limit.level()).into()),
            scope: scope(&limit.scope),
            limit: Some(limit.limit.into()),
            in_flight: Some(*in_flight),
            ..Check::new(Step::Concurrency, facts.outcome_of(is_violated))
        }
    };
    standing.limits.concurrency.iter().zip(&standing.concurrency).enumerate().map(check).collect()
}

fn quotas(facts: &Facts<'_>, decided: &Decided) -> Vec<Check> {
    let standing = &decided.standing;
    let violations = standing.violations(decided.cost);
    let check = |(index, (quota, state)): (usize, (&Quota, &QuotaStanding))| {
        let violation = violations.iter().find_map(|violation| match violation {
            Violation::Quota(of) if *of == index => Some(Code::QuotaExceeded),
            Violation::QuotaTooSmall(of) if *of == index => Some(Code::CostExceedsAllowance),
            _ => None,
        });
        Check {
            code: violation.map(Code::name),
            name: Some(Arc::clone(&quota.name)),
            scope: scope(&quota.scope),
            limit: Some(quota.limit),
            used: Some(state.used),
            reserved: Some(state.reserved),
            remaining: Some(state.remaining(quota.limit)),
            cost: Some(decided.cost),
            window: Some(WindowOfCheck { start: state.window.start, end: state.window.end }),
            ..Check::new(Step::Quota, facts.outcome_of(violation.is_some()))
        }
    };
    standing.limits.quotas.iter().zip(&standing.quotas).enumerate().map(check).collect()
}

fn scope(scope: &Arc<str>) -> Option<Arc<str>> {
    Some(Arc::clone(scope)).filter(|scope| !scope.is_empty())
}

impl Check {
    fn new(check: Step, outcome: Outcome) -> Self {
        Self {
            check,
            outcome,
            code: None,
            public: None,
            required: None,
            status: None,
            name: None,
            scope: None,
            limit: None,
            burst: None,
            window_seconds: None,
            in_flight: None,
            used: None,
            reserved: None,
            remaining: None,
            cost: None,
            window: None,
        }
    }
}
