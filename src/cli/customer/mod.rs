//! `faregate customer`: who may call, apart from who stands in the file.

mod show;

use std::io::{self, BufRead, IsTerminal, Write};

use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use serde_json::{Map, Value, json};

use crate::cli::{
    admin::{Call, Remote},
    input::{self, WrongUsage},
    limits::LimitChanges,
    list::{Extent, List},
    print::plain,
};

pub(super) use self::show::{kept_in, limits};

/// The commands about customers.
#[derive(Debug, Subcommand)]
pub(super) enum Customer {
    /// Make a customer
    #[command(after_help = "Examples:\n  \
        faregate customer create acme --name 'Acme Ltd' --plan pro\n  \
        faregate customer create acme --metadata crm=4711 --suspended\n  \
        faregate customer create acme --plan pro --spend-cap '50 USD'\n\n\
        Give it a key with `faregate key create acme`.")]
    Create(Create),
    /// List customers, those of the file too
    #[command(after_help = "Examples:\n  \
        faregate customer list --plan pro\n  \
        faregate customer list --all --json")]
    List(ListArguments),
    /// Show one customer
    #[command(after_help = "Example:\n  faregate customer show acme")]
    Show(One),
    /// Change the name, the metadata, the spend cap, or the limits that hold instead of the plan's
    #[command(after_help = "Examples:\n  \
        faregate customer set acme --quota limit=200000,window=month --rate 50/1s:100\n  \
        faregate customer set acme --no-quotas --no-rate        the plan's hold again\n  \
        faregate customer set acme --spend-cap '50 USD'")]
    Set(Set),
    /// Stop a customer: every call is answered 403 until `resume`
    #[command(after_help = "Example:\n  faregate customer suspend acme")]
    Suspend(One),
    /// Serve a suspended customer again
    #[command(after_help = "Example:\n  faregate customer resume acme")]
    Resume(One),
    /// Send a customer's events to a URL
    #[command(after_help = "Examples:\n  \
        faregate customer webhook acme --url https://acme.example/hooks\n  \
        faregate customer webhook acme --none")]
    Webhook(Webhook),
    /// Delete a customer; its keys stop working at once
    #[command(after_help = "Example:\n  faregate customer delete acme --yes")]
    Delete(Delete),
}

