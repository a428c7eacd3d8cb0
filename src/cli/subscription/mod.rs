//! `faregate subscription`: which plan a customer holds, in which state, since and until when.

mod show;

use clap::{
    Args, Subcommand,
    builder::{NonEmptyStringValueParser, PossibleValuesParser},
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::cli::{
    admin::{Call, Remote},
    input::{self, Given, When, WrongUsage},
};

/// The commands about subscriptions.
#[derive(Debug, Subcommand)]
pub(super) enum Subscription {
    /// Subscribe a customer to a plan, or change what it holds; what is not named stays
    #[command(after_help = "Examples:\n  \
        faregate subscription set acme --plan pro\n  \
        faregate subscription set acme --plan pro --at 2027-01-01 --change prorate\n  \
        faregate subscription set acme --status trialing --trial-end 14d\n  \
        faregate subscription set acme --status past_due --past-due-since 2026-11-20 --grace 7d\n  \
        faregate subscription set acme --cancel-at none\n\n\
        WHEN is an instant (2026-12-31T00:00:00Z), a date (its midnight in UTC) or a time from now \
        (30d); DATE is one of the first two; `none` takes a date away.")]
    Set(Box<Set>),
    /// Show what a customer holds
    #[command(after_help = "Example:\n  faregate subscription show acme")]
    Show(Show),
    /// End a subscription, at once or at a time
    #[command(after_help = "Examples:\n  \
        faregate subscription cancel acme                    at once: calls are answered 402\n  \
        faregate subscription cancel acme --at 2026-12-31    served until then")]
    Cancel(Cancel),
}

#[derive(Args, Debug)]
pub(super) struct Set {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    customer: String,
    /// The plan, as the configuration names it
    #[arg(long)]
    plan: Option<String>,
    /// The state
    #[arg(long, value_parser = PossibleValuesParser::new(input::status_names()))]
    status: Option<String>,
    /// Where the windows of its quotas count from
    #[arg(long, value_name = "DATE", value_parser = input::instant_or_none)]
    anchor: Option<Given<When>>,
    /// Not served before
    #[arg(long, value_name = "WHEN", value_parser = input::when_or_none)]
    starts: Option<Given<When>>,
    /// The end of the trial
    #[arg(long, value_name = "WHEN", value_parser = input::when_or_none)]
    trial_end: Option<Given<When>>,
    /// The first payment that failed; the grace counts from it
    #[arg(long, value_name = "DATE", value_parser = input::instant_or_none)]
    past_due_since: Option<Given<When>>,
    /// Served until then
    #[arg(long, value_name = "WHEN", value_parser = input::when_or_none)]
    cancel_at: Option<Given<When>>,
    /// Begin of the billing provider's current period
    #[arg(long, value_name = "DATE", value_parser = input::instant_or_none)]
    period_start: Option<Given<When>>,
    /// End of that period
    #[arg(long, value_name = "WHEN", value_parser = input::when_or_none)]
    period_end: Option<Given<When>>,
    /// How long it is served while a payment is overdue, instead of the plan's time: 3d, or none
    #[arg(long, value_name = "TIME", value_parser = input::duration_or_none)]
    grace: Option<Given<Box<str>>>,
    /// When the change of plan is made; default: now
    #[arg(long, value_name = "WHEN", value_parser = When::parse, requires = "plan")]
    at: Option<When>,
    /// What becomes of what was used: carry keeps it, restart begins anew, prorate weighs both
    /// limits by time, defer changes when the window ends; default: the new plan's rule
    #[arg(
        long,
        value_name = "RULE",
        value_parser = PossibleValuesParser::new(input::change_rules()),
        requires = "plan"
    )]
    change: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct Show {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    customer: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct Cancel {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    customer: String,
    /// Serve until then: an instant, a date (midnight UTC), or 30d from now; default: now
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    at: Option<When>,
    #[command(flatten)]
    remote: Remote,
}

impl Subscription {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Set(set) => set.remote.show(&set.call(input::now())?, show::details),
            Self::Show(Show { customer, remote }) => {
                let call = Call::get(&["customers", &customer, "subscription"]).about(&customer);
                remote.show(&call, show::details)
            }
            Self::Cancel(cancel) => cancel.remote.show(&cancel.call(input::now())?, show::details),
        }
    }
}

