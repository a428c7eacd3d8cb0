//! Third step: whether the subscription is in force and opens the route.
//!
//! The stored instants are compared with the decision time on every request. No state waits for
//! anyone's event: a trial ends when its time is over, not when someone says so.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    answer::Denial,
    chain::{
        authenticate::Authenticated,
        payer::{About, Payer},
        route::Routed,
    },
    model::{Plan, Route, Status, Subscription},
    roster::Caller,
    snapshot::Snapshot,
};

/// A request that the caller's plan covers, as far as time and routes decide, or that has a price.
#[derive(Debug)]
pub struct Entitled {
    routed: Routed,
    payer: Payer,
    notice: Option<Notice>,
    uncovered: Option<Denial>,
}

/// What a served caller should know about the subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Notice {
    /// It is cancelled and ends then.
    Ends(Timestamp),
    /// A payment is overdue and service ends then.
    GraceEnds(Timestamp),
}

/// Checks the subscription of an authenticated request.
pub fn subscription(
    snapshot: &Snapshot,
    authenticated: Authenticated,
    now: Timestamp,
) -> Result<Entitled, Denial> {
    let (routed, payer) = authenticated.into_parts();
    let decide = |caller: &Arc<Caller>| admits(caller, routed.route(), snapshot, now);
    let (payer, found) = payer.judge(routed.is_enforced(), About::Plan, decide)?;
    let (notice, uncovered) = found.unwrap_or_default();
    Ok(Entitled { routed, payer, notice, uncovered })
}

