//! `faregate key`: makes keys, here for a file or at a running gateway, and looks after them.

mod new;
mod show;

use clap::{Args, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};
use serde_json::{Map, Value, json};

use crate::{
    cli::{
        admin::{Call, Remote, random_key},
        input::{self, When, WrongUsage},
        limits::{GivenLimits, LimitChanges},
        list::{Extent, List},
        print::plain,
    },
    model::KeyDigest,
};

/// The commands about keys.
#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Make a key for a customer; its secret is shown this once
    #[command(after_help = "Examples:\n  \
        faregate key create acme --name ci --scope read --scope write --expires 90d\n  \
        faregate key create acme --env test --allow-from 203.0.113.0/24\n  \
        faregate key create acme --digest sha256:33fe…          a key that was made elsewhere")]
    Create(Create),
    /// List a customer's keys, also those that no longer work
    #[command(after_help = "Example:\n  faregate key list acme")]
    List(ListArguments),
    /// Show one key, without its secret, which the gateway does not know
    #[command(after_help = "Example:\n  faregate key show key_1f2e3d")]
    Show(One),
    /// Change what a key may do, until when, and its limits, which come in addition to the customer's
    #[command(after_help = "Examples:\n  \
        faregate key set key_1f2e3d --scope read --expires 90d\n  \
        faregate key set key_1f2e3d --quota name=key-daily,limit=100,window=day --no-rate")]
    Set(Set),
    /// Make a successor; the old key works until the grace is over
    #[command(after_help = "Examples:\n  \
        faregate key rotate key_1f2e3d                the old one works for another 24 hours\n  \
        faregate key rotate key_1f2e3d --grace 0s     it stops at once")]
    Rotate(Rotate),
    /// Take a key back for good, at once: calls with it are answered 401
    #[command(after_help = "Example:\n  faregate key revoke key_1f2e3d")]
    Revoke(One),
    /// Switch a key off until `enable`: calls with it are answered 403
    #[command(after_help = "Example:\n  faregate key disable key_1f2e3d")]
    Disable(One),
    /// Switch a key on again
    #[command(after_help = "Example:\n  faregate key enable key_1f2e3d")]
    Enable(One),
    /// Make a key and its digest for a configuration file; nothing is stored and nobody is asked
    #[command(after_help = "Example:\n  faregate key new --env test")]
    New(new::New),
}

/// For what a key is.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Env {
    /// fg_live_…: for real use
    Live,
    /// fg_test_…: for trying out
    Test,
}

