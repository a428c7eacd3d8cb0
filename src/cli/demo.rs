//! `faregate demo`

use clap::Args;

/// The arguments.
#[derive(Args, Debug)]
pub(super) struct Demo {}

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<()> {
        Ok(())
    }
}
