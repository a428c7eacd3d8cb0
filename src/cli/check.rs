//! `faregate check`: every problem of the configuration, each under its line.

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use crate::config::{self, Colour, Purpose, Severity};

/// Prints the report; fails when there is an error. Warnings alone do not fail.
pub(super) fn check(file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let file = config::find(file)?;
    let loaded = config::load(&file)?;
    let report = loaded.report();
    let colour = if std::io::stdout().is_terminal() { Colour::Ansi } else { Colour::Plain };
    print!("{}", report.render(Purpose::Check, colour));
    println!("{}", report.summary(Purpose::Check));
    Ok(if report.has(Severity::Error) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
