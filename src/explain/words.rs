//! The sentence for people: what was decisive, and what to do about it.

use http::StatusCode;

use super::{Decision, checks::Facts, step::Step};
use crate::{
    answer::{Code, CreditShortage, Denial, Ending, QuotaDenial},
    ledger::{Shortage, Standing},
    model::Money,
    requests::{Answer, Decided},
};

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub(super) ending: Option<Ending>,
    pub(super) status: u16,
    /// Units charged; of a request that is not made, those that it would take.
    pub(super) charged: u64,
    /// Money charged, likewise.
    pub(super) credit: Option<Money>,
}

/// Tells it. `code` is that of the refusal or of the fault.
pub(super) fn told(
    decision: Decision,
    facts: &Facts<'_>,
    code: Option<Code>,
    about: About,
) -> String {
    if let Some(stop) = facts.stop {
        let why = why_stopped(stop.code, facts);
        return match (stop.is_overlooked, decision) {
            (false, _) => format!("{why} {}", code.unwrap_or(stop.code).advice()),
            (true, Decision::WouldBeForwarded) => {
                format!(
                    "It would be forwarded and take nothing, as refusals are not enforced: {why}"
                )
            }
            (true, _) => {
                let ended = ended(about);
                format!(
                    "It was forwarded all the same, as refusals are not enforced: {why} {ended}"
                )
            }
        };
    }
    match (decision, code) {
        // No page has a route.
        (Decision::OwnPage, _) if facts.route.is_some() => {
            "The answer of a request before it, which the payment that came with both had paid for. It \
             costs nothing once more and is not counted."
                .to_owned()
        }
        // No page has this status.
        (Decision::OwnPage, _) if about.status == StatusCode::NO_CONTENT.as_u16() => {
            "A browser asked whether a page may make another request, and the gateway answered that \
             itself. It costs nothing and is not counted."
                .to_owned()
        }
        (Decision::OwnPage, _) => {
            "A page of the gateway's own. It costs nothing and is not counted.".to_owned()
        }
        (Decision::WouldBeForwarded | Decision::WouldBeRefused, _) => would(facts, about),
        (_, None) => format!("{}{}", uncovered(facts), ended(about)),
        (Decision::Forwarded, Some(code)) if Step::of(code, true) == Some(Step::Payment) => {
            let kept = "The upstream answered, and nothing of that was passed on.";
            format!("{}. {kept} {}", code.title(), code.advice())
        }
        (Decision::Forwarded, Some(code)) => {
            format!("{}. {} {}", code.title(), ended(about), code.advice())
        }
        (Decision::Refused, Some(code)) => format!("{}. {}", code.title(), code.advice()),
    }
}

/// Tells what a request that passes would take.
fn would(facts: &Facts<'_>, about: About) -> String {
    if facts.route.is_some_and(|route| route.is_public) {
        let public = "the route is public, so nothing else is asked and nothing taken";
        return format!("It would be forwarded: {public}.");
    }
    match about.credit {
        Some(price) => {
            format!("{}It would be forwarded and take {price} of the credit.", uncovered(facts))
        }
        None => format!("It would be forwarded and take {}.", units(about.charged)),
    }
}

/// Tells why a check said no; by the numbers, where it has some.
fn why_stopped(code: Code, facts: &Facts<'_>) -> String {
    let Some(decided) = facts.decided else { return sentence(code, facts) };
    if let Some(money) = &decided.money {
        let shortage = CreditShortage { price: money.price, standing: money.credit };
        match money.answer {
            Answer::Limited => return limits(&money.standing, decided.cost),
            Answer::InFlight => return Denial::BalanceInFlight(shortage).detail().into_owned(),
            // Who pays by the call misses no plan.
            Answer::Missing if code == Code::InsufficientCredits => return shortage.detail(),
            Answer::Missing => return format!("{}{}", uncovered(facts), shortage.detail()),
            Answer::Pays => {}
        }
    }
    let is_limit =
        matches!(Step::of(code, true), Some(Step::Rate | Step::Concurrency | Step::Quota));
    match decided.allowance.as_ref().filter(|_| is_limit) {
        Some(standing) => limits(standing, decided.cost),
        None => sentence(code, facts),
    }
}

