//! Explanations: what was checked of a request, in order and with numbers, what was decided, how it ended
//! and what that was charged; and the same for one that is not made.

mod checks;
mod step;
mod words;

use std::{sync::Arc, time::Duration};

use http::Method;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use self::{
    checks::{Check, Facts, Stop},
    step::Step,
};
use crate::{
    answer::{Code, Ending},
    chain::forecast::{Forecast, Question},
    model::Money,
    requests::{CallerFacts, Record, RouteFacts},
    store::records::{PaymentRecord, PaymentState},
};

/// What was decided about a request, and how it ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplanationDocument {
    /// Its id.
    #[schema(value_type = String)]
    request_id: Uuid,
    #[serde(flatten)]
    subject: Subject,
    #[serde(flatten)]
    reasons: Reasons,
    /// The answer's status; null when none was given.
    status: Option<u16>,
    /// How it ended; null for a page of the gateway's own.
    ending: Option<&'static str>,
    /// Units charged.
    charged: u64,
    /// Money charged; null where the allowance paid, or nobody.
    #[schema(value_type = Option<String>, examples("0.002 USD"))]
    credit: Option<String>,
    /// From the head of the request to the end of the answer.
    duration_ms: f64,
    /// The payment that came with it, as it stands now, unless it was presented again since.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    payment: Option<PaymentDocument>,
}

/// A payment that came with a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payment)]
pub struct PaymentDocument {
    /// What really moves.
    proof: String,
    /// How it is paid.
    rail: String,
    /// Whose money it is.
    payer: String,
    /// How far it has come.
    state: PaymentState,
    /// The price of the call.
    #[schema(value_type = String, examples("0.002 USD"))]
    price: Money,
    /// Where it moves.
    network: String,
    /// How much, in the smallest unit of what moves.
    amount: String,
    /// The transaction that it moved with; null while none is known.
    transaction: Option<String>,
    /// What was said of it last, where that was no success.
    reason: Option<String>,
    /// When it came first.
    claimed_at: Timestamp,
}

impl From<PaymentRecord> for PaymentDocument {
    fn from(record: PaymentRecord) -> Self {
        let PaymentRecord {
            proof,
            rail,
            payer,
            state,
            price,
            network,
            amount,
            settlement: transaction,
            reason,
            claimed_at,
            ..
        } = record;
        Self { proof, rail, payer, state, price, network, amount, transaction, reason, claimed_at }
    }
}

/// What would be decided about a request that is not made, now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Forecast)]
pub struct ForecastDocument {
    #[serde(flatten)]
    subject: Subject,
    #[serde(flatten)]
    reasons: Reasons,
    /// Units that it would take; an ending that is not charged gives them back.
    cost: u64,
    /// Money that it would take instead; null where the allowance covers it, or nobody pays.
    #[schema(value_type = Option<String>, examples("0.002 USD"))]
    price: Option<String>,
}

/// Which request is meant.
#[derive(Debug, Serialize, ToSchema)]
struct Subject {
    /// When its head had come; of one that is not made: now.
    at: Timestamp,
    /// The method; null for one that is not commonly known.
    method: Option<String>,
    /// The route that took it; null when none did, and for pages of the gateway's own.
    #[schema(value_type = Option<String>)]
    route: Option<Arc<str>>,
    /// Who called; null when that was not found out.
    #[schema(value_type = Option<String>)]
    customer: Option<Arc<str>>,
    /// The application that the key belongs to.
    #[schema(value_type = Option<String>)]
    application: Option<Arc<str>>,
    /// The key.
    #[schema(value_type = Option<String>)]
    key_id: Option<Arc<str>>,
    /// The plan that the customer held.
    #[schema(value_type = Option<String>)]
    plan: Option<Arc<str>>,
}

/// Why it was decided so.
#[derive(Debug, Serialize, ToSchema)]
struct Reasons {
    /// What was checked, in this order.
    checks: Vec<Check>,
    /// What was decided.
    decision: Decision,
    /// The code that it was refused with, or that an upstream's failure was told by.
    #[schema(value_type = Option<String>)]
    code: Option<Arc<str>>,
    /// The code of a refusal that was overlooked, because refusals are not enforced there.
    #[schema(value_type = Option<String>)]
    shadow: Option<Arc<str>>,
    /// The same for people: what was decisive, and what to do about it.
    detail: String,
}

/// What was decided about a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[schema(as = ExplainedDecision)]
#[serde(rename_all = "snake_case")]
enum Decision {
    /// It was to go to the upstream.
    Forwarded,
    /// The gateway answered itself, with a page.
    OwnPage,
    /// It was not.
    Refused,
    /// It would go to the upstream.
    WouldBeForwarded,
    /// It would not.
    WouldBeRefused,
}

