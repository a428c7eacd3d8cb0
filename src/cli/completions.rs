//! `faregate completions`: the words that a shell may complete.

use std::io;

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::cli::{Arguments, print::out};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    faregate completions bash > /etc/bash_completion.d/faregate\n  \
    faregate completions zsh > ~/.zfunc/_faregate\n  \
    faregate completions fish > ~/.config/fish/completions/faregate.fish")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<()> {
        out(&script(self.shell)?)
    }
}

fn script(shell: Shell) -> Result<String, io::Error> {
    // Into memory first: the generator panics when its output is closed.
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "faregate", &mut script);
    String::from_utf8(script).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_has_a_script_with_every_command() {
        for shell in Shell::value_variants() {
            let script = script(*shell).unwrap();
            for word in ["customer", "rotate", "past-due-since", "completions"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
