//! `faregate run`: the gateway, until a signal ends it.

use std::{io::IsTerminal, path::PathBuf};

use anyhow::anyhow;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    cli::signals::Signals,
    clock::Clock,
    config::{self, Colour, Log, Purpose},
    process::{self, Options},
    telemetry::{
        level::Level,
        messages::{self, LevelHandle},
    },
};

/// Runs the gateway: SIGTERM and SIGINT stop it, a second one at once, SIGHUP reloads the configuration and opens the access
/// log anew.
pub(super) fn run(file: Option<PathBuf>) -> anyhow::Result<()> {
    let file = config::find(file)?;
    let loaded = config::load(&file)?;
    if !loaded.report().problems().is_empty() {
        let colour = if std::io::stderr().is_terminal() { Colour::Ansi } else { Colour::Plain };
        eprint!("{}", loaded.report().render(Purpose::Run, colour));
    }
    let config = loaded.into_config().map_err(|report| anyhow!(report.summary(Purpose::Run)))?;
    let level = log_to_stderr(&config.log);
    let mut signals = Signals::install()?;
    raise_descriptor_limit();
    let options = Options { file: Some(file), level: Some(level), clock: Clock::system() };
    let running = process::start(&config, options)?;
    tracing::info!(
        address = %running.address(),
        admin = %running.admin_address(),
        version = env!("CARGO_PKG_VERSION"),
        "ready"
    );
    for (address, of) in running.further_addresses().iter().zip(&config.server.listeners) {
        let (tls, proxy_protocol) = (of.tls.is_some(), of.proxy_protocol);
        tracing::info!(%address, tls, proxy_protocol, "listening here too");
    }
    for address in running.redirect_addresses() {
        tracing::info!(%address, "sending callers to TLS from here");
    }
    signals.wait(&running);
    tracing::info!("stopping, open requests may end");
    signals.cut_by_the_next(running.cutter());
    running.stop();
    Ok(())
}

/// Asks for as many descriptors as the system lets us have: each request in flight takes two, and the
/// soft limit is kept low for programs of another age.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, current = limit.current, "the limit on descriptors stays as it is");
    }
}

/// Sends the gateway's own messages to standard error. `FAREGATE_LOG` stands before the file's level.
pub(super) fn log_to_stderr(log: &Log) -> LevelHandle {
    let given = std::env::var("FAREGATE_LOG").ok().filter(|text| !text.is_empty());
    let given = given.map(|text| Level::parse(&text)).transpose();
    let (overriding, bad) = match given {
        Ok(overriding) => (overriding, None),
        Err(bad) => (None, Some(bad)),
    };
    let handle = messages::to_stderr(&log.level, overriding, log.format);
    if let Some(error) = bad {
        tracing::warn!(%error, "FAREGATE_LOG is no level, the file's is used");
    }
    handle
}