/// A command about one key.
#[derive(Args, Debug)]
pub(super) struct One {
    /// The key's id, as `key list` shows it
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct Create {
    /// The id of the customer whose key it is
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    customer: String,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// What it may do, as routes ask for it; repeatable; without any it has none
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// When it stops working: an instant, a date (midnight UTC), or 30d from now; default: never
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    expires: Option<When>,
    /// For what it is; default: live
    #[arg(long, value_enum, conflicts_with = "digest")]
    env: Option<Env>,
    /// The application of the customer that it belongs to
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
    /// A network that it may be used from; repeatable; default: any
    #[arg(long, value_name = "NET", value_parser = input::network)]
    allow_from: Vec<String>,
    /// The id by which logs and the upstream know it; default: a new one
    #[arg(long)]
    id: Option<String>,
    /// The digest of a key that exists; no secret is made then
    #[arg(long, value_name = "sha256:HEX")]
    digest: Option<KeyDigest>,
    #[command(flatten)]
    limits: GivenLimits,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(super) struct Set {
    /// The key's id, as `key list` shows it
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    /// Another name for people; '' takes it away
    #[arg(long)]
    name: Option<String>,
    /// What it may do from now on; repeatable; replaces what it could; '' for nothing
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// When it stops working: an instant, a date (midnight UTC), or 30d from now
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    expires: Option<When>,
    /// It does not stop working by itself
    #[arg(long, conflicts_with = "expires")]
    no_expiry: bool,
    /// A network that it may be used from; repeatable; replaces those before
    #[arg(long, value_name = "NET", value_parser = input::network)]
    allow_from: Vec<String>,
    /// It may be used from anywhere
    #[arg(long, conflicts_with = "allow_from")]
    from_anywhere: bool,
    #[command(flatten)]
    limits: LimitChanges,
    #[command(flatten)]
    remote: Remote,
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

#[derive(Args, Debug)]
pub(super) struct Rotate {
    /// The id of the key to replace
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    /// How long the old key still works, such as 30m, 24h or 7d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = input::duration)]
    grace: String,
    #[command(flatten)]
    remote: Remote,
}

impl Key {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create(create) => create.remote.show(&create.call()?, show::made),
            Self::List(ListArguments { customer, extent, remote }) => {
                let call = Call::get(&["customers", &customer, "keys"]).about(&customer);
                let list = List { call, cursor: "after", columns: show::COLUMNS, row: show::row };
                list.show(&remote, extent)
            }
            Self::Show(One { id, remote }) => {
                remote.show(&Call::get(&["keys", &id]).about(&id), show::details)
            }
            Self::Set(set) => set.remote.show(&set.call()?, show::details),
            Self::Rotate(rotate) => {
                let made = |key: &Value| show::successor(&rotate.id, &rotate.grace, key);
                rotate.remote.show(&rotate.call()?, made)
            }
            Self::Revoke(One { id, remote }) => {
                let call = Call::delete(&["keys", &id]).about(&id);
                let done = |_: &Value| format!("{} is revoked: it works no longer\n", plain(&id));
                remote.show(&call, done)
            }
            Self::Disable(one) => {
                one.status("disabled", "disabled: calls with it are answered 403")
            }
            Self::Enable(one) => one.status("active", "active"),
            Self::New(new) => new.run(),
        }
    }
}

impl One {
    fn status(&self, status: &str, done: &str) -> anyhow::Result<()> {
        let call = Call::patch(&["keys", &self.id], json!({"status": status})).about(&self.id);
        self.remote.show(&call, |_| format!("{} is {done}\n", plain(&self.id)))
    }
}

impl Create {
    fn call(&self) -> anyhow::Result<Call> {
        let Self {
            customer,
            name,
            scope,
            expires,
            env,
            application,
            allow_from,
            id,
            digest,
            limits,
            remote: _,
        } = self;
        let expires = expires.map(|when| when.resolve(input::now())).transpose()?;
        let env = env.map(|env| match env {
            Env::Live => "live",
            Env::Test => "test",
        });
        let list = |items: &[String]| (!items.is_empty()).then(|| items.into());
        let given: [(&str, Option<Value>); 8] = [
            ("name", name.clone().map(Value::from)),
            ("scopes", list(scope)),
            ("expires", expires.map(|at| at.to_string().into())),
            ("env", env.map(Value::from)),
            ("application", application.clone().map(Value::from)),
            ("allow_from", list(allow_from)),
            ("id", id.clone().map(Value::from)),
            ("digest", digest.map(|digest| digest.to_string().into())),
        ];
        let mut body: Map<String, Value> =
            given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        limits.add_to(&mut body);
        let call = Call::post(&["customers", customer, "keys"], body.into()).about(customer);
        Ok(call.idempotency_key(random_key()?))
    }
}

impl Set {
    fn call(&self) -> anyhow::Result<Call> {
        let Self {
            id,
            name,
            scope,
            expires,
            no_expiry,
            allow_from,
            from_anywhere,
            limits,
            remote: _,
        } = self;
        let mut body = Map::new();
        let mut set = |field: &str, value: Value| body.insert(field.to_owned(), value);
        if let Some(name) = name {
            // As in the gateway's merge patch, null takes away.
            set("name", if name.is_empty() { Value::Null } else { name.clone().into() });
        }
        if !scope.is_empty() {
            let scopes: Vec<_> = scope.iter().filter(|scope| !scope.is_empty()).cloned().collect();
            set("scopes", scopes.into());
        }
        if let Some(when) = expires {
            set("expires", when.resolve(input::now())?.to_string().into());
        }
        if *no_expiry {
            set("expires", Value::Null);
        }
        if *from_anywhere || !allow_from.is_empty() {
            set("allow_from", if *from_anywhere { Value::Null } else { allow_from.clone().into() });
        }
        limits.add_to(&mut body);
        if body.is_empty() {
            let message = "there is nothing to change; give an option such as --scope or --expires";
            return Err(WrongUsage(message.to_owned()).into());
        }
        Ok(Call::patch(&["keys", id], body.into()).about(id))
    }
}

impl Rotate {
    fn call(&self) -> anyhow::Result<Call> {
        let call = Call::post(&["keys", &self.id, "rotate"], json!({"grace": self.grace}));
        Ok(call.about(&self.id).idempotency_key(random_key()?))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::table::Table;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        key: Key,
    }

