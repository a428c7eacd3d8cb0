//! Which of the gateway's own messages are written: a level, and levels by module.

use std::fmt;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// A level, and levels by module, such as `info,faregate::journal=debug`.
///
/// The level is about the gateway's own modules. Other crates write warnings at most, and when one is
/// named, up to `debug`: beyond that some show what goes over the wire.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Level {
    default: LevelFilter,
    modules: Vec<(String, LevelFilter)>,
}

/// What is wrong with a text that should be a level, and what to write.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct BadLevel {
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub help: String,
}

/// The names of levels.
pub const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What the gateway's own modules begin with.
const OWN: &str = "faregate";

/// The gateway's own modules, so that a slip of the pen is not taken for one. A test compares them
/// with the crate's list.
const MODULES: [&str; 42] = [
    "admin",
    "answer",
    "chain",
    "cli",
    "clock",
    "config",
    "cors",
    "explain",
    "failpoint",
    "gateway",
    "guesses",
    "http1",
    "journal",
    "json",
    "keeper",
    "leases",
    "ledger",
    "live",
    "memory",
    "model",
    "nodes",
    "notifications",
    "outgoing",
    "pay",
    "process",
    "progress",
    "protobuf",
    "provisioning",
    "requests",
    "roster",
    "server",
    "snapshot",
    "stamp",
    "store",
    "telemetry",
    "tls",
    "upkeep",
    "upstream",
    "usage",
    "webhooks",
    "websocket",
    "worker",
];

/// The longest text that is read, and how many modules may be in it.
const BYTES_MAX: usize = 1000;
const MODULES_MAX: usize = 32;

/// The most that other crates write unless they are named, and when they are.
const FOREIGN: LevelFilter = LevelFilter::WARN;
const FOREIGN_NAMED: LevelFilter = LevelFilter::DEBUG;

impl Level {
    /// Makes a level for every module.
    pub fn of(level: tracing::Level) -> Self {
        Self { default: level.into(), modules: Vec::new() }
    }

    /// Reads a level, with or without levels by module; without a level of its own the rest is at
    /// `info`.
    pub fn parse(text: &str) -> Result<Self, BadLevel> {
        if text.len() > BYTES_MAX {
            return Err(bad("the level is too long", format!("write at most {BYTES_MAX} bytes")));
        }
        let mut default = None;
        let mut modules: Vec<(String, LevelFilter)> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let Some((module, level)) = part.split_once('=') else {
                if default.replace(level_of(part)?).is_some() {
                    let help = "write one, and levels of modules as MODULE=LEVEL";
                    return Err(bad("there are two levels for all modules", help));
                }
                continue;
            };
            let module = module.trim();
            check_module(module)?;
            if modules.iter().any(|(known, _)| known == module) {
                let message = format!("the module `{module}` stands twice");
                return Err(bad(message, "write it once"));
            }
            modules.push((module.to_owned(), level_of(level.trim())?));
        }
        if modules.len() > MODULES_MAX {
            return Err(bad("there are too many modules", format!("write at most {MODULES_MAX}")));
        }
        Ok(Self { default: default.unwrap_or(LevelFilter::INFO), modules })
    }

    /// Gives the filter that lets through all that any level could ask for.
    pub(super) fn widest() -> Targets {
        Targets::new().with_default(FOREIGN_NAMED).with_target(OWN, LevelFilter::TRACE)
    }

    /// Gives what the subscriber goes by.
    pub(super) fn targets(&self) -> Targets {
        let modules = self.modules.iter().map(|(module, level)| {
            let level = if is_own(module) { *level } else { FOREIGN_NAMED.min(*level) };
            (module.clone(), level)
        });
        Targets::new()
            .with_default(FOREIGN.min(self.default))
            // It warns of what any client may send, as often as that is sent.
            .with_target("h2", LevelFilter::ERROR.min(self.default))
            .with_target(OWN, self.default)
            .with_targets(modules)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.default)?;
        self.modules.iter().try_for_each(|(module, level)| write!(f, ",{module}={level}"))
    }
}

fn bad(message: impl Into<String>, help: impl Into<String>) -> BadLevel {
    BadLevel { message: message.into(), help: help.into() }
}

fn is_own(module: &str) -> bool {
    module.split("::").next() == Some(OWN)
}

fn level_of(word: &str) -> Result<LevelFilter, BadLevel> {
    Ok(match word {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => {
            let help = "write off, error, warn, info, debug or trace, and for a module \
                        `info,faregate::journal=debug`";
            return Err(bad(format!("`{}` is no level", shown(word)), help));
        }
    })
}