/// A command about one customer.
#[derive(Args, Debug)]
pub(super) struct One {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct Create {
    /// The customer's id: it stands in logs and is what the upstream is told
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// Subscribe it to this plan at once
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// The most that calls beyond its allowance may cost in one window, such as '50 USD'
    #[arg(long, value_name = "MONEY", value_parser = input::money)]
    spend_cap: Option<String>,
    /// Something of your own to keep with it; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = input::pair)]
    metadata: Vec<(String, String)>,
    /// Begin suspended: nothing is served until `customer resume`
    #[arg(long)]
    suspended: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct ListArguments {
    /// Only those who hold this plan
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// Only those whose id begins with this
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct Set {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    /// Another name for people; '' takes it away
    #[arg(long)]
    name: Option<String>,
    /// Something of your own to keep with it; `KEY=` takes it away; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = input::pair)]
    metadata: Vec<(String, String)>,
    #[command(flatten)]
    limits: LimitChanges,
    /// The most that calls beyond its allowance may cost in one window, such as '50 USD'
    #[arg(long, value_name = "MONEY", value_parser = input::money)]
    spend_cap: Option<String>,
    /// No spend cap any more
    #[arg(long, conflicts_with = "spend_cap")]
    no_spend_cap: bool,
    /// No quota at all, the plan's neither: what is used is not limited
    #[arg(long, conflicts_with_all = ["quota", "no_quotas"])]
    unlimited: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct Webhook {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    /// Where its events are sent; the secret that signs them is shown once
    #[arg(long, value_name = "URL", required_unless_present = "none", conflicts_with = "none")]
    url: Option<String>,
    /// Send none any more
    #[arg(long)]
    none: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct Delete {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Customer {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create(create) => create.remote.show(&create.call(), show::details),
            Self::List(list) => list.run(),
            Self::Show(One { id, remote }) => {
                remote.show(&Call::get(&["customers", &id]).about(&id), show::details)
            }
            Self::Set(set) => set.remote.show(&set.call()?, show::details),
            Self::Suspend(one) => one.suspended(true),
            Self::Resume(one) => one.suspended(false),
            Self::Webhook(webhook) => webhook.remote.show(&webhook.call(), show::webhook),
            Self::Delete(delete) => delete.run(),
        }
    }
}

/// Begins a change of a customer.
fn change(id: &str, fields: Value) -> Call {
    Call::patch(&["customers", id], fields).about(id)
}

impl One {
    fn suspended(&self, suspended: bool) -> anyhow::Result<()> {
        let call = change(&self.id, json!({"suspended": suspended}));
        let done = if suspended { "suspended: every call is answered 403" } else { "served again" };
        self.remote.show(&call, |_| format!("{} is {done}\n", plain(&self.id)))
    }
}

impl Create {
    fn call(&self) -> Call {
        let mut body = Map::new();
        body.insert("id".to_owned(), self.id.clone().into());
        if let Some(name) = &self.name {
            body.insert("name".to_owned(), name.clone().into());
        }
        if let Some(plan) = &self.plan {
            body.insert("subscription".to_owned(), json!({"plan": plan}));
        }
        if let Some(cap) = &self.spend_cap {
            body.insert("spend_cap".to_owned(), cap.clone().into());
        }
        if !self.metadata.is_empty() {
            let pairs =
                self.metadata.iter().map(|(name, text)| (name.clone(), text.clone().into()));
            body.insert("metadata".to_owned(), Value::Object(pairs.collect()));
        }
        if self.suspended {
            body.insert("suspended".to_owned(), true.into());
        }
        Call::post(&["customers"], body.into()).about(&self.id)
    }
}

impl ListArguments {
    fn run(self) -> anyhow::Result<()> {
        let Self { plan, prefix, extent, remote } = self;
        let call = Call::get(&["customers"])
            .query("plan", plan.as_deref())
            .query("prefix", prefix.as_deref());
        let list = List { call, cursor: "after", columns: show::COLUMNS, row: show::row };
        list.show(&remote, extent)
    }
}

impl Set {
    fn call(&self) -> anyhow::Result<Call> {
        let Self { id, name, metadata, limits, spend_cap, no_spend_cap, unlimited, remote: _ } =
            self;
        let mut body = Map::new();
        // As in the gateway's merge patch, null takes away.
        let text = |text: &String| if text.is_empty() { Value::Null } else { text.clone().into() };
        if let Some(name) = name {
            body.insert("name".to_owned(), text(name));
        }
        if !metadata.is_empty() {
            let pairs = metadata.iter().map(|(name, value)| (name.clone(), text(value)));
            body.insert("metadata".to_owned(), Value::Object(pairs.collect()));
        }
        limits.add_to(&mut body);
        if let Some(cap) = spend_cap {
            body.insert("spend_cap".to_owned(), cap.clone().into());
        }
        if *no_spend_cap {
            body.insert("spend_cap".to_owned(), Value::Null);
        }
        if *unlimited {
            body.insert("quotas".to_owned(), json!([]));
        }
        if body.is_empty() {
            let message =
                "there is nothing to change; give an option such as --name, --quota or --rate";
            return Err(WrongUsage(message.to_owned()).into());
        }
        Ok(change(id, body.into()))
    }
}

impl Webhook {
    fn call(&self) -> Call {
        let webhook = self.url.as_ref().map(|url| json!({"url": url}));
        change(&self.id, json!({"webhook": webhook}))
    }
}

impl Delete {
    fn run(self) -> anyhow::Result<()> {
        let Self { id, yes, remote } = self;
        if !yes && !is_confirmed(&id)? {
            anyhow::bail!("{} was not deleted", plain(&id));
        }
        let call = Call::delete(&["customers", &id]).about(&id);
        remote.show(&call, |_| format!("{} is deleted; its keys no longer work\n", plain(&id)))
    }
}

/// Asks at a terminal. Where nobody can answer, a deletion has to be asked for in full.
fn is_confirmed(id: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        let message = "nobody can be asked whether to delete it; give --yes";
        return Err(WrongUsage(message.to_owned()).into());
    }
    eprint!("Delete the customer {} and all its keys? [y/N] ", plain(id));
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests;
