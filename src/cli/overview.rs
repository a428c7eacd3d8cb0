//! `faregate --help`: the commands in groups, in the order in which they are needed.

use clap::{Command, Subcommand, builder::Styles};

use crate::cli;

/// The groups. A test sees to it that every command is in one of them.
const GROUPS: [(&str, &[&str]); 4] = [
    ("The gateway", &["demo", "run", "check", "health", "reload", "config"]),
    ("Who may call", &["customer", "key", "application", "subscription", "import"]),
    ("What was used", &["usage", "explain", "credit", "adjust", "ledger", "verify", "export"]),
    (
        "Operation",
        &[
            "top",
            "enforcement",
            "log",
            "events",
            "audit",
            "nodes",
            "backup",
            "store",
            "completions",
        ],
    ),
];

/// Writes the whole help text, from the commands' own descriptions.
pub(super) fn template() -> String {
    let command = cli::Command::augment_subcommands(Command::new("faregate"));
    let style = *Styles::default().get_header();
    let mut text = "{about}\n\n{usage-heading} {usage}\n".to_owned();
    let names = GROUPS.iter().flat_map(|(_, names)| *names);
    let width = names.map(|name| name.len()).max().unwrap_or(0);
    for (heading, names) in GROUPS {
        text.push_str(&format!("\n{style}{heading}:{style:#}\n"));
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("  {name:<width$}  {about}\n"));
        }
    }
    text.push_str(&format!("\n{style}Options:{style:#}\n{{options}}\n\n"));
    text.push_str("`faregate COMMAND --help` shows a command's options, with examples.\n");
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        let command = cli::Arguments::command();
        let mut all: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }

    #[test]
    fn overview_is_readable() {
        insta::assert_snapshot!(cli::Arguments::command().render_help());
    }
}
