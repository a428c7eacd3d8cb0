//! The list of checks, each with its outcome and its numbers.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::step::Step;
use crate::{
    answer::{Code, policy},
    ledger::{
        CreditStanding, Level, Overage, Quota, QuotaStanding, Rate, RateStanding, Scoped, Standing,
        Violation,
    },
    model::{Currency, Nanos},
    requests::{Answer, CallerFacts, Decided, RouteFacts},
    usage::seconds,
};

/// What is known of a request, for the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// Where it was stopped; `None` where it passed.
    pub(super) stop: Option<Stop>,
    pub(super) route: Option<&'a RouteFacts>,
    pub(super) caller: Option<&'a CallerFacts>,
    /// By what it was decided who pays, if it came so far.
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
    #[schema(required = false)]
    status: Option<&'static str>,
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
    /// What one call costs; of a quota, what a unit beyond its limit does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Option<String>, examples("0.002000000"))]
    price: Option<Nanos>,
    /// The currency of all amounts here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Option<String>, examples("USD"))]
    currency: Option<Currency>,
    /// The customer's ceiling to what is spent beyond the limit in one window.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Option<String>, examples("50.000000000"))]
    spend_cap: Option<Nanos>,
    /// The money that there was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Option<String>, examples("12.500000000"))]
    balance: Option<Nanos>,
    /// What other requests in flight held of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Option<String>, examples("0.000000000"))]
    balance_reserved: Option<Nanos>,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[schema(as = CheckOutcome)]
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
    /// It said no, and what comes next was asked instead: the customer's money, or the payment that came with the request.
    Uncovered,
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
    let is_priced = facts.route.is_some_and(|route| route.price.is_some());
    let priced = is_priced.then_some(Step::Credit);
    let mut steps: Vec<Step> = Step::LISTED.into_iter().chain(priced).chain(stop).collect();
    steps.sort_unstable();
    steps.dedup();
    for step in steps {
        match (step, facts.decided, facts.decided.and_then(Decided::standing)) {
            (Step::Rate, Some(decided), Some(at)) => checks.extend(rates(facts, decided.cost, at)),
            (Step::Concurrency, Some(decided), Some(at)) => {
                checks.extend(concurrency(facts, decided.cost, at));
            }
            (Step::Quota, Some(decided), Some(_)) => checks.extend(quotas(facts, decided)),
            (Step::Credit, Some(decided), _) => checks.push(credit(facts, decided)),
            _ => checks.push(single(facts, step)),
        }
    }
    checks
}

impl Facts<'_> {
    /// What came of a check that has no numbers.
    fn outcome(&self, step: Step) -> Outcome {
        let is_public = self.route.is_some_and(|route| route.is_public);
        match self.uncovered() {
            Some((uncovered, _)) if step == uncovered => return Outcome::Uncovered,
            Some((uncovered, _)) if step > uncovered && step <= Step::Feature => {
                return Outcome::NotReached;
            }
            _ => {}
        }
        match self.stop {
            Some(stop) if stop.step == step => stop.outcome(),
            Some(stop) if stop.step < step => Outcome::NotReached,
            _ if (is_public || self.is_stranger()) && step > Step::Method => Outcome::NotReached,
            _ => Outcome::Passed,
        }
    }

    /// Tells whether nobody was asked for a key, because the request could be paid for as it was made.
    fn is_stranger(&self) -> bool {
        let is_priced = self.route.is_some_and(|route| route.price.is_some());
        let came_to_pay = self.stop.is_none_or(|stop| stop.step >= Step::Credit);
        is_priced && self.caller.is_none() && came_to_pay
    }

    /// The check that found that what was bought does not cover the route, and the code of that.
    pub(super) fn uncovered(&self) -> Option<(Step, Code)> {
        let code = Code::find(self.decided?.uncovered.as_deref()?)?;
        Some((Step::of(code, true)?, code))
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
    /// Finds the check at which a code was given. The money's is told by the code of what it was to stand
    /// in for.
    pub(super) fn at(code: Code, is_overlooked: bool, decided: Option<&Decided>) -> Option<Self> {
        let money = decided.and_then(|decided| decided.money.as_ref());
        let is_by_money =
            money.is_some_and(|money| [Answer::InFlight, Answer::Missing].contains(&money.answer));
        let step = match Step::of(code, decided.is_some()) {
            Some(Step::Payment) => Step::Payment,
            _ if is_by_money => Step::Credit,
            step => step?,
        };
        Some(Self { step, code, is_overlooked })
    }

    fn outcome(self) -> Outcome {
        if self.is_overlooked { Outcome::Overlooked } else { Outcome::Refused }
    }
}

