//! The command line: one file per command.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage.

mod admin_client;
mod check;
mod demo;
mod health;
mod key;
mod run;
mod signals;
mod usage;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

/// The arguments of the program.
#[derive(Debug, Parser)]
#[command(name = "faregate", version, about, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show it all: a sample paid API, the gateway before it, a key and the curl lines to try
    Demo(demo::Demo),
    /// Run the gateway
    Run(ConfigFile),
    /// Report every problem of the configuration, each under its line
    Check(ConfigFile),
    /// Make keys
    #[command(subcommand)]
    Key(key::Key),
    /// Tell whether the local gateway is ready
    Health(admin_client::Admin),
    /// Show what a customer has used, has left, and when it renews
    Usage(usage::Usage),
}

/// Where the configuration is.
#[derive(Args, Clone, Debug)]
struct ConfigFile {
    /// The configuration; default: ./faregate.toml, then /etc/faregate/faregate.toml
    #[arg(long, env = "FAREGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command and gives the exit code.
pub fn run(arguments: Arguments) -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let finished = match arguments.command {
        Command::Demo(demo) => demo.run().map(done),
        Command::Run(file) => run::run(file.config).map(done),
        Command::Check(file) => check::check(file.config),
        Command::Key(key) => key.run().map(done),
        Command::Health(admin) => health::health(&admin).map(done),
        Command::Usage(usage) => usage.run().map(done),
    };
    match finished {
        Ok(code) => code,
        Err(error) => {
            eprintln!("faregate: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// Writes an error and its causes on one line, leaving out a cause that was already told.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
