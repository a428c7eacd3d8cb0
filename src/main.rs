//! The `faregate` program: reads the command line and runs one command.

use std::process::ExitCode;

use clap::Parser;
use faregate::cli::{self, Arguments};

fn main() -> ExitCode {
    cli::run(Arguments::parse())
}