impl Set {
    fn call(&self, now: Timestamp) -> anyhow::Result<Call> {
        let Self {
            customer,
            plan,
            status,
            anchor,
            starts,
            trial_end,
            past_due_since,
            cancel_at,
            period_start,
            period_end,
            grace,
            at,
            change,
            remote: _,
        } = self;
        let mut body = Map::new();
        for (name, text) in [("plan", plan), ("status", status), ("change", change)] {
            if let Some(text) = text {
                body.insert(name.to_owned(), text.clone().into());
            }
        }
        for (name, given) in [
            ("anchor", *anchor),
            ("starts", *starts),
            ("trial_end", *trial_end),
            ("past_due_since", *past_due_since),
            ("cancel_at", *cancel_at),
            ("period_start", *period_start),
            ("period_end", *period_end),
            ("at", at.map(Given::Some)),
        ] {
            if let Some(given) = given {
                body.insert(name.to_owned(), input::instant_value(given, now)?);
            }
        }
        match grace {
            Some(Given::Some(grace)) => drop(body.insert("grace".to_owned(), (**grace).into())),
            Some(Given::None) => drop(body.insert("grace".to_owned(), Value::Null)),
            None => {}
        }
        if body.is_empty() {
            let message = "there is nothing to set; give an option such as --plan or --status";
            return Err(WrongUsage(message.to_owned()).into());
        }
        Ok(Call::put(&["customers", customer, "subscription"], body.into()).about(customer))
    }
}

impl Cancel {
    fn call(&self, now: Timestamp) -> anyhow::Result<Call> {
        let segments = ["customers", &self.customer, "subscription"];
        let call = match self.at {
            None => Call::delete(&segments),
            Some(at) => Call::put(&segments, json!({"cancel_at": at.resolve(now)?.to_string()})),
        };
        Ok(call.about(&self.customer))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        subscription: Subscription,
    }

    fn parse(line: &str) -> Result<Subscription, clap::Error> {
        Ok(Line::try_parse_from(["x"].into_iter().chain(line.split(' ')))?.subscription)
    }

    fn call(line: &str) -> anyhow::Result<Call> {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        match parse(line).unwrap() {
            Subscription::Set(set) => set.call(now),
            Subscription::Cancel(cancel) => cancel.call(now),
            Subscription::Show(_) => unreachable!(),
        }
    }

    #[test]
    fn set_sends_what_was_given() {
        let made = call(
            "set acme --plan pro --status past_due --anchor 2026-01-31T10:00:00Z --starts none \
             --past-due-since 2026-11-19 --cancel-at 30d --grace 7d --at 1d --change prorate",
        )
        .unwrap();
        assert_eq!(made.line(), "PUT /v1/customers/acme/subscription");
        assert_eq!(
            made.document(),
            json!({"plan": "pro", "status": "past_due", "anchor": "2026-01-31T10:00:00Z",
                   "starts": null, "past_due_since": "2026-11-19T00:00:00Z",
                   "cancel_at": "2026-12-20T12:00:00Z", "grace": "7d",
                   "at": "2026-11-21T12:00:00Z", "change": "prorate"})
        );
        assert_eq!(call("set acme --grace none").unwrap().document(), json!({"grace": null}));
        assert!(call("set acme").unwrap_err().is::<WrongUsage>());
    }

    #[test]
    fn cancel_is_at_once_or_later() {
        let made = call("cancel acme").unwrap();
        assert_eq!(made.line(), "DELETE /v1/customers/acme/subscription");
        let made = call("cancel acme --at 2026-12-31").unwrap();
        assert_eq!(made.line(), "PUT /v1/customers/acme/subscription");
        assert_eq!(made.document(), json!({"cancel_at": "2026-12-31T00:00:00Z"}));
    }

    #[test]
    fn wrong_values_are_wrong_usage() {
        for line in [
            "set acme --status late",
            "set acme --plan pro --change magic",
            "set acme --at 2027-01-01",
            "set acme --anchor 30d",
            "set acme --grace soon",
            "cancel acme --at whenever",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn subscriptions_are_readable() {
        let whole = json!({
            "customer": "acme", "plan": "pro", "status": "past_due", "in_force": false,
            "code": "payment_overdue", "anchor": "2026-01-31T10:00:00Z", "starts": null,
            "trial_end": null, "past_due_since": "2026-11-01T00:00:00Z", "cancel_at": null,
            "period_start": null, "period_end": null, "pause_collection": true, "grace": "3d",
            "changed": {"rule": "carry", "at": "2026-10-01T00:00:00Z"},
            "next": {"plan": "team", "at": "2026-12-01T00:00:00Z", "rule": "prorate"},
        });
        let bare = json!({"customer": "b", "plan": "pro", "status": "active", "in_force": true,
                          "code": null, "changed": null, "next": null});
        let parts = [show::details(&whole), show::details(&bare)];
        insta::assert_snapshot!(parts.join("\n"));
    }
}
