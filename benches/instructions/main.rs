//! Counts the instructions of the request path under Valgrind and compares them with the reference in
//! `reference.toml`: a measure that a busy machine does not change. `scripts/instructions` runs it.
//!
//! A crate for this (gungraun) was tried: it needs a runner of the same version to be installed, and
//! keeps its baselines where they cannot be committed.
#![allow(clippy::unwrap_used)]

mod reference;
mod scenarios;
#[path = "../support/mod.rs"]
mod support;
mod valgrind;

use std::{env, process::ExitCode};

use anyhow::bail;

use crate::reference::Counts;

/// What is asked for on the command line.
enum Task {
    /// Count, and compare with the reference.
    Compare,
    /// Be what is counted: the same program again, under Valgrind.
    Run,
    /// Count, and write that as the reference.
    Set,
}

fn task() -> anyhow::Result<Task> {
    let mut task = Task::Compare;
    for argument in env::args().skip(1) {
        match argument.as_str() {
            // From cargo.
            "--bench" => {}
            "--set" => task = Task::Set,
            valgrind::RUN => task = Task::Run,
            _ => bail!("{argument} is not known; give --set to write a new reference, or nothing"),
        }
    }
    Ok(task)
}

fn main() -> ExitCode {
    match task().and_then(perform) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does what is asked for; tells whether the counts hold.
fn perform(task: Task) -> anyhow::Result<bool> {
    match task {
        Task::Compare => {
            let reference = Counts::read()?;
            return Ok(valgrind::count()?.hold(&reference));
        }
        Task::Run => {
            println!("{}", reference::processor());
            scenarios::run();
        }
        Task::Set => valgrind::count()?.write()?,
    }
    Ok(true)
}