fn check_module(module: &str) -> Result<(), BadLevel> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut parts = module.split("::");
    if !parts.clone().all(|part| !part.is_empty() && part.chars().all(allowed)) {
        let message = format!("`{}` is not the name of a module", shown(module));
        return Err(bad(message, "write it as in `faregate::journal=debug`"));
    }
    let first = parts.next().unwrap_or_default();
    let second = parts.next();
    if first == OWN && second.is_some_and(|name| !MODULES.contains(&name)) {
        let message = format!("there is no module `{}`", shown(module));
        return Err(bad(message, format!("there are: {}", MODULES.join(", "))));
    }
    if MODULES.contains(&first) {
        let message = format!("there is no module `{first}`");
        return Err(bad(message, format!("write `{OWN}::{first}`")));
    }
    Ok(())
}

/// Gives the beginning of a text, without what a terminal would act on.
fn shown(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enabled(level: &str, target: &str) -> LevelFilter {
        let targets = Level::parse(level).unwrap().targets();
        let all = [
            tracing::Level::ERROR,
            tracing::Level::WARN,
            tracing::Level::INFO,
            tracing::Level::DEBUG,
            tracing::Level::TRACE,
        ];
        let most = all.into_iter().rev().find(|level| targets.would_enable(target, level));
        most.map_or(LevelFilter::OFF, LevelFilter::from_level)
    }

    #[test]
    fn levels_are_by_module() {
        let text = "warn,faregate::journal=debug,faregate::webhooks::sender=off,rustls=debug";
        for (target, expected) in [
            ("faregate", LevelFilter::WARN),
            ("faregate::gateway", LevelFilter::WARN),
            ("faregate::journal", LevelFilter::DEBUG),
            ("faregate::journal::writer", LevelFilter::DEBUG),
            ("faregate::webhooks", LevelFilter::WARN),
            ("faregate::webhooks::sender", LevelFilter::OFF),
            ("rustls::client", LevelFilter::DEBUG),
            ("hyper", LevelFilter::WARN),
        ] {
            assert_eq!(enabled(text, target), expected, "{target}");
        }
        assert_eq!(enabled("faregate::journal=trace", "faregate::cli"), LevelFilter::INFO);
    }

    /// What other crates could show of the wire is out of reach of every level.
    #[test]
    fn other_crates_are_bounded() {
        for (level, target, expected) in [
            ("trace", "faregate::chain", LevelFilter::TRACE),
            ("trace", "rustls::client::hs", LevelFilter::WARN),
            ("trace,rustls=trace", "rustls::client::hs", LevelFilter::DEBUG),
            ("trace,hyper::proto=trace", "hyper::proto::h1", LevelFilter::DEBUG),
            ("error", "rustls::client::hs", LevelFilter::ERROR),
            ("trace", "h2::proto::ping_pong", LevelFilter::ERROR),
            ("off", "h2::proto::ping_pong", LevelFilter::OFF),
            ("info,h2=trace", "h2::proto::ping_pong", LevelFilter::DEBUG),
            ("off", "rustls::client::hs", LevelFilter::OFF),
        ] {
            assert_eq!(enabled(level, target), expected, "{level} {target}");
        }
    }

    #[test]
    fn levels_are_written_as_they_are_read() {
        for (text, written) in [
            ("info", "info"),
            (" debug , faregate::journal = trace", "debug,faregate::journal=trace"),
            ("faregate::store=off", "info,faregate::store=off"),
        ] {
            assert_eq!(Level::parse(text).unwrap().to_string(), written);
            assert_eq!(Level::parse(written).unwrap().to_string(), written);
        }
    }

    #[test]
    fn mistakes_are_explained() {
        let long = "x".repeat(1001);
        let many: Vec<String> = (0..33).map(|n| format!("m{n}=info")).collect();
        let texts = [
            "",
            "loud",
            "INFO",
            "info,",
            "info,debug",
            "info,faregate::jornal=debug",
            "journal=debug",
            "faregate::=debug",
            "=debug",
            "faregate::journal=",
            "faregate::journal=loud",
            "rustls=debug,rustls=info",
            "a b=info",
            "\u{1b}[2J",
            &long,
            &many.join(","),
        ];
        let told = texts.map(|text| Level::parse(text).unwrap_err().to_string());
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn modules_are_those_of_the_crate() {
        let list = include_str!("../lib.rs").lines();
        let listed = list.filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
        // These are for tests alone, and say nothing.
        let is_built = |name: &&str| !["fuzzing", "simulation"].contains(name);
        let listed: Vec<&str> =
            listed.map(|line| line.trim_end_matches(';')).filter(is_built).collect();
        assert_eq!(listed, MODULES);
    }
}