    fn parse(line: &str) -> Result<Key, clap::Error> {
        Ok(Line::try_parse_from(["x"].into_iter().chain(line.split(' ')))?.key)
    }

    #[test]
    fn create_sends_what_was_given() {
        let line = "create acme --name ci --scope read --scope write --expires 2027-01-01 \
                    --env test --application web --allow-from 203.0.113.7 --id k1";
        let Key::Create(create) = parse(line).unwrap() else { unreachable!() };
        let call = create.call().unwrap();
        assert_eq!(call.line(), "POST /v1/customers/acme/keys");
        assert_eq!(
            call.document(),
            json!({"name": "ci", "scopes": ["read", "write"], "expires": "2027-01-01T00:00:00Z",
                   "env": "test", "application": "web", "allow_from": ["203.0.113.7/32"],
                   "id": "k1"})
        );
        let Key::Create(create) = parse("create acme").unwrap() else { unreachable!() };
        assert_eq!(create.call().unwrap().document(), json!({}));
        let digest = KeyDigest::of(b"k1").to_string();
        let Key::Create(create) = parse(&format!("create acme --digest {digest}")).unwrap() else {
            unreachable!()
        };
        assert_eq!(create.call().unwrap().document(), json!({"digest": digest}));
    }

    #[test]
    fn set_sends_what_was_given() {
        let body = |line: &str| {
            let Key::Set(set) = parse(line).unwrap() else { unreachable!() };
            assert_eq!(set.call().unwrap().line(), "PATCH /v1/keys/k1");
            set.call().unwrap().document()
        };
        let line = "set k1 --name ci --scope read --expires 2027-01-01 --allow-from 203.0.113.7 \
                    --quota limit=5,window=day --no-rate";
        let quotas = json!([{"name": "day", "limit": 5, "window": "day"}]);
        let expected = json!({"name": "ci", "scopes": ["read"], "quotas": quotas, "rate": null,
            "expires": "2027-01-01T00:00:00Z", "allow_from": ["203.0.113.7/32"]});
        assert_eq!(body(line), expected);
        let away = body("set k1 --name= --scope= --no-expiry --from-anywhere --no-quotas");
        let expected = json!({"name": null, "scopes": [], "expires": null, "allow_from": null,
            "quotas": null});
        assert_eq!(away, expected);
        let Key::Set(set) = parse("set k1").unwrap() else { unreachable!() };
        assert!(set.call().is_err_and(|error| error.is::<WrongUsage>()));
    }

    #[test]
    fn wrong_values_are_wrong_usage() {
        for line in [
            "create",
            "create acme --expires soon",
            "create acme --env prod",
            "create acme --allow-from example.com",
            "create acme --digest fg_live_x",
            "rotate k1 --grace 5",
            "show",
            "set k1 --quota limit=1,window=day --no-quotas",
            "set k1 --expires 1d --no-expiry",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn rotation_has_a_day_of_grace() {
        let Key::Rotate(rotate) = parse("rotate k1").unwrap() else { unreachable!() };
        assert_eq!(rotate.call().unwrap().line(), "POST /v1/keys/k1/rotate");
        assert_eq!(rotate.call().unwrap().document(), json!({"grace": "24h"}));
    }

    #[test]
    fn keys_are_readable() {
        let key = json!({
            "id": "key_1", "customer": "acme", "application": "web", "name": "ci",
            "hint": "fg_live_…x7Qp", "env": "live", "scopes": ["read", "write"],
            "allow_from": ["203.0.113.0/24"], "expires": "2027-01-01T00:00:00Z",
            "status": "active", "revoked_at": null, "replaced_by": null, "quotas": null,
            "rate": {"limit": 5, "window": "1s"}, "concurrency": null, "declared_in_file": false,
            "created_at": "2026-11-20T00:00:00Z", "last_used": null, "secret": "fg_live_secret",
        });
        let imported = json!({
            "id": "key_2", "customer": "acme", "scopes": [], "allow_from": [], "status": "revoked",
            "revoked_at": "2026-11-21T00:00:00Z", "replaced_by": "key_1", "declared_in_file": true,
        });
        let mut table = Table::new(show::COLUMNS);
        table.row(show::row(&key));
        table.row(show::row(&imported));
        let parts = [
            table.page(),
            show::details(&imported),
            show::made(&key),
            show::made(&imported),
            show::successor("key_0", "24h", &key),
            show::successor("key_0", "0m", &imported),
        ];
        insta::assert_snapshot!(parts.join("\n--\n"));
    }
}