/// Tells what a code means, in the words that the caller is told where they need nothing else.
fn sentence(code: Code, facts: &Facts<'_>) -> String {
    let denial = match code {
        Code::AccountSuspended => Denial::AccountSuspended,
        Code::AmbiguousCredentials => Denial::AmbiguousCredentials,
        Code::ApiKeyDisabled => Denial::ApiKeyDisabled,
        Code::ApiKeyExpired => Denial::ApiKeyExpired,
        Code::ApiKeyRevoked => Denial::ApiKeyRevoked,
        Code::FeatureNotAvailable => Denial::FeatureNotAvailable,
        Code::InsufficientScope => {
            let scopes = facts.route.map(|route| route.scopes.clone());
            Denial::InsufficientScope { required: scopes.unwrap_or_default() }
        }
        Code::InvalidApiKey => Denial::InvalidApiKey,
        Code::InvalidPath => Denial::InvalidPath,
        Code::MissingApiKey => Denial::MissingApiKey,
        Code::OriginNotAllowed if facts.caller.is_none() => Denial::PageNotAllowed,
        Code::OriginNotAllowed => Denial::OriginNotAllowed,
        Code::PaymentIncomplete => Denial::PaymentIncomplete,
        Code::PaymentOverdue => Denial::PaymentOverdue,
        Code::PlanUpgradeRequired => Denial::PlanUpgradeRequired,
        Code::RouteNotFound => Denial::RouteNotFound,
        Code::SubscriptionEnded => Denial::SubscriptionEnded,
        Code::SubscriptionPaused => Denial::SubscriptionPaused,
        Code::SubscriptionRequired => Denial::SubscriptionRequired,
        Code::TrialExpired => Denial::TrialExpired,
        code => return format!("{}.", code.title()),
    };
    denial.detail().into_owned()
}

/// Tells why the plan does not cover what the money was asked for, with a space behind it.
fn uncovered(facts: &Facts<'_>) -> String {
    if let Some((_, code)) = facts.uncovered() {
        return format!("{} ", sentence(code, facts));
    }
    match facts.decided {
        Some(Decided { money: Some(_), allowance: Some(standing), cost, .. }) => {
            format!("{} ", limits(standing, *cost))
        }
        _ => String::new(),
    }
}

/// Tells which limit a request does not fit, in the words that the caller is told.
fn limits(standing: &Standing, cost: u64) -> String {
    let violations = standing.violations(cost);
    let shortage = Box::new(Shortage { standing: standing.clone(), violations, lack: None });
    let denial = Denial::QuotaExceeded(Box::new(QuotaDenial::new(shortage, cost)));
    denial.detail().into_owned()
}

/// Tells how a request ended, and what that was charged.
fn ended(about: About) -> String {
    let About { ending, status, charged, credit } = about;
    let ended = match ending {
        None => return String::new(),
        Some(Ending::Refused) => "It was not forwarded.",
        Some(Ending::Unsent) => "It was never sent to the upstream.",
        Some(Ending::Failed) => "It was sent to the upstream, and no answer came.",
        Some(Ending::Abandoned) => {
            "It was sent to the upstream, and the caller left or broke it off before the answer."
        }
        Some(Ending::Uncharged) => {
            return format!("The upstream answered {status}, which is not charged.");
        }
        Some(Ending::Completed) => "The answer was passed on whole.",
        Some(Ending::Truncated) => "The upstream cut its answer.",
        Some(Ending::Aborted) => "The caller left during the answer, or stopped reading it.",
        Some(Ending::Expired) => "Its time was over during the answer.",
        Some(Ending::FaultedBeforeHead | Ending::FaultedAfterHead) => "The gateway failed.",
        Some(Ending::Unknown) => "It was open when the gateway crashed.",
    };
    match (credit, charged) {
        (Some(money), 0) => format!("{ended} {money} of the credit was charged."),
        // A WebSocket may be paid for by one and then by the other.
        (Some(money), charged) => {
            format!("{ended} {} and {money} of the credit were charged.", units(charged))
        }
        (None, 0) => format!("{ended} Nothing was charged."),
        (None, 1) => format!("{ended} 1 unit was charged."),
        (None, charged) => format!("{ended} {charged} units were charged."),
    }
}

fn units(count: u64) -> String {
    if count == 1 { "1 unit".to_owned() } else { format!("{count} units") }
}
