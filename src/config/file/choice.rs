//! Reading values that are one of a few words.

use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::{
    payments::Method,
    table::{FromToml, Value, not_available},
};
use crate::{
    config::{
        ClientAuth, TlsVersion,
        report::{Problem, Problems},
        wording::{nearest, quote, suggest},
    },
    ledger::WindowKind,
    model::{
        Access, Align, ChangeRule, Durability, HostHeader, HttpVersion, KeyState, Settle,
        StatusName,
    },
    pay::x402,
    telemetry::{
        access_log,
        level::{BadLevel, LEVELS, Level},
        messages,
        traces::Parent,
    },
};

/// Reads one of the `allowed` words; the words of `later` are known but not acted on.
fn choice<T: Copy>(
    value: Value<'_>,
    allowed: &[(&str, T)],
    later: &[&str],
    problems: &mut Problems,
) -> Option<T> {
    let names = allowed.iter().map(|(name, _)| *name);
    let DeValue::String(text) = value.toml else {
        super::value::expected(value, "a string", problems);
        return None;
    };
    if let Some((_, choice)) = allowed.iter().find(|(name, _)| name == text) {
        return Some(*choice);
    }
    problems.add(if later.contains(&text.as_ref()) {
        not_available(value.span, text).help(suggest("", names))
    } else {
        let message = format!("unknown value {}", quote(text));
        Problem::error(value.span, message).help(suggest(text, names))
    });
    None
}

impl FromToml for Access {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let allowed = [("key", Self::Key), ("payment", Self::Payment), ("public", Self::Public)];
        choice(value, &allowed, &[], problems)
    }
}

impl FromToml for Settle {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let all = [Self::Before, Self::AfterHeaders].map(|settle| (settle.name(), settle));
        choice(value, &all, &[], problems)
    }
}

impl FromToml for Method {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        choice(value, &[("evm", Self::Evm)], &["lightning"], problems)
    }
}

impl FromToml for x402::Method {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let allowed = [Self::Eip3009, Self::Permit2].map(|method| (method.name(), method));
        choice(value, &allowed, &[], problems)
    }
}

impl FromToml for Align {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let allowed = [("anchor", Self::Anchor), ("calendar", Self::Calendar)];
        choice(value, &allowed, &[], problems)
    }
}

impl FromToml for ChangeRule {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        choice(value, &Self::ALL, &[], problems)
    }
}

impl FromToml for HostHeader {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let allowed = [("upstream", Self::Upstream), ("preserve", Self::Preserve)];
        choice(value, &allowed, &[], problems)
    }
}

impl FromToml for HttpVersion {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        choice(value, &[("1.1", Self::Http1), ("2", Self::Http2)], &[], problems)
    }
}

impl FromToml for KeyState {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let allowed =
            [("active", Self::Active), ("disabled", Self::Disabled), ("revoked", Self::Revoked)];
        choice(value, &allowed, &[], problems)
    }
}

impl FromToml for WindowKind {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        choice(value, &Self::ALL.map(|kind| (kind.name(), kind)), &[], problems)
    }
}

impl FromToml for StatusName {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        choice(value, &Self::ALL, &[], problems)
    }
}

impl FromToml for Durability {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        choice(value, &Self::ALL, &[], problems)
    }
}

/// The zone whose calendar windows follow; `None` is UTC.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::config) struct Zone(pub(in crate::config) Option<TimeZone>);

impl FromToml for Zone {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::String(text) = value.toml else {
            super::value::expected(value, "a string", problems);
            return None;
        };
        if text.eq_ignore_ascii_case("UTC") {
            return Some(Self(None));
        }
        // The machine's own table of zones, which its updates keep true; where there is none, as in
        // small containers, the one that is compiled in.
        if let Ok(zone) = jiff::tz::db().get(text) {
            return Some(Self(Some(zone)));
        }
        let names: Vec<String> =
            jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let help = match nearest(text, &names) {
            Some(meant) => format!("did you mean {}?", quote(meant)),
            None => {
                "write a name of the IANA time zone database, such as `Europe/Berlin`, or `UTC`"
                    .to_owned()
            }
        };
        let message = format!("there is no time zone {}", quote(text));
        problems.add(Problem::error(value.span, message).help(help));
        None
    }
}

impl FromToml for ClientAuth {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        choice(value, &Self::ALL, &[], problems)
    }
}

impl FromToml for TlsVersion {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        choice(value, &Self::ALL, &[], problems)
    }
}

impl FromToml for access_log::Format {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        choice(value, &[("json", Self::Json), ("text", Self::Text)], &[], problems)
    }
}

impl FromToml for messages::Format {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        choice(value, &[("text", Self::Text), ("json", Self::Json)], &[], problems)
    }
}

impl FromToml for Parent {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        choice(value, &[("continue", Self::Continue), ("ignore", Self::Ignore)], &[], problems)
    }
}

impl FromToml for Level {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::String(text) = value.toml else {
            super::value::expected(value, "a string", problems);
            return None;
        };
        Self::parse(text)
            .map_err(|BadLevel { message, help }| {
                // Of a single word it can be said which was meant.
                let help = nearest(text, &LEVELS).map_or(help, |_| suggest(text, LEVELS));
                problems.add(Problem::error(value.span, message).help(help));
            })
            .ok()
    }
}
