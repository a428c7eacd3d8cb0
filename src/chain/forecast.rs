//! What the chain would decide about a request that is not made: its own steps' decisions, asked in its
//! order, without anything being taken.

use std::{net::IpAddr, sync::Arc};

use http::Method;

use crate::{
    answer::{Code, Denial},
    chain::{
        authenticate,
        payer::{self, About},
        quota::{self, NotTaken},
        route, subscription,
    },
    ledger::Unpaid,
    model::{Access, Route},
    requests::{Answer, Decided, Paying},
    roster::{Caller, Lookup},
};

/// A request that is not made.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The route that would take it.
    pub route: &'a Route,
    /// Its method.
    pub method: &'a Method,
    /// Who would call.
    pub caller: &'a Arc<Caller>,
    /// From where; `None` leaves out what asks for that.
    pub address: Option<IpAddr>,
    /// Whether the gateway refuses at all.
    pub enforcing: bool,
    /// What it would be decided by, and when.
    pub lookup: Lookup<'a>,
}

/// What would be decided.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// The first refusal, if there is one.
    pub code: Option<Code>,
    /// Whether it would be forwarded all the same.
    pub is_overlooked: bool,
    /// By what it would be decided who pays, if it came so far.
    pub decided: Option<Decided>,
}

/// Tells what would be decided now.
pub fn forecast(question: &Question<'_>) -> Forecast {
    let Question { caller, enforcing, route, .. } = question;
    let mut decided = None;
    match decide(question, &mut decided) {
        Ok(()) => Forecast { code: None, is_overlooked: false, decided },
        Err((about, denial)) => {
            let by_route = *enforcing && route.enforce;
            let is_enforced = about.is_none_or(|about| payer::is_enforced(by_route, about, caller));
            Forecast { code: Some(denial.code()), is_overlooked: !is_enforced, decided }
        }
    }
}

/// Asks the steps in turn. A refusal that is about no payer is never overlooked.
fn decide(
    question: &Question<'_>,
    decided: &mut Option<Decided>,
) -> Result<(), (Option<About>, Denial)> {
    let Question { route, method, caller, address, lookup, enforcing: _ } = *question;
    route::answers(route, method).map_err(|denial| (None, denial))?;
    match route.access {
        Access::Public => return Ok(()),
        Access::Key | Access::Payment => {}
    }
    let about = |about| move |denial| (Some(about), denial);
    authenticate::permits(caller, route, address, lookup.now).map_err(about(About::Key))?;
    let admitted = subscription::admits(caller, route, lookup.snapshot, lookup.now);
    let (_, uncovered) = admitted.map_err(about(About::Plan))?;
    pay(question, uncovered, decided.insert(Decided::default())).map_err(about(About::Plan))
}

/// Asks who would pay, and notes what is found.
fn pay(
    question: &Question<'_>,
    uncovered: Option<Denial>,
    decided: &mut Decided,
) -> Result<(), Denial> {
    let Question { route, caller, lookup, .. } = *question;
    let (accounts, now) = (&caller.accounts, lookup.now);
    let Decided { cost, uncovered: reason, allowance, money } = decided;
    *cost = route.cost;
    *reason = uncovered.as_ref().map(|denial| denial.code().name().into());
    let from_allowance = || {
        let found = accounts.would_reserve(&caller.limits, route.cost, now);
        let standing = found.as_ref().unwrap_or_else(|shortage| &shortage.standing);
        *allowance = Some(standing.clone());
        found.map(drop)
    };
    let from_money = |price| {
        let limits = caller.limits_of_money();
        let found = accounts.would_reserve_paid(limits, route.cost, price, now);
        let (standing, credit, answer) = match &found {
            Ok((standing, credit)) => (standing, Some(*credit), Answer::Pays),
            Err(Unpaid::Limits(shortage)) => (&shortage.standing, None, Answer::Limited),
            Err(Unpaid::Credit { standing, is_in_flight, limits }) => {
                let answer = if *is_in_flight { Answer::InFlight } else { Answer::Missing };
                (&**limits, *standing, answer)
            }
        };
        *money = Some(Paying { standing: standing.clone(), price, credit, answer });
        found.map(drop)
    };
    match quota::decide(route, uncovered, from_allowance, from_money) {
        Ok(()) | Err(NotTaken::Lacking(_)) => Ok(()),
        Err(NotTaken::Denied(denial)) => Err(denial),
    }
}