/// Decides whether a route is open to a caller: covered by what was bought, or at a price. Then the
/// second is why it is not covered.
pub fn admits(
    caller: &Caller,
    route: &Route,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<(Option<Notice>, Option<Denial>), Denial> {
    match covers(caller, &route.name, snapshot, now) {
        Ok(notice) => Ok((notice, None)),
        // What the plan does not cover may be paid for.
        Err(denial) if route.price.is_some() => Ok((None, Some(denial))),
        Err(denial) => Err(denial),
    }
}

/// Decides whether what the caller has bought covers a route now.
pub fn covers(
    caller: &Caller,
    route: &str,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<Option<Notice>, Denial> {
    let held = caller.customer.subscription.as_ref().ok_or(Denial::SubscriptionRequired)?;
    let notice = in_force(held, now)?;
    opens(&held.plan, route, &snapshot.plans)?;
    Ok(notice)
}

impl Entitled {
    /// Gives the request with its route.
    pub(super) fn routed(&self) -> &Routed {
        &self.routed
    }

    /// Gives who pays, as far as that is decided.
    pub fn payer(&self) -> &Payer {
        &self.payer
    }

    /// Hands its parts to the next step.
    pub(super) fn into_parts(self) -> (Routed, Payer, Option<Notice>, Option<Denial>) {
        (self.routed, self.payer, self.notice, self.uncovered)
    }
}

/// Decides whether a subscription is in force. Intervals are half-open: at the very instant of its
/// end it is over.
pub fn in_force(held: &Subscription, now: Timestamp) -> Result<Option<Notice>, Denial> {
    if let Some(starts) = held.starts.filter(|starts| now < *starts) {
        return Err(Denial::SubscriptionNotStarted { starts });
    }
    if held.cancel_at.is_some_and(|end| end <= now) {
        return Err(Denial::SubscriptionEnded);
    }
    let ends = held.cancel_at.map(Notice::Ends);
    match held.status {
        Status::Active => Ok(ends),
        Status::Canceled => Err(Denial::SubscriptionEnded),
        Status::Incomplete => Err(Denial::PaymentIncomplete),
        Status::IncompleteExpired => Err(Denial::SubscriptionRequired),
        Status::PastDue { since, grace } => {
            // An end beyond the last instant there is never comes.
            let end = since.checked_add(grace).unwrap_or(Timestamp::MAX);
            if now < end { Ok(Some(Notice::GraceEnds(end))) } else { Err(Denial::PaymentOverdue) }
        }
        Status::Paused => Err(Denial::SubscriptionPaused),
        Status::Trialing { end } => {
            if now < end {
                Ok(ends)
            } else {
                Err(Denial::TrialExpired)
            }
        }
        Status::Unpaid => Err(Denial::PaymentOverdue),
    }
}

/// Decides whether a plan opens a route, and if not, whether another one that can be bought does.
pub fn opens(plan: &Plan, route: &str, plans: &[Arc<Plan>]) -> Result<(), Denial> {
    if plan.opens(route) {
        Ok(())
    } else if plans.iter().any(|other| other.on_sale && other.opens(route)) {
        Err(Denial::PlanUpgradeRequired)
    } else {
        Err(Denial::FeatureNotAvailable)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn plan(id: &str, routes: Option<&[&str]>, on_sale: bool) -> Arc<Plan> {
        Arc::new(Plan {
            id: id.into(),
            title: id.into(),
            routes: routes.map(|routes| routes.iter().map(|name| Arc::from(*name)).collect()),
            quotas: Vec::new(),
            rate: None,
            concurrency: None,
            trial: None,
            grace: Duration::ZERO,
            upgrade_url: None,
            on_sale,
            archived: false,
            change: crate::model::ChangeRule::Carry,
            enforce: true,
        })
    }

    fn held(status: Status) -> Subscription {
        Subscription {
            plan: plan("p", None, true),
            status,
            anchor: None,
            starts: None,
            cancel_at: None,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn verdict(held: &Subscription, now: &str) -> &'static str {
        match in_force(held, at(now)) {
            Ok(None) => "served",
            Ok(Some(Notice::Ends(_))) => "served, ends",
            Ok(Some(Notice::GraceEnds(_))) => "served, overdue",
            Err(denial) => denial.code().name(),
        }
    }

    #[test]
    fn every_state_has_its_answer() {
        let day = "2026-11-20T00:00:00Z";
        for (status, expected) in [
            (Status::Active, "served"),
            (Status::Canceled, "subscription_ended"),
            (Status::Incomplete, "payment_incomplete"),
            (Status::IncompleteExpired, "subscription_required"),
            (Status::Paused, "subscription_paused"),
            (Status::Unpaid, "payment_overdue"),
            (Status::Trialing { end: at("2026-11-21T00:00:00Z") }, "served"),
            (Status::Trialing { end: at(day) }, "trial_expired"),
        ] {
            assert_eq!(verdict(&held(status), day), expected, "{status:?}");
        }
    }

    #[test]
    fn grace_counts_from_the_first_failure_and_excludes_its_end() {
        let since = at("2026-11-17T00:00:00Z");
        let three_days = Duration::from_secs(3 * 86_400);
        let subscription = held(Status::PastDue { since, grace: three_days });
        assert_eq!(verdict(&subscription, "2026-11-19T23:59:59.999Z"), "served, overdue");
        assert_eq!(verdict(&subscription, "2026-11-20T00:00:00Z"), "payment_overdue");
        let at_once = held(Status::PastDue { since, grace: Duration::ZERO });
        assert_eq!(verdict(&at_once, "2026-11-17T00:00:00Z"), "payment_overdue");
        let endless = held(Status::PastDue { since, grace: Duration::MAX });
        assert_eq!(verdict(&endless, "9999-01-01T00:00:00Z"), "served, overdue");
    }

    #[test]
    fn start_and_scheduled_end_bind_every_state() {
        let mut subscription = held(Status::Active);
        subscription.starts = Some(at("2026-11-20T00:00:00Z"));
        subscription.cancel_at = Some(at("2026-12-20T00:00:00Z"));
        assert_eq!(verdict(&subscription, "2026-11-19T23:59:59Z"), "subscription_not_started");
        assert_eq!(verdict(&subscription, "2026-11-20T00:00:00Z"), "served, ends");
        assert_eq!(verdict(&subscription, "2026-12-20T00:00:00Z"), "subscription_ended");
    }

    #[test]
    fn route_outside_the_plan_is_an_upgrade_only_when_one_is_on_sale() {
        let small = plan("small", Some(&["a"]), true);
        let large = plan("large", Some(&["a", "b"]), true);
        let hidden = plan("hidden", Some(&["c"]), false);
        let plans = [Arc::clone(&small), large, hidden];
        let verdict =
            |route| opens(&small, route, &plans).map_or_else(|d| d.code().name(), |()| "open");
        assert_eq!(verdict("a"), "open");
        assert_eq!(verdict("b"), "plan_upgrade_required");
        assert_eq!(verdict("c"), "feature_not_available");
    }
}
