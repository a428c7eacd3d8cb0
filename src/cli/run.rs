//! `faregate run`: the gateway, until a signal ends it.

use std::{io::IsTerminal, path::PathBuf};

use anyhow::anyhow;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing_subscriber::EnvFilter;

use crate::{
    cli::signals::Signals,
    clock::Clock,
    config::{self, Colour, Purpose},
    process::{self, Options},
    telemetry::access_log::Format,
};

/// Runs the gateway: SIGTERM and SIGINT stop it, SIGHUP reloads the configuration.
pub(super) fn run(file: Option<PathBuf>) -> anyhow::Result<()> {
    let file = config::find(file)?;
    let loaded = config::load(&file)?;
    if !loaded.report().problems().is_empty() {
        let colour = if std::io::stderr().is_terminal() { Colour::Ansi } else { Colour::Plain };
        eprint!("{}", loaded.report().render(Purpose::Run, colour));
    }
    let config = loaded.into_config().map_err(|report| anyhow!(report.summary(Purpose::Run)))?;
    log_to_stderr(config.log.level);
    let signals = Signals::install()?;
    raise_descriptor_limit();
    let options = Options { file: Some(file), log_format: Format::Json, clock: Clock::system() };
    let running = process::start(&config, options)?;
    tracing::info!(
        address = %running.address(),
        admin = %running.admin_address(),
        version = env!("CARGO_PKG_VERSION"),
        "ready"
    );
    signals.wait(&running);
    tracing::info!("stopping, open requests may end");
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

/// Sends the gateway's own messages to standard error. `FAREGATE_LOG` may name levels by module.
pub(super) fn log_to_stderr(level: tracing::Level) {
    let filter = EnvFilter::try_from_env("FAREGATE_LOG")
        .unwrap_or_else(|_| EnvFilter::new(level.to_string()));
    // A second call, as in tests, keeps the first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}
