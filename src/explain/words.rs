//! The sentence for people: what was decisive, and what to do about it.

use super::{Decision, checks::Facts, step::Step};
use crate::{
    answer::{Code, Denial, Ending, QuotaDenial},
    ledger::Shortage,
};

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub(super) ending: Option<Ending>,
    pub(super) status: u16,
    /// Units charged; of a request that is not made, those that it would take.
    pub(super) charged: u64,
}

/// Tells it. `code` is that of the refusal or of the fault.
pub(super) fn told(
    decision: Decision,
    facts: &Facts<'_>,
    code: Option<Code>,
    about: About,
) -> String {
    let is_public = facts.route.is_some_and(|route| route.is_public);
    if let Some(stop) = facts.stop {
        let why = why(stop.code, facts);
        return match (stop.is_overlooked, decision) {
            (false, _) => format!("{why} {}", stop.code.advice()),
            (true, Decision::WouldBeForwarded) => {
                format!("It would be forwarded and take nothing, since refusals are not enforced there; else: {why}")
            }
            (true, _) => {
                let ended = ended(about);
                format!("Nothing was taken, since refusals are not enforced there; else: {why} {ended}")
            }
        };
    }
    match (decision, code) {
        (Decision::OwnPage, _) => {
            "A page of the gateway's own. It costs nothing and is not counted.".to_owned()
        }
        (Decision::WouldBeForwarded | Decision::WouldBeRefused, _) if is_public => {
            "It would be forwarded: the route is public, so that nothing else is asked and nothing taken.".to_owned()
        }
        (Decision::WouldBeForwarded | Decision::WouldBeRefused, _) => {
            format!("It would be forwarded and take {}.", units(about.charged))
        }
        (Decision::Forwarded, None) if is_public => {
            format!("The route is public, so that nothing else was asked and nothing taken. {}", ended(about))
        }
        (_, None) => ended(about),
        (Decision::Forwarded, Some(code)) => {
            format!("{}. {} {}", code.title(), ended(about), code.advice())
        }
        (_, Some(code)) => format!("{}. {}", code.title(), code.advice()),
    }
}

/// Tells why a check said no; by the numbers, where it has some.
fn why(code: Code, facts: &Facts<'_>) -> String {
    let is_limit = matches!(
        Step::of(code, facts.decided.is_some()),
        Some(Step::Rate | Step::Concurrency | Step::Quota)
    );
    let Some(decided) = facts.decided.filter(|_| is_limit) else {
        return format!("{}.", code.title());
    };
    let standing = decided.standing.clone();
    let violations = standing.violations(decided.cost);
    let shortage = Box::new(Shortage { standing, violations });
    let denial = Box::new(QuotaDenial::new(shortage, decided.cost));
    Denial::QuotaExceeded(denial).detail().into_owned()
}

/// Tells how a request ended, and what that was charged.
fn ended(about: About) -> String {
    let About { ending, status, charged } = about;
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
    match charged {
        0 => format!("{ended} Nothing was charged."),
        1 => format!("{ended} 1 unit was charged."),
        charged => format!("{ended} {charged} units were charged."),
    }
}

fn units(count: u64) -> String {
    if count == 1 { "1 unit".to_owned() } else { format!("{count} units") }
}
