//! Reading values that are one of a few words.

use toml::de::DeValue;

use super::table::{FromToml, Value, not_available};
use crate::{
    config::{
        report::{Problem, Problems},
        wording::{quote, suggest},
    },
    ledger::WindowKind,
    model::{Access, Align, ChangeRule, HostHeader, KeyState, StatusName},
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
        let allowed = [("key", Self::Key), ("public", Self::Public)];
        choice(value, &allowed, &["payment"], problems)
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

impl FromToml for KeyState {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let allowed =
            [("active", Self::Active), ("disabled", Self::Disabled), ("revoked", Self::Revoked)];
        choice(value, &allowed, &[], problems)
    }
}

impl FromToml for WindowKind {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let kinds = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year, Self::Lifetime];
        choice(value, &kinds.map(|kind| (kind.name(), kind)), &["period"], problems)
    }
}

impl FromToml for StatusName {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        choice(value, &Self::ALL, &[], problems)
    }
}

/// How much a record survives; there is one choice as yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) enum Durability {
    Normal,
}

impl FromToml for Durability {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        choice(value, &[("normal", Self::Normal)], &["strict"], problems)
    }
}

/// The zone whose calendar windows follow; there is one choice as yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) enum Zone {
    Utc,
}

impl FromToml for Zone {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        match value.toml {
            // Which names of zones there are is not ours to know, so each is for later.
            DeValue::String(text) if text != "UTC" => {
                problems.add(not_available(value.span, text).help(suggest("", ["UTC"])));
                None
            }
            _ => choice(value, &[("UTC", Self::Utc)], &[], problems),
        }
    }
}

impl FromToml for tracing::Level {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let allowed = [
            ("error", Self::ERROR),
            ("warn", Self::WARN),
            ("info", Self::INFO),
            ("debug", Self::DEBUG),
            ("trace", Self::TRACE),
        ];
        choice(value, &allowed, &[], problems)
    }
}
