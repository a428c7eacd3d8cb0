//! `faregate adjust`: a correction of what a customer has used.

use clap::{Args, builder::NonEmptyStringValueParser};
use serde_json::{Value, json};

use crate::cli::{
    admin::{Call, Remote, random_key},
    input::{self, WrongUsage},
    print::{cell, json_text, out, plain},
    table::block,
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    faregate adjust acme --quota monthly +500 --reason 'our outage of 20 November'\n  \
    faregate adjust acme --quota monthly -20 --reason 'batch that was not counted'\n  \
    faregate adjust acme --credit +2.50 --reason 'a call that went wrong'\n  \
    faregate adjust acme --credit=EUR -10 --reason 'paid back'")]
pub(super) struct Adjust {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    customer: String,
    /// +N gives N units back to the customer, or with --credit so much money; -N charges N more
    #[arg(
        value_name = "+N|-N",
        value_parser = input::correction,
        allow_negative_numbers = true,
        allow_hyphen_values = true
    )]
    amount: String,
    /// The quota, as `faregate usage` names it; its current window is corrected
    #[arg(long, value_name = "NAME", required_unless_present = "credit")]
    quota: Option<String>,
    /// Whose account of that quota; default: the customer's own
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// Why; it is kept with the correction
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    reason: String,
    /// A word of your own that names this correction: repeated with the same one within 24 hours it
    /// is made once; default: a random one
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    idempotency_key: Option<String>,
    /// Correct money; the currency may be left out where the customer has but one
    #[arg(
        long,
        value_name = "CURRENCY",
        num_args = 0..=1,
        require_equals = true,
        conflicts_with_all = ["quota", "scope"]
    )]
    credit: Option<Option<String>>,
    #[command(flatten)]
    remote: Remote,
}

impl Adjust {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let key = self.idempotency_key.clone().map_or_else(random_key, Ok)?;
        let call = self.call()?.idempotency_key(key.clone());
        let made = self.remote.admin.client()?.json(&call);
        let made = made.map_err(|error| error.about_repeating(&key))?;
        out(&if self.remote.json { json_text(&made) } else { details(&made) })
    }

    fn call(&self) -> anyhow::Result<Call> {
        let mut body = json!({"reason": self.reason});
        let fields = [
            ("quota", self.quota.clone().map(Value::from)),
            ("scope", self.scope.clone().map(Value::from)),
            ("credit", self.credit.clone().map(|code| code.map_or(true.into(), Value::from))),
            ("amount", Some(self.amount()?)),
        ];
        if let Some(body) = body.as_object_mut() {
            body.extend(fields.into_iter().filter_map(|(name, value)| Some((name.into(), value?))));
        }
        let call = Call::post(&["customers", &self.customer, "adjustments"], body);
        Ok(call.about(&self.customer))
    }

    /// Reads the amount: money with decimals, units without.
    fn amount(&self) -> anyhow::Result<Value> {
        match (&self.credit, self.amount.parse::<i64>()) {
            (Some(_), _) => Ok(self.amount.clone().into()),
            (None, Ok(units)) => Ok(units.into()),
            (None, Err(_)) => {
                let message = "units are whole numbers; money is corrected with --credit";
                Err(WrongUsage(message.to_owned()).into())
            }
        }
    }
}