impl Subject {
    fn new(
        at: Timestamp,
        method: Option<&Method>,
        route: Option<&RouteFacts>,
        caller: Option<&CallerFacts>,
    ) -> Self {
        Self {
            at,
            method: method.map(ToString::to_string),
            route: route.map(|route| Arc::clone(&route.name)),
            customer: caller.map(|caller| Arc::clone(&caller.customer)),
            application: caller.and_then(|caller| caller.application.clone()),
            key_id: caller.map(|caller| Arc::clone(&caller.key_id)),
            plan: caller.and_then(|caller| caller.plan.clone()),
        }
    }
}

impl ExplanationDocument {
    /// Explains a request that is over.
    pub fn of(record: &Record) -> Self {
        let Record {
            id,
            at,
            method,
            route,
            caller,
            status,
            code,
            shadow,
            ending,
            charged,
            credit,
            duration,
            decided,
        } = record;
        let decision = match ending {
            None => Decision::OwnPage,
            Some(Ending::Refused) => Decision::Refused,
            Some(_) => Decision::Forwarded,
        };
        let known = |code: &Option<Arc<str>>| code.as_deref().and_then(Code::find);
        let facts = Facts {
            stop: stop(decision, known(code), known(shadow), record),
            route: route.as_ref(),
            caller: caller.as_ref(),
            decided: decided.as_ref(),
        };
        let about =
            words::About { ending: *ending, status: *status, charged: *charged, credit: *credit };
        let detail = words::told(decision, &facts, known(code), about);
        let checks = if decision == Decision::OwnPage { Vec::new() } else { checks::list(&facts) };
        Self {
            request_id: *id,
            subject: Subject::new(*at, method.as_ref(), route.as_ref(), caller.as_ref()),
            reasons: Reasons {
                checks,
                decision,
                code: code.clone(),
                shadow: shadow.clone(),
                detail,
            },
            status: Some(*status).filter(|status| *status > 0),
            ending: ending.map(Ending::name),
            charged: *charged,
            credit: credit.map(|money| money.to_string()),
            duration_ms: milliseconds(*duration),
            payment: None,
        }
    }

    /// Tells of the payment that came with it, too.
    #[must_use]
    pub fn with(self, payment: Option<PaymentRecord>) -> Self {
        Self { payment: payment.map(PaymentDocument::from), ..self }
    }
}

/// Finds the check at which a request was stopped, or would have been.
fn stop(
    decision: Decision,
    code: Option<Code>,
    shadow: Option<Code>,
    record: &Record,
) -> Option<Stop> {
    // Once it is forwarded, a code tells what came of that.
    let refused = code.filter(|_| decision == Decision::Refused);
    // A key is known before it is asked where it may be used.
    if refused == Some(Code::OriginNotAllowed) && record.caller.is_none() {
        let (step, code) = (Step::Preflight, Code::OriginNotAllowed);
        return Some(Stop { step, code, is_overlooked: false });
    }
    let stop = |code, is_overlooked| Stop::at(code, is_overlooked, record.decided.as_ref());
    shadow.map_or_else(|| stop(refused?, false), |code| stop(code, true))
}

impl ForecastDocument {
    /// Explains what would become of a request that is not made.
    pub fn of(question: &Question<'_>, forecast: &Forecast) -> Self {
        let Forecast { code, is_overlooked, decided } = forecast;
        let Question { route, method, caller, address: _, enforcing: _, lookup } = *question;
        let (route_facts, caller) = (RouteFacts::of(route), CallerFacts::of(caller));
        let facts = Facts {
            stop: code.and_then(|code| Stop::at(code, *is_overlooked, decided.as_ref())),
            route: Some(&route_facts),
            caller: Some(&caller),
            decided: decided.as_ref(),
        };
        let decision = match code {
            Some(_) if !is_overlooked => Decision::WouldBeRefused,
            _ => Decision::WouldBeForwarded,
        };
        let money = decided.as_ref().and_then(|decided| decided.money.as_ref());
        let price = money.filter(|_| code.is_none()).map(|money| money.price);
        let is_free = route_facts.is_public || code.is_some() || price.is_some();
        let cost = if is_free { 0 } else { route.cost };
        let about = words::About { ending: None, status: 0, charged: cost, credit: price };
        let refused = code.filter(|_| !is_overlooked);
        let detail = words::told(decision, &facts, refused, about);
        let name = |code: Option<Code>| code.map(|code| code.name().into());
        Self {
            subject: Subject::new(lookup.now, Some(method), facts.route, facts.caller),
            reasons: Reasons {
                checks: checks::list(&facts),
                decision,
                code: name(refused),
                shadow: name(code.filter(|_| *is_overlooked)),
                detail,
            },
            cost,
            price: price.map(|price| price.to_string()),
        }
    }
}

/// Gives milliseconds with three digits behind the point.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
