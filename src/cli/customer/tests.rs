//! The calls that the commands make, and what is shown of the answers.

use clap::Parser;

use super::*;
use crate::cli::table::Table;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    customer: Customer,
}

fn parse(line: &str) -> Customer {
    Line::try_parse_from(["x"].into_iter().chain(line.split(' '))).unwrap().customer
}

#[test]
fn create_sends_what_was_given() {
    let Customer::Create(create) =
        parse("create acme --name Acme --plan pro --metadata a=1 --metadata b=x=y --suspended")
    else {
        unreachable!()
    };
    assert_eq!(create.call().line(), "POST /v1/customers");
    assert_eq!(
        create.call().document(),
        json!({"id": "acme", "name": "Acme", "subscription": {"plan": "pro"},
               "metadata": {"a": "1", "b": "x=y"}, "suspended": true})
    );
    let words = ["x", "create", "acme", "--spend-cap", "50 USD"];
    let Customer::Create(create) = Line::try_parse_from(words).unwrap().customer else {
        unreachable!()
    };
    assert_eq!(create.call().document(), json!({"id": "acme", "spend_cap": "50 USD"}));
    assert!(Line::try_parse_from(["x", "create", "acme", "--spend-cap", "50"]).is_err());
    let Customer::Create(create) = parse("create acme") else { unreachable!() };
    assert_eq!(create.call().document(), json!({"id": "acme"}));
}

fn set(line: &str) -> anyhow::Result<Call> {
    let Customer::Set(set) = parse(line) else { unreachable!() };
    set.call()
}

#[test]
fn set_changes_what_is_named_and_nothing_else() {
    let call = set(
        "set a/c --quota limit=5,window=day --quota name=m,limit=9,window=month --rate 50/1s:100 \
         --concurrency 3",
    )
    .unwrap();
    assert_eq!(call.line(), "PATCH /v1/customers/a%2Fc");
    assert_eq!(
        call.document(),
        json!({
            "quotas": [{"name": "day", "limit": 5, "window": "day"},
                       {"name": "m", "limit": 9, "window": "month"}],
            "rate": {"limit": 50, "window": "1s", "burst": 100},
            "concurrency": 3,
        })
    );
    let call =
        set("set acme --no-quotas --no-rate --no-concurrency --name= --metadata a=").unwrap();
    assert_eq!(
        call.document(),
        json!({"quotas": null, "rate": null, "concurrency": null, "name": null,
               "metadata": {"a": null}})
    );
    assert_eq!(set("set acme --no-spend-cap").unwrap().document(), json!({"spend_cap": null}));
    assert_eq!(set("set acme --unlimited").unwrap().document(), json!({"quotas": []}));
    let error = set("set acme").unwrap_err();
    assert!(error.is::<WrongUsage>(), "{error}");
}

#[test]
fn contradictions_are_wrong_usage() {
    for line in [
        "set acme --rate 1/1s --no-rate",
        "set acme --unlimited --no-quotas",
        "set acme --spend-cap 1 --no-spend-cap",
        "set acme --quota limit=1,window=day --unlimited",
        "set acme --concurrency 0",
        "webhook acme",
        "webhook acme --url http://x --none",
        "list --limit 5 --all",
        "list --limit 0",
        "show",
    ] {
        let parsed = Line::try_parse_from(["x"].into_iter().chain(line.split(' ')));
        assert!(parsed.is_err(), "{line}");
    }
    assert!(Line::try_parse_from(["x", "show", ""]).is_err());
}

#[test]
fn webhook_is_set_and_taken_away() {
    let Customer::Webhook(webhook) = parse("webhook acme --url https://a.example/h") else {
        unreachable!()
    };
    assert_eq!(webhook.call().document(), json!({"webhook": {"url": "https://a.example/h"}}));
    let Customer::Webhook(webhook) = parse("webhook acme --none") else { unreachable!() };
    assert_eq!(webhook.call().document(), json!({"webhook": null}));
}

#[test]
fn customers_are_readable() {
    let customer = json!({
        "id": "acme", "name": "Acme \u{1b}[2J", "metadata": {"crm": "4711"}, "suspended": false,
        "declared_in_file": false,
        "quotas": [{"name": "monthly", "limit": 5, "window": "month"}],
        "rate": {"limit": 50, "window": "1s", "burst": 100}, "concurrency": 3,
        "webhook": {"url": "https://a.example/h", "disabled": "410 Gone", "secret": "whsec_x"},
        "applications": ["ci", "web"],
        "subscription": {"plan": "pro", "status": "active"},
        "created_at": "2026-11-20T00:00:00Z", "updated_at": "2026-11-21T00:00:00Z",
    });
    let bare = json!({"id": "declared", "name": null, "metadata": {}, "suspended": true,
                      "declared_in_file": true, "quotas": [], "subscription": null});
    let mut table = Table::new(show::COLUMNS);
    table.row(show::row(&customer));
    table.row(show::row(&bare));
    let parts = [
        table.page(),
        show::details(&customer),
        show::details(&bare),
        show::webhook(&customer),
        show::webhook(&bare),
    ];
    insta::assert_snapshot!(parts.join("\n"));
}
