//! `faregate application`: a customer's programs, with limits that come in addition to its own.

use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use serde_json::{Map, Value};

use crate::cli::{
    admin::{Call, Remote},
    customer,
    limits::GivenLimits,
    list::{Extent, List},
    print::{cell, plain},
    table::{Side, block},
};

/// The commands about applications.
#[derive(Debug, Subcommand)]
pub(super) enum Application {
    /// Make an application, or replace all its limits
    #[command(after_help = "Examples:\n  \
        faregate application set acme mobile --quota name=mobile-daily,limit=500,window=day\n  \
        faregate application set acme mobile                    without limits of its own\n\n\
        A key belongs to it by `faregate key create acme --application mobile`.")]
    Set(Set),
    /// List a customer's applications
    #[command(after_help = "Example:\n  faregate application list acme")]
    List(ListArguments),
    /// Show one application
    #[command(after_help = "Example:\n  faregate application show acme mobile")]
    Show(One),
    /// Remove an application that no key in use belongs to
    #[command(after_help = "Example:\n  faregate application delete acme mobile")]
    Delete(One),
}

/// A command about one application.
#[derive(Args, Debug)]
pub(super) struct One {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    customer: String,
    /// The application's name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    name: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct Set {
    #[command(flatten)]
    limits: GivenLimits,
    #[command(flatten)]
    one: One,
}

#[derive(Args, Debug)]
pub(super) struct ListArguments {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    customer: String,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    remote: Remote,
}

const COLUMNS: &[(&str, Side)] =
    &[("application", Side::Left), ("limits", Side::Left), ("kept in", Side::Left)];

impl Application {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Set(set) => set.one.remote.show(&set.call(), details),
            Self::List(ListArguments { customer, extent, remote }) => {
                let call = Call::get(&["customers", &customer, "applications"]).about(&customer);
                List { call, cursor: "after", columns: COLUMNS, row }.show(&remote, extent)
            }
            Self::Show(one) => one.remote.show(&Call::get(&one.path()).about(&one.name), details),
            Self::Delete(one) => {
                let done = |_: &Value| format!("{} is gone\n", plain(&one.name));
                one.remote.show(&Call::delete(&one.path()).about(&one.name), done)
            }
        }
    }
}

impl One {
    fn path(&self) -> [&str; 4] {
        ["customers", &self.customer, "applications", &self.name]
    }
}

impl Set {
    fn call(&self) -> Call {
        let mut body = Map::new();
        self.limits.add_to(&mut body);
        Call::put(&self.one.path(), body.into()).about(&self.one.name)
    }
}

fn row(application: &Value) -> Vec<String> {
    let limits = customer::limits(application);
    let limits: Vec<String> =
        limits.into_iter().map(|(name, text)| format!("{name} {text}")).collect();
    let limits = if limits.is_empty() { "-".to_owned() } else { limits.join("; ") };
    let name = application.get("name").map_or_else(String::new, cell);
    vec![name, limits, customer::kept_in(application)]
}

fn details(application: &Value) -> String {
    let text = |name: &str| application.get(name).map_or_else(|| "-".to_owned(), cell);
    let mut all = vec![("application", text("name")), ("customer", text("customer"))];
    all.extend(customer::limits(application));
    all.push(("kept in", customer::kept_in(application)));
    all.push(("created", text("created_at")));
    block(&all)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::cli::table::Table;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        application: Application,
    }

    fn call(line: &str) -> Call {
        let line = Line::try_parse_from(["x"].into_iter().chain(line.split(' '))).unwrap();
        let Application::Set(set) = line.application else { unreachable!() };
        set.call()
    }

    #[test]
    fn set_replaces_all_limits() {
        let line = "set acme mobile --quota limit=5,window=day --rate 2/1s --concurrency 3";
        assert_eq!(call(line).line(), "PUT /v1/customers/acme/applications/mobile");
        let quotas = json!([{"name": "day", "limit": 5, "window": "day"}]);
        let rate = json!({"limit": 2, "window": "1s"});
        let expected = json!({"quotas": quotas, "rate": rate, "concurrency": 3});
        assert_eq!(call(line).document(), expected);
        assert_eq!(call("set acme mobile").document(), json!({}));
    }

    #[test]
    fn applications_are_readable() {
        let limited = json!({
            "customer": "acme", "name": "mobile", "declared_in_file": false,
            "quotas": [{"name": "mobile-daily", "limit": 500, "window": "day"}],
            "rate": {"limit": 5, "window": "1s", "burst": 9}, "concurrency": 2,
            "created_at": "2026-11-20T00:00:00Z",
        });
        let plain = json!({"customer": "acme", "name": "web", "declared_in_file": true});
        let mut table = Table::new(COLUMNS);
        table.row(row(&limited));
        table.row(row(&plain));
        insta::assert_snapshot!([table.page(), details(&limited)].join("\n--\n"));
    }
}
