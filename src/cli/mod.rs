//! The command line: one file per command.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage.

mod adjust;
mod admin;
mod application;
mod audit;
mod backup;
mod check;
mod completions;
mod credit;
mod customer;
mod demo;
mod enforcement;
mod events;
mod explain;
mod export;
mod health;
mod import;
mod input;
mod key;
mod ledger;
mod limits;
mod list;
mod log;
mod nodes;
mod overview;
mod partial;
mod print;
mod reload;
mod run;
mod signals;
mod store;
mod subscription;
mod table;
mod top;
mod usage;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use self::{input::WrongUsage, print::OutputClosed};

/// The arguments of the program.
#[derive(Debug, Parser)]
#[command(
    name = "faregate",
    version,
    about,
    arg_required_else_help = true,
    help_template = overview::template()
)]
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
    Check(check::Check),
    /// Tell whether the local gateway is ready
    #[command(after_help = "Example:\n  faregate health --admin http://127.0.0.1:8403")]
    Health(admin::Admin),
    /// Let a running gateway read its configuration again
    Reload(reload::Reload),
    /// Show the configuration that a running gateway acts on, without its secrets
    Config(reload::Effective),
    /// Make, list, change, suspend and delete customers
    #[command(subcommand)]
    Customer(customer::Customer),
    /// Make, list, rotate and revoke API keys
    #[command(subcommand)]
    Key(key::Key),
    /// Make, list and remove applications, which have limits of their own
    #[command(subcommand)]
    Application(application::Application),
    /// Set, show and cancel the plan that a customer holds
    #[command(subcommand)]
    Subscription(subscription::Subscription),
    /// Take customers and keys over in bulk, from CSV or JSON lines
    Import(import::Import),
    /// Show what a customer has used, has left, and when it renews
    Usage(usage::Usage),
    /// Tell why a request was refused or what it was charged, or what would become of one
    Explain(explain::Explain),
    /// Give money to a customer, and list what was given
    #[command(subcommand)]
    Credit(credit::Credit),
    /// Correct what a customer has used, or its money
    Adjust(adjust::Adjust),
    /// Show every movement of a customer's quotas and money
    Ledger(ledger::Ledger),
    /// Add up the whole ledger and compare it with every balance
    Verify(ledger::Verify),
    /// Write out what was used, for invoices
    Export(export::Export),
    /// Watch a running gateway: requests, times, busy customers, quotas near their end
    Top(top::Top),
    /// Show or switch whether refusals are carried out
    #[command(subcommand)]
    Enforcement(enforcement::Enforcement),
    /// Show or set which of its own messages a running gateway writes
    Log(log::Log),
    /// List what is sent to webhooks, and send it again
    Events(events::Events),
    /// Show who changed what
    Audit(audit::Audit),
    /// Show who shares the store
    Nodes(nodes::Nodes),
    /// Copy the store of a running gateway into a file
    Backup(backup::Backup),
    /// Move the store of a stopped gateway to a PostgreSQL server
    #[command(subcommand)]
    Store(store::Store),
    /// Print a script that completes these commands in a shell
    Completions(completions::Completions),
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
        Command::Check(arguments) => check::check(arguments),
        Command::Health(admin) => health::health(&admin).map(done),
        Command::Reload(reload) => reload.run().map(done),
        Command::Config(config) => config.run().map(done),
        Command::Customer(customer) => customer.run().map(done),
        Command::Key(key) => key.run().map(done),
        Command::Application(application) => application.run().map(done),
        Command::Subscription(subscription) => subscription.run().map(done),
        Command::Import(import) => import.run(),
        Command::Usage(usage) => usage.run().map(done),
        Command::Explain(explain) => explain.run().map(done),
        Command::Credit(credit) => credit.run().map(done),
        Command::Adjust(adjust) => adjust.run().map(done),
        Command::Ledger(ledger) => ledger.run().map(done),
        Command::Verify(verify) => verify.run(),
        Command::Export(export) => export.run().map(done),
        Command::Top(top) => top.run().map(done),
        Command::Enforcement(enforcement) => enforcement.run().map(done),
        Command::Log(log) => log.run().map(done),
        Command::Events(events) => events.run().map(done),
        Command::Audit(audit) => audit.run().map(done),
        Command::Nodes(nodes) => nodes.run().map(done),
        Command::Backup(backup) => backup.run().map(done),
        Command::Store(store) => store.run().map(done),
        Command::Completions(completions) => completions.run().map(done),
    };
    finished.unwrap_or_else(|error| failed(&error))
}

/// Tells why a command failed.
fn failed(error: &anyhow::Error) -> ExitCode {
    if error.is::<OutputClosed>() {
        return ExitCode::SUCCESS;
    }
    eprintln!("faregate: {}", told(error));
    if error.is::<WrongUsage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    /// A newcomer finds an example at every command that asks a gateway.
    #[test]
    fn every_remote_command_has_an_example() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let is_remote = command.get_arguments().any(|argument| argument.get_id() == "admin");
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(!is_remote || help.contains("Example"), "{path}");
            assert!(command.get_about().is_some(), "{path}");
            command.get_subcommands().for_each(|command| walk(command, &path));
        }
        walk(&Arguments::command(), "");
    }

    #[test]
    fn causes_are_told_once() {
        let error = anyhow::anyhow!("disk full").context("cannot write a: disk full");
        assert_eq!(told(&error.context("no backup")), "no backup: cannot write a: disk full");
    }

    #[test]
    fn wrong_usage_has_its_own_code() {
        let code = |error: anyhow::Error| format!("{:?}", failed(&error));
        let wrong = WrongUsage("give --yes".to_owned());
        assert_eq!(code(wrong.into()), format!("{:?}", ExitCode::from(2)));
        assert_eq!(code(anyhow::anyhow!("no")), format!("{:?}", ExitCode::FAILURE));
        assert_eq!(code(OutputClosed.into()), format!("{:?}", ExitCode::SUCCESS));
    }
}
