//! The `faregate` program: reads the command line and runs one command.

use std::process::ExitCode;

use clap::Parser;
use faregate::cli::{self, Arguments};
use mimalloc::MiMalloc;

/// It gives back what reading a large file took, and asks for large pages, which the memory of many
/// customers is read through: without them a request spends longer finding its addresses.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run(Arguments::parse())
}
