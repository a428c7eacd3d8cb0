//! The `faregate` program: reads the command line and runs one command.

use std::process::ExitCode;

use clap::Parser;
use faregate::cli::{self, Arguments};
use mimalloc::MiMalloc;

/// A seventh less CPU per forwarded request than with glibc's, measured side by side: each head is read
/// into some KiB that live as long as the request, which that one takes from its slow path. It also
/// gives back what reading a large file took.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run(Arguments::parse())
}