fn single(facts: &Facts<'_>, step: Step) -> Check {
    let outcome = facts.outcome(step);
    let stop = facts.stop.filter(|stop| stop.step == step);
    let uncovered = facts.uncovered().filter(|(uncovered, _)| *uncovered == step);
    let code = stop.map(|stop| stop.code).or(uncovered.map(|(_, code)| code));
    let mut check = Check { code: code.map(Code::name), ..Check::new(step, outcome) };
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
            check.status = facts.caller.map(|caller| caller.status.unwrap_or("none"));
        }
        _ => {}
    }
    check
}

fn rates(facts: &Facts<'_>, cost: u64, standing: &Standing) -> Vec<Check> {
    let violations = standing.violations(cost);
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

fn concurrency(facts: &Facts<'_>, cost: u64, standing: &Standing) -> Vec<Check> {
    let violations = standing.violations(cost);
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

/// Lists the quotas. Where money was asked, the owner's are those that did not cover the request, and the
/// others those that were measured then.
fn quotas(facts: &Facts<'_>, decided: &Decided) -> Vec<Check> {
    let cost = decided.cost;
    let Some(money) = &decided.money else {
        let measured = decided.allowance.iter();
        return measured.flat_map(|at| quotas_of(cost, at, |is| facts.outcome_of(is))).collect();
    };
    let covering = |is_violated| if is_violated { Outcome::Uncovered } else { Outcome::Passed };
    let mut checks = Vec::new();
    if let Some(allowance) = &decided.allowance {
        let quotas = allowance.limits.quotas.iter();
        let of_owner = quotas.map(|quota| quota.level() == Level::Customer);
        let all = quotas_of(cost, allowance, covering).into_iter().zip(of_owner);
        checks.extend(all.filter_map(|(check, is_of_owner)| is_of_owner.then_some(check)));
    }
    checks.extend(quotas_of(cost, &money.standing, |is| facts.outcome_of(is)));
    checks
}

fn quotas_of(cost: u64, standing: &Standing, outcome: impl Fn(bool) -> Outcome) -> Vec<Check> {
    let violations = standing.violations(cost);
    let check = |(index, (quota, state)): (usize, (&Quota, &QuotaStanding))| {
        let violation = violations.iter().find_map(|violation| match violation {
            Violation::Quota(of) if *of == index => Some(Code::QuotaExceeded),
            Violation::QuotaTooSmall(of) if *of == index => Some(Code::CostExceedsAllowance),
            Violation::SpendCap(of) if *of == index => Some(Code::SpendCapReached),
            _ => None,
        });
        let overage = quota.overage.as_deref();
        Check {
            code: violation.map(Code::name),
            name: Some(Arc::clone(&quota.name)),
            scope: scope(&quota.scope),
            limit: Some(quota.limit),
            used: Some(state.used),
            reserved: Some(state.reserved),
            remaining: Some(state.remaining(quota.limit)),
            cost: Some(cost),
            window: Some(WindowOfCheck { start: state.window.start, end: state.window.end }),
            price: overage.map(|overage| overage.price().nanos),
            currency: overage.map(|overage| overage.price().currency),
            spend_cap: overage.and_then(Overage::cap),
            ..Check::new(Step::Quota, outcome(violation.is_some()))
        }
    };
    standing.limits.quotas.iter().zip(&standing.quotas).enumerate().map(check).collect()
}

fn credit(facts: &Facts<'_>, decided: &Decided) -> Check {
    let Some(paying) = &decided.money else { return Check::new(Step::Credit, Outcome::NotReached) };
    let (outcome, code) = match paying.answer {
        Answer::Limited => (Outcome::NotReached, None),
        Answer::Pays => (Outcome::Passed, None),
        Answer::InFlight => (facts.outcome_of(true), Some(Code::BalanceInFlight)),
        // The payment that came with the request did.
        Answer::Missing if facts.stop.is_none() => {
            (Outcome::Uncovered, Some(Code::InsufficientCredits))
        }
        Answer::Missing => (facts.outcome_of(true), Some(Code::InsufficientCredits)),
    };
    let standing = Some(paying.credit).filter(|_| outcome != Outcome::NotReached);
    // Who never had any has nothing.
    let amount = |of: fn(CreditStanding) -> Nanos| Some(standing?.map_or(Nanos::ZERO, of));
    Check {
        code: code.map(Code::name),
        price: Some(paying.price.nanos),
        currency: Some(paying.price.currency),
        balance: amount(|standing| standing.balance),
        balance_reserved: amount(|standing| standing.reserved),
        ..Check::new(Step::Credit, outcome)
    }
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
            price: None,
            currency: None,
            spend_cap: None,
            balance: None,
            balance_reserved: None,
        }
    }
}
