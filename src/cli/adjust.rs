//! `faregate adjust`: a correction of what a customer has used.

use clap::{Args, builder::NonEmptyStringValueParser};
use serde_json::{Value, json};

use crate::cli::{
    admin::{Call, CallError, Remote, random_key},
    input::{self, WrongUsage},
    print::{cell, json_text, out, plain},
    table::block,
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    faregate adjust acme --quota monthly +500 --reason 'our outage of 20 November'\n  \
    faregate adjust acme --quota monthly -20 --reason 'batch that was not counted'")]
pub(super) struct Adjust {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    customer: String,
    /// +N gives N units back to the customer, -N charges N more
    #[arg(
        value_name = "+N|-N",
        value_parser = input::correction,
        allow_negative_numbers = true,
        allow_hyphen_values = true
    )]
    amount: i64,
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
    /// Prepaid credits are not there yet; without this the refusal would read like a typing error.
    #[arg(long, hide = true)]
    credit: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Adjust {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let key = self.idempotency_key.clone().map_or_else(random_key, Ok)?;
        let call = self.call()?.idempotency_key(key.clone());
        let made = self.remote.admin.client()?.json(&call).map_err(|error| {
            let is_known = matches!(error, CallError::Refused(_) | CallError::Unreachable { .. });
            let error = anyhow::Error::from(error);
            if is_known {
                return error;
            }
            // It may have been made or not; repeated under its key it is made once.
            error.context(format!(
                "whether it was made is not known; give the same command once more with \
                 --idempotency-key {}",
                plain(&key)
            ))
        })?;
        out(&if self.remote.json { json_text(&made) } else { details(&made) })
    }

    fn call(&self) -> anyhow::Result<Call> {
        let (false, Some(quota)) = (self.credit, &self.quota) else {
            let message = "--credit is not available in this version; correct a quota with --quota";
            return Err(WrongUsage(message.to_owned()).into());
        };
        let mut body = json!({"quota": quota, "amount": self.amount, "reason": self.reason});
        if let (Some(scope), Some(fields)) = (&self.scope, body.as_object_mut()) {
            fields.insert("scope".to_owned(), scope.clone().into());
        }
        let call = Call::post(&["customers", &self.customer, "adjustments"], body);
        Ok(call.about(&self.customer))
    }
}

#[expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not have")]
fn details(made: &Value) -> String {
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
        let error =
            parse(&["acme", "--credit", "+5", "--reason", "x"]).unwrap().call().unwrap_err();
        assert!(error.is::<WrongUsage>());
        assert!(error.to_string().contains("not available in this version"), "{error}");
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