/// Shows the correction of a quota or of money.
#[expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not have")]
fn details(made: &Value) -> String {
    if made["credit"].is_string() {
        let money = |field: &str| format!("{} {}", cell(&made[field]), cell(&made["credit"]));
        return block(&[
            ("adjustment", cell(&made["id"])),
            ("customer", cell(&made["customer"])),
            ("amount", money("amount")),
            ("balance now", money("balance")),
            ("reason", cell(&made["reason"])),
            ("by", cell(&made["actor"])),
            ("at", cell(&made["at"])),
        ]);
    }
    let amount = match made["amount"].as_i64() {
        Some(amount) if amount < 0 => format!("{} units charged", amount.unsigned_abs()),
        Some(amount) => format!("{amount} units given back"),
        None => cell(&made["amount"]),
    };
    let ends = made["window"]["end"].as_str().map_or_else(|| "never".to_owned(), plain);
    block(&[
        ("adjustment", cell(&made["id"])),
        ("customer", cell(&made["customer"])),
        ("scope", cell(&made["scope"])),
        ("quota", cell(&made["quota"])),
        ("window ends", ends),
        ("amount", amount),
        ("used now", cell(&made["used"])),
        ("reason", cell(&made["reason"])),
        ("by", cell(&made["actor"])),
        ("at", cell(&made["at"])),
    ])
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::admin::scripted::{Scripted, answer, raw};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        adjust: Adjust,
    }

    fn parse(words: &[&str]) -> Result<Adjust, clap::Error> {
        Ok(Line::try_parse_from(["x"].iter().chain(words))?.adjust)
    }

    #[test]
    fn both_directions_are_read() {
        for words in [
            ["acme", "-5", "--quota", "monthly", "--reason", "why"],
            ["acme", "--quota", "monthly", "-5", "--reason", "why"],
            ["--quota", "monthly", "--reason", "why", "acme", "-5"],
        ] {
            let call = parse(&words).unwrap().call().unwrap();
            assert_eq!(call.line(), "POST /v1/customers/acme/adjustments");
            let body = json!({"quota": "monthly", "amount": -5, "reason": "why"});
            assert_eq!(call.document(), body);
        }
        let words = ["acme", "+5", "--quota", "m", "--scope", "application/x", "--reason", "why"];
        let body = json!({"quota": "m", "amount": 5, "reason": "why", "scope": "application/x"});
        assert_eq!(parse(&words).unwrap().call().unwrap().document(), body);
    }

    #[test]
    fn what_is_missing_is_wrong_usage() {
        for words in [
            &["acme", "5", "--quota", "m", "--reason", "why"][..],
            &["acme", "-x", "--quota", "m", "--reason", "why"],
            &["acme", "+5", "--reason", "why"],
            &["acme", "+5", "--quota", "m"],
            &["acme", "+5", "--quota", "m", "--reason", ""],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        let words = ["acme", "+2.5", "--quota", "m", "--reason", "x"];
        let error = parse(&words).unwrap().call().unwrap_err();
        assert!(error.is::<WrongUsage>(), "{error}");
    }

    #[test]
    fn money_is_corrected_by_its_currency_or_the_only_one() {
        let sent = |words: &[&str]| parse(words).unwrap().call().unwrap().document().clone();
        let words = ["acme", "--credit", "+2.50", "--reason", "why"];
        let body = json!({"credit": true, "amount": "+2.50", "reason": "why"});
        assert_eq!(sent(&words), body);
        let words = ["acme", "-10", "--credit=EUR", "--reason", "why"];
        let body = json!({"credit": "EUR", "amount": "-10", "reason": "why"});
        assert_eq!(sent(&words), body);
    }

    fn run(step: crate::cli::admin::scripted::Step, json: bool) -> (anyhow::Result<()>, String) {
        let directory = tempfile::tempdir().unwrap();
        let server = Scripted::start(vec![step]);
        let mut adjust = parse(&["acme", "+5", "--quota", "m", "--reason", "why"]).unwrap();
        adjust.remote = Remote { json, admin: server.admin(directory.path()) };
        let done = adjust.run();
        (done, server.read().remove(0))
    }

    #[test]
    fn lost_answer_says_how_to_repeat() {
        let (done, request) = run(raw(""), false);
        let key = request.split("idempotency-key: ").nth(1).unwrap().lines().next().unwrap();
        assert_eq!(key.len(), 32);
        let told = done.unwrap_err().to_string();
        assert!(told.contains(&format!("--idempotency-key {key}")), "{told}");

        let refused = json!({"code": "customer_not_found", "detail": "There is no customer."});
        let (done, _) = run(answer("404 Not Found", &refused), false);
        assert_eq!(done.unwrap_err().to_string(), "acme: There is no customer");
    }

    #[test]
    fn adjustment_is_readable() {
        let made = json!({
            "id": "adj_1", "customer": "acme", "scope": "customer", "quota": "monthly",
            "window": {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"},
            "amount": -5, "used": 105, "reason": "why", "actor": "maria",
            "at": "2026-11-20T00:00:00Z",
        });
        insta::assert_snapshot!(details(&made));
    }
}
