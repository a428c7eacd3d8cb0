//! `faregate run`: the gateway, until a signal ends it.

use std::{io::IsTerminal, path::PathBuf};

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    clock::Clock,
    config::{self, Colour, Purpose},
    process::{self, Options, Running},
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
    let options = Options { file: Some(file), log_format: Format::Json, clock: Clock::system() };
    let running = process::start(&config, options)?;
    tracing::info!(
        address = %running.address(),
        admin = %running.admin_address(),
        version = env!("CARGO_PKG_VERSION"),
        "ready"
    );
    until_stopped(&running)?;
    tracing::info!("stopping, open requests may end");
    running.stop();
    Ok(())
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

/// Waits for a signal to stop, and reloads on SIGHUP meanwhile.
pub(super) fn until_stopped(running: &Running) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let installed = "a signal handler cannot be installed";
        let mut hangup = signal(SignalKind::hangup()).context(installed)?;
        let mut terminate = signal(SignalKind::terminate()).context(installed)?;
        let mut interrupt = signal(SignalKind::interrupt()).context(installed)?;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                // Success and failure are both logged by the reload itself.
                _ = hangup.recv() => drop(running.reload()),
            }
        }
    })
}
