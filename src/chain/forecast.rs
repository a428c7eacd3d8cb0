//! What the chain would decide about a request that is not made: its own steps' decisions, asked in its
//! order, without anything being taken.

use std::{net::IpAddr, sync::Arc};

use http::Method;

use crate::{
    answer::{Code, Denial},
    chain::{
        authenticate,
        payer::{self, About},
        quota, route, subscription,
    },
    ledger::Standing,
    model::{Access, Route},
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
    /// Where the caller stands, if it came so far that this is asked.
    pub standing: Option<Standing>,
}

/// Tells what would be decided now.
pub fn forecast(question: &Question<'_>) -> Forecast {
    let Question { caller, enforcing, route, .. } = question;
    match decide(question) {
        Ok(standing) => Forecast { code: None, is_overlooked: false, standing },
        Err((about, denial)) => {
            let by_route = *enforcing && route.enforce;
            let is_enforced = about.is_none_or(|about| payer::is_enforced(by_route, about, caller));
            let code = Some(denial.code());
            let standing = match denial {
                Denial::QuotaExceeded(denial) => Some(denial.shortage.standing),
                _ => None,
            };
            Forecast { code, is_overlooked: !is_enforced, standing }
        }
    }
}

/// Asks the steps in turn. A refusal that is about no payer is never overlooked.
fn decide(question: &Question<'_>) -> Result<Option<Standing>, (Option<About>, Denial)> {
    let Question { route, method, caller, address, lookup, enforcing: _ } = *question;
    route::answers(route, method).map_err(|denial| (None, denial))?;
    match route.access {
        Access::Public => return Ok(None),
        Access::Key => {}
    }
    let about = |about| move |denial| (Some(about), denial);
    authenticate::permits(caller, route, address, lookup.now).map_err(about(About::Key))?;
    subscription::covers(caller, route, lookup.snapshot, lookup.now).map_err(about(About::Plan))?;
    let found = caller.accounts.would_reserve(&caller.limits, route.cost, lookup.now);
    let found = found.map_err(|shortage| quota::short(shortage, route.cost));
    found.map(Some).map_err(about(About::Plan))
}
