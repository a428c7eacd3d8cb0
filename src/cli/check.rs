//! `faregate check`: every problem of the configuration, each under its line.

use std::{io::IsTerminal, process::ExitCode};

use clap::Args;

use super::ConfigFile;
use crate::config::{self, Colour, Purpose, Severity};

/// The arguments.
#[derive(Args, Debug)]
pub(super) struct Check {
    #[command(flatten)]
    file: ConfigFile,
    /// Also ask the facilitators of payments whether they agree with what the file says
    #[arg(long)]
    online: bool,
}

/// Prints the report; fails when there is an error. Warnings alone do not fail.
pub(super) fn check(Check { file, online }: Check) -> anyhow::Result<ExitCode> {
    let file = config::find(file.config)?;
    let loaded = if online { config::load_online(&file)? } else { config::load(&file)? };
    let report = loaded.report();
    let colour = if std::io::stdout().is_terminal() { Colour::Ansi } else { Colour::Plain };
    print!("{}", report.render(Purpose::Check, colour));
    println!("{}", report.summary(Purpose::Check));
    Ok(if report.has(Severity::Error) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
