//! `faregate credit`: money that customers are given.

use clap::{
    Args, Subcommand,
    builder::{NonEmptyStringValueParser, PossibleValuesParser},
};
use serde_json::{Map, Value};

use crate::cli::{
    admin::{Call, Remote, random_key},
    input::{self, When},
    list::{Extent, List},
    print::{cell, json_text, out, plain},
    table::{Side, block},
};

/// The commands about money.
#[derive(Debug, Subcommand)]
pub(super) enum Credit {
    /// Give money to a customer; what it owes is repaid first
    #[command(after_help = "Examples:\n  \
        faregate credit grant acme '25 USD'\n  \
        faregate credit grant acme 5 --currency EUR --expires 90d --source promotional\n\n\
        WHEN is an instant (2026-12-31T00:00:00Z), a date (its midnight in UTC) or a time from now \
        (30d).")]
    Grant(Grant),
    /// List what a customer was given, and what is left of it
    #[command(after_help = "Example:\n  faregate credit list acme")]
    List(Listing),
}

#[derive(Args, Debug)]
pub(super) struct Grant {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    customer: String,
    /// How much, with its currency or with --currency
    #[arg(value_name = "AMOUNT", value_parser = NonEmptyStringValueParser::new())]
    amount: String,
    /// The currency, three capital letters
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// When it is over; default: never
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    expires: Option<When>,
    /// When it begins; default: now
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    effective: Option<When>,
    /// Lower ones are drawn on first; default: 50 for a present, else 100
    #[arg(long, value_name = "0-255")]
    priority: Option<u8>,
    /// Where it comes from; default: paid
    #[arg(long, value_parser = PossibleValuesParser::new(["paid", "promotional"]))]
    source: Option<String>,
    /// What it is for; it is kept with it
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    note: Option<String>,
    /// A word of your own that names this grant: repeated with the same one within 24 hours it is made
    /// once; default: a random one
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    idempotency_key: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct Listing {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    customer: String,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    remote: Remote,
}

const COLUMNS: &[(&str, Side)] = &[
    ("id", Side::Left),
    ("amount", Side::Right),
    ("left", Side::Right),
    ("", Side::Left),
    ("priority", Side::Right),
    ("source", Side::Left),
    ("effective", Side::Left),
    ("expires", Side::Left),
];

impl Credit {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Grant(grant) => grant.run(),
            Self::List(Listing { customer, extent, remote }) => {
                let call = Call::get(&["customers", &customer, "credits"]).about(&customer);
                List { call, cursor: "after", columns: COLUMNS, row }.show(&remote, extent)
            }
        }
    }
}

impl Grant {
    fn run(self) -> anyhow::Result<()> {
        let key = self.idempotency_key.clone().map_or_else(random_key, Ok)?;
        let call = self.call()?.idempotency_key(key.clone());
        let made = self.remote.admin.client()?.json(&call);
        let made = made.map_err(|error| error.about_repeating(&key))?;
        out(&if self.remote.json { json_text(&made) } else { details(&made) })
    }

    fn call(&self) -> anyhow::Result<Call> {
        let now = input::now();
        let when = |when: Option<When>| when.map(|when| when.resolve(now)).transpose();
        let mut body = Map::new();
        body.insert("amount".to_owned(), self.amount.clone().into());
        let texts = [
            ("currency", self.currency.clone()),
            ("expires", when(self.expires)?.map(|at| at.to_string())),
            ("effective", when(self.effective)?.map(|at| at.to_string())),
            ("source", self.source.clone()),
            ("note", self.note.clone()),
        ];
        let given =
            texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
        body.extend(given);
        body.extend(self.priority.map(|priority| ("priority".to_owned(), priority.into())));
        let call = Call::post(&["customers", &self.customer, "credits"], Value::Object(body));
        Ok(call.about(&self.customer))
    }
}

fn row(grant: &Value) -> Vec<String> {
    let get = |field: &str| grant.get(field).unwrap_or(&Value::Null);
    let mut row: Vec<String> =
        ["id", "amount", "remaining", "currency", "priority", "source", "effective"]
            .iter()
            .map(|field| cell(get(field)))
            .collect();
    row.push(get("expires").as_str().map_or_else(|| "never".to_owned(), plain));
    row
}

fn details(made: &Value) -> String {
    let money = |field: &str| format!("{} {}", cell(&made[field]), cell(&made["currency"]));
    block(&[
        ("grant", cell(&made["id"])),
        ("customer", cell(&made["customer"])),
        ("amount", money("amount")),
        ("left", money("remaining")),
        ("priority", cell(&made["priority"])),
        ("source", cell(&made["source"])),
        ("effective", cell(&made["effective"])),
        ("expires", made["expires"].as_str().map_or_else(|| "never".to_owned(), plain)),
        ("note", cell(&made["note"])),
        ("by", cell(&made["actor"])),
    ])
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::cli::table::Table;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        credit: Credit,
    }

    fn body(words: &[&str]) -> Value {
        let words = ["x", "grant"].iter().chain(words);
        let Credit::Grant(grant) = Line::try_parse_from(words).unwrap().credit else {
            panic!("a grant")
        };
        let call = grant.call().unwrap();
        assert_eq!(call.line(), "POST /v1/customers/acme/credits");
        call.document().clone()
    }

    #[test]
    fn a_grant_is_sent_as_it_is_given() {
        assert_eq!(body(&["acme", "5 USD"]), json!({"amount": "5 USD"}));
        let words = [
            "acme",
            "5",
            "--currency",
            "EUR",
            "--expires",
            "2027-01-01",
            "--priority",
            "7",
            "--source",
            "promotional",
            "--note",
            "welcome",
        ];
        let expected = json!({"amount": "5", "currency": "EUR", "expires": "2027-01-01T00:00:00Z",
            "priority": 7, "source": "promotional", "note": "welcome"});
        assert_eq!(body(&words), expected);
    }

    #[test]
    fn grants_are_readable() {
        let grant = json!({
            "id": "grant_1", "customer": "acme", "amount": "25.000000000", "currency": "USD",
            "remaining": "24.998000000", "priority": 100, "source": "paid",
            "effective": "2026-11-20T00:00:00Z", "expires": null, "note": null, "actor": "maria",
        });
        let mut table = Table::new(COLUMNS);
        table.row(row(&grant));
        insta::assert_snapshot!(format!("{}\n{}", table.page(), details(&grant)));
    }
}
